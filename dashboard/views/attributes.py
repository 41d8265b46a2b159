"""The attributes view: gains, flips and how right they are, attribute by attribute."""

from pathlib import Path

import streamlit as st

from dashboard import attribute_panels, blinding, compare_panels, components, load, state
from dashboard.figures import attribute_categories as category_figures
from dashboard.figures import attributes as figures
from dashboard.frames import attribute_categories as categories
from dashboard.frames import attributes as frames
from selfml.run import Run

PARTS = {
    "": "Gain",
    "flips": "Flips",
    "right": "How right",
    "prevalence": "How frequent",
    "category": "By category",
    "compare": "Two runs",
}
COUNTED = {"": "All images", "clean_test": "Test images", "noisy": "Noisy images"}
JUDGED = {**COUNTED, "": "All unseen"}
DIRECTIONS = {"all": "All flips", "to_1": "Added", "to_0": "Taken off"}
CELLS = {"": "Flips per 100 images", "precision": "Flips that are right"}


def choose(run: Run) -> int | None:
    """The attribute of the address, or None for all."""
    names = dict(enumerate(run.attributes))
    st.selectbox(
        "Attribute", [None, *names], format_func=lambda j: "All" if j is None else names[j],
        placeholder="All: choose one to see it alone", width=420,
        **state.bind("attribute", [None, *names]),
    )  # fmt: skip
    chosen = state.read().attribute
    return chosen if chosen in names else None


def _short(path: Path) -> Path:
    """A path as one would type it where the server was started."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def show_gain(run: Run) -> None:
    """Figure 4 of the paper."""
    baseline = components.pick("baseline", "Gain over", compare_panels.BASELINES)
    over = compare_panels.BASELINES[baseline]
    gains = load.frame(run, frames.gains, baseline)
    command = f"`selfml evaluate {_short(run.path)}`"
    if gains.empty:
        components.empty_state(
            "No gains were measured in this run",
            f"{command} measures them on the verified test images; without such images "
            "(clean.csv) there is nothing to measure on.",
        )
        return
    words = f"What SELF-ML adds to {over}, the attribute given most often first. "
    if gains[["low", "high"]].isna().all(axis=None):
        st.info(
            f"This run has no intervals for the gain over {over}: {command} adds them.",
            icon=":material/info:",
        )
    else:
        words += (
            "The lines are 95 % bootstrap intervals over the verified test images: one that "
            "crosses zero is no proven gain. "
        )
    st.caption(f"{words}Hatched: fewer than {frames.MIN_SUPPORT} test images have the attribute.")
    alt = f"Average precision gained over {over} by attribute, most frequent first"
    components.show_figure(figures.ap_gain(gains, over), "ap-gain", alt=alt)
    components.download_csv(gains, "ap-gain")


def show_flips(run: Run) -> None:
    """Figure 5 of the paper."""
    split = components.pick("split", "Counted over", COUNTED)
    counts = blinding.of_measures(load.frame(run, frames.flip_counts, split))
    alt = "Labels added and taken off by attribute"
    components.show_figure(figures.flips(counts), "flips-by-attribute", alt=alt)
    components.download_csv(counts, "flips-by-attribute")


def show_right(run: Run) -> None:
    """Precision and recall of the flips where the truth is known."""
    with st.container(horizontal=True):
        scope = components.pick("split", "Judged on", JUDGED) or "unseen"
        direction = components.pick("direction", "Change", DIRECTIONS)
    frame = blinding.of_measures(load.frame(run, frames.correctness, scope, direction))
    st.caption(
        "Only labels that a person verified count here, without the images that the evidence was "
        "learned from. The lines are 95 % intervals (Wilson); open marks have fewer than "
        f"{frames.MIN_SUPPORT} labels behind them."
    )
    alt = "Share of flips that are right and of wrong labels found, by attribute"
    components.show_figure(figures.precision_recall(frame), "flips-right", alt=alt)
    components.download_csv(frame, "flips-right")


def show_prevalence(run: Run) -> None:
    """How often each attribute is listed before and after."""
    counts = blinding.of_measures(load.frame(run, frames.label_counts))
    counts = counts.sort_values("prevalence_given", ascending=False, ignore_index=True)
    alt = "Share of images with each attribute as given, corrected and verified"
    components.show_figure(figures.prevalence(counts), "prevalence", alt=alt)
    components.download_csv(counts, "prevalence")


def show_category(run: Run) -> None:
    """Where the flips are, and where they are right."""
    with st.container(horizontal=True):
        measure = components.pick("measure", "Show", CELLS)
        direction = components.pick("direction", "Change", DIRECTIONS)
    by_category = load.frame(run, categories.flips_by_category)
    cells = blinding.of_measures(categories.cells(by_category, direction))
    shown = categories.most_flipped(cells)
    left_out = cells["category"].nunique() - shown["category"].nunique()
    if left_out:
        st.caption(
            f"The {categories.MAX_CATEGORIES} categories with most flips; the file has the other "
            f"{left_out:,} too."
        )
    what = CELLS[measure]
    alt = f"{what} by attribute and category"
    figure = category_figures.by_category(shown, measure or "rate")
    components.show_figure(figure, f"category-{measure or 'flips'}", alt=alt)
    components.download_csv(cells, "flips-by-category")


SHOWS = {
    "flips": show_flips,
    "right": show_right,
    "prevalence": show_prevalence,
    "category": show_category,
    "compare": compare_panels.show,
}
run = components.run_or_stop(
    *("attributes", "images", "flips", "labels_given", "labels_corrected", "labels_true")
)
st.title("Attributes", anchor=False)
attribute = choose(run)
if attribute is not None:
    attribute_panels.show_one(run, attribute)
else:
    st.segmented_control(
        "Show", list(PARTS), format_func=PARTS.get, required=True, label_visibility="collapsed",
        **state.bind("part", PARTS),
    )  # fmt: skip
    SHOWS.get(state.read().part, show_gain)(run)
    if state.read().part != "compare":
        attribute_panels.show_all(run)
