"""Signs that a synthetic garment is formal or casual.

A formal one shows satin, jewellery, a jewelled belt or lace; a casual one patch pockets, visible
stitching, a print, a drawstring or jeans cloth. Each garment has two or three signs (our choice).
"""

import numpy as np
from PIL import Image, ImageChops

from selfml.data.garment_canvas import Canvas, mirrored, moved, smooth
from selfml.data.garment_details import LIGHT, side_edge
from selfml.data.garment_fabric import brightness, contrasting, dim, mix
from selfml.data.garment_light import noise_field
from selfml.data.garment_look import Look, denim
from selfml.data.garment_shapes import neckline

GOLD, SILVER = (232, 196, 104), (232, 234, 240)


def draw_occasion(canvas: Canvas, look: Look, cloth_mask: Image.Image) -> None:
    """Draw the signs of the occasion; nothing for a garment that is neither.

    Parameters
    ----------
    canvas : Canvas
    look : Look
    cloth_mask : PIL.Image.Image
        L, 255 where the garment is.
    """
    if look.has("Occasion Formal"):
        _formal(canvas, look, cloth_mask)
    elif look.has("Occasion Casual"):
        _casual(canvas, look, cloth_mask)


def _formal(canvas: Canvas, look: Look, cloth_mask: Image.Image) -> None:
    chance = look.chance
    satin = chance.happens("satin", 0.35 if look.category == "knitwear" else 0.75)
    if satin:
        _satin(canvas, look, cloth_mask)
    bare_neck = not look.bodiless and look.neck in ("round", "v", "square", "strapless")
    jewel = GOLD if chance.happens("gold", 0.5) else SILVER
    if bare_neck and chance.happens("necklace", 0.75):
        _necklace(canvas, look, jewel)
    elif look.category != "jackets":
        _brooch(canvas, look, jewel)
    if look.category == "dresses" and chance.happens("belt", 0.65 if satin else 1.0):
        _belt(canvas, look, jewel)
    elif look.category == "jackets":
        _pocket_square(canvas, look)
    elif chance.happens("lace", 0.6 if satin else 1.0):
        _lace(canvas, look)


def _satin(canvas: Canvas, look: Look, cloth_mask: Image.Image) -> None:
    """Let light run down the folds."""
    folds = noise_field(look.chance, "satin folds", "satin", canvas.side_px, 0.9)
    bright = folds.point(lambda v: max(0, min(165, (v - 140) * 3)))
    glow = mix(dim(look.colour, 1.5), (250, 250, 252), 0.6)
    canvas.image.paste(glow, mask=ImageChops.multiply(bright, cloth_mask))


def _necklace(canvas: Canvas, look: Look, jewel: tuple[int, int, int]) -> None:
    drop = look.chance.within("necklace drop", 0.05, 0.2)
    if look.neck in ("round", "square"):
        drop = min(drop, look.neck_depth - 0.24)
    curve = smooth(
        ((-0.33, -0.2), (-0.22, 0.05 + drop), (0, 0.15 + drop), (0.22, 0.05 + drop), (0.33, -0.2)),
        3,
    )
    for bead in curve:
        canvas.disc(tuple(bead), 0.045, jewel, 0.010)


def _brooch(canvas: Canvas, look: Look, jewel: tuple[int, int, int]) -> None:
    low = 0.35 if look.neck == "strapless" else 0.0
    place = (0.46 * look.chance.sign("brooch"), look.chance.within("brooch v", 0.65, 0.85) + low)
    canvas.disc(place, 0.15, dim(jewel, 0.6), 0.028)
    canvas.disc(place, 0.12, jewel, 0.022)
    canvas.disc((place[0] - 0.03, place[1] - 0.03), 0.05, (255, 255, 255), 0.009)


def _belt(canvas: Canvas, look: Look, jewel: tuple[int, int, int]) -> None:
    v, w = look.waist_v, look.waist + 0.02
    strap = (30, 28, 30) if brightness(look.colour) > 90 else dim(jewel, 0.8)
    canvas.line(smooth(((-w, v), (0, v + 0.06), (w, v))), strap, 0.18, 0.026)
    canvas.disc((0, v + 0.06), 0.15, jewel, 0.024)
    canvas.disc((0, v + 0.06), 0.06, dim(jewel, 0.55), 0.009)


def _pocket_square(canvas: Canvas, look: Look) -> None:
    corner = np.array(((0.36, 1.02), (0.42, 0.76), (0.52, 0.86), (0.6, 0.74), (0.68, 1.02)))
    canvas.crease(((0.3, 1.03), (0.74, 1.03)), 110, 0.06, 0.012)
    colour = contrasting(look.chance, "pocket square", look.colour, 90)
    canvas.polygon(corner, colour)


def _lace(canvas: Canvas, look: Look) -> None:
    """Scallops along the neckline and the hem."""
    lace = LIGHT if brightness(look.colour) < 150 else (40, 36, 44)
    low = np.stack((np.linspace(-look.hem, look.hem, 13), np.full(13, look.hem_v + 0.06)), axis=1)
    rows = [low] if look.neck in ("collar", "high") else [low, neckline(look)[::2]]
    for row in rows:
        for u, v in row:
            canvas.disc((u, v), 0.075, lace, 0.013)
            canvas.disc((u, v), 0.03, dim(lace, 0.7 if lace is LIGHT else 2.4), 0.004)


def _casual(canvas: Canvas, look: Look, cloth_mask: Image.Image) -> None:
    chance = look.chance
    if denim(look.category, look.attributes, chance):
        grain = noise_field(chance, "denim grain", "grain", canvas.side_px, 0.7)
        worn = grain.point(lambda v: max(0, v - 128))
        canvas.image.paste((214, 224, 236), mask=ImageChops.multiply(worn, cloth_mask))
        _stitching(canvas, look, (226, 178, 96))
        _pockets(canvas, look)
        return
    options = {"pockets": 0.35, "print": 0.3, "string": 0.2}
    if look.category == "jackets" or look.opened or look.has("Button Closure"):
        options = {"pockets": 0.8, "string": 0.2}
    sign = chance.weighted("casual sign", options)
    {"pockets": _pockets, "print": _print, "string": _drawstring}[sign](canvas, look)
    if sign != "print":
        stitch = LIGHT if brightness(look.colour) < 140 else dim(look.colour, 0.5)
        _stitching(canvas, look, stitch)
    elif chance.happens("chest pocket too", 0.3):
        _pockets(canvas, look)


def _stitching(canvas: Canvas, look: Look, thread: tuple[int, int, int]) -> None:
    """Dashes inside the flanks and above the hem."""
    flank = side_edge(look)
    hem = np.stack((np.linspace(-look.hem, look.hem, 24), np.full(24, look.hem_v - 0.12)), axis=1)
    for path in (flank, flank * (-1, 1), hem * (0.93, 1)):
        ends = np.stack((path[:-1], path[:-1] + 0.6 * np.diff(path, axis=0)), axis=1)
        canvas.dashes(ends.reshape(-1, 2), thread, 0.03, 0.009)


def _pockets(canvas: Canvas, look: Look) -> None:
    chance = look.chance
    thread = LIGHT if brightness(look.colour) < 140 else dim(look.colour, 0.45)
    low = look.category == "dresses" or chance.happens("low pockets", 0.35)
    u, v, w, h = (0.5, 2.05, 0.27, 0.55) if low else (0.47, 0.95, 0.21, 0.44)
    if low and look.category != "dresses":
        v = min(v, look.hem_v - 0.75)
    pocket = moved(((-w, 0), (w, 0), (w, h), (0, h + 0.1), (-w, h)), u, v)
    flap = moved(((-w - 0.03, -0.02), (w + 0.03, -0.02), (w + 0.03, 0.16), (-w - 0.03, 0.16)), u, v)
    for side in (-1, 1) if low or look.category == "jackets" else (1,):
        canvas.polygon(pocket * (side, 1), dim(look.colour, 0.9))
        canvas.line(np.concatenate((pocket, pocket[:1])) * (side, 1), thread, 0.03, 0.011)
        if look.category == "jackets":
            canvas.polygon(flap * (side, 1), dim(look.colour, 0.8))


def _print(canvas: Canvas, look: Look) -> None:
    """A figure or lettering on the chest."""
    chance = look.chance
    ink = contrasting(chance, "print ink", look.colour, 70)
    v = max(1.15, look.neck_v + look.neck_depth + 0.32)
    kind = chance.weighted("print", {"ball": 0.3, "words": 0.4, "star": 0.3})
    if kind == "ball":
        canvas.disc((0, v), 0.32, ink)
        canvas.disc((0.06, v - 0.05), 0.18, contrasting(chance, "print ball", ink, 60))
    elif kind == "words":
        for k, wide in enumerate((0.45, 0.36)):
            for u in np.arange(-wide, wide, 0.17):
                canvas.polygon(
                    moved(((0, 0), (0.12, 0), (0.12, 0.17), (0, 0.17)), u, v - 0.16 + 0.26 * k),
                    ink,
                )
    else:
        angle = np.arange(10) * np.pi / 5
        radius = np.where(np.arange(10) % 2, 0.16, 0.38)
        canvas.polygon(np.stack((radius * np.sin(angle), v - radius * np.cos(angle)), axis=1), ink)


def _drawstring(canvas: Canvas, look: Look) -> None:
    """A tied cord at the waist, or at the hem of what has no waist."""
    cord = LIGHT if brightness(look.colour) < 140 else (60, 50, 44)
    v = look.waist_v if look.category == "dresses" else look.hem_v - 0.35
    w = look.waist if look.category == "dresses" else look.hem
    canvas.crease(((-w, v - 0.08), (w, v - 0.08)), 90, 0.04, 0.01)
    canvas.crease(((-w, v + 0.08), (w, v + 0.08)), 90, 0.04, 0.01)
    bow = smooth(((0.0, v), (0.2, v - 0.16), (0.26, v + 0.06), (0.0, v)), 4)
    for part in (bow, mirrored(bow), ((0, v), (-0.14, v + 0.62)), ((0, v), (0.12, v + 0.7))):
        canvas.line(part, cord, 0.05, 0.014)
