"""How well the basis covers the images: what it explains and what it leaves out."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from dashboard import components, label_next_panel, load, state
from dashboard.figures import basis as basis_figures
from dashboard.figures import coverage as figures
from dashboard.frames import basis as basis_frames
from dashboard.frames import coverage as frames
from selfml.run import Run

PAGE_SIZE = 24
GROUPS_SHOWN = 20
BY = {"category": "By category", "attribute": "By attribute", "split": "By part"}
COLUMN = {"category": "Category", "attribute": "Attribute", "split": "Part"}


def show(run: Run) -> None:
    """The whole part: in figures, what is explained, who is left out, and what to verify next."""
    totals = load.frame(run, frames.summary)
    _in_short(run, totals)
    left, right = st.columns(2, gap="large")
    with left:
        _variance(run)
    with right:
        _distances(run, totals)
    _groups(run, totals)
    _uncovered(run, totals)
    label_next_panel.show(run)


def _in_short(run: Run, totals: dict[str, float]) -> None:
    items = [("Images", f"{totals['n']:,}", "Images that are no basis images")]
    if np.isfinite(totals["cut"]) and totals["n"]:
        items += [
            ("Not covered", f"{totals['uncovered']:,}",
             "Farther from the hull of the basis than 95 % of the verified test images"),
            ("Share", f"{100 * totals['share']:.1f} %",
             f"{100 * totals['expected']:.0f} % would be expected if the catalogue were like the "
             "verified test images"),
        ]  # fmt: skip
    metrics = load.frame(run, basis_frames.explained)
    items += [
        (label, f"{metrics[name]:.1f} %", text)
        for name, label, text in (
            ("r2", "Explained", "Variance of the features, with the coefficients as learned"),
            ("r2_hull", "At best", "Variance explained by the best mixture of the basis images"),
        )
        if name in metrics
    ]
    components.metric_row(items)
    st.caption(
        "**Covered** means that verified images can be mixed into something like it. The mixtures "
        "of the basis images form a hull in feature space; an image's distance to the hull is what "
        "the best mixture misses (exact projection). **Not covered** is an image farther away "
        "than 95 % of the verified test images, on which this run's accuracy was measured. The "
        "line needs no labels, and is drawn by other images than those it judges."
    )


def _variance(run: Run) -> None:
    st.subheader("How much the basis explains", anchor=False)
    if run.has("coverage"):
        stamp = run.table_path("coverage").stat().st_mtime_ns
        curves = load.frame(run, frames.curves, stamp)
        alt = "Explained variance of the features by number of basis images, and its bound"
        components.show_figure(figures.variance(curves), "coverage-variance", alt=alt)
        n = int(curves["n_images"].max()) if len(curves) else 0
        st.caption(
            f"Measured on {n:,} noisy images. *As learned*: the coefficients that also have to "
            "explain the labels. *Best mixture*: the same images, mixed for the features alone; "
            "the gap between the two is what explaining labels costs. *Farthest-first*: images "
            "chosen for coverage alone, from images without verified labels. No choice of as "
            "many images can pass the bound."
        )
        components.download_csv(curves, "explained-variance")
        return
    metrics = load.frame(run, basis_frames.explained)
    names = {
        "r2": "As learned",
        "r2_hull": "Best mixture",
        "r2_pca": "Bound: principal components",
    }
    values = pd.DataFrame(
        [(names[k], metrics[k]) for k in names if k in metrics], columns=["name", "value"]
    )
    alt = "Explained variance of the features by the basis and its bounds"
    components.show_figure(basis_figures.explained_variance(values), "basis-r2", alt=alt)
    st.caption(
        "This run has no curve by number of basis images, and no comparison with farthest-first. "
        f"Measure them with `selfml evaluate {run.path}`."
    )


def _distances(run: Run, totals: dict[str, float]) -> None:
    st.subheader("How far images are from the basis", anchor=False)
    bins = load.frame(run, frames.distance_bins)
    alt = "Number of images by distance to the convex hull of the basis, and the uncovered ones"
    components.show_figure(figures.distances(bins, totals["cut"]), "coverage-distances", alt=alt)
    if not np.isfinite(totals["cut"]):
        st.caption(
            f"This run has {totals['n_reference']} verified test images; 19 are needed to draw "
            "the line between covered and not covered, so no image is called uncovered."
        )
        return
    st.caption(
        f"Dashed: the line, {totals['cut']:.3g} feature units, from {totals['n_reference']:,} "
        "verified test images. Grey: those test images, scaled to the same total. Where the "
        "bars lie to the right of the grey line, the catalogue is less like the basis than the "
        "images that were tested. Images that trained the features can lie farther out for that "
        "reason alone."
    )
    components.download_csv(bins, "hull-distances")


def _groups(run: Run, totals: dict[str, float]) -> None:
    st.subheader("Where it covers least", anchor=False)
    options = list(BY)
    st.segmented_control(
        "Group", options, format_func=BY.get, required=True, label_visibility="collapsed",
        **state.bind("by", options),
    )  # fmt: skip
    by = state.read().by
    groups = load.frame(run, frames.groups, by)
    if groups.empty or not np.isfinite(totals["cut"]):
        components.empty_state("No groups to compare", "Without a line no image is uncovered.")
        return
    left, right = st.columns(2, gap="large")
    with left:
        worst = groups.head(GROUPS_SHOWN)
        alt = "Share of uncovered images by group, with 95 % intervals"
        components.show_figure(figures.shares(worst, totals["expected"]), f"by-{by}", alt=alt)
        more = f" The {len(worst)} least covered of {len(groups)}." if len(groups) > 20 else ""
        st.caption(
            f"With 95 % intervals. Dashed: {100 * totals['expected']:.0f} %, the share among "
            f"images like the verified test images.{more}"
        )
    with right:
        _group_table(groups, by)
    components.download_csv(groups.drop(columns="key"), f"coverage-by-{by}")


def _group_table(groups: pd.DataFrame, by: str) -> None:
    table = pd.DataFrame(
        {
            "name": groups["name"],
            "share": 100 * groups["share"],
            "uncovered": groups["uncovered"],
            "n": groups["n"],
            "median": groups["median"],
        }
    )
    column = st.column_config
    config = {
        "name": column.TextColumn(COLUMN[by]),
        "n": column.NumberColumn("Images", format="localized", width=70),
        "uncovered": column.NumberColumn("Not covered", format="localized", width=90),
        "share": column.NumberColumn("Share (%)", format="%.1f", width=72),
        "median": column.NumberColumn(
            "Median",
            format="%.3g",
            width=62,
            help="Distance to the hull of the basis, in feature units",
        ),
    }
    height_px = min(36 * (len(table) + 1) + 2, 560)
    st.dataframe(table, hide_index=True, column_config=config, height=height_px, key=f"table_{by}")


def _uncovered(run: Run, totals: dict[str, float]) -> None:
    st.subheader("Images that are not covered", anchor=False)
    if not np.isfinite(totals["cut"]):
        components.empty_state(
            "No image is called uncovered",
            "Verify more test images and train again; 19 are enough to draw the line.",
        )
        return
    category, attribute = _filter(run)
    rows = load.frame(run, frames.uncovered_images, category, attribute)
    st.caption(
        "Farthest first. Nothing verified looks like these, so what their receipts say deserves "
        "less trust. The number is the distance in multiples of the line. Click one to see its "
        "flips."
    )
    if rows.empty:
        components.empty_state("Every image like this is covered", "Choose another group.")
        return
    start, stop = components.pager(len(rows), PAGE_SIZE)
    page = rows.iloc[start:stop]
    captions = [
        f"{row.times_cut:.2f} × the line\n{row.category}"
        + ("" if row.n_flips else "\nno label changed")
        for row in page.itertuples()
    ]
    hrefs = [
        state.link("flips", image=int(i)) if n else None
        for i, n in zip(page["image_index"], page["n_flips"], strict=True)
    ]
    badges = [label_next_panel.count_of_flips(n) if n else None for n in page["n_flips"]]
    components.image_grid(run, page["image_index"], captions, hrefs, 112, badges)
    row = st.container(horizontal=True, vertical_alignment="center")
    with row:
        components.download_csv(rows, "uncovered-images")
    row.page_link(
        "views/map.py", label="See them in the map", icon=":material/scatter_plot:",
        query_params=state.query_for(coverage="uncovered", category=category or ""),
    )  # fmt: skip


def _filter(run: Run) -> tuple[str | None, int | None]:
    """The choice of a category and an attribute."""
    row = st.container(horizontal=True, vertical_alignment="bottom")
    names = sorted(load.frame(run, frames.groups, "category")["key"])
    options = ["", *names]
    row.selectbox(
        "Category", options, format_func=lambda c: c or "All", width=220,
        **state.bind("category", options),
    )  # fmt: skip
    attributes = list(range(len(run.attributes)))
    known = state.read().attribute in attributes
    row.selectbox(
        "Attribute, as corrected", attributes, index=None, width=270, placeholder="All",
        format_func=lambda j: run.attributes[j],
        **state.bind("attribute", attributes if known else None),
    )  # fmt: skip
    selection = state.read()
    category = selection.category if selection.category in names else None
    return category, selection.attribute if known else None
