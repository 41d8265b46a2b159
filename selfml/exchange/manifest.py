"""The manifest of an export: what was written, and from what.

It holds no time and no path of this machine but that of a store in a file, so that an export that
is repeated has the same bytes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

import pandas as pd

from selfml.exchange.content import Corrections, changed_by_flips, changes_by_attribute
from selfml.run import Run

if TYPE_CHECKING:
    from selfml.decisions import Store

KIND = "selfml export"
VERSION = 1


def build_manifest(
    run: Run,
    content: Corrections,
    flips: pd.DataFrame,
    files: Mapping[str, tuple[str, int]],
    options: Mapping[str, Any],
    *,
    n_photos: int | None,
    store: Store | None,
    catalogue: str,
) -> bytes:
    """JSON: files with SHA-256 and bytes, inputs, run, decisions, options, counts.

    Parameters
    ----------
    flips : DataFrame
        Those applied; with the columns ``decision`` and ``auditors`` where people decided.
    n_photos : int or None
        How many photos were written; None where the format has none.
    """
    n_flipped = changed_by_flips(content)
    counts: dict[str, Any] = {
        "rows": len(content.rows) - 1,
        "images": len(content.file_names),
        "flips": len(flips),
        "changed_cells": int(content.changed.sum()),
        "changed_by_flips": n_flipped,
        "changed_by_verified_labels": int(content.changed.sum()) - n_flipped,
        "changed_by_attribute": changes_by_attribute(content),
    }
    if n_photos is not None:
        counts |= {"photos": n_photos, "photos_left_out": len(content.file_names) - n_photos}
    decisions = None
    if store is not None:
        decisions = {
            "store": store_address(store),
            "catalogue": PurePath(catalogue).name,
        } | _decided(flips)
    said = {
        "kind": KIND,
        "version": VERSION,
        "output": next(iter(files)).split("/", 1)[0],
        "run": {"run_id": content.run_id, "dataset": run.info.get("dataset", {}).get("sha256")},
        "inputs": _inputs(content),
        "decisions": decisions,
        "options": dict(options),
        "counts": counts,
        "files": [{"name": n, "sha256": sha, "bytes": size} for n, (sha, size) in files.items()],
    }
    return (json.dumps(said, indent=1, ensure_ascii=False) + "\n").encode()


def store_address(store: Store) -> str:
    """The store's address without its password, nor what else may hold one."""
    url = store.url
    bare = type(url).create(
        url.drivername, username=url.username, host=url.host, port=url.port, database=url.database
    )
    return bare.render_as_string()


def _decided(flips: pd.DataFrame) -> dict[str, Any]:
    accepted = flips[flips["decision"] != "auto"]["auditors"]
    by = accepted.value_counts(sort=False).sort_index()
    return {
        "accepted": len(accepted),
        "accepted_by": {str(who): int(n) for who, n in by.items()},
        "undecided": len(flips) - len(accepted),
    }


def _inputs(content: Corrections) -> list[dict[str, object]]:
    if content.dataset is None:
        return []
    paths = [content.dataset.labels_file, content.dataset.root / "clean.csv"]
    return [{"name": path.name, **fingerprint(path)} for path in paths]


def fingerprint(path: Path) -> dict[str, object]:
    """SHA-256 and bytes of a file."""
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"sha256": digest, "bytes": path.stat().st_size}


def read_manifest(path: Path) -> dict[str, Any] | None:
    """A manifest that an export wrote; None where there is none, or another file."""
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return said if isinstance(said, dict) and said.get("kind") == KIND else None


def manifest_of(out: Path, *, folder: bool = False) -> Path:
    """Where the manifest of an exported file or folder lies."""
    return out.with_name(f"{out.name if folder else out.stem}.manifest.json")
