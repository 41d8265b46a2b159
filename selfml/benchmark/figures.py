"""The benchmark's figures; colours as in the dashboard, which is not imported here.

Plotly is not on a bare GPU machine, so nothing that trains imports this module at its top.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from selfml.benchmark.store import NO_BUDGET
from selfml.benchmark.summary import Summary, budget_order, by_atoms, is_acquisition

CATEGORICAL = ("#1f77c9", "#d1690b", "#0f9676", "#4747f5", "#5e6731", "#cf4a4a", "#3b97c6")
NEUTRAL = "#808692"
SYMBOLS = ("circle", "diamond", "square", "triangle-up", "x")
PERCENT_TICKS = np.array([0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100])
HEIGHT_PX = 460
REFERENCES = OURS, BASELINE = "self_ml", "baseline_1"
ATOM_METRICS = (("label_accuracy", "Label accuracy"), ("flip_f1", "Flip F1"))
NAMES = {"self_ml": "SELF-ML", "baseline_0": "Baseline 0", "baseline_1": "Baseline 1"}


def write_figures(
    frame: pd.DataFrame,
    prevalence: pd.Series,
    folder: str | Path,
    *,
    titles: Mapping[str, str] | None = None,
    n_clean: int | None = None,
) -> list[Path]:
    """Write every figure of a benchmark as HTML, with one ``plotly.min.js`` beside them.

    Parameters
    ----------
    frame : DataFrame
        Of ``Results.frame``.
    prevalence : Series
        Fraction 0..1 by name of the attribute.
    folder : path
        Made where it is missing.
    titles : mapping of method to str, optional
    n_clean : int, optional
        How many clean images ``all`` is.

    Returns
    -------
    list of Path
        ``gain.html``, ``budgets.html`` and ``atoms.html``.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    figures = {
        "gain": gain_by_frequency(frame, prevalence),
        "budgets": budget_curve(frame, titles, n_clean=n_clean),
        "atoms": atoms_curve(frame),
    }
    paths = [folder / f"{name}.html" for name in figures]
    for path, figure in zip(paths, figures.values(), strict=True):
        figure.write_html(str(path), include_plotlyjs="directory", div_id=path.stem)
    return paths


def gain_by_frequency(
    frame: pd.DataFrame,
    prevalence: pd.Series,
    *,
    budget: str | None = None,
    method: str = OURS,
    baseline: str = BASELINE,
) -> go.Figure:
    """AP gained by each attribute against how frequent it is (paper, Fig. 4).

    Parameters
    ----------
    frame : DataFrame
        Of ``Results.frame``, with metrics ``ap/<name>``.
    prevalence : Series
        Fraction 0..1 by name; an attribute that is not in it, or never verified, is left out.
    budget : str, optional
        The largest one of ``method`` with such metrics.
    method, baseline : str
        The points are means of the differences in the same seed, the bars their range.
    """
    known = frame[np.array([metric.startswith("ap/") for metric in frame["metric"]], bool)]
    summary = Summary(known)
    budget = budget or _largest(known, method)
    found = {n: summary.difference(method, baseline, budget, f"ap/{n}") for n in prevalence.index}
    found = {n: gain for n, gain in found.items() if len(gain) and prevalence[n] > 0}
    names = f"{NAMES.get(method, method)} minus {NAMES.get(baseline, baseline)}"
    title = f"AP gained (points): {names}"
    figure = _layout(
        go.Figure(), "Verified images that have it (%, log scale)", title, legend=False
    )
    if not found:
        return _note(figure, "No attribute was measured for both methods yet")
    x = np.array([100 * prevalence[n] for n in found], np.float64)
    _add(
        figure,
        x,
        list(found.values()),
        mode="markers",
        marker={"size": 9, "color": CATEGORICAL[0]},
        customdata=np.array([_plain(n) for n in found], object),
        hovertemplate="%{customdata}: %{y:+.1f} points, %{x:.1f} % have it<extra></extra>",
    )
    figure.add_hline(y=0, line={"color": NEUTRAL, "width": 1})
    return _ticks(figure, PERCENT_TICKS, [f"{value:g}" for value in PERCENT_TICKS])


def budget_curve(
    frame: pd.DataFrame,
    titles: Mapping[str, str] | None = None,
    *,
    metric: str = "map",
    y_title: str = "MAP on test images (%)",
    n_clean: int | None = None,
) -> go.Figure:
    """A metric by the number of clean images, one line a method: mean and range over seeds.

    Parameters
    ----------
    frame : DataFrame
        Of ``Results.frame``.
    titles : mapping of method to str, optional
        Also the order of the legend.
    metric, y_title : str
    n_clean : int, optional
        Where ``all`` stands; else twice as far as the largest number.
    """
    kept = frame[~is_acquisition(frame) & (frame["metric"] == metric).to_numpy(bool)]
    summary, titles = Summary(kept), titles or NAMES
    figure = _layout(go.Figure(), "Clean images to learn from (log scale)", y_title)
    budgets = [b for b in reversed(summary.budgets) if b != NO_BUDGET]
    if not budgets:
        return _note(figure, "No method was measured on a number of clean images yet")
    x = _positions(budgets, n_clean)
    found = dict.fromkeys(m for b in summary.budgets for m in summary.methods(b))
    free = set(kept.loc[(kept["budget"] == NO_BUDGET).to_numpy(bool), "method"])
    order = [*(m for m in titles if m in found), *(m for m in found if m not in titles)]
    for i, method in enumerate(order):
        _add(
            figure,
            x,
            [summary.values(method, budget, metric) for budget in budgets],
            name=_plain(titles.get(method, method)),
            line={"color": CATEGORICAL[i % 7], "dash": "dot" if method in free else "solid"},
            marker={"symbol": SYMBOLS[i // 7 % len(SYMBOLS)]},
        )
    return _ticks(figure, x, ["all" if b == "all" else f"{int(b):,}" for b in budgets])


def atoms_curve(
    frame: pd.DataFrame, *, budget: str | None = None, noisy: bool | None = None
) -> go.Figure:
    """Labels corrected by strict evidence, by the number of atoms.

    Beside them full evidence (by the number of atoms where that was measured, else as a line of
    ``self_ml``) and Baseline 1.

    Parameters
    ----------
    frame : DataFrame
        Of ``Results.frame``, with metrics ``atoms/<K>/<metric>``.
    budget : str, optional
        The largest one with such metrics.
    noisy : bool, optional
        Measured on the noisy images whose truth is known (by default where there are any), or
        on the test images.
    """
    atoms = by_atoms(frame.dropna(subset=["value"]))
    if noisy is None:
        noisy = bool((atoms["metric"] == "label_accuracy_strict_noisy").any())
    suffix, images = ("_noisy", "noisy images") if noisy else ("", "test images")
    figure = _layout(go.Figure(), "Atoms (log scale)", f"Labels of the {images} (%)")
    if atoms.empty:
        return _note(figure, "No number of atoms was measured yet")
    budget = budget or max(atoms["budget"], key=budget_order)
    by_k = Summary(atoms.assign(method=atoms["atoms"].astype(str)))
    keys = sorted({int(k) for k in by_k.methods(budget)})
    x, whole = np.array(keys, np.float64), Summary(frame)
    for i, (metric, title) in enumerate(ATOM_METRICS):
        measured = {
            kind: [by_k.values(str(k), budget, f"{metric}{kind}{suffix}") for k in keys]
            for kind in ("_strict", "")
        }
        flat = [[whole.values(m, budget, f"{metric}{suffix}")] * len(keys) for m in REFERENCES]
        full = measured[""] if any(len(cell) for cell in measured[""]) else flat[0]
        lines = (("strict", "solid"), ("full", "dash"), ("Baseline 1", "dot"))
        for (name, dash), cells in zip(lines, (measured["_strict"], full, flat[1]), strict=True):
            line = {"color": CATEGORICAL[i], "dash": dash}
            _add(figure, x, cells, name=f"{title}, {name}", line=line)
    return _ticks(figure, x, [f"{k:,}" for k in keys])


def _largest(frame: pd.DataFrame, method: str) -> str:
    budgets = frame.loc[(frame["method"] == method).to_numpy(bool), "budget"]
    return max(budgets, key=budget_order, default=NO_BUDGET)


def _positions(budgets: list[str], n_clean: int | None) -> np.ndarray:
    """Where budgets stand on the axis; ``all`` never left of a number."""
    largest = max((int(b) for b in budgets if b != "all"), default=1)
    last = 2 * largest if n_clean is None else max(n_clean, largest)
    return np.array([last if b == "all" else int(b) for b in budgets], np.float64)


def _add(figure: go.Figure, x: np.ndarray, cells: list[pd.Series], **how: object) -> None:
    """A trace of the cells' means with bars over their range; none where all are empty."""
    if not any(len(cell) for cell in cells):
        return
    y, low, high = (
        np.array([getattr(cell, of)() for cell in cells], np.float64)
        for of in ("mean", "min", "max")
    )
    bars = {"array": np.nan_to_num(high - y), "arrayminus": np.nan_to_num(y - low)}
    error = {"type": "data", "symmetric": False, "thickness": 1, "width": 3, **bars}
    figure.add_trace(
        go.Scatter(**{"x": x, "y": y, "mode": "lines+markers", "error_y": error, **how})
    )


def _ticks(figure: go.Figure, at: np.ndarray, words: list[str]) -> go.Figure:
    return figure.update_xaxes(type="log", tickvals=at, ticktext=np.array(words, object))


def _layout(figure: go.Figure, x_title: str, y_title: str, *, legend: bool = True) -> go.Figure:
    figure.update_layout(
        height=HEIGHT_PX, template="plotly_white", showlegend=legend, font={"size": 13},
        colorway=list(CATEGORICAL), margin={"l": 8, "r": 8, "t": 36, "b": 8},
    )  # fmt: skip
    figure.update_xaxes(title={"text": x_title}, automargin=True)
    return figure.update_yaxes(title={"text": y_title}, automargin=True)


def _note(figure: go.Figure, text: str) -> go.Figure:
    return figure.add_annotation(
        text=text, showarrow=False, xref="paper", yref="paper", x=0.5, y=0.5,
        font={"size": 14, "color": NEUTRAL},
    )  # fmt: skip


def _plain(text: str) -> str:
    """Text that Plotly shows as it is: it reads a few HTML tags."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
