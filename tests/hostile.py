"""A catalogue by somebody who means harm: its folder, and a run that was trained on such names."""

from __future__ import annotations

import json
import os
import pickle
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from selfml.run import Run, RunWriter
from tests.data import photo, random_labels, write_dataset
from tests.tiny_run import build_tiny_run

OUTSIDE = "http://outside.invalid"
LONG = "An attribute of five hundred characters, " + "x" * 459
ATTRIBUTES = [
    "<script>window.hacked=1;alert(1)</script>",
    '"><img src=x onerror="window.hacked=1;alert(2)">',
    f"![]({OUTSIDE}/attribute.png) [a link](javascript:alert(3)) ![]({OUTSIDE}/b.png)",
    "=cmd|'/C calc'!A1",
    "\u202eeulB thgiL",
    LONG,
    "$\\href{javascript:alert(4)}{x}$ :material/bug_report: **bold** :red[red]",
    f"<a href='{OUTSIDE}/plotly'>plotly</a><br><style>*{{display:none}}</style>",
]
CATEGORIES = [
    f"![]({OUTSIDE}/category.png)",
    "<svg onload=window.hacked=1;alert(5)>",
    "=1+1",
    "c" * 500,
]
NAMES = [
    "<img src=x onerror=alert(6)>.png",
    "![](javascript:alert(7)).png",
    "=HYPERLINK(1).png",
    "\u202egnp.egami.png",
    "$(touch hacked);`touch hacked`.png",
    "n" * 251 + ".png",  # 255 bytes: as many as a file's name may have
]
SECRET = "root:x:0:0:the secret of another folder"
SECRET_COLOUR = (255, 0, 255)
BAD = ("bomb.png", "pickle.jpg", "truncated.jpg", "features.npy")
LINKS = ("passwd.jpg", "outside.png", "folder/inside.png")


def bomb(side_px: int = 60_000) -> bytes:
    """A PNG of a few bytes that says it has 3,600 million pixels."""

    def chunk(name: bytes, body: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(name + body))
        return struct.pack(">I", len(body)) + name + body + check

    header = struct.pack(">IIBBBBB", side_px, side_px, 8, 2, 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(b"\0" * 1_000_000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + pixels + chunk(b"IEND", b"")


@dataclass
class MakesAFolder:
    """Unpickled, it makes a folder: a witness that something was executed."""

    path: str

    def __reduce__(self):
        return os.mkdir, (self.path,)


@dataclass(frozen=True)
class Catalogue:
    """Where it is, what its files are called, and what would be there if anything ran."""

    root: Path
    names: list[str]
    witness: Path
    pickle: bytes


def write_catalogue(folder: Path, *, links: bool) -> Catalogue:
    """100 images of hostile names, four that are none, and with ``links`` three from outside."""
    root, witness = folder / "shop", folder / "executed"
    (folder / "other").mkdir(parents=True, exist_ok=True)
    root.mkdir()
    (folder / "other" / "secret.txt").write_text(SECRET)
    (folder / "other" / "inside.png").write_bytes(photo(32, 32, SECRET_COLOUR))
    names = [*NAMES, *(f"{n:03}.png" for n in range(100 - len(NAMES)))]
    names = [*names, *BAD, *(LINKS if links else ())]
    given = random_labels(len(names), len(ATTRIBUTES), seed=0)
    write_dataset(root, given, given[:40], attributes=ATTRIBUTES, names=names)
    for n, name in enumerate(names[:100]):
        (root / name).write_bytes(photo(32, 32, (n, 90, 160)))
    evil = pickle.dumps(MakesAFolder(str(witness)))
    (root / "bomb.png").write_bytes(bomb())
    (root / "pickle.jpg").write_bytes(evil)
    (root / "features.npy").write_bytes(evil)
    (root / "truncated.jpg").write_bytes(photo(64, 64, kind="JPEG")[:300])
    if links:
        link_outside(root)
    return Catalogue(root, names, witness, evil)


def link_outside(root: Path) -> None:
    """Put the three links where the catalogue's images should be."""
    other = root.parent / "other"
    (root / "passwd.jpg").symlink_to(other / "secret.txt")
    (root / "outside.png").symlink_to(other / "inside.png")
    (root / "folder").symlink_to(other)


def build_hostile_run(path: Path, dataset: Path, n_images: int = 200) -> Run:
    """A run as if trained on such a catalogue; its first images are the bad ones and the links."""
    writer = RunWriter(
        build_tiny_run(path, n_images=n_images, n_atoms=12, n_attributes=len(ATTRIBUTES))
    )
    run = Run(path)
    images, basis = run.table("images"), run.table("basis")
    old = sorted(images["category"].dropna().unique())
    renamed = dict(zip(old, CATEGORIES, strict=True))
    names = images["image_id"].tolist()
    wanted = [*BAD, *LINKS, "../other/inside.png", str(dataset.parent / "other" / "inside.png")]
    names[: len(wanted)] = wanted
    # Hostile names everywhere else too, basis images included.
    for i in range(len(wanted), len(names)):
        names[i] = f"{i}/{NAMES[i % len(NAMES)]}"
    category = [renamed.get(c) for c in images["category"]]
    writer.write_table("images", images.assign(image_id=names, category=category))
    ids = np.array(names, object)[basis["image_index"]]
    writer.write_table("basis", basis.assign(image_id=ids))
    writer.write_table("attributes", run.table("attributes").assign(name=ATTRIBUTES))
    evidence = json.loads(run.text("evidence.json"))
    evidence["categories"] = [renamed[c] for c in evidence["categories"]]
    writer.write_text("evidence.json", json.dumps(evidence))
    writer.update(dataset={"path": str(dataset), "sha256": "0" * 64, "catalogue": CATEGORIES[0]})
    return Run(path)
