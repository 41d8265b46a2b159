"""How a run begins: whether its folder may be written, its stages, and what wrote it."""

from __future__ import annotations

import json
import platform
import shutil
import subprocess
from importlib import metadata
from pathlib import Path

from selfml import __version__
from selfml.config import Config, to_toml

STAGES = ("pretrain", "baseline_0", "baseline_1", "reconstruction", "flipping", "self_ml")


def check_out(out: Path, config: Config, resume: bool) -> None:
    """Refuse a folder that a run may not begin or go on in; clear one that may begin again.

    Raises
    ------
    FileExistsError
        In one line: what is there, and what to do.
    """
    if not out.exists() or not any(out.iterdir()):
        return
    stored = out / "config.toml"
    if not stored.exists():
        raise FileExistsError(f"--out: {out} is not empty and not a run; name a new folder")
    if _ended_before_it_learned(out):
        shutil.rmtree(out / "work", ignore_errors=True)  # its caches may be of other data
        return
    if not resume:
        raise FileExistsError(f"--out: {out} has a run already; add --resume or name a new folder")
    if not (out / "work").exists():
        raise FileExistsError(f"--out: the run in {out} is complete; name a new folder")
    if stored.read_text(encoding="utf-8") != to_toml(config):
        raise FileExistsError(
            f"--resume: {stored} has other settings; give the same --recipe and --set as before"
        )


def _ended_before_it_learned(out: Path) -> bool:
    """Whether a run was refused, by its data or settings, and so may begin again."""
    try:
        status = json.loads((out / "run.json").read_text(encoding="utf-8")).get("status")
    except (OSError, ValueError, AttributeError):
        return False
    return status == "failed" and not any((out / "work").glob("*.npz"))


def plan(config: Config) -> list[dict[str, int | str]]:
    """The stages and their steps, as ``run.json`` shows them."""
    train = config.train
    steps = (
        *(train.pretrain_steps, train.finetune_steps, train.finetune_steps),
        *(config.basis.steps, config.flips.steps, train.finetune_steps),
    )
    return [{"stage": name, "steps": n} for name, n in zip(STAGES, steps, strict=True)]


def origin() -> dict[str, object]:
    """Versions and git commit of what writes a run; the commit is empty outside of a clone."""
    import keras  # so that a folder can be refused before TensorFlow is loaded

    packages = {"selfml": __version__, "python": platform.python_version()}
    for name in ("keras", keras.backend.backend(), "numpy"):
        try:
            packages[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            packages[name] = "unknown"
    where = Path(__file__).parent
    git = ["git", "-C", str(where), "rev-parse", "--short", "HEAD"]
    try:
        commit = subprocess.run(git, capture_output=True, text=True, timeout=5, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        commit = ""
    return {"versions": packages, "git_commit": commit.strip()}
