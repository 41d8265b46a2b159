"""The overview of a relabelled catalogue: by which run, how much of it, and how alike it is."""

from __future__ import annotations

from typing import Any

import numpy as np
import streamlit as st

from dashboard import components, load
from dashboard.figures import attributes as attribute_figures
from dashboard.figures import relabelled as figures
from dashboard.frames import relabelled as frames
from selfml.run import Run


def heading(run: Run) -> list[str]:
    """What the line under the title says of it, as Markdown."""
    of = frames.relabelled(run.info)
    source = components.plain(run.info["source_run"]["run_id"])
    parts = [f"relabelled by {source}, not trained on"]
    if of.n_images or of.n_unreadable:
        parts.append(f"{of.n_images:,} images")
    if of.n_unreadable:
        parts.append(f"{of.n_unreadable:,} more could not be read")
    return parts


def key_figures(run: Run) -> list[tuple[Any, ...]]:
    """Figures that stand before those of the flips; none of a run that was trained."""
    if not frames.is_relabelled(run.info):
        return []
    of = frames.relabelled(run.info)
    items: list[tuple[Any, ...]] = [
        ("Images", f"{of.n_images:,}", "Of the catalogue; the basis images, which are of the run "
         "that relabelled it, are not counted."),
    ]  # fmt: skip
    if of.n_unreadable:
        items.append(
            ("Not readable", f"{of.n_unreadable:,}", "They have no labels here: see below.")
        )
    return items


def show(run: Run) -> None:
    """By which run, what it could not read, its flips, and how alike the images are."""
    source, name = load.source_of(run)
    _source(run, name)
    _unreadable(run)
    if run.has("flips", "attributes"):
        st.header("Flips by attribute")
        counts = load.frame(run, frames.flip_counts)
        alt = "Labels added and taken off by attribute"
        figure = load.figure(run, attribute_figures.flips, frames.flip_counts)
        components.show_figure(figure, "flips-by-attribute", alt=alt)
        components.download_csv(counts[["attribute", "to_1", "to_0"]], "flips-by-attribute")
    if run.has("images", "basis"):
        _distances(run, source)


def _source(run: Run, name: str) -> None:
    said = components.plain(run.info["source_run"]["run_id"])
    text = (
        "No image of this catalogue is verified, so nothing here says how right its labels are: "
        "that was measured in the run that relabelled it."
    )
    row = st.container(horizontal=True, vertical_alignment="center")
    row.caption(text)
    if name:
        row.page_link(
            "views/overview.py", label=f"Open {said}", icon=":material/model_training:",
            query_params={"run": name},
        )  # fmt: skip


def _unreadable(run: Run) -> None:
    of = frames.relabelled(run.info)
    if not of.n_unreadable:
        return

    def table() -> None:
        st.dataframe(of.unreadable, hide_index=True, key="unreadable", column_config={
            "image_id": st.column_config.TextColumn("Image", width="medium"),
            "problem": st.column_config.TextColumn("Why", width="large"),
        })  # fmt: skip
        if len(of.unreadable) < of.n_unreadable:
            st.caption(
                f"The first {len(of.unreadable):,}; `parts/*.parquet` of the run have all, with "
                "the reason in the column `error`."
            )
        components.download_csv(of.unreadable, "unreadable")

    components.drawer(
        f"Images that could not be read ({of.n_unreadable:,})", table, key="open_unreadable"
    )


def _distances(run: Run, source: Run | None) -> None:
    of = load.distances(run, source)
    if of.bins.empty:
        return
    st.header("How alike the images are to those of training")
    said = str(run.info["source_run"]["run_id"])
    alt = "Share of the images by their distance to the hull of the basis"
    figure = figures.distances(of.bins, of.cut, said if "there" in of.medians else "")
    components.show_figure(figure, "relabelled-distances", alt=alt)
    st.caption(_in_words(of, components.plain(said)))
    components.download_csv(of.bins, "relabelled-distances")


def _in_words(of: frames.Distances, said: str) -> str:
    words = f"Median {of.medians['here']:.3g}"
    if "there" in of.medians:
        words += f"; {of.medians['there']:.3g} for images of “{said}” that its training did not see"
    words += ". "
    if np.isfinite(of.cut):
        words += f"{100 * of.beyond['here']:.1f} % lie beyond the dashed line"
        if "there" in of.beyond:
            words += f", {100 * of.beyond['there']:.1f} % there"
        words += ": nothing verified looks like these, so their flips deserve less trust. "
    if "there" not in of.medians:
        words += f"The run “{said}” is not on this machine to compare with. "
    return words + "Basis images are left out."
