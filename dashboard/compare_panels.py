"""A second run beside the first: which one, on what images, and attribute by attribute."""

from __future__ import annotations

from html import escape

import numpy as np
import streamlit as st

from dashboard import components, load, media, receipt_html, state
from dashboard.figures import compare as figures
from dashboard.figures import theme
from dashboard.frames import compare as frames
from selfml.run import Run, RunError

MEASURES = {"": "AP gain", "ap": "Average precision", "precision": "Right flips"}
TITLES = {
    "gain": "AP gained over {baseline} (points)",
    "ap": "Average precision (%)",
    "precision": "Flips that are right (%)",
}
BASELINES = {name: theme.METHOD_NAME[name] for name in state.CHOICES["baseline"]}
COUNTED = {"gain": "positives", "ap": "positives", "precision": "judged flips"}


def show(run: Run) -> None:
    """Choose a second run and show both, or say what is missing."""
    name = media.run_name(run)
    others = [one.name for one in load.runs() if not one.problem and one.name != name]
    if not others:
        components.empty_state(
            "There is only one run",
            "Train a second one into the same folder, `selfml train DATA --out runs/NAME`, with "
            "another recipe or seed; then choose it here.",
        )
        return
    other = _choose(name, others)
    if other is None:
        return
    missing = [need for need in frames.NEEDS if not other.has(need)]
    if missing:
        components.empty_state(
            "The other run cannot be compared yet",
            f"It lacks {', '.join(missing)}: wait until its training has ended, or go on with "
            "`selfml train` and `--resume`.",
        )
        return
    _show_both(run, other)


def _choose(name: str, others: list[str]) -> Run | None:
    """The second run of the address; says so where there is none or it cannot be opened."""
    with st.container(horizontal=True):
        st.selectbox(
            "Compare with", ["", *others], format_func=lambda n: n or "Choose a run", width=260,
            **state.bind("other", ["", *others]),
        )  # fmt: skip
        components.pick("measure", "Measure", MEASURES)
    wanted = state.read().other
    if not wanted or wanted == name:
        components.empty_state(
            "Choose a run to compare with" if not wanted else "That is the same run",
            "Both are measured on their verified test images, on the attributes that both have.",
        )
        return None
    try:
        return load.open_run(wanted)
    except RunError as error:
        st.error(str(error), icon=":material/error:")
        return None


def _show_both(run: Run, other: Run) -> None:
    chosen = state.read().measure
    measure = chosen if chosen in frames.MEASURES else frames.MEASURES[0]
    baseline = state.read().baseline
    if measure == "gain":
        baseline = components.pick("baseline", "Gain over", BASELINES)
    title = TITLES[measure].format(baseline=BASELINES[baseline])
    with st.spinner("Comparing the two runs"):
        found = load.frame_of_two(run, other, frames.compare, measure, baseline)
    if found.frame.empty:
        components.empty_state(
            "The runs have no attribute in common",
            "Attributes are matched by name; compare runs of the same catalogue.",
        )
        return
    if found.frame["difference"].isna().all():
        components.empty_state(
            "Nothing can be measured in both runs",
            "Both need verified test images (clean.csv) that have an attribute in common"
            + (" and flips among them." if measure == "precision" else "."),
        )
        return
    _say_which_images(found)
    names = media.run_name(run), media.run_name(other)
    _means(found, *names)
    left, right = st.columns(2)
    with left:
        figure = figures.values(found.frame, *names, title)
        alt = f"{title} of both runs by attribute"
        components.show_figure(figure, f"compare-{measure}", alt=alt)
    with right:
        figure = figures.difference(found.frame, *names)
        alt = f"{title}: difference of the runs by attribute, with intervals"
        components.show_figure(figure, f"compare-{measure}-difference", alt=alt)
    st.html(receipt_html.CSS + _table(found, names, COUNTED[measure]))
    named = found.frame.assign(run=names[0], other_run=names[1])
    components.download_csv(named, f"compare-{measure}")


def _say_which_images(found: frames.Comparison) -> None:
    images = found.images
    how = f"95 % intervals over {found.n_resamples:,} resamples of the images"
    if images.paired:
        st.caption(
            f"Both runs have the same {images.n:,} verified test images and {images.n_attributes} "
            f"attributes in common. {how}, the same ones for both runs: one that crosses zero is "
            "no proven difference. Open marks: fewer than 10 to measure on."
        )
        return
    if images.same_images:
        why = "The test images have the same names, but other verified labels"
    else:
        why = (
            f"The runs were tested on different images: {images.n:,} and {images.n_other:,}, "
            f"{images.n_shared:,} of them in both"
        )
    st.warning(
        f"{why}. The comparison is of different images, so a difference may come from them and "
        f"not from the runs. {how}, drawn for each run on its own.",
        icon=":material/difference:",
    )


def _means(found: frames.Comparison, name: str, other: str) -> None:
    mean = found.mean
    items = [(name, _number(mean["value"], ".1f"), "Mean over the attributes below"),
             (other, _number(mean["value_other"], ".1f"), "Mean over the attributes below"),
             ("Difference", _number(mean["difference"], "+.1f"),
              f"{name} less {other}, in points; 95 %: {_number(mean['low'], '+.1f')} to "
              f"{_number(mean['high'], '+.1f')}")]  # fmt: skip
    components.metric_row(items)
    if np.isfinite(mean["low"]):
        st.caption(
            f"Mean difference {mean['difference'] + 0.0:+.1f} points "
            f"(95 %: {mean['low']:+.1f} to {mean['high']:+.1f})"
        )


def _number(value: float, form: str) -> str:
    return f"{round(float(value), 1) + 0.0:{form}}" if np.isfinite(value) else "–"


def _table(found: frames.Comparison, names: tuple[str, str], counted: str) -> str:
    header = ("Attribute", *names, "Difference", "95 % interval", f"Number of {counted}")
    top = "".join(f'<th scope="col">{escape(name)}</th>' for name in header)
    body = "".join(_row(row) for row in found.frame.itertuples())
    return (
        '<div class="rc-scroll" tabindex="0" role="region" aria-label="Both runs by attribute">'
        f'<table class="rc-sum" data-testid="compare"><thead><tr>{top}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _row(row: object) -> str:
    interval = f"{row.low:+.1f} to {row.high:+.1f}" if np.isfinite(row.low) else "–"
    support = f"{row.support:,}"
    if row.support != row.support_other:
        support += f" / {row.support_other:,}"
    cells = (
        _number(row.value, ".1f"), _number(row.value_other, ".1f"),
        _number(row.difference, "+.1f"), interval, support + (" (few)" if row.few else ""),
    )  # fmt: skip
    return f"<tr><td>{escape(row.attribute)}</td>{''.join(f'<td>{c}</td>' for c in cells)}</tr>"
