"""What is sewn on the synthetic garments: necks, hoods, closures, ribs, and signs of the occasion.

Each function draws on a canvas from a look; the sizes are our choice, with a least width in frame
units so that every attribute can still be seen at 64 px.
"""

import numpy as np

from selfml.data.garment_canvas import Canvas, mirrored, moved, smooth
from selfml.data.garment_fabric import FABRICS, brightness, contrasting, dim, mix
from selfml.data.garment_look import Look
from selfml.data.garment_shapes import flank, neckline

LIGHT = (244, 242, 236)


def neck_opening(canvas: Canvas, look: Look) -> None:
    """Fill the neck of a garment: its inside where nobody wears it, a top under a jacket."""
    edge = neckline(look)
    if look.bodiless and look.neck != "strapless":
        half, v = look.neck_half, look.neck_v
        back = np.array(((half, v), (half * 0.6, v + 0.08), (-half * 0.6, v + 0.08)))
        canvas.polygon(
            np.concatenate((edge, back)), dim(mix(look.colour, (90, 86, 84), 0.35), 0.62)
        )
        if look.neck_depth > 0.3:
            canvas.polygon(
                ((-0.1, v + 0.1), (0.1, v + 0.1), (0.1, v + 0.2), (-0.1, v + 0.2)), LIGHT
            )
    elif look.category == "jackets" and look.neck != "high":
        canvas.polygon(edge, _under(look))
        canvas.polygon(
            smooth(((-0.33, -0.1), (-0.2, 0.25), (0, 0.34), (0.2, 0.25), (0.33, -0.1))), look.body
        )


def _under(look: Look) -> tuple[int, int, int]:
    """Colour of what shows under an open garment."""
    if look.bodiless:
        return dim(mix(look.colour, (90, 86, 84), 0.35), 0.5)
    if brightness(look.colour) > 150:
        return look.chance.pick("under dark", ((40, 42, 50), (120, 124, 132), (60, 84, 120)))
    return look.chance.pick("under", (LIGHT, LIGHT, (214, 216, 220), (200, 176, 150)))


def front_slit(canvas: Canvas, look: Look) -> None:
    """Show what is under a garment worn open."""
    top = look.neck_v + look.neck_depth - 0.04
    bottom = look.hem_v + 0.22
    near, wide = _slit(look)
    inner = ((-near, top), (near, top), (wide, bottom), (-wide, bottom))
    canvas.polygon(inner, _under(look))
    for side in (-1, 1):
        canvas.crease(((near * side, top), (wide * side, bottom)), 120, 0.05)
    if not look.bodiless and look.hem_v > 2.2:
        cloth = look.chance.pick("bottom", FABRICS + ((58, 78, 118),) * 4)
        canvas.polygon(
            ((-wide * 0.9, 2.1), (wide * 0.9, 2.1), (wide, bottom), (-wide, bottom)), cloth
        )


def _slit(look: Look) -> tuple[float, float]:
    """Half widths of the opening of a garment worn open, at the neck and at the hem."""
    wide = look.chance.within("slit", 0.16, 0.42)
    return (0.06 if look.neck == "v" else 0.35 * look.neck_half), wide


def finish_neck(canvas: Canvas, look: Look) -> None:
    """Edge the neckline and add a collar, lapels or a rolled neck."""
    edge = neckline(look)
    width = 0.11 if look.category == "knitwear" else look.chance.within("neck trim", 0.05, 0.09)
    if look.neck == "high":
        _rolled_neck(canvas, look)
    elif look.neck == "collar":
        _collar(canvas, look)
    elif look.neck == "v" and look.category == "jackets" and not look.has("Hooded"):
        _lapels(canvas, look)
    elif look.category == "knitwear" or look.chance.happens("neck edge", 0.8):
        canvas.line(edge, look.trim, width, 0.018)
    else:
        canvas.crease(edge, 110, 0.04, 0.012)


def _rolled_neck(canvas: Canvas, look: Look) -> None:
    height = look.chance.within("roll", 0.22, 0.5) if look.category != "tops" else 0.2
    tube = np.array(((-0.42, 0.12), (-0.36, -height), (0.36, -height), (0.42, 0.12), (0, 0.2)))
    canvas.polygon(tube, dim(look.colour, 0.93))
    canvas.polygon(
        smooth(((-0.36, -height), (0, -height + 0.1), (0.36, -height))), dim(look.colour, 0.6)
    )
    canvas.crease(smooth(tube[[0, 4, 3]]), 90, 0.04, 0.012)
    canvas.crease(tube[[0, 1]], 70, 0.05)
    canvas.crease(tube[[2, 3]], 70, 0.05)


def _collar(canvas: Canvas, look: Look) -> None:
    v, drop = look.neck_v, look.chance.within("collar drop", 0.4, 0.58)
    colour = look.trim if look.chance.happens("collar contrast", 0.35) else dim(look.colour, 1.06)
    flap = np.array(
        (
            (0.04, v + look.neck_depth),
            (0.30, v - 0.18),
            (0.46, v),
            (0.52, v + drop),
            (0.3, v + drop),
        )
    )
    for side in (-1, 1):
        canvas.polygon(flap * (side, 1), colour)
        canvas.crease(flap[[0, 4, 3, 2]] * (side, 1), 110, 0.04, 0.01)


def _lapels(canvas: Canvas, look: Look) -> None:
    v, d, w = look.neck_v, look.neck_depth, look.neck_half
    satin = look.has("Occasion Formal") and look.chance.happens("satin lapel", 0.5)
    colour = dim(look.colour, 0.55 if satin else 1.12)
    inner = ((0.0, v + d), (w * 0.55, v + d * 0.45), (w - 0.06, v - 0.06), (w + 0.12, v + 0.05))
    outer = ((w + 0.22, v + d * 0.36), (w + 0.05, v + d * 0.46), (w * 0.62, v + d * 0.75))
    lapel = np.array((*inner, *outer))
    for side in (-1, 1):
        canvas.polygon(lapel * (side, 1), colour)
        canvas.crease(lapel[[0, 1, 2]] * (side, 1), 100, 0.05, 0.012)
        canvas.crease(lapel[[3, 4, 5, 6, 0]] * (side, 1), 80, 0.04, 0.01)


def hood_behind(canvas: Canvas, look: Look) -> None:
    """Draw the part of a hood that is behind the head."""
    up = hood_up(look)
    arch = (
        ((0.0, -1.95), (0.55, -1.65), (0.74, -0.9), (0.72, -0.2), (0.62, 0.3))
        if up and not look.bodiless
        else ((0.0, -1.25), (0.5, -1.02), (0.72, -0.5), (0.72, 0.0), (0.62, 0.3))
        if up
        else ((0.0, -0.72), (0.5, -0.6), (0.82, -0.24), (0.86, 0.06), (0.7, 0.3))
    )
    half = smooth(arch, 4)
    outline = np.concatenate((mirrored(half), half))
    canvas.polygon(outline, dim(look.colour, 0.86))
    inside = mirrored(half)[:, :] * (0.74, 1) + (0, 0.14)
    canvas.polygon(
        np.concatenate((inside, mirrored(inside))), dim(mix(look.trim, look.colour, 0.5), 0.55)
    )
    canvas.line(outline, dim(look.colour, 0.7), 0.05)


def hood_up(look: Look) -> bool:
    """Return whether a hood is shown standing rather than lying on the back."""
    return look.chance.happens("hood up", 0.75 if look.bodiless else 0.25)


def hood_front(canvas: Canvas, look: Look) -> None:
    """Draw the edges of a hood, in front of the neck, and its strings."""
    lobe = np.array(
        ((0.74, -0.1), (0.8, 0.2), (0.5, 0.42), (0.12, 0.52), (0.3, 0.2), (0.44, -0.15))
    )
    for side in (-1, 1):
        canvas.polygon(smooth(lobe, 3) * (side, 1), dim(look.colour, 1.08))
        canvas.crease(smooth(lobe, 3) * (side, 1), 100, 0.05, 0.012)
    if not look.has("Occasion Formal") and look.chance.happens("strings", 0.75):
        colour = LIGHT if brightness(look.colour) < 150 else (40, 40, 44)
        for side in (-1, 1):
            end = 1.0 + look.chance.within(f"string{side}", 0.0, 0.3)
            canvas.line(((0.2 * side, 0.45), (0.24 * side, end)), colour, 0.05, 0.014)


def ribs(canvas: Canvas, look: Look, edges: list[np.ndarray]) -> None:
    """Knit a band along the edges (each two corners of a hem or cuff, garment units)."""
    tone = look.trim if look.chance.happens("rib contrast", 0.3) else dim(look.colour, 0.88)
    for edge in edges:
        a, b = edge
        up = np.array((b[1] - a[1], a[0] - b[0])) / (np.linalg.norm(b - a) + 1e-9) * 0.26
        canvas.polygon((a, b, b + up, a + up), tone)
        canvas.crease((a + up, b + up), 70, 0.04)
        for t in np.linspace(0.1, 0.9, 9 if np.linalg.norm(b - a) > 1 else 4):
            foot = a + (b - a) * t
            canvas.crease((foot, foot + up), 60, 0.03, 0.006)


def close_front(canvas: Canvas, look: Look) -> None:
    """Draw the zip or the buttons down the front."""
    top = look.neck_v + look.neck_depth
    if look.has("Hooded"):
        top = max(top, 0.35)
    elif look.neck == "high":
        top = -0.2 if look.has("Zip Closure") else 0.1
    bottom = look.hem_v + 0.06
    if look.category == "dresses":
        reach = {"half": look.waist_v + 0.3, "whole": look.hem_v}
        bottom = reach[look.chance.weighted("closure reach", {"half": 0.5, "whole": 0.5})]
    elif look.category != "jackets" and look.chance.happens("half closure", 0.3):
        bottom = top + 1.15
    if look.has("Zip Closure"):
        _zip(canvas, look, top, bottom)
    elif look.has("Button Closure"):
        _buttons(canvas, look, top, bottom)
    elif look.category == "jackets" and not look.opened:
        canvas.crease(((0.04, top), (0.04, bottom)), 80, 0.03, 0.008)


def _zip(canvas: Canvas, look: Look, top: float, bottom: float) -> None:
    metal = look.chance.pick("metal", ((226, 226, 230), (206, 208, 212), (222, 190, 116)))
    tape = (38, 38, 42) if brightness(look.colour) > 70 else (120, 120, 126)
    near, wide = _slit(look) if look.opened else (0.0, 0.0)
    for side in (-1, 1) if look.opened else (1,):
        run = np.array(((near * side, top), (wide * side, bottom)))
        canvas.line(run, tape, 0.17, 0.036)
        canvas.line(run, metal, 0.08, 0.016)
        along = np.linspace(0.02, 0.98, int((bottom - top) / 0.16))[:, None]
        teeth = run[0] + (run[1] - run[0]) * along
        ends = np.stack((moved(teeth, -0.05, 0), moved(teeth, 0.05, 0)), axis=1)
        canvas.dashes(ends.reshape(-1, 2), dim(metal, 0.55), 0.02, 0.0)
    pull = moved(((-0.07, 0), (0.07, 0), (0.06, 0.3), (-0.06, 0.3)), near, top + 0.05)
    canvas.polygon(pull, metal)
    canvas.crease(pull[[0, 3, 2, 1]], 90, 0.03, 0.006)


def _buttons(canvas: Canvas, look: Look, top: float, bottom: float) -> None:
    chance = look.chance
    colour = contrasting(chance, "button", look.colour, 80)
    if look.pattern:
        colour = LIGHT if brightness(look.colour) < 110 else (34, 30, 30)
    gap = chance.within("button gap", 0.34, 0.55)
    shift, lean = (0.0, 0.0)
    if look.opened:
        near, wide = _slit(look)
        shift, lean = near + 0.12, wide - near
    elif look.category != "jackets" or look.neck != "v":
        for u in (-0.13, 0.13):
            canvas.crease(((u, top), (u, bottom)), 70, 0.03, 0.007)
    rows = np.arange(top + 0.14, bottom - 0.1, gap)
    double = look.category == "jackets" and not look.opened and chance.happens("double", 0.25)
    for v in rows:
        u = shift + lean * (v - top) / (bottom - top)
        for place in (u - 0.3, u + 0.3) if double else (u,):
            canvas.disc((place, v + 0.02), 0.085, dim(look.colour, 0.5), 0.017)
            canvas.disc((place, v), 0.075, colour, 0.0155)


def seam_waist(canvas: Canvas, look: Look) -> None:
    """Mark the waist of a dress that has one."""
    if look.category == "dresses" and look.waist < 0.75:
        v = look.waist_v
        canvas.crease(smooth(((-look.waist, v), (0, v + 0.06), (look.waist, v))), 70, 0.05, 0.01)


def side_edge(look: Look) -> np.ndarray:
    """Return the right flank, a little inside the rim, (P, 2)."""
    return flank(look) - (0.1, 0.0)
