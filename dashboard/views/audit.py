"""The audit desk: decide flips by keyboard or all at once, settle conflicts, look back."""

import streamlit as st

from dashboard import (
    access_panels,
    audit_desk,
    audit_grid,
    audit_panels,
    audit_people,
    audit_queue,
    components,
    export_panel,
    flip_filters,
    flip_panels,
    state,
)
from dashboard.events import event
from selfml.decisions import StoreError
from selfml.run import Run, RunError

PARTS = {
    "one": "One at a time",
    "grid": "A screen of one label",
    "all": "All at once",
    "conflicts": "Conflicts",
    "traced": "Rejects traced back",
    "people": "Auditors",
    "history": "History",
    "export": "Export",
}
ORDER = "confidence"  # of the queue; control items are drawn to fit into it
ORDERED = {"to_1": "added", "to_0": "taken off"}


def choose(run: Run) -> None:
    """Which flips, and in what order; behind a button, to leave the page to the photo."""
    fields = ("attribute", "category", "direction", "min_confidence")
    row = st.container(horizontal=True, vertical_alignment="center")
    label = f"Which flips{flip_filters.how_many(*fields)}"
    with row.popover(label, icon=":material/tune:") as box:
        flip_filters.usual(run, box, ORDER)
        flip_filters.least_confidence()
    now, names = state.read(), dict(enumerate(run.attributes))
    category = now.category if now.category in flip_filters.categories(run) else ""
    chosen = [names.get(now.attribute, ""), category, ORDERED.get(now.direction, "")]
    if now.min_confidence:
        chosen.append(f"confidence at least {now.min_confidence:g}")
    words = " · ".join(components.plain(text) for text in chosen if text)
    row.caption(words or "All flips of the run")


run = components.run_or_stop("flips", "images", "attributes")
st.title("Audit", anchor=False)
part = components.pick("part", "Part", PARTS)
if part in ("one", "grid", "all"):
    choose(run)
try:
    desk = audit_queue.open_desk(run, flip_panels.query_of(run, state.read(), ORDER))
    audit_desk.say_what_happened()
    audit_panels.say_other_names(desk)
    if part == "one":
        audit_desk.show_queue(desk)
    elif part == "grid":
        audit_grid.show_grid(desk)
    elif part == "all":
        audit_panels.show_all(desk)
    elif part == "conflicts":
        audit_panels.show_conflicts(desk)
    elif part == "people":
        audit_people.show_people(desk)
    elif part == "traced":
        audit_panels.show_traced(desk)
    elif part == "export":
        export_panel.show_export(run, desk.store, desk.catalogue)
    else:
        audit_panels.show_history(desk)
    access_panels.say_in_whose_name(desk.auditor, desk.shop)
except RunError:
    raise  # a file of the run, not the store
except (StoreError, ValueError) as error:
    event("error", error=type(error).__name__, what="decisions")
    st.error(
        f"The store of decisions does not answer. {error}. Nothing that was saved is lost.",
        icon=":material/error:",
    )
    st.button("Try again", icon=":material/refresh:")
