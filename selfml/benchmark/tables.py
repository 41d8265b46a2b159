"""The benchmark's report in Markdown: every number is read from the frame of results."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from selfml.benchmark.store import NO_BUDGET
from selfml.benchmark.summary import ACQUIRE, Summary, budget_order, by_atoms, is_acquisition
from selfml.metrics import HEADLINE, TABLE_1

MISSING = "-"
OURS, BASELINE_0, BASELINE_1, ORACLE = "self_ml", "baseline_0", "baseline_1", "oracle"
READING = (
    "Percent, mean ± standard deviation (n - 1) over seeds; the best method of a column is bold "
    "(of those with as many seeds as SELF-ML), "
    "the oracle, which learns from the true labels, aside. k* = number of true labels of an image; "
    "the columns @k* count the k* highest scores that are also >= .5; AP_all is micro and MAP "
    "macro average precision. N are the noisy images whose truth is known, test the verified "
    "images kept aside. Table 1 measures predictions, from the image alone unless the settings say "
    "otherwise; labels are corrected by what a method knows: a trained classifier's are its "
    "predictions, the others' rest on features with the category, and on the given labels. Strict: "
    "the explanation alone decides; SELF-ML's is the basis images, the "
    "given label and, where the data carry one, the category. A method that uses no clean labels "
    f"stands in every budget with the same numbers. '{MISSING}' is not measured."
)


@dataclass(frozen=True)
class Column:
    """A metric as a column; a measure that is no merit has no best."""

    metric: str
    title: str
    has_best: bool = True


_TITLE = {metric.name: metric.title for metric in TABLE_1}
TABLE_1_COLUMNS = tuple(Column(name, _TITLE[name]) for name in HEADLINE)
_MEASURED = (
    ("label_accuracy", "label accuracy"),
    ("flip_f1", "flip F1"),
    ("label_accuracy_strict", "label accuracy, strict"),
    ("flip_f1_strict", "flip F1, strict"),
    ("label_map", "label MAP"),
)
_NOISY = tuple(Column(f"{name}_noisy", title) for name, title in _MEASURED)
_TEST = tuple(Column(name, title) for name, title in _MEASURED)
_ATOM_COLUMNS = (
    *(Column(f"{name}_noisy", f"{title}, N") for name, title in _MEASURED[2:4]),
    *(Column(name, f"{title}, test") for name, title in _MEASURED[2:4]),
    Column("label_map_strict", "label MAP, strict, test"),
    *(Column(f"{name}_noisy", f"{title}, full, N") for name, title in _MEASURED[:2]),
    Column("nonzeros_per_image", "non-zeros per image", has_best=False),
    Column("atoms_used", "atoms used", has_best=False),
)
_ACQUIRED = (
    *(Column(name, _TITLE[name]) for name in ("map", "ap_all", "exact_match")),
    *(Column(c.metric, f"{c.title}, N") for c in _NOISY[:2]),
    *(Column(c.metric, f"{c.title}, test") for c in _TEST[:2]),
)
_DIFFERENCES = (
    *TABLE_1_COLUMNS,
    Column("map_rare", "AP of rare attributes"),
    *(Column(c.metric, f"{c.title}, N") for c in _NOISY),
    *(Column(c.metric, f"{c.title}, test") for c in _TEST),
)


def report(
    frame: pd.DataFrame,
    titles: Mapping[str, str],
    *,
    heading: str,
    commands: Sequence[str],
    date: str,
    notes: Sequence[str] = (),
) -> str:
    """Every table of a benchmark.

    Parameters
    ----------
    frame : DataFrame
        Of ``Results.frame``.
    titles : mapping of method to str
        In the order of the rows; a method without one comes last, under its name.
    heading, date : str
    commands : sequence of str
        What made the results.
    notes : sequence of str
        Of the data, the machine or the settings.

    Returns
    -------
    str
        Markdown. A table without rows is left out, a cell without a value is "-".
    """
    acquired = is_acquisition(frame)
    main, rest = Summary(frame[~acquired]), Summary(frame[acquired])
    lines = [f"# {heading}", "", date, ""]
    if commands:
        lines += ["```", *commands, "```", ""]
    lines += [*(f"- {note}" for note in notes), ""] if notes else []
    lines += [READING, ""]
    for budget in main.budgets:
        lines += [f"## {_budget_title(budget)}", ""]
        lines += _budget_tables(main, titles, budget)
    lines += _atoms(frame[~acquired], titles)
    lines += _acquisition(rest, titles)
    if not main.budgets and not rest.budgets:
        lines += ["No results yet."]
    return "\n".join(lines).rstrip() + "\n"


def _budget_title(budget: str) -> str:
    if budget == NO_BUDGET:
        return "Without clean images"
    return "All clean images" if budget == "all" else f"{int(budget):,} clean images"


def _budget_tables(summary: Summary, titles: Mapping[str, str], budget: str) -> Iterator[str]:
    methods = _ordered(summary.methods(budget), titles)
    names = {method: titles.get(method, method) for method in methods}
    seeds = {method: str(_n_seeds(summary, method, budget)) for method in methods}
    rows = _rows(summary, budget, names, TABLE_1_COLUMNS)
    rows = [(key, [*cells, seeds[key]]) for key, cells in rows]
    head = ["method", *(c.title for c in TABLE_1_COLUMNS), "seeds"]
    yield from _table("Table 1", head, [[names[key], *cells] for key, cells in rows])
    for title, columns, suffix in (("N", _NOISY, "_noisy"), ("test", _TEST, "")):
        found = [[names[key], *cells] for key, cells in _rows(summary, budget, names, columns)]
        given = _as_given(summary, methods, budget, f"label_accuracy_given{suffix}")
        if found and given != MISSING:
            found.insert(0, ["as given", given, *[MISSING] * (len(columns) - 1)])
        head = ["method", *(c.title for c in columns)]
        yield from _table(f"Labels of {title}", head, found)
    yield from _differences(summary, budget)
    yield from _beside(summary, names, budget)


def _ordered(methods: Sequence[str], titles: Mapping[str, str]) -> list[str]:
    return [m for m in titles if m in methods] + [m for m in methods if m not in titles]


def _n_seeds(summary: Summary, method: str, budget: str) -> int:
    return max(len(summary.values(method, budget, c.metric)) for c in TABLE_1_COLUMNS)


def _as_given(summary: Summary, methods: Sequence[str], budget: str, metric: str) -> str:
    """Of the first method that says it for the most seeds: it is the same of all methods."""
    found = [summary.values(method, budget, metric) for method in methods]
    return _spread(max(found, key=len)) if found else MISSING


def _rows(
    summary: Summary, budget: str, names: Mapping[str, str], columns: Sequence[Column]
) -> list[tuple[str, list[str]]]:
    """(method, cells) of the methods that have any; the best as shown are bold.

    Only methods with as many seeds as SELF-ML: one lucky seed is not better than three.
    """
    values = {key: [summary.values(key, budget, c.metric) for c in columns] for key in names}
    values = {key: row for key, row in values.items() if any(len(cell) for cell in row)}
    cells = {key: [_spread(cell) for cell in row] for key, row in values.items()}
    for j, column in enumerate(columns):
        enough = len(values[OURS][j]) if OURS in values else 1
        means = {
            key: round(float(row[j].mean()), 1)
            for key, row in values.items()
            if key != ORACLE and len(row[j]) >= max(enough, 1)
        }
        for key, mean in means.items():
            if column.has_best and mean == max(means.values()):
                cells[key][j] = f"**{cells[key][j]}**"
    return list(cells.items())


def _differences(summary: Summary, budget: str) -> Iterator[str]:
    """SELF-ML minus Baseline 1, seed by seed."""
    seeds, rows = summary.seeds, []
    for column in _DIFFERENCES:
        found = summary.difference(OURS, BASELINE_1, budget, column.metric)
        if len(found):
            each = [_number(value, signed=True) for value in found.reindex(seeds)]
            rows.append([column.title, _spread(found, signed=True), *each])
    head = ["points", "mean", *(f"seed {seed}" for seed in seeds)]
    yield from _table("SELF-ML minus Baseline 1 in the same seed", head, rows)


def _beside(summary: Summary, names: Mapping[str, str], budget: str) -> Iterator[str]:
    """How far MAP gets towards the oracle, rare attributes, and time."""
    rare, rows = dict(_rows(summary, budget, names, (Column("map_rare", ""),))), []
    for key, name in names.items():
        gaps = [summary.share(key, b, ORACLE, budget, "map") for b in (BASELINE_0, BASELINE_1)]
        ratio = summary.ratio(key, BASELINE_1, budget, "seconds")
        cells = [*(_number(100 * gap, 0) for gap in gaps), *rare.get(key, [MISSING])]
        cells.append(_spread(ratio, digits=2))
        if any(cell != MISSING for cell in cells):
            rows.append([name, *cells])
    head = [
        *("method", "MAP: gap closed, Baseline 0 to oracle (%)", "MAP: Baseline 1 to oracle (%)"),
        *("AP of rare attributes (%)", "time / Baseline 1 in the same seed"),
    ]
    yield from _table("Gap closed, rare attributes, time", head, rows)


def _atoms(frame: pd.DataFrame, titles: Mapping[str, str]) -> Iterator[str]:
    """Explanations by their number of atoms, per method and budget."""
    atoms = by_atoms(frame)
    for method in _ordered(list(dict.fromkeys(atoms["method"])), titles):
        part = atoms[atoms["method"] == method]
        keys = {str(k): f"{k:,}" for k in sorted(set(part["atoms"]))}
        summary = Summary(part.assign(method=part["atoms"].astype(str)))
        for budget in summary.budgets:
            rows = [[keys[k], *cells] for k, cells in _rows(summary, budget, keys, _ATOM_COLUMNS)]
            title = f"{titles.get(method, method)}: {_budget_title(budget).lower()}"
            yield from _table(title, ["atoms", *(c.title for c in _ATOM_COLUMNS)], rows, level=2)


def _acquisition(summary: Summary, titles: Mapping[str, str]) -> Iterator[str]:
    """Ways to choose the clean images; the best of each budget is bold."""
    rows = []
    for budget in sorted(summary.budgets, key=budget_order):
        methods = _ordered(summary.methods(budget), titles)
        names = {m: titles.get(m, m.removeprefix(ACQUIRE)) for m in methods}
        shown = budget if budget in ("all", NO_BUDGET) else f"{int(budget):,}"
        found = _rows(summary, budget, names, _ACQUIRED)
        rows += [[names[key], shown, *cells] for key, cells in found]
    head = ["chosen by", "clean images", *(c.title for c in _ACQUIRED)]
    yield from _table("Which images to verify", head, rows, level=2)


def _table(
    title: str, head: Sequence[str], rows: Sequence[Sequence[str]], *, level: int = 3
) -> Iterator[str]:
    """A heading and a Markdown table; nothing without rows."""
    if not rows:
        return
    yield from (f"{'#' * level} {title}", "")
    for row in (head, ["---", *["---:"] * (len(head) - 1)], *rows):
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |"
    yield ""


def _spread(values: pd.Series, *, digits: int = 1, signed: bool = False) -> str:
    """Mean ± standard deviation; the mean alone of one seed."""
    mean = _number(float(values.mean()), digits, signed=signed)
    return f"{mean} ± {values.std(ddof=1):.{digits}f}" if len(values) > 1 else mean


def _number(value: float, digits: int = 1, *, signed: bool = False) -> str:
    if np.isnan(value):
        return MISSING
    value = round(value, digits) + 0.0  # no "-0.0"
    return f"{value:{'+' * signed}.{digits}f}"
