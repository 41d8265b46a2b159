"""Filters that the views of flips share; each is a field of the address."""

from __future__ import annotations

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from dashboard import load, state
from dashboard.frames import flips as frames
from dashboard.frames.flip_query import SORTS
from selfml.run import Run

DIRECTIONS = {"all": "Any change", "to_1": "Added", "to_0": "Taken off"}


def categories(run: Run) -> list[str]:
    """What a category may be; empty means all."""
    return ["", *load.frame(run, frames.categories)]


def usual(run: Run, box: DeltaGenerator, order: str, *, widths: bool = False) -> None:
    """Attribute, category, direction and order, drawn into ``box``.

    Parameters
    ----------
    order : str
        A key of ``frames.flip_query.SORTS``: the view's own.
    widths : bool
        As wide as a row of them has room for, else as wide as the box.
    """

    def width(px: int) -> dict[str, int]:
        return {"width": px} if widths else {}

    names = dict(enumerate(run.attributes))
    box.selectbox(
        "Attribute", [None, *names], format_func=lambda j: "All" if j is None else names[j],
        placeholder="All", **width(200), **state.bind("attribute", [None, *names]),
    )  # fmt: skip
    kinds = categories(run)
    box.selectbox(
        "Category", kinds, format_func=lambda c: c or "All", **width(130),
        **state.bind("category", kinds),
    )  # fmt: skip
    box.segmented_control(
        "Change", list(DIRECTIONS), format_func=DIRECTIONS.get, required=True,
        **state.bind("direction", DIRECTIONS),
    )  # fmt: skip
    orders = list(dict.fromkeys([order, *SORTS]))
    box.selectbox(
        "Order", orders, format_func=lambda s: SORTS[s][0], **width(178),
        **state.bind("sort", orders),
    )  # fmt: skip


def least_confidence() -> None:
    """How sure a flip must be at least."""
    st.slider(
        "Confidence at least", 0.0, 1.0, step=0.05, format="%.2f", **state.bind("min_confidence")
    )


def how_many(*names: str) -> str:
    """`` · n`` for a button's label: how many of these fields are set; empty for none."""
    now, default = state.read(), state.Selection()
    n = sum(getattr(now, name) != getattr(default, name) for name in names)
    return f" · {n}" if n else ""
