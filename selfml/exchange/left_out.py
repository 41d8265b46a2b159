"""What an export lacks: images that could not be read, or all of it while a run is not finished."""

from __future__ import annotations

from selfml.data.messages import some
from selfml.run import Run, RunError

NAMED = 3


def n_unreadable(run: Run) -> int:
    """How many images of the catalogue could not be read when the run was made."""
    listed = len(run.info.get("unreadable") or ())  # of a relabelled one the first thousand
    return max(listed, int((run.info.get("relabel") or {}).get("n_unreadable", 0)))


def unreadable_sentence(run: Run, so: str = "") -> str:
    """How many, the first names, and where all are; empty where there are none.

    Parameters
    ----------
    so : str, optional
        What becomes of them, such as ", so without a row".
    """
    n, names = n_unreadable(run), [name for name, _ in run.info.get("unreadable") or ()]
    if not n:
        return ""
    shown = names[:NAMED]
    more = f" and {n - len(shown):,} more" if n > len(shown) else ""
    place = f"under unreadable in {run.path / 'run.json'}"
    if run.info.get("source_run"):
        place = f"in the column error of {run.path / 'parts'}/*.parquet"
    photos = "photo" if n == 1 else "photos"
    return f"Could not be read{so}: {n:,} {photos} ({some(shown)}{more}); why is {place}."


def not_yet(run: Run, what: str) -> RunError:
    """That a run has no flips or scores yet, and what to do."""
    doing = "training is complete; one that was stopped goes on with `selfml train ... --resume`"
    if run.info.get("source_run"):
        doing = "it is relabelled; what was stopped goes on with `selfml relabel ... --resume`"
    return RunError(f"{run.path}: no {what} yet; wait until {doing}")
