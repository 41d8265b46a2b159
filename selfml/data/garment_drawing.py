"""One picture of a garment, from its category and attributes: the layers, and the photograph.

The order of the layers is that of a photograph: background, shadow, wearer, garment, what hides it;
then light, lens and sensor. See ``garment_look`` for the choices, ``garment_scene`` for the rest.
"""

import io
from collections.abc import Iterable

import numpy as np
from PIL import Image, ImageChops, ImageFilter

from selfml.data import garment_details as details
from selfml.data.garment_canvas import SUPERSAMPLING, Canvas, Chance
from selfml.data.garment_cloth import body_of_cloth, folds_of_cloth, rib_edges, sleeve_of_cloth
from selfml.data.garment_fabric import weave
from selfml.data.garment_labels import ATTRIBUTES, CATEGORIES
from selfml.data.garment_light import noise_field, weakened
from selfml.data.garment_look import Look, choose_look
from selfml.data.garment_occasion import draw_occasion
from selfml.data.garment_scene import cast_shadow, occlude, paint_background
from selfml.data.garment_shapes import sleeve_path, torso
from selfml.data.garment_wearer import draw_arm, draw_body

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
        sleeve lengths) the first in the order of ``ATTRIBUTES`` is drawn; without a sleeve length
        the garment is drawn sleeveless.
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
    canvas.settle()
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
    cast_shadow(canvas, look, body)
    if look.has("Hooded"):
        details.hood_behind(canvas, look)
    draw_body(canvas, look)
    if not look.sleeve:
        for side in (0, 1):
            draw_arm(canvas, look, side)
    details.neck_opening(canvas, look)
    cloth = weave(canvas, look.chance, look.colour, look.pattern, look.tilt)
    folds = folds_of_cloth(canvas, look)
    cloth_mask = body_of_cloth(canvas, look, body, cloth, folds)
    details.seam_waist(canvas, look)
    if look.opened:
        details.front_slit(canvas, look)
    for side, (path, widths) in enumerate(sleeves):
        draw_arm(canvas, look, side)
        mask = sleeve_of_cloth(canvas, look, path, widths, cloth, folds)
        cloth_mask = ImageChops.lighter(cloth_mask, mask)
    bomber = look.category == "jackets" and look.chance.happens("bomber", 0.25)
    if bomber or look.category == "knitwear":
        details.ribs(canvas, look, rib_edges(look, sleeves))
    if look.has("Hooded"):
        details.hood_front(canvas, look)
    else:
        details.finish_neck(canvas, look)
    draw_occasion(canvas, look, cloth_mask)
    details.close_front(canvas, look)


def _photograph(
    canvas: Canvas, chance: Chance, rng: np.random.Generator, size_px: int
) -> np.ndarray:
    """Light the scene, bring it to its size and add what lens, sensor and file do to it."""
    cloud = noise_field(chance, "light", "cloud", size_px, 12.0, hollows=True)
    light = weakened(cloud, chance.within("light depth", 0.05, 0.3))
    small = ImageChops.multiply(
        canvas.image.reduce(SUPERSAMPLING), Image.merge("RGB", (light,) * 3)
    )
    if chance.happens("blurry", 0.12):
        small = small.filter(ImageFilter.BoxBlur(chance.within("blur", 0.004, 0.010) * size_px))
    gain = chance.within("exposure", 0.92, 1.14)
    if chance.happens("dark photo", 0.08):
        gain *= 0.62
    warm = chance.within("warmth", -0.06, 0.06)
    pixels = np.asarray(small) * np.array((1 + warm, 1.0, 1 - warm), dtype=np.float32) * gain
    noise = rng.standard_normal((size_px, size_px, 1), dtype=np.float32)
    pixels += noise * chance.within("noise", 0.4, 4.0) + chance.within("lift", 0, 14)
    pixels = pixels.clip(0, 255).astype(np.uint8)
    return _squeezed(pixels) if chance.happens("bad file", 0.06) else pixels


def _squeezed(pixels: np.ndarray) -> np.ndarray:
    """Return what is left of a picture after a very small JPEG file."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=32)
    return np.asarray(Image.open(buffer))
