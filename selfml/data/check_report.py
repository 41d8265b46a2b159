"""What checking a dataset found, shown on a terminal or written as JSON."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from selfml.data.messages import quote

_MAX_LINES = 20


@dataclass(frozen=True, eq=False)
class CheckReport:
    """What `check_dataset` found.

    Attributes
    ----------
    root : Path
        The folder as it was given.
    errors, warnings : tuple of str
        One line each; at most twenty errors of reading, the rest in ``counts["n_errors"]``.
    counts : dict
        Name to number: images, clean rows, labels an image, formats, sizes in pixels and so on.
    attributes : pandas.DataFrame
        One row per attribute: ``attribute``, and for ``given`` and ``verified`` labels
        ``{}_positive``, ``{}_known`` (counts) and ``{}_prevalence_fraction`` (NaN if none known).
    unreadable : tuple of (str, str)
        (file name, reason), missing images included.
    """

    root: Path
    errors: tuple[str, ...]
    warnings: tuple[str, ...]
    counts: dict[str, int | float]
    attributes: pd.DataFrame
    unreadable: tuple[tuple[str, str], ...]

    @property
    def ok(self) -> bool:
        """Whether training could survive this dataset."""
        return not self.errors


def render(report: CheckReport) -> RenderableType:
    """Return the report for a rich console: counts, attributes, warnings, errors, the verdict.

    Names are shown as text, never read as markup.
    """
    parts: list[RenderableType] = [Text(f"Dataset {report.root}", style="bold")]
    if report.counts:
        parts.append(_counts_table(report.counts))
    if len(report.attributes):
        parts.append(_attributes_table(report.attributes))
    bad = tuple(f"{quote(name)}: {reason}" for name, reason in report.unreadable)
    parts += _lines("Unreadable images (skipped)", bad, "yellow")
    parts += _lines("Warnings", report.warnings, "yellow")
    parts += _lines("Errors", report.errors, "red")
    verdict = ("Ready for training.", "green") if report.ok else ("Not ready for training.", "red")
    parts.append(Text(verdict[0], style=f"bold {verdict[1]}"))
    return Group(*parts)


def to_json(report: CheckReport) -> str:
    """Return the report as JSON, for scripts; an undefined prevalence is null."""
    return json.dumps(
        {
            "root": str(report.root),
            "ok": report.ok,
            "errors": report.errors,
            "warnings": report.warnings,
            "counts": report.counts,
            "attributes": json.loads(report.attributes.to_json(orient="records")),
            "unreadable": report.unreadable,
        },
        indent=2,
    )


def _counts_table(counts: dict[str, int | float]) -> Table:
    table = Table(box=None, show_header=False)
    table.add_column()
    table.add_column(justify="right")
    for name, value in counts.items():
        words = name.removeprefix("n_").replace("_", " ")
        shown = f"{value:,.2f}" if isinstance(value, float) else f"{value:,}"
        table.add_row(Text(words), Text(shown))
    return table


def _attributes_table(attributes: pd.DataFrame) -> Table:
    table = Table(title="Share of images with the attribute, where known")
    table.add_column("attribute", overflow="fold")
    for name in ("given", "verified", "given 1s", "verified 1s"):
        table.add_column(name, justify="right")
    for row in attributes.itertuples(index=False):
        shares = (row.given_prevalence_fraction, row.verified_prevalence_fraction)
        cells = ["-" if np.isnan(share) else f"{share:.1%}" for share in shares]
        cells += [f"{row.given_positive:,}", f"{row.verified_positive:,}"]
        table.add_row(Text(row.attribute), *(Text(cell) for cell in cells))
    return table


def _lines(title: str, lines: tuple[str, ...], style: str) -> list[RenderableType]:
    if not lines:
        return []
    shown = [Text(f"{title}: {len(lines)}", style=f"bold {style}")]
    shown += [Text(f"  {line}") for line in lines[:_MAX_LINES]]
    if len(lines) > _MAX_LINES:
        shown.append(Text(f"  and {len(lines) - _MAX_LINES} more"))
    return shown
