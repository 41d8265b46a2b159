"""The audit desk: decide flips by keyboard or all at once, settle conflicts, look back."""

import streamlit as st

from dashboard import audit_desk, audit_panels, components, flip_panels, load, state
from dashboard.frames import flips as frames
from selfml.decisions import StoreError
from selfml.run import Run, RunError

PARTS = {
    "one": "One at a time",
    "all": "All at once",
    "conflicts": "Conflicts",
    "traced": "Rejects traced back",
    "history": "History",
}
DIRECTIONS = {"all": "Any change", "to_1": "Added", "to_0": "Taken off"}
ORDERED = {"to_1": "added", "to_0": "taken off"}


def choose(run: Run) -> None:
    """Which flips, and in what order; behind a button, to leave the page to the photo."""
    names = dict(enumerate(run.attributes))
    now, default = state.read(), state.Selection()
    fields = ("attribute", "category", "direction", "min_confidence")
    n_set = sum(getattr(now, name) != getattr(default, name) for name in fields)
    row = st.container(horizontal=True, vertical_alignment="center")
    with row.popover(f"Which flips{f' · {n_set}' if n_set else ''}", icon=":material/tune:"):
        st.selectbox(
            "Attribute", [None, *names], placeholder="All",
            format_func=lambda j: "All" if j is None else names[j],
            **state.bind("attribute", [None, *names]),
        )  # fmt: skip
        categories = ["", *load.frame(run, frames.categories)]
        st.selectbox(
            "Category", categories, format_func=lambda c: c or "All",
            **state.bind("category", categories),
        )  # fmt: skip
        st.segmented_control(
            "Change", list(DIRECTIONS), format_func=DIRECTIONS.get, required=True,
            **state.bind("direction", DIRECTIONS),
        )  # fmt: skip
        st.slider(
            "Confidence at least", 0.0, 1.0, step=0.05, format="%.2f",
            **state.bind("min_confidence"),
        )  # fmt: skip
        st.selectbox(
            "Order", list(frames.SORTS), format_func=lambda s: frames.SORTS[s][0],
            **state.bind("sort", frames.SORTS),
        )  # fmt: skip
    chosen = [names.get(now.attribute, ""), now.category, ORDERED.get(now.direction, "")]
    if now.min_confidence:
        chosen.append(f"confidence at least {now.min_confidence:g}")
    row.caption(" · ".join(text for text in chosen if text) or "All flips of the run")


run = components.run_or_stop("flips", "images", "attributes")
st.title("Audit", anchor=False)
part = components.pick("part", "Part", PARTS)
if part in ("one", "all"):
    choose(run)
try:
    desk = audit_desk.open_desk(run, flip_panels.query_of(run, state.read()))
    audit_desk.say_what_happened()
    if part == "one":
        audit_desk.show_queue(desk)
    elif part == "all":
        audit_panels.show_all(desk)
    elif part == "conflicts":
        audit_panels.show_conflicts(desk)
    elif part == "traced":
        audit_panels.show_traced(desk)
    else:
        audit_panels.show_history(desk)
    st.caption(
        f"Decisions are kept as those of “{desk.auditor}” on {desk.catalogue}. There is no "
        "sign-in: whoever reaches this page decides in that name (SELFML_AUDITOR)."
    )
except RunError:
    raise  # a file of the run, not the store
except (StoreError, ValueError) as error:
    st.error(
        f"The store of decisions does not answer. {error}. Nothing that was saved is lost.",
        icon=":material/error:",
    )
    st.button("Try again", icon=":material/refresh:")
