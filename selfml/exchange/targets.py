"""Where the files of an export lie, and which that are there already may be replaced."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from selfml.exchange.manifest import fingerprint, manifest_of, read_manifest

FORMATS = ("csv", "parquet", "huggingface", "label-studio")
SCORES_FORMATS = ("csv", "parquet")
BY_SUFFIX = {".parquet": "parquet", ".json": "label-studio"}
EXAMPLES = {
    "csv": "corrected.csv",
    "parquet": "corrected.parquet",
    "label-studio": "tasks.json",
}


@dataclass(frozen=True)
class Targets:
    """The file or folder that was named, and what lies beside it; of scores the manifest alone."""

    out: Path
    kind: str
    scores: bool = False

    @property
    def folder(self) -> bool:
        """Whether ``out`` is a folder."""
        return self.kind == "huggingface"

    @property
    def manifest(self) -> Path:
        """The manifest."""
        return manifest_of(self.out, folder=self.folder)

    @property
    def flips(self) -> Path:
        """The change list."""
        return self._beside("flips.csv")

    @property
    def interface(self) -> Path | None:
        """The labelling interface, with tasks for Label Studio."""
        return self._beside("labels.xml") if self.kind == "label-studio" else None

    def _beside(self, ending: str) -> Path:
        return self.manifest.with_name(self.manifest.name.removesuffix("manifest.json") + ending)

    @property
    def files(self) -> list[Path]:
        """All files but the manifest; not the folder."""
        if self.scores:
            return [self.out]
        found = [None if self.folder else self.out, self.flips, self.interface]
        return [path for path in found if path]


def targets(out: Path, kind: str = "", *, scores: bool = False) -> Targets:
    """What an export to ``out`` writes; without a kind its ending says it, else csv.

    Parameters
    ----------
    scores : bool
        It is one of scores (:mod:`selfml.exchange.scores`), which are a CSV or a Parquet file.

    Raises
    ------
    ValueError
        For a kind that is none, or a folder where a file is to be.
    """
    kind = kind or BY_SUFFIX.get(out.suffix.lower(), "csv")
    if kind not in FORMATS:
        raise ValueError(f"--format: must be one of {', '.join(FORMATS)}, got {kind!r}")
    if scores and kind not in SCORES_FORMATS:
        raise ValueError(
            f"--scores: writes a {' or '.join(SCORES_FORMATS)} file, not {kind}; name one, e.g. "
            "--out scores.csv"
        )
    to = Targets(out, kind, scores)
    if out.is_dir() and not to.folder:
        example = out / EXAMPLES[kind]
        raise ValueError(f"--out: {out} is a folder; name a file, e.g. {example}")
    return to


def refuse_foreign(to: Targets, *, overwrite: bool) -> None:
    """Raise where something would be replaced that is not this export's, or that was changed since.

    Parameters
    ----------
    overwrite : bool
        Files may be replaced; a folder only if it is an export's own.

    Raises
    ------
    ValueError
        In one line.
    """
    said = read_manifest(to.manifest) or {}
    known = {entry["name"]: entry for entry in said.get("files", [])}
    if to.folder and to.out.exists():
        _refuse_folder(to.out, known)
    if overwrite:
        return
    if to.manifest.exists() and said.get("output") != to.out.name:
        owner = said.get("output")
        what = f"belongs to the export {owner}" if owner else "was not written by an export"
        raise ValueError(f"--out: {to.manifest} {what}; name another file, or say --overwrite")
    if said and bool(said.get("options", {}).get("scores")) != to.scores:
        what = "labels" if to.scores else "scores"
        raise ValueError(
            f"--out: {to.out} is an export of {what}; name another file, or say --overwrite"
        )
    for path in to.files:
        if not path.exists():
            continue
        entry = known.get(path.name)
        if entry is None:
            why = "is there already and was not written by this export"
        elif fingerprint(path)["sha256"] != entry["sha256"]:
            why = "was changed since it was exported"
        else:
            continue
        raise ValueError(f"--out: {path} {why}; name another file, or say --overwrite")


def _refuse_folder(out: Path, known: Mapping[str, Mapping[str, Any]]) -> None:
    if not out.is_dir():
        raise ValueError(f"--out: {out} is a file; this format is a folder, name another")
    for path in sorted(out.rglob("*")):
        if path.is_dir() and not path.is_symlink():
            continue
        entry = known.get(path.relative_to(out.parent).as_posix())
        if entry is None or path.lstat().st_size != entry["bytes"]:
            raise ValueError(
                f"--out: {out} holds {path.relative_to(out)}, which is not as an export wrote it; "
                "name another folder, or remove this one"
            )
