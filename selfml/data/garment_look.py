"""From attributes to a garment's cut, pose and colours: every choice of one picture, in one record.

Lengths are in garment units (see ``garment_canvas``), angles in radians. The ranges are our choice.
"""

from dataclasses import dataclass

import numpy as np

from selfml.data.garment_canvas import Chance, Colour
from selfml.data.garment_fabric import DENIMS, EVENING, FABRICS, brightness, dim, jitter, mix

SKINS: tuple[Colour, ...] = (
    (246, 214, 188), (236, 196, 164), (224, 176, 142), (204, 152, 116), (172, 120, 84),
    (136, 90, 62), (100, 66, 48), (74, 50, 40),
)  # fmt: skip
FORMS: tuple[Colour, ...] = ((236, 230, 220), (206, 190, 166), (150, 150, 152), (52, 52, 56))
STAGES = {"person": 0.56, "mannequin": 0.12, "ghost": 0.14, "hanger": 0.08, "flat": 0.10}
BODILESS = ("ghost", "hanger", "flat")


@dataclass(frozen=True)
class Look:
    """One garment as it will be drawn.

    Attributes
    ----------
    category : str
    attributes : frozenset of str
    chance : Chance
    stage : str
        How it is shown: a key of ``STAGES``.
    neck : str
        round, v, high, square, collar or strapless.
    neck_half, neck_depth : float
        Half width and depth of the opening.
    sleeve : str or None
        long, short or None.
    opened : bool
        Worn open, so that what is under it shows.
    pattern : str or None
    colour, trim, body : (int, int, int)
        Cloth, edges, and the skin or mannequin.
    bust, waist, hip, hem : float
        Half widths.
    waist_v, hem_v : float
        Heights of the waist and the hem.
    arms : tuple of ndarray (3, 2)
        Shoulder, elbow and wrist, left then right.
    unit, tilt : float
        Scale in frame units, turn in radians.
    centre : (float, float)
        Base of the neck, frame units.
    """

    category: str
    attributes: frozenset[str]
    chance: Chance
    stage: str
    neck: str
    neck_half: float
    neck_depth: float
    sleeve: str | None
    opened: bool
    pattern: str | None
    colour: Colour
    trim: Colour
    body: Colour
    bust: float
    waist: float
    hip: float
    hem: float
    waist_v: float
    hem_v: float
    arms: tuple[np.ndarray, np.ndarray]
    unit: float
    tilt: float
    centre: tuple[float, float]

    def has(self, attribute: str) -> bool:
        """Return whether the garment has this attribute."""
        return attribute in self.attributes

    @property
    def bodiless(self) -> bool:
        """Nobody wears it: ghost, hanger or flat lay."""
        return self.stage in BODILESS

    @property
    def neck_v(self) -> float:
        """Height of the ends of the neckline, on the slope of the shoulder."""
        return 0.02 + 0.25 * (self.neck_half - 0.36)


def choose_look(category: str, attributes: frozenset[str], chance: Chance) -> Look:
    """Settle everything about a picture that does not depend on its size."""
    stage = chance.weighted("stage", STAGES)
    neck, neck_half, neck_depth = _neck(category, attributes, chance)
    cut = _cut(category, attributes, chance)
    colour = _colour(category, attributes, chance)
    light = brightness(colour) > 120
    trim = dim(colour, 0.62) if light else mix(colour, (255, 255, 255), 0.28)
    if chance.happens("trim contrast", 0.22):
        trim = (246, 244, 238) if not light else (34, 34, 40)
    long = "Long Sleeved" in attributes
    return Look(
        category=category,
        attributes=attributes,
        chance=chance,
        stage=stage,
        neck=neck,
        neck_half=neck_half,
        neck_depth=neck_depth,
        sleeve="long" if long else "short" if "Short Sleeved" in attributes else None,
        opened=_opened(category, attributes, chance),
        pattern=_pattern(attributes, chance),
        colour=colour,
        trim=trim,
        body=jitter(chance, "skin", chance.pick("skin tone", SKINS), 8)
        if stage == "person"
        else chance.pick("form tone", FORMS),
        arms=_arms(stage, chance, cut["bust"]),
        **cut,
        **_framing(category, attributes, stage, cut["hem_v"], chance),
    )


def _neck(category: str, attributes: frozenset[str], chance: Chance) -> tuple[str, float, float]:
    """Kind, half width and depth of the neckline."""
    if "Round Neck" in attributes:
        wide = chance.unit("round width")
        return "round", 0.46 + 0.24 * wide, 0.38 + 0.34 * chance.unit("round depth") + 0.08 * wide
    if "V-Neck" in attributes:
        deep = 0.25 if category == "jackets" else 0.0
        return "v", chance.within("v width", 0.42, 0.58), chance.within("v depth", 0.95, 1.4) + deep
    others = {
        "dresses": {"square": 0.3, "high": 0.25, "collar": 0.2, "strapless": 0.25},
        "jackets": {"collar": 0.65, "high": 0.35},
        "knitwear": {"high": 0.75, "collar": 0.15, "square": 0.10},
        "tops": {"collar": 0.45, "high": 0.25, "square": 0.3},
    }[category]
    bare = "Sleeveless" in attributes and not attributes & {"Button Closure", "Zip Closure"}
    if not bare:
        others.pop("strapless", None)
    if "Hooded" in attributes:
        others = {"high": 1.0}
    kind = chance.weighted("neck", others)
    half = {"square": 0.56, "high": 0.36, "collar": 0.42, "strapless": 0.78}[kind]
    depth = {"square": 0.72, "high": 0.10, "collar": 0.26, "strapless": 0.62}[kind]
    return kind, half, depth + chance.within("neck depth", -0.05, 0.05)


def _cut(category: str, attributes: frozenset[str], chance: Chance) -> dict[str, float]:
    """Half widths and heights of the body of the garment."""
    ease = chance.unit("ease")
    if category == "dresses":
        return _dress_cut(attributes, chance, ease)
    low, high = {"jackets": (2.3, 3.0), "knitwear": (2.25, 2.75), "tops": (2.1, 2.65)}[category]
    loose = {"jackets": 0.10, "knitwear": 0.10, "tops": 0.0}[category]
    bust = 0.84 + loose + 0.12 * ease
    waist = bust - chance.within("taper", -0.02, 0.16)
    hem = bust + chance.within("flare", -0.06, 0.12)
    if category == "jackets" and chance.happens("coat", 0.25):
        high += 0.9
    hem_v = chance.within("hem", low, high)
    return {"bust": bust, "waist": waist, "hip": hem, "hem": hem, "waist_v": 1.6, "hem_v": hem_v}


def _dress_cut(attributes: frozenset[str], chance: Chance, ease: float) -> dict[str, float]:
    if "Dress Length Long" in attributes:
        hem_v = chance.within("hem", 5.6, 6.5)
    elif "Dress Length Short" in attributes:
        hem_v = chance.within("hem", 3.1, 3.75)
    else:
        hem_v = chance.within("hem", 4.4, 5.0)
    bust, waist_v = 0.82 + 0.04 * ease, chance.within("waist height", 1.5, 1.75)
    spread = chance.unit("spread")
    if "Dress Silhouette Flared" in attributes:
        waist, hip, hem = 0.62 + 0.06 * ease, 0.98 + 0.22 * spread, 1.45 + 0.75 * spread
    elif "Dress Silhouette Fitted" in attributes:
        waist, hip, hem = 0.60 + 0.05 * ease, 0.86 + 0.06 * spread, 0.66 + 0.16 * spread
    else:
        waist, hip, hem = 0.86 + 0.06 * ease, 0.94 + 0.05 * ease, 0.98 + 0.16 * spread
    return {
        "bust": bust, "waist": waist, "hip": hip, "hem": hem, "waist_v": waist_v, "hem_v": hem_v
    }  # fmt: skip


def _colour(category: str, attributes: frozenset[str], chance: Chance) -> Colour:
    if "Occasion Formal" in attributes and chance.happens("evening colour", 0.75):
        return jitter(chance, "colour jitter", chance.pick("colour", EVENING))
    if denim(category, attributes, chance):
        return jitter(chance, "colour jitter", chance.pick("colour", DENIMS))
    return jitter(chance, "colour jitter", chance.pick("colour", FABRICS))


def denim(category: str, attributes: frozenset[str], chance: Chance) -> bool:
    """Return whether a casual garment is of jeans cloth."""
    plain = category != "knitwear" and not attributes & {"Striped", "Floral", "Checked"}
    return plain and "Occasion Casual" in attributes and chance.happens("denim", 0.3)


def _pattern(attributes: frozenset[str], chance: Chance) -> str | None:
    for name in ("Striped", "Floral", "Checked"):
        if name in attributes:
            return name
    return "Dots" if chance.happens("dots", 0.04) else None


def _opened(category: str, attributes: frozenset[str], chance: Chance) -> bool:
    closes = bool(attributes & {"Zip Closure", "Button Closure"})
    if category == "jackets":
        return chance.happens("open", 0.4 if closes else 0.55)
    return category == "knitwear" and closes and chance.happens("open", 0.3)


def _arms(stage: str, chance: Chance, bust: float) -> tuple[np.ndarray, np.ndarray]:
    """Shoulder, elbow and wrist of both arms; a garment laid flat spreads its sleeves."""
    arms = []
    for side, name in ((-1, "left"), (1, "right")):
        low, high = {"flat": (0.45, 0.95), "hanger": (0.1, 0.25)}.get(stage, (0.12, 0.42))
        upper = chance.within(f"{name} upper", low, high)
        fore = upper + chance.within(f"{name} fore", -0.3, 0.1)
        if stage == "person" and chance.happens(f"{name} on hip", 0.16):
            upper, fore = 0.62, -0.75
        shoulder = np.array((0.83 + 0.3 * (bust - 0.84), 0.5))
        elbow = shoulder + 1.25 * np.array((np.sin(upper), np.cos(upper)))
        wrist = elbow + 1.2 * np.array((np.sin(fore), np.cos(fore)))
        arms.append(np.stack((shoulder, elbow, wrist)) * (side, 1))
    return tuple(arms)


def _framing(
    category: str, attributes: frozenset[str], stage: str, hem_v: float, chance: Chance
) -> dict:
    """Scale, turn and place in the picture."""
    bodiless = stage in BODILESS
    top = 0.95 if "Hooded" in attributes else 0.35 if bodiless else 0.65
    zoom = chance.within("zoom", 0.9, 1.06)
    if category == "dresses":
        bottom = hem_v + (0.3 if bodiless else 0.6)
        unit = min(0.205, 0.98 / (top + bottom)) * zoom
        centre_v = top * unit + chance.within("rise", -0.01, 0.03)
    else:
        unit = min(0.262, 0.98 / (top + hem_v + 0.1)) * zoom
        centre_v = max(top * unit, 0.5 - unit * hem_v * 0.47) + chance.within("rise", -0.02, 0.03)
    lean = 0.22 if stage == "flat" else 0.07
    return {
        "unit": unit,
        "tilt": lean * (chance.unit("tilt") + chance.unit("tilt too") - 1.0),
        "centre": (0.5 + chance.within("aside", -0.06, 0.06), centre_v),
    }
