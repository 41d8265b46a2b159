"""One attribute alone, and the table of all that leads to each of them."""

from __future__ import annotations

from html import escape

import numpy as np
import pandas as pd
import streamlit as st

from dashboard import blinding, components, flip_cards, load, receipt_html, state
from dashboard.figures import theme
from dashboard.frames import attribute_categories as categories
from dashboard.frames import attributes as frames
from dashboard.frames import flips as flip_frames
from dashboard.frames.basis import NO_CATEGORY
from selfml.run import Run

N_EXAMPLES = 12
RIGHT = ("Right", "95 % of Right", "Judged")
SHOWN = ("to_1", "to_0", "prevalence_given", "prevalence_corrected", "prevalence_verified")


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.1f} %" if np.isfinite(fraction) else "not known"


def _range(low: float, high: float) -> str:
    """A share's interval in whole percent."""
    return f"{100 * low:.0f} to {100 * high:.0f} %" if np.isfinite([low, high]).all() else "–"


def _of_attribute(frame: pd.DataFrame, attribute_index: int) -> pd.DataFrame:
    return frame[frame["attribute_index"] == attribute_index]


def show_one(run: Run, attribute_index: int) -> None:
    """Figures of one attribute, its flips by category, and the surest of them."""
    row = _of_attribute(load.frame(run, frames.label_counts), attribute_index).iloc[0]
    measured = blinding.of_measures(load.frame(run, frames.correctness))
    right = _of_attribute(measured, attribute_index).iloc[0]
    gain = _of_attribute(load.frame(run, frames.gains, state.read().baseline), attribute_index)
    components.metric_row(_figures(row, right, gain))
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


def _figures(row: pd.Series, right: pd.Series, gain: pd.DataFrame) -> list[tuple[str, ...]]:
    ranges = {
        name: f"95 %: {_range(right[f'{name}_low'], right[f'{name}_high'])}"
        for name in ("precision", "recall")
    }
    items = [
        ("Added", f"{row['to_1']:,}", "Labels flipped to 1"),
        ("Taken off", f"{row['to_0']:,}", "Labels flipped to 0"),
        ("Flips that are right", _percent(right["precision"]),
         f"{right['right']:,} of {right['judged']:,} whose verified label is known and was not "
         f"trained on; {ranges['precision']}"),
        ("Errors found", _percent(right["recall"]),
         f"{right['right']:,} of {right['errors']:,} labels known to be wrong, and not trained "
         f"on; {ranges['recall']}"),
        ("Listed as given", _percent(row["prevalence_given"]), "Share of the known labels"),
        ("Corrected", _percent(row["prevalence_corrected"]), "Share of the known labels"),
    ]  # fmt: skip
    if len(gain) and np.isfinite(gain["gain"].iloc[0]):
        one = gain.iloc[0]
        over = theme.METHOD_NAME[state.read().baseline]
        few = ": too few to say much" if one["few"] else ""
        text = f"Over {over}; {one['support']:,} verified test images have it{few}"
        if np.isfinite(one["low"]):
            text += f"; 95 %: {one['low']:+.1f} to {one['high']:+.1f}"
        items.insert(0, ("AP gain (points)", _signed(one["gain"]), text))
    return items


def _signed(points: float) -> str:
    return f"{round(float(points), 1) + 0.0:+.1f}" if np.isfinite(points) else "–"


def _examples(run: Run, attribute_index: int) -> None:
    st.header("The surest changes", anchor=False)
    query = flip_frames.FlipQuery(attribute=attribute_index)
    page = load.frame(run, flip_frames.flips_page, query, 1, N_EXAMPLES)
    st.html(flip_cards.CSS)
    flip_cards.grid(run, blinding.of_table(page), {"attribute": attribute_index})


def _by_category(run: Run, attribute_index: int) -> None:
    st.header("By category", anchor=False)
    by_category = load.frame(run, categories.flips_by_category)
    own = blinding.of_measures(categories.cells(_of_attribute(by_category, attribute_index)))
    counts = _of_attribute(by_category, attribute_index).set_index("category")
    rows = "".join(
        f"<tr><td>{_category(row.category, attribute_index)}</td>"
        f"<td>{counts.loc[row.category, 'to_1']:,}</td>"
        f"<td>{counts.loc[row.category, 'to_0']:,}</td><td>{row.rate:.1f}</td>{_right(row)}</tr>"
        for row in own.itertuples()
    )
    header = ("Category", "Added", "Taken off", "Flips per 100 images", *RIGHT)
    st.html(_table(header, rows, "Flips by category"))
    components.download_csv(own, "flips-by-category")


def _right(row: object) -> str:
    """Cells of ``RIGHT``: share, interval and count of the flips that are right."""
    if not row.judged:
        return "<td>–</td><td>–</td><td>0</td>"
    few = " (few)" if row.few else ""
    return (
        f"<td>{_percent(row.precision)}</td><td>{_range(row.precision_low, row.precision_high)}"
        f"</td><td>{row.judged:,}{few}</td>"
    )


def _category(category: str, attribute_index: int) -> str:
    if category == NO_CATEGORY:
        return escape(category)
    href = state.link("flips", attribute=attribute_index, category=category)
    return f'<a href="{escape(href)}" target="_self">{escape(category)}</a>'


def _table(header: tuple[str, ...], rows: str, name: str) -> str:
    top = "".join(f'<th scope="col">{escape(text)}</th>' for text in header)
    return (
        f'<div class="rc-scroll" tabindex="0" role="region" aria-label="{escape(name)}">'
        '<table class="rc-sum" data-testid="attributes">'
        f"<thead><tr>{top}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def show_all(run: Run) -> None:
    """Every attribute in figures; its name opens it alone, its flips open the list."""
    st.header("All attributes", anchor=False)
    baseline = state.read().baseline
    gain = ["attribute_index", "gain", "low", "high", "support", "few"]
    gains = load.frame(run, frames.gains, baseline)[gain].rename(columns={"few": "few_support"})
    right = blinding.of_measures(load.frame(run, frames.correctness)).drop(columns="attribute")
    counts = load.frame(run, frames.label_counts)[["attribute_index", "attribute", *SHOWN]]
    both = counts.merge(gains, on="attribute_index", how="left")
    both = both.merge(right, on="attribute_index", how="left")
    both = both.assign(n=both["to_1"] + both["to_0"]).sort_values("n", ascending=False)
    over = f"AP gain over {theme.METHOD_NAME[baseline]}"
    header = ("Attribute", over, "95 % interval", "Test images", "Flips", *RIGHT, "Found", "Given")
    rows = "".join(_row(row) for row in both.itertuples())
    st.html(receipt_html.CSS + _table(header, rows, "All attributes"))
    st.caption(
        "Test images: verified ones that have the attribute. Right and Found: flips that agree "
        "with a verified label that was not trained on, and wrong labels that were found. "
        f"(few): fewer than {frames.MIN_SUPPORT}."
    )
    components.download_csv(both, "attributes")


def _row(row: object) -> str:
    own = escape(state.link("attributes", attribute=row.attribute_index))
    flips = escape(state.link("flips", attribute=row.attribute_index))
    interval = f"{row.low:+.1f} to {row.high:+.1f}" if np.isfinite(row.low) else "–"
    support = "–" if not np.isfinite(row.support) else f"{row.support:,.0f}"
    few = " (few)" if row.few_support is True or row.few_support == 1 else ""
    found = _percent(row.recall) if np.isfinite(row.recall) else "–"
    given = _percent(row.prevalence_given) if np.isfinite(row.prevalence_given) else "–"
    return (
        f'<tr><td><a href="{own}" target="_self">{escape(row.attribute)}</a></td>'
        f"<td>{_signed(row.gain)}</td><td>{interval}</td><td>{support}{few}</td>"
        f'<td><a href="{flips}" target="_self">{row.n:,}</a></td>'
        f"{_right(row)}<td>{found}</td><td>{given}</td></tr>"
    )
