"""Whether the explanations are the reasons: the faithfulness part of the basis view."""

from __future__ import annotations

from html import escape

import pandas as pd
import streamlit as st

from dashboard import components, load, state
from dashboard.figures import faithfulness as figures
from dashboard.frames import faithfulness as frames
from selfml.faithfulness import ALL, MEASURES
from selfml.flips import deciding_mode
from selfml.run import Run

EVIDENCE = {
    "full": "All evidence",
    "strict": "Strict evidence, no classifier",
}
SECTIONS = (
    (
        "Images taken out", "deletion_reverted", "Flips that revert (%)",
        "Images taken out of the explanation",
        "Images are taken out of the explanation and the others share their weight; without any, "
        "the attribute's prior speaks. A faithful explanation falls early with its top images and "
        "late with random ones.",
    ),
    (
        "Images kept alone", "sufficiency_stands", "Flips that stand (%)",
        "Images kept of the explanation",
        "Only some images are kept. The top ones are chosen for what they say, so that they make "
        "the flip nearly by construction; the largest coefficients are the fair test, random "
        "images what to compare with.",
    ),
)  # fmt: skip
LINES = (
    "Top: what contributes most toward the label. Largest: the largest coefficients, whatever "
    "their label. Random: any images of the explanation, mean of five draws. Nearest: top images "
    "if the explanation were as many of the nearest basis images in feature space, with the same "
    "weights or equal ones; only flips that would stand on them are counted. Closest: the closest "
    "of these, whatever their label."
)


def show(run: Run) -> None:
    """Sentences to cite, curves, agreement, stability, and the table."""
    rows = frames.table(run) if not run.has("faithfulness") else load.frame(run, frames.table)
    if rows.empty:
        components.empty_state(
            "Faithfulness was not measured in this run",
            "`selfml evaluate RUN`, RUN being this run's folder, measures it from the run's files "
            "in seconds. Only stability needs the model: train again to have it, too.",
        )
        return
    mode = load.frame(run, deciding_mode)
    st.markdown(f"**{frames.verdict(rows, mode)}**")
    for kind in EVIDENCE:
        st.markdown(frames.deletion_sentence(rows, kind, mode))
    st.markdown(frames.nearest_sentence(rows, mode))
    _in_short(rows, mode)
    st.page_link(
        "views/flips.py",
        label="See the flips that stand without basis images",
        icon=":material/link_off:",
        query_params=state.query_for(agreement="bare"),
    )
    for title, measure, y_title, x_title, about in SECTIONS:
        st.subheader(title, anchor=False)
        st.caption(about)
        columns = st.columns(2, gap="large")
        for column, (kind, name) in zip(columns, EVIDENCE.items(), strict=True):
            with column:
                st.markdown(f"**{name}**")
                figure = figures.curves(
                    frames.curves(rows, measure, kind), x_title=x_title, y_title=y_title
                )
                alt = f"{y_title} by number of images, {name}: top, largest, random, nearest"
                components.show_figure(figure, f"faithfulness-{measure}-{kind}", alt=alt)
    st.caption(LINES)
    _stability(rows)
    _agreement(run)
    with st.expander("All figures as a table"):
        _table(run)


def _in_short(rows: pd.DataFrame, mode: str) -> None:
    """The figures to remember, by the evidence that decides."""

    def of(measure: str, kind: str, explanation: str, k: int = 0) -> str:
        found = frames.value(rows, measure, kind, explanation, k)
        return "–" if pd.isna(found) else f"{found:.1f} %"

    own, by = "coefficients", EVIDENCE[mode].split(",")[0]
    other = {"full": "strict evidence, without a classifier,", "strict": "all evidence"}[mode]
    components.metric_row(
        [
            ("Top image out", of("deletion_reverted", mode, own, 1),
             f"{by}: flips that revert without the image that contributes most"),
            ("Random one out", of("deletion_reverted", mode, "random", 1),
             f"{by}: flips that revert without a random image of the same explanation"),
            ("Stand on nearest", of("sufficiency_stands", mode, "nearest_weighted", ALL),
             "Flips that the nearest basis images, weighted the same, would make"),
            ("Both agree", of("agreement", mode, own),
             f"Flips that {other} makes too; the others are marked wherever a flip is shown"),
            ("Stay if changed", of("stability_flips", mode, "changed"),
             "Flips that stay once the image is mirrored, rotated and shifted a little"),
        ]
    )  # fmt: skip


def _stability(rows: pd.DataFrame) -> None:
    st.subheader("Slightly changed images", anchor=False)
    found = frames.stability(rows)
    if found.empty:
        st.caption(
            "Not measured in this run: it needs the model, so it is measured at the end of "
            "training. Train again with `selfml train` to have it."
        )
        return
    images = frames.count(rows, "stability_jaccard", "")
    st.caption(
        f"{images:,} images with flips were mirrored, rotated and shifted at random, as in "
        "training, and explained again."
    )
    body = ""
    for row in found.itertuples():
        unit, definition = MEASURES[row.measure]
        name = frames.STABILITY[row.measure]
        name = f"{name}, {EVIDENCE[row.evidence].lower()}" if row.evidence else name
        shown = f"{row.value:.1f} %" if unit else f"{row.value:.2f}"
        body += (
            '<tr><th scope="row" style="white-space:normal;min-width:150px">'
            f"{escape(name)}"
            f'<div style="font-weight:400;opacity:.75">{escape(definition)}</div></th>'
            f"<td>{shown}</td><td>{row.n:,}</td></tr>"
        )
    head = "".join(f'<th scope="col">{name}</th>' for name in ("", "Value", "Counted"))
    st.html(
        '<div class="sm-table" tabindex="0" style="max-width:720px">'
        f'<table data-testid="stability"><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _agreement(run: Run) -> None:
    st.subheader("Where both kinds of evidence agree", anchor=False)
    st.caption(
        "By attribute, the flips that strict evidence makes too: the basis images with the shop's "
        "label and category, without a classifier. "
        "Elsewhere the images shown are not the reason alone, and each such flip says so first."
    )
    frame = load.frame(run, frames.agreement)
    alt = "Share of flips that strict evidence makes too, by attribute"
    components.show_figure(figures.agreement(frame), "faithfulness-agreement", alt=alt)


def _table(run: Run) -> None:
    frame = load.frame(run, frames.export_frame)
    config = {
        "value": st.column_config.NumberColumn("value", format="%.2f"),
        "definition": st.column_config.TextColumn("definition", width="large"),
    }
    st.dataframe(frame, hide_index=True, column_config=config, key="faithfulness_table")
    components.download_csv(frame, "faithfulness")
