"""The cloth of a synthetic garment: body and sleeves with their folds, knitting and quilting."""

import math

import numpy as np
from PIL import Image, ImageChops, ImageDraw

from selfml.data.garment_canvas import Canvas, Colour, ribbon, smooth
from selfml.data.garment_fabric import dim, weave
from selfml.data.garment_light import blurred, noise_field, shade_part, weakened
from selfml.data.garment_look import Look
from selfml.data.garment_shapes import sleeve_cap


def body_of_cloth(
    canvas: Canvas,
    look: Look,
    outline: np.ndarray,
    cloth: Image.Image | Colour,
    folds: Image.Image,
) -> Image.Image:
    """Fill the body of the garment.

    Parameters
    ----------
    canvas : Canvas
    look : Look
    outline : (P, 2)
        In garment units.
    cloth : PIL.Image.Image or (int, int, int)
        From ``weave``.
    folds : PIL.Image.Image
        From ``folds_of_cloth``.

    Returns
    -------
    PIL.Image.Image
        L, 255 where the body is.
    """
    mask = canvas.mask(outline)
    canvas.image.paste(cloth, mask=mask)
    if look.has("Dress Silhouette Flared"):
        folds = ImageChops.multiply(folds, _skirt_folds(canvas, look))
    padded = look.category == "jackets" and look.has("Zip Closure")
    if padded and look.chance.happens("quilted", 0.25):
        folds = ImageChops.multiply(folds, _quilting(canvas, look))
    shade_part(canvas, mask, folds, 0.3)
    return mask


def folds_of_cloth(canvas: Canvas, look: Look) -> Image.Image:
    """Return the shade of hanging folds and of knitting."""
    folds = noise_field(look.chance, "folds", "folds", canvas.side_px, 1.3, hollows=True)
    folds = weakened(folds, look.chance.within("fold depth", 0.25, 0.6))
    if look.category == "knitwear":
        folds = ImageChops.multiply(folds, _knit(canvas, look))
    return folds


def sleeve_of_cloth(
    canvas: Canvas,
    look: Look,
    path: np.ndarray,
    widths: np.ndarray,
    cloth: Image.Image | Colour,
    folds: Image.Image,
) -> Image.Image:
    """Fill one sleeve, with its stripes turned along the arm.

    Parameters
    ----------
    canvas : Canvas
    look : Look
    path, widths : (P, 2), (P,)
        Middle line and half widths, from ``sleeve_path``.
    cloth : PIL.Image.Image or (int, int, int)
        That of the body; stripes and checks are woven anew.
    folds : PIL.Image.Image
        From ``folds_of_cloth``.

    Returns
    -------
    PIL.Image.Image
        L, 255 where the sleeve is.
    """
    outline, n = ribbon(path, widths), len(path)
    mask = canvas.mask(outline, sleeve_cap(look, outline))
    if look.chance.happens("puffed", 0.12):
        x, y, r = *canvas.px(path[:1]), widths[0] * canvas.unit_px
        ImageDraw.Draw(mask).ellipse((x - r, y - r, x + r, y + r), fill=255)
    if look.pattern in ("Striped", "Checked"):
        run = path[-1] - path[0]
        turn = look.tilt - math.atan2(run[0], run[1])
        cloth = weave(canvas, look.chance, look.colour, look.pattern, turn)
    canvas.image.paste(cloth, mask=mask)
    shade_part(canvas, mask, folds, 0.16, 0.4)
    canvas.crease(outline[:n], 110, 0.05, 0.012)
    canvas.crease(outline[n:], 110, 0.05, 0.012)
    canvas.crease(outline[n - 1 : n + 1], 120, 0.06, 0.014)
    if look.bodiless and look.sleeve == "short":
        canvas.line(outline[n - 1 : n + 1], dim(look.colour, 0.35), 0.1, 0.02)
    return mask


def rib_edges(look: Look, sleeves: list[tuple[np.ndarray, np.ndarray]]) -> list[np.ndarray]:
    """Return the two corners (2, 2) of the hem, or of its halves, and of each long cuff."""
    low = look.hem_v + 0.12
    spans = ((-look.hem, look.hem),)
    if look.opened:
        slit = look.chance.within("slit", 0.16, 0.42) + 0.05
        spans = ((-look.hem, -slit), (slit, look.hem))
    edges = [np.array(((a, low), (b, low))) for a, b in spans]
    if look.sleeve == "long":
        edges += [ribbon(path, widths)[len(path) - 1 : len(path) + 1] for path, widths in sleeves]
    return edges


def _skirt_folds(canvas: Canvas, look: Look) -> Image.Image:
    """Return the folds of a wide skirt, which run from the waist to the hem."""
    field = Image.new("L", canvas.image.size, 255)
    pen = ImageDraw.Draw(field)
    n = 9
    place, wide = look.chance.many("skirt folds", 2 * n).reshape(2, n)
    at = np.linspace(-0.9, 0.9, n) + 0.12 * (place - 0.5)
    spread = (0.06 + 0.06 * wide) * look.hem
    top, hem = np.full(n, look.waist_v + 0.1), np.full(n, look.hem_v + 0.4)
    corners = (at * look.waist * 0.8, top, at * look.hem - spread, hem, at * look.hem + spread, hem)
    wedges = canvas.px(np.stack(corners, axis=1).reshape(-1, 2))
    for k in range(0, 6 * n, 6):
        pen.polygon(wedges[k : k + 6], fill=165)
    return blurred(field, 0.07 * canvas.unit_px)


def _knit(canvas: Canvas, look: Look) -> Image.Image:
    """Return knitted ribs, or cables."""
    field = Image.new("L", canvas.image.size, 255)
    pen = ImageDraw.Draw(field)
    cables = look.chance.happens("cables", 0.35)
    step = 0.42 if cables else look.chance.within("knit step", 0.17, 0.26)
    v = np.linspace(-0.2, 3.4, 19 if cables else 2)
    at = np.arange(-2.1, 2.1, step)
    waves = (0.07 * np.sin(v * 9), -0.07 * np.sin(v * 9)) if cables else (0.0 * v,)
    u = np.concatenate([at[:, None] + wave for wave in waves])
    lines = np.stack((u, np.broadcast_to(v, u.shape)), axis=2)
    width, count = canvas.width_px(0.05, 0.010), 2 * len(v)
    flat = canvas.px(lines.reshape(-1, 2))
    for k in range(0, len(flat), count):
        pen.line(flat[k : k + count], fill=190 if cables else 205, width=width)
    return field


def _quilting(canvas: Canvas, look: Look) -> Image.Image:
    """Return the seams of a padded jacket."""
    field = Image.new("L", canvas.image.size, 255)
    pen = ImageDraw.Draw(field)
    for v in np.arange(0.5, look.hem_v, look.chance.within("quilt step", 0.38, 0.55)):
        seam = smooth(((-1.4, v), (0, v + 0.07), (1.4, v)))
        pen.line(canvas.px(seam), 120, canvas.width_px(0.06))
    return blurred(field, 0.05 * canvas.unit_px)
