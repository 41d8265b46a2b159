"""One attribute alone, and the table of all that leads to each of them."""

from __future__ import annotations

from html import escape

import numpy as np
import pandas as pd
import streamlit as st

from dashboard import components, flip_cards, load, receipt_html, state
from dashboard.frames import attributes as frames
from dashboard.frames import flips as flip_frames
from selfml.run import Run

N_EXAMPLES = 12


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.1f} %" if np.isfinite(fraction) else "not known"


def show_one(run: Run, attribute_index: int) -> None:
    """Figures of one attribute, its flips by category, and the surest of them."""
    counts = load.frame(run, frames.label_counts)
    row = counts[counts["attribute_index"] == attribute_index].iloc[0]
    gains = load.frame(run, frames.gains)
    gain = gains[gains["attribute_index"] == attribute_index]
    components.metric_row(_figures(row, gain))
    n_flips = int(row["to_1"] + row["to_0"])
    if not n_flips:
        components.empty_state(
            "This attribute was never changed",
            "The evidence agrees with every given label of it.",
        )
        return
    st.page_link(
        "views/flips.py",
        label=f"See all {n_flips:,} flips of this attribute",
        icon=":material/swap_horiz:",
        query_params=state.query_for(attribute=attribute_index),
    )
    _examples(run, attribute_index)
    _by_category(run, attribute_index)


def _figures(row: pd.Series, gain: pd.DataFrame) -> list[tuple[str, ...]]:
    items = [
        ("Added", f"{row['to_1']:,}", "Labels flipped to 1"),
        ("Taken off", f"{row['to_0']:,}", "Labels flipped to 0"),
        ("Flips that are right", _percent(row["precision"]),
         f"{row['right']:,} of {row['judged']:,} whose verified label is known"),
        ("Errors found", _percent(row["recall"]),
         f"{row['right']:,} of {row['errors']:,} labels known to be wrong"),
        ("Listed as given", _percent(row["prevalence_given"]), "Share of the known labels"),
        ("Corrected", _percent(row["prevalence_corrected"]), "Share of the known labels"),
    ]  # fmt: skip
    if len(gain):
        one = gain.iloc[0]
        interval = f"95 %: {one['low']:+.1f} to {one['high']:+.1f}; {one['support']:,} test images"
        items.insert(0, ("AP gain (points)", f"{one['gain']:+.1f}", interval))
    return items


def _examples(run: Run, attribute_index: int) -> None:
    st.subheader("The surest changes", anchor=False)
    query = flip_frames.FlipQuery(attribute=attribute_index)
    page = load.frame(run, flip_frames.flips_page, query, 1, N_EXAMPLES)
    st.html(flip_cards.CSS)
    flip_cards.grid(run, page, {"attribute": attribute_index})


def _by_category(run: Run, attribute_index: int) -> None:
    st.subheader("By category", anchor=False)
    by_category = load.frame(run, frames.flips_by_category)
    own = by_category[by_category["attribute_index"] == attribute_index]
    rows = "".join(
        f"<tr><td>{_category(row.category, attribute_index)}</td><td>{row.to_1:,}</td>"
        f"<td>{row.to_0:,}</td><td>{100 * (row.to_1 + row.to_0) / row.n_images:.1f}</td></tr>"
        for row in own.itertuples()
    )
    st.html(_table(("Category", "Added", "Taken off", "Flips per 100 images"), rows))
    components.download_csv(own, "flips-by-category")


def _category(category: str, attribute_index: int) -> str:
    if category == frames.NO_CATEGORY:
        return escape(category)
    href = state.link("flips", attribute=attribute_index, category=category)
    return f'<a href="{escape(href)}" target="_self">{escape(category)}</a>'


def _table(header: tuple[str, ...], rows: str) -> str:
    top = "".join(f'<th scope="col">{name}</th>' for name in header)
    return (
        '<div class="rc-scroll"><table class="rc-sum" data-testid="attributes">'
        f"<thead><tr>{top}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def show_all(run: Run) -> None:
    """Every attribute in figures; its name opens it alone, its flips open the list."""
    st.subheader("All attributes", anchor=False)
    counts = load.frame(run, frames.label_counts)
    gains = load.frame(run, frames.gains)[["attribute_index", "gain", "support"]]
    both = counts.merge(gains, on="attribute_index", how="left")
    both = both.assign(n=both["to_1"] + both["to_0"]).sort_values("n", ascending=False)
    rows = "".join(_row(row) for row in both.itertuples())
    header = ("Attribute", "AP gain", "Flips", "Right", "Found", "Given", "Corrected", "Verified")
    st.html(receipt_html.CSS + _table(header, rows))
    components.download_csv(both, "attributes")


def _row(row: object) -> str:
    own = escape(state.link("attributes", attribute=row.attribute_index))
    flips = escape(state.link("flips", attribute=row.attribute_index))
    shares = (
        row.precision, row.recall,
        row.prevalence_given, row.prevalence_corrected, row.prevalence_verified,
    )  # fmt: skip
    cells = "".join(f"<td>{_percent(v) if np.isfinite(v) else '–'}</td>" for v in shares)
    gain = f"{round(row.gain, 1) + 0.0:+.1f}" if np.isfinite(row.gain) else "–"
    return (
        f'<tr><td><a href="{own}" target="_self">{escape(row.attribute)}</a></td><td>{gain}</td>'
        f'<td><a href="{flips}" target="_self">{row.n:,}</a></td>{cells}</tr>'
    )
