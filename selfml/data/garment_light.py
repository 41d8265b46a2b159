"""How light falls on the synthetic garments: noise, folds and rounded rims, as L pictures.

A *shade* is an L picture to multiply with: 255 leaves a pixel as it is. The noise pictures are
fixed; a garment's chance says which piece of them it gets, at whatever size.
"""

from functools import cache

import numpy as np
from PIL import Image, ImageChops, ImageFilter

from selfml.data.garment_canvas import Canvas, Chance

_NOISE_SIDE = 256
_CELLS = {"cloud": (24, 24), "folds": (26, 9), "satin": (34, 7)}  # columns, rows: folds hang down


@cache
def _noise(kind: str) -> Image.Image:
    """Return the fixed noise picture of a kind of ``noise_field``."""
    rng = np.random.default_rng(sum(kind.encode()))
    if kind == "grain":
        values = rng.normal(128, 40, (_NOISE_SIDE, _NOISE_SIDE))
        return Image.fromarray(values.clip(0, 255).astype(np.uint8))
    columns, rows = _CELLS[kind]
    coarse = Image.fromarray(rng.uniform(0, 255, (rows, columns)).astype(np.uint8))
    return coarse.resize((_NOISE_SIDE, _NOISE_SIDE), Image.Resampling.BICUBIC)


@cache
def _hollows(kind: str) -> Image.Image:
    """Return a noise picture's hollows: 255 on the crests, down to 0."""
    values = np.asarray(_noise(kind), dtype=float) / 150 * 255
    return Image.fromarray(values.clip(0, 255).astype(np.uint8))


def noise_field(
    chance: Chance,
    name: str,
    kind: str,
    side_px: int,
    zoom: float = 1.0,
    hollows: bool = False,
) -> Image.Image:
    """Cut a piece of a fixed noise picture: the same piece at every size.

    Parameters
    ----------
    chance, name
        Where it is cut.
    kind : str
        "grain", "cloud", "folds" or "satin".
    side_px : int
        Side of the result.
    zoom : float
        1 shows half of the noise picture's side, 2 a quarter.
    hollows : bool
        Give a shade, dark in the hollows only.

    Returns
    -------
    PIL.Image.Image
        L, ``side_px`` square: values around 128, or the shade.
    """
    span = _NOISE_SIDE / 2 / zoom
    x, y = (chance.many(name, 2) * (_NOISE_SIDE - span)).tolist()
    source = _hollows(kind) if hollows else _noise(kind)
    box = (x, y, x + span, y + span)
    return source.resize((side_px, side_px), Image.Resampling.BILINEAR, box=box)


def weakened(shade: Image.Image, amount: float) -> Image.Image:
    """Return a shade at a fraction ``amount`` of its strength."""
    return Image.blend(Image.new("L", shade.size, 255), shade, amount)


def blurred(mask: Image.Image, radius_px: float) -> Image.Image:
    """Blur an L picture; it is made small first where the blur is wide, which is far quicker."""
    step = _step(radius_px)
    return _soft(mask, radius_px, step).resize(mask.size, Image.Resampling.BILINEAR)


def _step(radius_px: float) -> int:
    """By how much a picture may shrink before it is blurred this widely."""
    step = 1
    while radius_px / step > 3 and step < 16:
        step *= 2
    return step


def _soft(mask: Image.Image, radius_px: float, step: int) -> Image.Image:
    small = mask.reduce(step) if step > 1 else mask
    return small.filter(ImageFilter.BoxBlur(radius_px / step))


def shade_part(
    canvas: Canvas, mask: Image.Image, folds: Image.Image, roundness: float, depth: float = 0.37
) -> None:
    """Put one part's light and shadow on the canvas: round at the rim, folded inside.

    Parameters
    ----------
    canvas : Canvas
    mask : PIL.Image.Image
        L, 255 on the part.
    folds : PIL.Image.Image
        Shade of the inside.
    roundness : float
        Width of the dark rim, garment units.
    depth : float
        How dark the rim is, 0 to 0.5.
    """
    radius_px = max(1.0, roundness * canvas.unit_px)
    small = weakened(_soft(mask, radius_px, _step(radius_px)), 2 * depth)
    rim = small.resize(mask.size, Image.Resampling.BILINEAR)
    canvas.shade.paste(ImageChops.multiply(rim, folds), mask=mask)
