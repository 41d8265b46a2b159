"""One look for all figures.

Text, axes and the background are left to Streamlit, which knows whether the page is light or
dark. The colours of marks are the same in both: each has a contrast of at least 3:1 on white
and on the dark background (WCAG 2.2, 1.4.11), and neighbours in ``CATEGORICAL`` stay apart for
readers with a red-green weakness (tested in ``tests/dashboard/test_theme.py``). A reader who
cannot use colour finds the same in the hover text, the legend's order and the tables.
"""

from __future__ import annotations

import plotly.graph_objects as go

BACKGROUND = {"light": "#ffffff", "dark": "#0f1319"}  # as in .streamlit/config.toml

CATEGORICAL = (
    "#1f77c9",  # blue
    "#d1690b",  # orange
    "#0f9676",  # green
    "#4747f5",  # indigo
    "#5e6731",  # dark olive
    "#cf4a4a",  # red
    "#3b97c6",  # sky
)
NEUTRAL = "#808692"
NEUTRAL_FAINT = "rgba(128,134,146,0.35)"

GIVEN = NEUTRAL  # the labels as the shop gave them
CORRECTED = CATEGORICAL[0]
TO_1 = CATEGORICAL[0]  # a label added
TO_0 = CATEGORICAL[1]  # a label taken away
BASIS = "#d0359b"  # magenta, as in the paper's figure 3, and no colour of a category
RIGHT = CATEGORICAL[2]
WRONG = CATEGORICAL[5]
METHOD = {"baseline_0": NEUTRAL, "baseline_1": CATEGORICAL[1], "self_ml": CATEGORICAL[0]}
METHOD_NAME = {"baseline_0": "Baseline 0", "baseline_1": "Baseline 1", "self_ml": "SELF-ML"}

# Readable in order on white and on dark, also without colour; low is never the background.
SEQUENTIAL = [[0.0, "#5a6fb5"], [0.35, "#3f9aa0"], [0.7, "#a79a2f"], [1.0, "#e0731d"]]
DIVERGING = [[0.0, TO_0], [0.5, "#a3a7ae"], [1.0, TO_1]]

HEIGHT_PX = 380


def layout(
    figure: go.Figure,
    title: str | None = None,
    *,
    x_title: str | None = None,
    y_title: str | None = None,
    height_px: int = HEIGHT_PX,
    legend: bool = True,
) -> go.Figure:
    """Give a figure the common look; returns it.

    Parameters
    ----------
    title : str, optional
        In words; most views put the title in a heading instead.
    x_title, y_title : str, optional
        What the axis shows, with its unit.
    legend : bool
        Whether to show the legend, in a row above the plot.
    """
    figure.update_layout(
        height=height_px,
        margin={"l": 8, "r": 8, "t": 64 if title else 36, "b": 8},
        showlegend=legend,
        legend={
            "orientation": "h", "yanchor": "bottom", "y": 1.0, "x": 0, "title": None,
            "font": {"size": 13}, "itemsizing": "constant",
        },
        font={"size": 13},
        hoverlabel={"font": {"size": 13}, "align": "left"},
        uirevision="fixed",
        colorway=list(CATEGORICAL),
        bargap=0.25,
    )  # fmt: skip
    if title:
        figure.update_layout(title={"text": title, "x": 0, "xanchor": "left", "font": {"size": 15}})
    if x_title is not None:
        figure.update_xaxes(title={"text": x_title, "font": {"size": 13}}, automargin=True)
    if y_title is not None:
        figure.update_yaxes(title={"text": y_title, "font": {"size": 13}}, automargin=True)
    return figure


def note(figure: go.Figure, text: str) -> go.Figure:
    """Write ``text`` into the middle of a figure without data; returns the figure."""
    figure.add_annotation(
        text=text, showarrow=False, xref="paper", yref="paper", x=0.5, y=0.5,
        font={"size": 14, "color": NEUTRAL},
    )  # fmt: skip
    return figure


def faint(color: str, opacity: float = 0.35) -> str:
    """A colour that lets what is drawn over it be seen, such as the line of an interval."""
    red, green, blue = (int(color[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity:g})"


def plain(text: str) -> str:
    """Text that Plotly shows as it is: its labels read a few HTML tags."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def shorten(text: str, n_characters: int = 28) -> str:
    """``text`` cut to a length for axis labels, safe for Plotly; hover text has all of it."""
    cut = text if len(text) <= n_characters else text[: n_characters - 1].rstrip() + "…"
    return plain(cut)
