"""Which images to have verified next, why each, and what choosing them so was worth."""

from __future__ import annotations

from html import escape
from typing import Any

import pandas as pd
import streamlit as st

from dashboard import components, load, media, state
from dashboard.frames import coverage as frames
from dashboard.receipt_html import spoken
from selfml.run import Run
from selfml.suggestions import METRIC, SUGGEST_BY, against_chance

SUGGESTED = 12
STRATEGY_WORDS = {
    "uncertain": "labels least certain first",
    "uncovered": "least covered first",
    "basis": "typical images first",
    "effect": "most wrong labels in reach first",
}
NEEDED = ("label_scores", "terms_classifier", "terms_residual", "labels_given")
CSS = """
<style>
.cv-list{display:grid;gap:14px 20px;grid-template-columns:repeat(auto-fill,minmax(280px,1fr))}
.cv-item{display:flex;gap:12px;align-items:flex-start;font-size:.88rem;line-height:1.4;margin:0}
.cv-item img{width:84px;aspect-ratio:1;object-fit:contain;border-radius:8px;flex:none;
 border:1px solid rgba(128,134,146,.4);background:#f4f1ec}
.cv-item b{font-weight:600}
.cv-item div{min-width:0;overflow-wrap:anywhere}
.cv-item a{color:inherit!important;text-decoration:underline;text-decoration-color:#1f77c9;
 text-decoration-thickness:2px;text-underline-offset:3px}
</style>
"""


def count_of_flips(n: int) -> str:
    """``1 flip``, ``2 flips``."""
    return f"{n} flip{'' if n == 1 else 's'}"


def show(run: Run) -> None:
    """The suggestions, why these, and what such a choice was worth."""
    st.subheader("Label these next", anchor=False)
    gains = against_chance(load.simulation())
    st.markdown(_why(gains))
    if not run.has(*NEEDED):
        components.empty_state(
            "Nothing to suggest from",
            "This run lacks the evidence of its labels; train it again to have it.",
        )
        return
    rows = load.frame(run, frames.label_next)
    if rows.empty:
        components.empty_state("Every image is verified", "There is nothing left to suggest.")
        return
    shown = rows.head(SUGGESTED)
    urls = media.image_urls(run, shown["image_index"].tolist())
    n_attributes = len(run.attributes)
    items = [
        _suggestion(r, url, n_attributes) for r, url in zip(shown.itertuples(), urls, strict=True)
    ]
    st.html(f'{CSS}<div class="cv-list">{"".join(items)}</div>')
    st.caption(
        f"The first {len(shown)} of {len(rows):,}; the CSV has all of them. "
        "Alike images can follow each other; the simulation chose so too."
    )
    components.download_csv(rows, "label-next")
    if len(gains):
        with st.expander("What each way of choosing was worth in the simulation"):
            _simulation(gains)


def _why(gains: pd.DataFrame) -> str:
    text = (
        "Unverified images whose labels the evidence leaves most open: the highest mean entropy "
        "over their attributes."
    )
    words = frames.benefit_words(gains, SUGGEST_BY)
    if not words:
        return f"{text} Its benefit was not measured: there is no benchmark beside this program."
    text += (
        " Of the ways simulated, this one did best. Against choosing at random it changed "
        f"{METRIC.partition(',')[0]} on test images by {words}."
    )
    least = gains[gains["strategy"] == "uncovered"]
    if len(least):
        first = least.iloc[0]
        text += (
            " Verifying the *least covered* images first did not win: "
            f"{first['gain']:+.1f} points at {first['budget']:,}. Being uncovered is a reason to "
            "look twice, not to label first."
        )
    return text + " Source: `selfml/benchmark/RESULTS.md`, *Which images to verify*."


def _suggestion(row: Any, url: str, n_attributes: int) -> str:
    facts = [f"{row.expected_wrong:.1f} of {n_attributes} labels expected to be wrong"]
    if row.uncovered:
        facts.append("not covered by the basis")
    link = ""
    if row.n_flips:
        href = escape(state.link("flips", image=int(row.image_index)))
        link = f'<br><a href="{href}" target="_self">{count_of_flips(row.n_flips)}</a>'
    name = f"Image {row.image_index}, {row.category}"
    return (
        f'<figure class="cv-item"><img src="{escape(url)}" alt="{spoken(name)}" loading="lazy" '
        f'decoding="async"><div><b>{row.rank}. {escape(str(row.category))}</b><br>'
        f"Least sure: {escape(row.doubts)}<br>{'; '.join(facts)}.{link}</div></figure>"
    )


def _simulation(gains: pd.DataFrame) -> None:
    table = gains.assign(strategy=[STRATEGY_WORDS.get(name, name) for name in gains["strategy"]])[
        ["budget", "strategy", "mean", "random", "gain", "spread"]
    ]
    column, points = st.column_config, "%.1f"
    config = {
        "budget": column.NumberColumn("Verified images", format="localized"),
        "strategy": column.TextColumn("Chosen by", width="medium"),
        "mean": column.NumberColumn("Flip F1 (%)", format=points),
        "random": column.NumberColumn("At random (%)", format=points),
        "gain": column.NumberColumn("Gain (points)", format="%+.1f"),
        "spread": column.NumberColumn(
            "Spread (points)", format=points,
            help="Standard deviation that a difference of two such runs has, from the seeds",
        ),
    }  # fmt: skip
    st.dataframe(table, hide_index=True, column_config=config, key="simulation")
    st.caption(
        "Images of one catalogue were verified step by step, each step chosen one way, and the "
        "corrected labels of other images measured. A gain smaller than its spread may be chance."
    )
    components.download_csv(table, "label-next-simulation")
