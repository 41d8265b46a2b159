"""The drawing surface of the synthetic garments, and their chance.

Notation: a garment lives in *garment units*, where (0, 0) is the base of the neck, u points right,
v points down and 1 is half the width of the shoulders; ``frame`` units are parts of the picture.
All geometry is in these two, so one garment is the same at any size in pixels.
"""

import hashlib
import math
from collections.abc import Sequence
from functools import cache

import numpy as np
from PIL import Image, ImageChops, ImageDraw

Colour = tuple[int, int, int]
Points = np.ndarray | Sequence[tuple[float, float]]

SUPERSAMPLING = 2


class Chance:
    """Random numbers by name: each depends on the image's key and on its own name only.

    So a choice that one attribute needs never shifts the others, and the same garment with one
    attribute changed differs in that attribute alone.

    Parameters
    ----------
    rng : numpy.random.Generator
        Gives the 16 bytes of the key, and is not used again.
    """

    def __init__(self, rng: np.random.Generator):
        self._key = rng.bytes(16)

    def unit(self, name: str) -> float:
        """Return a number in [0, 1)."""
        digest = hashlib.blake2b(name.encode(), digest_size=8, key=self._key).digest()
        return (int.from_bytes(digest, "little") >> 11) * 2.0**-53

    def within(self, name: str, low: float, high: float) -> float:
        """Return a number in [low, high)."""
        return low + (high - low) * self.unit(name)

    def sign(self, name: str) -> int:
        """Return -1 or 1."""
        return 1 if self.unit(name) < 0.5 else -1

    def happens(self, name: str, probability: float) -> bool:
        """Return True with this probability."""
        return self.unit(name) < probability

    def pick(self, name: str, options: Sequence):
        """Return one of the options, all equally likely."""
        return options[int(self.unit(name) * len(options))]

    def weighted(self, name: str, weights: dict[str, float]) -> str:
        """Return a key of ``weights``, as likely as its weight; weights need not add up to 1."""
        left = self.unit(name) * sum(weights.values())
        for option, weight in weights.items():
            left -= weight
            if left < 0:
                return option
        return option

    def many(self, name: str, count: int) -> np.ndarray:
        """Return ``count`` numbers in [0, 1)."""
        digest = hashlib.shake_128(self._key + name.encode()).digest(4 * count)
        return np.frombuffer(digest, dtype="<u4") * 2.0**-32


@cache
def _spline_weights(count: int, n: int) -> np.ndarray:
    """Catmull-Rom weights, ((count - 1) n + 1, count): a curve is weights @ points."""
    t = np.arange(n)[:, None] / n
    powers = (-t + 2 * t**2 - t**3, 2 - 5 * t**2 + 3 * t**3, t + 4 * t**2 - 3 * t**3, t**3 - t**2)
    near = np.concatenate(powers, axis=1) / 2
    weights = np.zeros(((count - 1) * n + 1, count))
    for segment in range(count - 1):
        for k in range(4):  # the ends are repeated
            point = min(max(segment + k - 1, 0), count - 1)
            weights[segment * n : (segment + 1) * n, point] += near[:, k]
    weights[-1, -1] = 1.0
    return weights


def smooth(points: Points, n: int = 5) -> np.ndarray:
    """Draw a smooth open curve through points.

    Parameters
    ----------
    points : (P, 2)
        At least two, in any unit.
    n : int
        Steps between two points.

    Returns
    -------
    ndarray, ((P - 1) * n + 1, 2)
    """
    return _spline_weights(len(points), n) @ np.asarray(points, dtype=float)


def mirrored(points: Points) -> np.ndarray:
    """Return the points of the other half: u turned round, and the order too."""
    return np.asarray(points, dtype=float)[::-1] * (-1.0, 1.0)


def moved(points: Points, u: float, v: float) -> np.ndarray:
    """Return the points u further right and v further down."""
    return np.asarray(points, dtype=float) + np.array((u, v))


def ribbon(path: Points, widths: Sequence[float] | np.ndarray) -> np.ndarray:
    """Return the outline of a band along a path.

    Parameters
    ----------
    path : (P, 2)
        Middle line, in any unit.
    widths : (P,)
        Half width at each point, in the same unit.

    Returns
    -------
    ndarray, (2 P, 2)
    """
    p = np.asarray(path, dtype=float)
    step = np.empty_like(p)
    step[1:-1] = p[2:] - p[:-2]
    step[0], step[-1] = p[1] - p[0], p[-1] - p[-2]
    length = np.hypot(step[:, 0], step[:, 1]) + 1e-9
    across = step[:, ::-1] * (-1.0, 1.0) * (np.asarray(widths) / length)[:, None]
    return np.concatenate((p + across, (p - across)[::-1]))


class Canvas:
    """A picture being drawn, at ``SUPERSAMPLING`` times its size in pixels.

    Parameters
    ----------
    size_px : int
        Side of the finished square picture.
    centre : (float, float)
        Where the base of the neck is, in frame units.
    unit : float
        One garment unit in frame units.
    tilt : float
        How far the garment is turned, radians.

    Attributes
    ----------
    image : PIL.Image.Image
        RGB, what has been drawn so far.
    shade : PIL.Image.Image
        L, what ``settle`` multiplies the picture with: 255 leaves a pixel as it is.
    """

    def __init__(self, size_px: int, centre: tuple[float, float], unit: float, tilt: float):
        self.side_px = size_px * SUPERSAMPLING
        self.unit = unit
        self.unit_px = unit * self.side_px
        cos, sin = math.cos(tilt) * self.unit_px, math.sin(tilt) * self.unit_px
        self._turn = np.array(((cos, sin), (-sin, cos)))
        self._origin_px = np.asarray(centre) * self.side_px
        self.image = Image.new("RGB", (self.side_px, self.side_px))
        self.shade = Image.new("L", (self.side_px, self.side_px), 255)
        self.pen = ImageDraw.Draw(self.image)
        self.shade_pen = ImageDraw.Draw(self.shade)

    def px(self, points: Points) -> list[float]:
        """Turn garment units (P, 2) into pixels, flat, as Pillow takes them."""
        if isinstance(points, np.ndarray):
            return (points @ self._turn + self._origin_px).ravel().tolist()
        (cos, sin), (x, y) = self._turn[0].tolist(), self._origin_px.tolist()
        flat = []
        for u, v in points:
            flat += (float(u * cos - v * sin + x), float(u * sin + v * cos + y))
        return flat

    def width_px(self, width: float, least: float = 0.012) -> int:
        """Turn a width in garment units into pixels; ``least`` is in frame units."""
        return max(1, round(max(width * self.unit_px, least * self.side_px)))

    def polygon(self, points: Points, colour: Colour) -> None:
        """Fill a polygon given in garment units."""
        self.pen.polygon(self.px(points), fill=colour)

    def line(self, points: Points, colour: Colour, width: float, least: float = 0.012) -> None:
        """Draw a line: width in garment units, at least ``least`` of the frame."""
        self.pen.line(
            self.px(points), fill=colour, width=self.width_px(width, least), joint="curve"
        )

    def dashes(self, ends: Points, colour: Colour, width: float, least: float = 0.012) -> None:
        """Draw separate lines, each from one point to the next: (2 D, 2) for D dashes."""
        flat, width_px = self.px(ends), self.width_px(width, least)
        for k in range(0, len(flat), 4):
            self.pen.line(flat[k : k + 4], fill=colour, width=width_px)

    def crease(self, points: Points, darkness: int, width: float, least: float = 0.008) -> None:
        """Draw a line of shadow, ``darkness`` from 0 (nothing) to 255 (black)."""
        self.shade_pen.line(self.px(points), fill=255 - darkness, width=self.width_px(width, least))

    def disc(
        self, centre: tuple[float, float], radius: float, colour: Colour, least: float = 0.0
    ) -> None:
        """Fill a disc: garment units, radius at least ``least`` of the frame."""
        x, y = self.px((centre,))
        r = max(radius * self.unit_px, least * self.side_px)
        self.pen.ellipse((x - r, y - r, x + r, y + r), fill=colour)

    def settle(self) -> None:
        """Multiply the shade into the image; what is drawn later is not shaded."""
        self.image = ImageChops.multiply(self.image, Image.merge("RGB", (self.shade,) * 3))
        self.pen = ImageDraw.Draw(self.image)

    def mask(self, *outlines: Points) -> Image.Image:
        """Return an L image that is 255 inside the outlines (garment units) and 0 elsewhere."""
        mask = Image.new("L", self.image.size)
        pen = ImageDraw.Draw(mask)
        for outline in outlines:
            pen.polygon(self.px(outline), fill=255)
        return mask
