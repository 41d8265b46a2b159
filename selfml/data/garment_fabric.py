"""What the synthetic garments are made of: colours and patterns.

The numbers are our choice: they were set by looking at the pictures.
"""

import math

import numpy as np
from PIL import Image, ImageDraw

from selfml.data.garment_canvas import Canvas, Chance, Colour

Sprite = tuple[Image.Image | Colour, Image.Image]
"""What to paste, and the L mask to paste it through."""

FABRICS: tuple[Colour, ...] = (
    (28, 28, 32), (28, 28, 32), (38, 48, 84), (96, 98, 104), (158, 160, 164), (236, 234, 228),
    (240, 240, 240), (226, 212, 188), (190, 150, 104), (186, 40, 46), (112, 26, 44), (44, 112, 72),
    (92, 98, 58), (56, 104, 176), (124, 170, 214), (226, 142, 160), (214, 164, 44), (150, 116, 176),
    (30, 116, 122), (104, 68, 46), (232, 116, 72), (172, 196, 166),
)  # fmt: skip
EVENING: tuple[Colour, ...] = (
    (22, 22, 28), (22, 22, 28), (26, 34, 74), (110, 14, 40), (14, 82, 66), (190, 168, 128),
    (178, 24, 44), (74, 34, 92), (196, 196, 204), (222, 190, 186), (20, 66, 120), (60, 62, 70),
)  # fmt: skip
DENIMS: tuple[Colour, ...] = ((62, 88, 132), (88, 118, 160), (132, 158, 190), (40, 54, 84))


def mix(a: Colour, b: Colour, t: float) -> Colour:
    """Return the colour a fraction ``t`` of the way from a to b."""
    return tuple(round(x + (y - x) * t) for x, y in zip(a, b, strict=True))


def dim(colour: Colour, factor: float) -> Colour:
    """Return the colour multiplied with a factor, within 0 to 255."""
    return tuple(min(255, max(0, round(x * factor))) for x in colour)


def brightness(colour: Colour) -> float:
    """Return how bright a colour looks, 0 to 255."""
    return 0.3 * colour[0] + 0.59 * colour[1] + 0.11 * colour[2]


def jitter(chance: Chance, name: str, colour: Colour, amount: float = 14.0) -> Colour:
    """Return a colour near this one, each channel within ``amount``."""
    shift = (chance.many(name, 3) * 2 - 1) * amount
    return tuple(min(255, max(0, round(x + s))) for x, s in zip(colour, shift, strict=True))


def contrasting(chance: Chance, name: str, colour: Colour, least: float = 70.0) -> Colour:
    """Return a fabric colour at least this much (0 to 100) brighter or darker than ``colour``."""
    for k in range(6):
        other = chance.pick(f"{name}{k}", FABRICS)
        if abs(brightness(other) - brightness(colour)) >= least:
            return other
    return (244, 242, 236) if brightness(colour) < 128 else (30, 30, 40)


def weave(
    canvas: Canvas, chance: Chance, colour: Colour, pattern: str | None, turn: float = 0.0
) -> Image.Image | Colour:
    """Return the cloth, to be pasted through a mask.

    Parameters
    ----------
    canvas : Canvas
        Gives the size.
    chance : Chance
    colour : (int, int, int)
        Ground colour.
    pattern : str or None
        "Striped", "Floral", "Checked", "Dots", or None for a plain cloth.
    turn : float
        Angle of stripes and checks, radians; sleeves follow their arm.

    Returns
    -------
    PIL.Image.Image or (int, int, int)
        RGB, as large as the canvas; a plain cloth is its colour.
    """
    if pattern is None:
        return colour
    cloth = Image.new("RGB", canvas.image.size, colour)
    if pattern == "Striped":
        _stripes(cloth, chance, colour, turn)
    elif pattern == "Checked":
        _checks(cloth, chance, colour, turn)
    else:
        _scatter(cloth, chance, colour, pattern)
    return cloth


def _bands(
    side_px: int, period: float, share: float, angle: float, shift: float, level: int = 255
) -> Image.Image:
    """Return an L mask of parallel bands; ``period`` and ``shift`` in frame units."""
    mask = Image.new("L", (side_px, side_px))
    pen = ImageDraw.Draw(mask)
    along = np.array((math.cos(angle), math.sin(angle)))
    across = np.array((-along[1], along[0]))
    count = int(1.5 / period) + 1
    starts = (np.arange(count) / count - 0.5) * count * period + (shift % 1.0) * period
    near = 0.5 + starts[:, None] * across - along
    far = 0.5 + starts[:, None] * across + along
    thick = share * period * across
    corners = np.concatenate((near, far, far + thick, near + thick), axis=1) * side_px
    for quad in corners.tolist():
        pen.polygon(quad, fill=level)
    return mask


def _stripes(cloth: Image.Image, chance: Chance, colour: Colour, turn: float) -> None:
    second = contrasting(chance, "stripe colour", colour, chance.within("stripe step", 40, 110))
    run = {"across": 0.0, "down": math.pi / 2, "slant": math.pi / 4}
    angle = run[chance.weighted("stripe run", {"across": 0.68, "down": 0.22, "slant": 0.10})]
    period = chance.within("stripe period", 0.055, 0.13)
    share = chance.within("stripe share", 0.3, 0.55)
    shift = chance.unit("stripe shift")
    cloth.paste(second, mask=_bands(cloth.width, period, share, angle + turn, shift))


def _checks(cloth: Image.Image, chance: Chance, colour: Colour, turn: float) -> None:
    second = contrasting(chance, "check colour", colour, 75)
    period = chance.within("check period", 0.08, 0.15)
    tartan = chance.happens("tartan", 0.6)
    share = 0.5 if not tartan else chance.within("check share", 0.28, 0.45)
    turn += 0.0 if chance.happens("check straight", 0.88) else math.pi / 4
    strength = 150 if brightness(second) < brightness(colour) else 170
    for k, angle in enumerate((0.0, math.pi / 2)):
        shift = chance.unit(f"check shift{k}")
        bands = _bands(cloth.width, period, share, angle + turn, shift, strength)
        cloth.paste(second, mask=bands)
    if tartan:
        third = chance.pick("tartan line", FABRICS)
        for k, angle in enumerate((0.0, math.pi / 2)):
            shift = chance.unit(f"check shift{k}") + 0.62
            bands = _bands(cloth.width, period, 0.12, angle + turn, shift, 200)
            cloth.paste(third, mask=bands)


def _flower(side_px: int, petal: Colour, heart: Colour, spin: float) -> Sprite:
    """Return a flower of five petals and its mask."""
    sprite = Image.new("RGB", (side_px, side_px), petal)
    mask = Image.new("L", sprite.size)
    pen, cut = ImageDraw.Draw(sprite), ImageDraw.Draw(mask)
    middle = side_px / 2
    for k in range(5):
        angle = spin + k * 2 * math.pi / 5
        x = middle + math.cos(angle) * side_px * 0.27
        y = middle + math.sin(angle) * side_px * 0.27
        r = side_px * 0.21
        cut.ellipse((x - r, y - r, x + r, y + r), fill=255)
    r = side_px * 0.15
    for brush, fill in ((pen, heart), (cut, 255)):
        brush.ellipse((middle - r, middle - r, middle + r, middle + r), fill=fill)
    return sprite, mask


def _leaf(side_px: int, green: Colour, spin: float) -> Sprite:
    """Return a leaf and its mask."""
    mask = Image.new("L", (side_px, side_px))
    tip = np.array(((0.5, 0.02), (0.75, 0.45), (0.5, 0.98), (0.25, 0.45))) - 0.5
    turn = np.array(((math.cos(spin), math.sin(spin)), (-math.sin(spin), math.cos(spin))))
    corners = ((tip @ turn + 0.5) * side_px).ravel().tolist()
    ImageDraw.Draw(mask).polygon(corners, fill=255)
    return green, mask


def _scatter(cloth: Image.Image, chance: Chance, colour: Colour, pattern: str) -> None:
    side = cloth.width
    spacing = chance.within("scatter spacing", 0.095, 0.16) * (0.7 if pattern == "Dots" else 1.0)
    size_px = max(4, round(spacing * chance.within("scatter size", 0.62, 0.92) * side))
    if pattern == "Dots":
        mask = Image.new("L", (size_px, size_px))
        inset = size_px * 0.24
        ImageDraw.Draw(mask).ellipse((inset, inset, size_px - inset, size_px - inset), 255)
        sprites = [(contrasting(chance, "dot colour", colour, 60), mask)]
    else:
        spin = chance.within("flower spin", 0, math.pi)
        petals = [contrasting(chance, f"petal{k}", colour, 45) for k in range(2)]
        heart = mix(chance.pick("flower heart", ((240, 200, 60), (90, 50, 30))), colour, 0.1)
        sprites = [_flower(size_px, petals[k], heart, spin + k) for k in range(2)]
        sprites += [_leaf(max(3, size_px * 2 // 3), mix((80, 130, 80), colour, 0.2), spin)]
    n = int(1 / spacing) + 2
    loose = 0.0 if pattern == "Dots" else 0.7
    shift = (chance.many("scatter", 2 * n * n).reshape(n, n, 2) - 0.5) * loose
    for row in range(n):
        for column in range(n):
            x = (column + 0.5 * (row % 2) + shift[row, column, 0]) * spacing * side
            y = (row + shift[row, column, 1]) * spacing * side
            sprite, mask = sprites[(row * 2 + column) % len(sprites)]
            left, top = round(x) - size_px // 2, round(y) - size_px // 2
            cloth.paste(sprite, (left, top, left + mask.width, top + mask.height), mask)
