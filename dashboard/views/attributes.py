"""The attributes view: gains, flips and how right they are, attribute by attribute."""

import streamlit as st

from dashboard import attribute_panels, components, load, state
from dashboard.figures import attributes as figures
from dashboard.frames import attributes as frames
from selfml.run import Run

PARTS = {
    "": "Gain",
    "flips": "Flips",
    "right": "How right",
    "prevalence": "How frequent",
    "category": "By category",
}


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


def show_gain(run: Run) -> None:
    """Figure 4 of the paper."""
    gains = load.frame(run, frames.gains)
    st.caption(
        "What SELF-ML adds to Baseline 1, most frequent attribute first; the lines are 95 % "
        "bootstrap intervals. One that crosses zero is no proven gain."
    )
    alt = "Average precision gained over Baseline 1 by attribute, most frequent first"
    components.show_figure(figures.ap_gain(gains), "ap-gain", alt=alt)
    components.download_csv(gains, "ap-gain")


def show_flips(run: Run) -> None:
    """Figure 5 of the paper."""
    st.segmented_control(
        "Counted over", list(frames.SCOPES), format_func=frames.SCOPES.get, required=True,
        **state.bind("split", frames.SCOPES),
    )  # fmt: skip
    split = state.read().split
    counts = load.frame(run, frames.flip_counts, split if split in frames.SCOPES else "")
    if counts.empty:
        components.empty_state(
            "Not counted in this run", "`selfml evaluate` counts flips of the test images."
        )
        return
    alt = "Labels added and taken off by attribute"
    components.show_figure(figures.flips(counts), "flips-by-attribute", alt=alt)
    components.download_csv(counts, "flips-by-attribute")


def show_right(run: Run) -> None:
    """Precision and recall of the flips where the truth is known."""
    counts = load.frame(run, frames.label_counts)
    st.caption("Only labels that a person verified count here.")
    alt = "Share of flips that are right and of wrong labels found, by attribute"
    components.show_figure(figures.precision_recall(counts), "flips-right", alt=alt)
    components.download_csv(counts, "flips-right")


def show_prevalence(run: Run) -> None:
    """How often each attribute is listed before and after."""
    counts = load.frame(run, frames.label_counts)
    counts = counts.sort_values("prevalence_given", ascending=False, ignore_index=True)
    alt = "Share of images with each attribute as given, corrected and verified"
    components.show_figure(figures.prevalence(counts), "prevalence", alt=alt)
    components.download_csv(counts, "prevalence")


def show_category(run: Run) -> None:
    """Where the flips are."""
    by_category = load.frame(run, frames.flips_by_category)
    direction = {"all": "All flips", "to_1": "Added", "to_0": "Taken off"}
    st.segmented_control(
        "Change", list(direction), format_func=direction.get, required=True,
        **state.bind("direction", direction),
    )  # fmt: skip
    matrix = frames.category_matrix(by_category, state.read().direction)
    alt = "Flips per 100 images by attribute and category"
    components.show_figure(figures.by_category(matrix), "flips-by-category", alt=alt)
    components.download_csv(by_category, "flips-by-category")


SHOWS = {
    "flips": show_flips,
    "right": show_right,
    "prevalence": show_prevalence,
    "category": show_category,
}
run = components.run_or_stop("attributes", "images", "flips", "labels_given", "labels_corrected")
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
    attribute_panels.show_all(run)
