"""Outlines of a garment, from its look: neckline, body and sleeves, all in garment units."""

import numpy as np

from selfml.data.garment_canvas import mirrored, smooth
from selfml.data.garment_look import Look

_QUARTER = np.stack((np.cos(np.linspace(np.pi, np.pi / 2, 8)),
                     np.sin(np.linspace(np.pi, np.pi / 2, 8))), axis=1)  # fmt: skip
_HEM = np.stack((np.linspace(1, 0, 5)[1:], np.sin(np.linspace(0, np.pi / 2, 5)[1:])), axis=1)


def neckline(look: Look) -> np.ndarray:
    """Return the front edge of the neck opening, left to right, (P, 2)."""
    w, v, d = look.neck_half, look.neck_v, look.neck_depth
    if look.neck == "v":
        belly = look.chance.within("v belly", -0.02, 0.08)
        left = smooth(((-w, v), (-w * 0.5 - belly, v + d * 0.45), (0.0, v + d)))
    elif look.neck == "square":
        return np.array(((-w, v), (-w * 0.92, v + d), (w * 0.92, v + d), (w, v)))
    elif look.neck == "strapless":
        dip = look.chance.within("sweetheart", 0.0, 0.16)
        return smooth(((-w, v + d), (-w * 0.5, v + d - 0.1), (0, v + d + dip),
                       (w * 0.5, v + d - 0.1), (w, v + d)))  # fmt: skip
    else:
        left = _QUARTER * (w, d) + np.array((0.0, v))
    return np.concatenate((left, mirrored(left)[1:]))


def flank(look: Look) -> np.ndarray:
    """Return the right edge from the underarm down to the hem, (P, 2)."""
    points = [(look.bust, 0.9), (look.waist, look.waist_v)]
    if look.category == "dresses":
        if look.has("Dress Silhouette Flared"):
            middle = (look.waist_v + look.hem_v) / 2
            points += [(look.waist + 0.55 * (look.hem - look.waist), middle)]
        else:
            points += [(look.hip, 2.6)]
            if look.hem_v > 4:
                points += [((look.hip + look.hem) / 2, 3.7)]
    points.append((look.hem, look.hem_v))
    return smooth(points)


def torso(look: Look) -> np.ndarray:
    """Return the outline of the whole body of the garment, neckline to hem, (P, 2)."""
    edge = neckline(look)
    side = flank(look)
    if look.neck == "strapless":
        right = side
    elif look.sleeve is None:
        tip = max(look.neck_half + 0.16, look.chance.within("strap", 0.66, 0.92))
        if look.category in ("jackets", "knitwear"):
            tip = look.chance.within("strap", 0.9, 1.02)
        slope = 0.25 * (tip - 0.36)
        armhole = smooth(((tip, slope), (tip * 0.9, 0.5), (look.bust, 0.92)), 4)
        right = np.concatenate((armhole, side[1:]))
    else:
        right = np.concatenate(((((0.96 + 0.4 * (look.bust - 0.84)), 0.2),), side))
    sag = look.chance.within("hem sag", 0.04, 0.14) * (look.hem + 0.3)
    right = np.concatenate((right, _HEM * (look.hem, sag) + np.array((0.0, look.hem_v))))
    return np.concatenate((edge, right, mirrored(right)[1:]))


def sleeve_path(look: Look, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the middle line (P, 2) and half widths (P,) of a sleeve; side 0 is left, 1 right."""
    shoulder, elbow, wrist = look.arms[side]
    bulk = {"jackets": 0.06, "knitwear": 0.05}.get(look.category, 0.0)
    wide = bulk + look.chance.within("sleeve width", 0.0, 0.07)
    if look.sleeve == "short":
        reach = look.chance.within("short reach", 0.5, 0.85)
        end = shoulder + (elbow - shoulder) * reach
        wide += look.chance.within("puff", 0.0, 0.1)
        path = np.array((shoulder, (shoulder + end) / 2, end))
        return path, np.array((0.27, 0.31, 0.30)) + wide
    reach = look.chance.within("long reach", 0.84, 1.0)
    end = elbow + (wrist - elbow) * reach
    bell = 0.2 if look.chance.happens("bell", 0.1) and look.category != "jackets" else 0.0
    path = smooth((shoulder, (shoulder + elbow) / 2, elbow, (elbow + end) / 2, end), 2)
    base = (0.27, 0.275, 0.28, 0.265, 0.25, 0.235, 0.22, 0.205 + bell / 3, 0.19 + bell)
    return path, np.array(base) + wide


def sleeve_cap(look: Look, outline: np.ndarray) -> np.ndarray:
    """Return the piece (4, 2) between the shoulder and the top of a sleeve with this outline."""
    side = 1 if outline[:, 0].mean() > 0 else -1
    ends = (outline[0], outline[-1]) if abs(outline[0, 0]) > abs(outline[-1, 0]) else (
        outline[-1], outline[0])  # fmt: skip
    tip = 0.96 + 0.4 * (look.bust - 0.84)
    inner = max(0.66, look.neck_half + 0.04)
    return np.array(((inner * side, 0.1), (tip * side, 0.2), *ends))
