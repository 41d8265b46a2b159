"""One picture of a garment, from its category and attributes: the layers, and the photograph.

The order of the layers is that of a photograph: background, shadow, wearer, garment, what hides it;
then light, lens and sensor. See ``garment_look`` for the cut, ``garment_scene`` for the surroundings.
"""

import io
from collections.abc import Iterable

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from selfml.data import garment_details as details
from selfml.data.garment_canvas import SUPERSAMPLING, Canvas, Chance, ribbon, smooth
from selfml.data.garment_fabric import (
    blurred,
    dim,
    fold_field,
    noise_field,
    shade_part,
    weave,
)
from selfml.data.garment_labels import ATTRIBUTES, CATEGORIES
from selfml.data.garment_look import Look, choose_look, sleeve_path, torso
from selfml.data.garment_occasion import draw_occasion
from selfml.data.garment_scene import cast_shadow, draw_arm, draw_body, occlude, paint_background

SIZE_RANGE_PX = (32, 224)


def draw_garment(
    category: str, attributes: Iterable[str], rng: np.random.Generator, size_px: int = 64
) -> np.ndarray:
    """Draw one garment.

    Parameters
    ----------
    category : str
        One of ``CATEGORIES``.
    attributes : iterable of str
        What the garment has, from ``ATTRIBUTES``. Of attributes that exclude each other (two
        sleeve lengths) the first in the order of ``ATTRIBUTES`` is drawn.
    rng : numpy.random.Generator
        Decides everything else. With equal generators, two pictures differ only in the attributes
        (and in the shape, if a longer garment has to be shown from further away).
    size_px : int
        Side of the picture, 32 to 224. Larger shows the same picture in more detail.

    Returns
    -------
    ndarray of uint8, (size_px, size_px, 3)
        RGB, 0 to 255.

    Raises
    ------
    ValueError
        For an unknown category or attribute, or a size out of range.
    """
    attributes = frozenset(attributes)
    _check(category, attributes, size_px)
    chance = Chance(rng)
    look = choose_look(category, attributes, chance)
    canvas = Canvas(size_px, look.centre, look.unit, look.tilt)
    paint_background(canvas, look)
    _dress(canvas, look)
    occlude(canvas, look)
    return _photograph(canvas, chance, rng, size_px)


def _check(category: str, attributes: frozenset[str], size_px: int) -> None:
    if category not in CATEGORIES:
        raise ValueError(
            f"category must be one of {', '.join(CATEGORIES)}, got {category!r}: choose one of them"
        )
    if unknown := sorted(attributes - set(ATTRIBUTES)):
        raise ValueError(
            f"attributes must be from garments.ATTRIBUTES, got {unknown[0]!r}: check the spelling"
        )
    low, high = SIZE_RANGE_PX
    if not low <= size_px <= high:
        raise ValueError(
            f"size_px must be from {low} to {high}, got {size_px}: choose a size in that range"
        )


def _dress(canvas: Canvas, look: Look) -> None:
    """Draw the wearer, the garment and all its details."""
    body = torso(look)
    sleeves = [sleeve_path(look, side) for side in (0, 1)] if look.sleeve else []
    outlines = [ribbon(*sleeve) for sleeve in sleeves]
    cast_shadow(canvas, look, body)
    if look.has("Hooded"):
        details.hood_behind(canvas, look)
    draw_body(canvas, look)
    if not look.sleeve:
        for side in (0, 1):
            draw_arm(canvas, look, side)
    details.neck_opening(canvas, look)
    cloth_mask = _body_of_cloth(canvas, look, body)
    details.seam_waist(canvas, look)
    if look.opened:
        details.front_slit(canvas, look)
    for side, (path, widths) in enumerate(sleeves):
        draw_arm(canvas, look, side)
        mask = _sleeve_of_cloth(canvas, look, outlines[side], path, widths)
        cloth_mask = ImageChops.lighter(cloth_mask, mask)
    if look.category == "knitwear" or (
        look.category == "jackets" and look.chance.happens("bomber", 0.25)
    ):
        details.ribs(canvas, look, _rib_edges(look, sleeves))
    if look.has("Hooded"):
        details.hood_front(canvas, look)
    else:
        details.finish_neck(canvas, look)
    draw_occasion(canvas, look, cloth_mask)
    details.close_front(canvas, look)


def _body_of_cloth(canvas: Canvas, look: Look, outline: np.ndarray) -> Image.Image:
    """Fill the body of the garment; return its mask."""
    mask = canvas.mask(outline)
    canvas.image.paste(weave(canvas, look.chance, look.colour, look.pattern, look.tilt), mask=mask)
    depth = round(look.chance.within("fold depth", 60, 150))
    folds = fold_field(look.chance, "body folds", canvas.side_px, depth)
    if look.has("Dress Silhouette Flared"):
        folds = ImageChops.multiply(folds, _skirt_folds(canvas, look))
    if look.category == "knitwear":
        folds = ImageChops.multiply(folds, _knit(canvas, look))
    if (
        look.category == "jackets"
        and look.has("Zip Closure")
        and look.chance.happens("quilted", 0.25)
    ):
        folds = ImageChops.multiply(folds, _quilting(canvas, look))
    shade_part(canvas, mask, folds, 0.3)
    return mask


def _sleeve_of_cloth(
    canvas: Canvas, look: Look, outline: np.ndarray, path: np.ndarray, widths: np.ndarray
) -> Image.Image:
    """Fill one sleeve, with its cloth turned along the arm; return its mask."""
    mask = canvas.mask(outline)
    x, y, r = *canvas.px(path[:1]), widths[0] * canvas.unit_px
    ImageDraw.Draw(mask).ellipse((x - r, y - r, x + r, y + r), fill=255)
    run = path[-1] - path[0]
    turn = look.tilt - float(np.arctan2(run[0], run[1]))
    canvas.image.paste(weave(canvas, look.chance, look.colour, look.pattern, turn), mask=mask)
    folds = fold_field(look.chance, f"sleeve folds{run[0] > 0}", canvas.side_px, 110)
    if look.category == "knitwear":
        folds = ImageChops.multiply(folds, _knit(canvas, look))
    shade_part(canvas, mask, folds, 0.16, 120)
    n = len(path)
    canvas.crease(outline[:n], 110, 0.05, 0.012)
    canvas.crease(outline[n:], 110, 0.05, 0.012)
    canvas.crease(outline[[n - 1, n]], 120, 0.06, 0.014)
    if look.bodiless and look.sleeve == "short":
        canvas.line(outline[[n - 1, n]], dim(look.colour, 0.35), 0.1, 0.02)
    return mask


def _skirt_folds(canvas: Canvas, look: Look) -> Image.Image:
    """Return the folds of a wide skirt, which run from the waist to the hem, as an L shade."""
    field = Image.new("L", canvas.image.size, 255)
    pen = ImageDraw.Draw(field)
    n = 9
    place, wide = look.chance.many("skirt folds", 2 * n).reshape(2, n)
    at = np.linspace(-0.9, 0.9, n) + 0.12 * (place - 0.5)
    for u, w in zip(at, 0.06 + 0.06 * wide, strict=True):
        top = (u * look.waist * 0.8, look.waist_v + 0.1)
        hem = look.hem_v + 0.4
        wedge = (top, ((u - w) * look.hem, hem), ((u + w) * look.hem, hem))
        pen.polygon(canvas.px(wedge), fill=165)
    return blurred(field, 0.07 * canvas.unit_px)


def _knit(canvas: Canvas, look: Look) -> Image.Image:
    """Return knitted ribs, or cables, as an L shade."""
    field = Image.new("L", canvas.image.size, 255)
    pen = ImageDraw.Draw(field)
    cables = look.chance.happens("cables", 0.35)
    step = 0.42 if cables else look.chance.within("knit step", 0.17, 0.26)
    wave = 0.07 if cables else 0.0
    v = np.linspace(-0.2, 3.4, 19)
    width = canvas.width_px(0.05, 0.010)
    for u in np.arange(-2.1, 2.1, step):
        for phase in (0.0, np.pi) if cables else (0.0,):
            line = np.stack((u + wave * np.sin(v * 9 + phase), v), axis=1)
            pen.line(canvas.px(line), fill=190 if cables else 205, width=width)
    return field


def _quilting(canvas: Canvas, look: Look) -> Image.Image:
    """Return the seams of a padded jacket as an L shade."""
    field = Image.new("L", canvas.image.size, 255)
    pen = ImageDraw.Draw(field)
    for v in np.arange(0.5, look.hem_v, look.chance.within("quilt step", 0.38, 0.55)):
        pen.line(
            canvas.px(smooth(((-1.4, v), (0, v + 0.07), (1.4, v)))), 120, canvas.width_px(0.06)
        )
    return blurred(field, 0.05 * canvas.unit_px)


def _rib_edges(look: Look, sleeves: list) -> list[np.ndarray]:
    """Return the corners of the hem and of long cuffs, left to right seen along the garment."""
    low = look.hem_v + 0.02
    edges = []
    spans = ((-look.hem, look.hem),)
    if look.opened:
        slit = look.chance.within("slit", 0.16, 0.42) + 0.05
        spans = ((-look.hem, -slit), (slit, look.hem))
    for a, b in spans:
        edges.append(np.array(((a, low + 0.1), (b, low + 0.1))))
    for path, widths in sleeves:
        if look.sleeve == "long":
            outline = ribbon(path, widths)
            edges.append(outline[[len(path) - 1, len(path)]])
    return edges


def _photograph(
    canvas: Canvas, chance: Chance, rng: np.random.Generator, size_px: int
) -> np.ndarray:
    """Light the scene, bring it to its size and add what lens, sensor and file do to it."""
    lit = ImageChops.multiply(canvas.image, Image.merge("RGB", (canvas.shade,) * 3))
    cloud = noise_field(chance, "light", "cloud", canvas.side_px, 12.0)
    depth = chance.within("light depth", 0.05, 0.35)
    patch = cloud.point(lambda v: round(255 - depth * max(0, 200 - v)))
    lit = ImageChops.multiply(lit, Image.merge("RGB", (patch,) * 3))
    gain = chance.within("exposure", 0.88, 1.12)
    if chance.happens("dark photo", 0.08):
        gain *= 0.62
    warm = chance.within("warmth", -0.06, 0.06)
    lift = chance.within("lift", 0, 14)
    levels = [
        [min(255, round(lift + v * gain * tone)) for v in range(256)]
        for tone in (1 + warm, 1.0, 1 - warm)
    ]
    small = lit.reduce(SUPERSAMPLING).point(levels[0] + levels[1] + levels[2])
    if chance.happens("blurry", 0.12):
        small = small.filter(ImageFilter.BoxBlur(chance.within("blur", 0.006, 0.012) * size_px))
    pixels = np.asarray(small).astype(np.int16)
    noise = rng.standard_normal((size_px, size_px, 1), dtype=np.float32)
    strength = chance.within("noise", 0.4, 4.0)
    pixels = pixels + (noise * strength).astype(np.int16)
    pixels = pixels.clip(0, 255).astype(np.uint8)
    return _squeezed(pixels) if chance.happens("bad file", 0.06) else pixels


def _squeezed(pixels: np.ndarray) -> np.ndarray:
    """Return what is left of a picture after a very small JPEG file."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=32)
    return np.asarray(Image.open(buffer))
