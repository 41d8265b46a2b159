"""Who wears the garment: a person, a mannequin or a hanger. The mixture is our choice."""

import numpy as np

from selfml.data.garment_canvas import Canvas, Colour, mirrored, moved, ribbon, smooth
from selfml.data.garment_fabric import FABRICS, dim, jitter, mix
from selfml.data.garment_look import Look

HAIR: tuple[Colour, ...] = (
    (28, 22, 20), (52, 34, 24), (92, 60, 38), (142, 98, 58), (206, 172, 112), (120, 52, 32),
    (150, 148, 146),
)  # fmt: skip
_ARM = (0.20, 0.197, 0.193, 0.19, 0.178, 0.165, 0.152, 0.135, 0.117, 0.10)


def draw_body(canvas: Canvas, look: Look) -> None:
    """Draw what wears the garment: skin or mannequin, legs, neck and head; or the hanger."""
    if look.stage == "hanger":
        _hanger(canvas, look)
    if look.bodiless:
        return
    if look.stage == "person":
        _hair_behind(canvas, look)
        if look.category == "dresses":
            _legs(canvas, look)
    else:
        _stand(canvas, look)
    chest = smooth(((0.30, -0.55), (0.33, -0.1), (0.62, 0.08), (0.98, 0.22), (0.86, 0.7),
                    (0.76, 1.2), (0.64, 1.75), (0.84, 2.6), (0.8, 3.1)), 4)  # fmt: skip
    canvas.polygon(np.concatenate((chest, mirrored(chest))), look.body)
    if look.stage == "person" and look.category != "dresses":
        _bottom(canvas, look)
    rim = dim(look.body, 0.72)
    canvas.polygon(
        ((-0.29, -0.42), (0.29, -0.42), (0.12, -0.05), (-0.12, -0.12)), dim(look.body, 0.86)
    )
    canvas.line(((-0.45, 0.16), (-0.12, 0.24)), rim, 0.04, 0.0)
    canvas.line(((0.45, 0.16), (0.12, 0.24)), rim, 0.04, 0.0)
    if look.stage == "person":
        _head(canvas, look)


def _hanger(canvas: Canvas, look: Look) -> None:
    wood = look.chance.pick("hanger", ((176, 130, 84), (40, 40, 42), (214, 214, 216)))
    canvas.line(((-0.9, 0.3), (0, -0.12), (0.9, 0.3)), wood, 0.12, 0.02)
    hook = ((0, -0.12), (0, -0.4), (0.14, -0.52), (0.12, -0.7), (-0.05, -0.74))
    canvas.line(smooth(hook), (128, 128, 132), 0.05, 0.014)


def _stand(canvas: Canvas, look: Look) -> None:
    pole = dim(look.body, 0.55)
    canvas.line(((0, 2.5), (0, 8)), pole, 0.14, 0.02)
    canvas.polygon(((-0.8, 6.9), (0.8, 6.9), (1.0, 7.1), (-1.0, 7.1)), pole)
    canvas.disc((0, -0.55), 0.30, dim(look.body, 0.8))


def _legs(canvas: Canvas, look: Look) -> None:
    chance = look.chance
    tights = (36, 34, 38) if chance.happens("tights", 0.15) else look.body
    part = chance.within("stance", 0.0, 0.16)
    shoe = chance.pick("shoes", FABRICS) if chance.happens("bright shoes", 0.4) else (34, 32, 34)
    for side in (-1, 1):
        path = np.array(((0.42, 2.4), (0.38 + part, 4.5), (0.34 + part, 5.2), (0.30 + part, 6.7)))
        leg = ribbon(path * (side, 1), (0.42, 0.22, 0.23, 0.12))
        canvas.polygon(leg, tights)
        canvas.crease(leg[:4], 60, 0.06)
        canvas.crease(leg[4:], 60, 0.06)
        foot = moved(((0.16, 6.6), (0.46, 6.6), (0.56, 6.95), (0.16, 6.95)), part, 0)
        canvas.polygon(foot * (side, 1), shoe)


def _bottom(canvas: Canvas, look: Look) -> None:
    chance = look.chance
    cloth = jitter(chance, "bottom jitter", chance.pick("bottom", FABRICS + ((58, 78, 118),) * 4))
    if chance.happens("skirt", 0.3):
        canvas.polygon(((-0.68, 1.6), (0.68, 1.6), (1.2, 4.6), (-1.2, 4.6)), cloth)
        return
    canvas.polygon(
        ((-0.68, 1.6), (0.68, 1.6), (0.92, 2.6), (0.8, 5), (-0.8, 5), (-0.92, 2.6)), cloth
    )
    canvas.line(((0, 2.7), (0, 5)), dim(cloth, 0.55), 0.10)


def _hair_behind(canvas: Canvas, look: Look) -> None:
    if look.chance.weighted("hair style", {"long": 0.5, "short": 0.3, "bun": 0.2}) == "long":
        fall = look.chance.within("hair fall", -0.1, 0.5)
        side = smooth(((0.0, -1.72), (0.5, -1.5), (0.58, -0.9), (0.66, -0.2), (0.5, fall)), 4)
        canvas.polygon(np.concatenate((side, mirrored(side))), hair_colour(look))


def hair_colour(look: Look) -> Colour:
    """Return the colour of the wearer's hair."""
    return jitter(look.chance, "hair jitter", look.chance.pick("hair", HAIR), 8)


def _head(canvas: Canvas, look: Look) -> None:
    hair, chance = hair_colour(look), look.chance
    style = chance.weighted("hair style", {"long": 0.5, "short": 0.3, "bun": 0.2})
    crown = smooth(((0.0, -1.76), (0.42, -1.6), (0.5, -1.15), (0.44, -0.9)), 4)
    canvas.polygon(np.concatenate((crown, mirrored(crown))), hair)
    if style == "bun":
        canvas.disc((0.0, -1.86), 0.24, hair)
    face = smooth(
        ((0.0, -1.5), (0.3, -1.4), (0.39, -1.05), (0.3, -0.62), (0.1, -0.42), (0, -0.41)), 4
    )
    canvas.polygon(np.concatenate((face, mirrored(face))), mix(look.body, (255, 236, 220), 0.08))
    fringe = chance.within("fringe", -1.42, -1.28)
    canvas.polygon(
        ((-0.42, -1.1), (-0.34, -1.5), (0.34, -1.5), (0.42, -1.1), (0.2, fringe), (-0.2, fringe)),
        hair,
    )
    for side in (-1, 1):
        canvas.disc((0.16 * side, -1.05), 0.05, (46, 34, 32))
    canvas.line(((0.02, -0.98), (0.05, -0.84)), dim(look.body, 0.78), 0.03, 0.0)
    lips = mix(look.body, (190, 50, 60), chance.within("lips", 0.3, 0.8))
    canvas.line(((-0.11, -0.66), (0.11, -0.66)), lips, 0.06, 0.0)


def draw_arm(canvas: Canvas, look: Look, side: int) -> None:
    """Draw a bare arm and its hand; garments that nobody wears have none."""
    if look.bodiless or (look.stage == "mannequin" and look.chance.happens("armless", 0.6)):
        return
    shoulder, elbow, wrist = look.arms[side]
    path = smooth((shoulder - (0.0, 0.1), (shoulder + elbow) / 2, elbow, wrist), 3)
    outline = ribbon(path, _ARM)
    canvas.polygon(outline, look.body)
    canvas.disc((shoulder[0], shoulder[1] - 0.05), 0.2, look.body)
    along = (wrist - elbow) / np.linalg.norm(wrist - elbow)
    hand = np.stack((wrist - 0.05 * along, wrist + 0.2 * along, wrist + 0.42 * along))
    canvas.polygon(ribbon(hand, (0.10, 0.15, 0.06)), look.body)
    canvas.crease(outline[: len(path)], 70, 0.05)
    canvas.crease(outline[len(path) :], 70, 0.05)
