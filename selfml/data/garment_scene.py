"""What is behind a garment and what hides it: background, shadow and things in front.

The mixture of scenes is our choice, after the product photographs of online shops.
"""

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from selfml.data.garment_canvas import Canvas, moved, ribbon, smooth
from selfml.data.garment_fabric import FABRICS, brightness, dim, jitter, mix
from selfml.data.garment_light import noise_field
from selfml.data.garment_look import Look
from selfml.data.garment_wearer import hair_colour


def paint_background(canvas: Canvas, look: Look) -> None:
    """Fill the canvas with a studio, a coloured wall, a room, a street or a table."""
    weights = {"studio": 0.5, "colour": 0.2, "room": 0.16, "street": 0.14}
    if look.stage == "flat":
        weights = {"studio": 0.35, "table": 0.65}
    kind = look.chance.weighted("background", weights)
    small = {"room": _room, "street": _street, "table": _table}.get(kind, _studio)(look, kind)
    canvas.image.paste(small.resize(canvas.image.size, Image.Resampling.BILINEAR))


def _studio(look: Look, kind: str) -> Image.Image:
    chance = look.chance
    level = chance.within("studio level", 205, 253)
    colour = jitter(chance, "studio tint", (round(level),) * 3, 4)
    if kind == "colour":
        colour = mix(chance.pick("wall", FABRICS), (235, 235, 235), chance.within("wash", 0.2, 0.7))
    side = 16
    drop = np.linspace(0, 1, side)[:, None] * chance.within("studio drop", -0.16, 0.06)
    aside = np.linspace(-0.5, 0.5, side)[None, :] * chance.within("studio side", -0.12, 0.12)
    light = (1 + drop + aside)[..., None] * np.asarray(colour, dtype=float)
    if look.category == "dresses" and chance.happens("floor", 0.6):
        light[-3:] *= chance.within("floor level", 0.82, 0.97)
    return Image.fromarray(light.clip(0, 255).astype(np.uint8))


def _room(look: Look, kind: str) -> Image.Image:
    chance, side = look.chance, 48
    wall = mix(chance.pick("wall", FABRICS), (226, 220, 212), 0.7)
    picture = Image.new("RGB", (side, side), wall)
    pen = ImageDraw.Draw(picture)
    floor = side * chance.within("floor line", 0.72, 0.92)
    boards = chance.pick(
        "boards", ((150, 116, 84), (196, 176, 150), (110, 92, 80), (170, 170, 170))
    )
    pen.rectangle((0, floor, side, side), fill=boards)
    pen.line((0, floor, side, floor), fill=dim(wall, 1.15), width=2)
    for k in range(3):
        x, y, wide, high = (chance.many(f"furniture{k}", 4) * side).tolist()
        colour = mix(chance.pick(f"furniture colour{k}", FABRICS), wall, 0.35)
        base = floor - 2 if y > side / 2 else y + high / 2
        pen.rectangle((x - 4, min(y, base - 4), x - 4 + wide / 2 + 3, base), fill=colour)
    if chance.happens("lamp", 0.4):
        x = chance.within("lamp x", 2, side - 2)
        pen.line((x, side * 0.25, x, floor), fill=(60, 56, 52), width=1)
        pen.polygon((x - 4, side * 0.28, x + 4, side * 0.28, x + 2.5, side * 0.14,
                     x - 2.5, side * 0.14), fill=(250, 236, 190))  # fmt: skip
    return picture


def _street(look: Look, kind: str) -> Image.Image:
    chance, side = look.chance, 20
    picture = Image.new("RGB", (side, side), chance.pick("sky", ((196, 212, 228), (222, 222, 220))))
    pen = ImageDraw.Draw(picture)
    heights, tones = chance.many("houses", 8), chance.many("house tone", 8)
    for k in range(8):
        grey = 70 + 130 * tones[k]
        colour = jitter(chance, f"house{k}", (round(grey),) * 3, 26)
        x = k * side / 8
        pen.rectangle((x, side * 0.55 * heights[k], x + side / 8 + 1, side), fill=colour)
    pen.rectangle((0, side * 0.82, side, side), fill=(128, 126, 124))
    if chance.happens("trees", 0.5):
        for k, x in enumerate(chance.many("tree", 3) * side):
            y = side * 0.3 + 3 * k
            pen.ellipse((x - 4, y - 4, x + 4, y + 4), fill=(76 + 20 * k, 112, 66))
    return picture


def _table(look: Look, kind: str) -> Image.Image:
    chance, side = look.chance, 64
    woods = ((186, 150, 112), (222, 206, 184), (112, 82, 60), (240, 238, 234), (150, 160, 168))
    wood = chance.pick("wood", woods)
    picture = Image.new("RGB", (side, side), wood)
    pen = ImageDraw.Draw(picture)
    n = 5 if chance.happens("boards shown", 0.6) else 1
    for k, tone in enumerate(chance.many("board", n)):
        y = k * side / n
        pen.rectangle((0, y, side, y + side / n), fill=dim(wood, 0.93 + 0.12 * tone))
        pen.line((0, y, side, y), fill=dim(wood, 0.72 if n > 1 else 1.0), width=1)
    veins = noise_field(chance, "veins", "cloud", side, 0.8)
    return Image.blend(picture, Image.merge("RGB", (veins,) * 3), 0.08)


def cast_shadow(canvas: Canvas, look: Look, outline: np.ndarray) -> None:
    """Darken the background beside the garment, as a lamp would."""
    strength = round(look.chance.within("cast", 0, 128))
    shift = np.array((look.chance.within("cast u", -0.3, 0.3), 0.18))
    side = canvas.side_px // 4  # it is blurred anyway
    mask = Image.new("L", (side, side))
    flat = np.array(canvas.px(outline + shift)) * (side / canvas.side_px)
    ImageDraw.Draw(mask).polygon(flat.tolist(), fill=strength)
    soft = mask.filter(ImageFilter.BoxBlur(0.22 * canvas.unit * side))
    soft = soft.resize(canvas.image.size, Image.Resampling.BILINEAR)
    canvas.image.paste((20, 20, 26), mask=soft)


def occlude(canvas: Canvas, look: Look) -> None:
    """Put things in front of the garment: hair, a hanging tag, a bag, a plant, a sticker."""
    chance, person = look.chance, look.stage == "person"
    if person and not look.has("Hooded") and chance.happens("hair in front", 0.14):
        _locks(canvas, look)
    things = {"none": 0.72, "tag": 0.09, "bag": 0.07, "plant": 0.06, "sticker": 0.06}
    thing = chance.weighted("occluder", things)
    if thing == "bag" and not person:
        thing = "none"
    draw = {"tag": _tag, "bag": _bag, "plant": _plant, "sticker": _sticker}.get(thing)
    if draw is not None:
        draw(canvas, look)


def _locks(canvas: Canvas, look: Look) -> None:
    chance = look.chance
    for side in (-1, 1) if chance.happens("both locks", 0.6) else (chance.sign("lock"),):
        reach = chance.within("lock reach", 0.5, 1.2)
        lock = np.array(((0.44, -1.1), (0.52, -0.4), (0.56, 0.2), (0.5, reach))) * (side, 1)
        canvas.polygon(ribbon(smooth(lock, 3), np.linspace(0.13, 0.10, 10)), hair_colour(look))


def _tag(canvas: Canvas, look: Look) -> None:
    u, v = look.chance.within("tag u", -0.5, 0.5), look.chance.within("tag v", 0.6, 1.6)
    canvas.line(((u * 0.6, 0.1), (u, v)), (90, 90, 90), 0.02, 0.008)
    card = moved(((-0.16, 0), (0.16, 0), (0.16, 0.5), (-0.16, 0.5)), u, v)
    canvas.polygon(card, (250, 248, 240))
    canvas.line(card[[3, 2]] - (0, 0.16), (60, 60, 60), 0.05, 0.0)


def _bag(canvas: Canvas, look: Look) -> None:
    side, leather = look.chance.sign("bag"), dim(look.chance.pick("bag colour", FABRICS), 0.9)
    canvas.line(((-0.6 * side, 0.08), (0.95 * side, 2.1)), leather, 0.09, 0.014)
    bag = np.array(((0.6, 1.9), (1.45, 1.9), (1.5, 2.6), (0.55, 2.6))) * (side, 1)
    canvas.polygon(bag, leather)
    canvas.line(moved(bag[:2], 0, 0.2), dim(leather, 0.6), 0.04)


def _plant(canvas: Canvas, look: Look) -> None:
    chance, side = look.chance, canvas.side_px
    left, green = chance.happens("plant left", 0.5), (58, 104, 62)
    for k, (a, b) in enumerate(chance.many("leaves", 12).reshape(6, 2).tolist()):
        tip_x, tip_y = 0.06 + 0.24 * a, 0.55 + 0.4 * b
        xs = np.array((-0.03, tip_x * 0.5, tip_x, tip_x * 0.6)) * side
        ys = np.array((1.02, tip_y - 0.02, tip_y, tip_y + 0.08)) * side
        xs = xs if left else side - xs
        colour = dim(green, 0.8 + 0.07 * k)
        canvas.pen.polygon(np.stack((xs, ys), axis=1).ravel().tolist(), fill=colour)


def _sticker(canvas: Canvas, look: Look) -> None:
    chance, side = look.chance, canvas.side_px
    colour = chance.pick("sticker", ((214, 40, 48), (24, 24, 28), (250, 250, 250), (32, 120, 200)))
    x, y = chance.pick("corner", ((0.14, 0.14), (0.86, 0.14), (0.14, 0.86), (0.86, 0.86)))
    r = chance.within("sticker size", 0.08, 0.12)
    box = [side * (x - r), side * (y - r), side * (x + r), side * (y + r)]
    canvas.pen.ellipse(box, fill=colour)
    ink = (20, 20, 20) if brightness(colour) > 128 else (250, 250, 250)
    canvas.pen.line((side * (x - r / 2), side * y, side * (x + r / 2), side * y), ink, side // 40)
