"""The flips view: a filtered page of flips, one flip's receipt, or all labels of one image."""

import streamlit as st

from dashboard import blinding, components, flip_cards, flip_filters, flip_panels, load, state
from dashboard.frames import flips as frames
from dashboard.frames import overview, trust
from selfml.run import Run
from selfml.run_format import SPLITS

AGREEMENTS = {
    "all": "Any",
    "agree": "Basis images agree",
    "disagree": "Basis images disagree",
    "bare": "Stands without basis images",
}
TRUTHS = {"all": "Any", "right": "Right", "wrong": "Wrong", "unknown": "Not verified"}
SPLIT_NAMES = {name: name.replace("_", " ") for name in SPLITS}


def choose(run: Run) -> None:
    """The filters; each is a field of the address."""
    row = st.container(horizontal=True, vertical_alignment="bottom")
    flip_filters.usual(run, row, flip_panels.ORDER, widths=True)
    more(row, run)


def more(row: st.delta_generator.DeltaGenerator, run: Run) -> None:
    """The filters that are needed less often, and a way to drop all of them."""
    now = state.read()
    default = state.Selection()
    hidden = ("agreement", "truth", "split", "min_confidence", "auto")
    with row.popover(f"More filters{flip_filters.how_many(*hidden)}", icon=":material/tune:"):
        flip_filters.least_confidence()
        st.selectbox(
            "Evidence", list(AGREEMENTS), format_func=AGREEMENTS.get,
            **state.bind("agreement", AGREEMENTS),
        )  # fmt: skip
        blind = blinding.is_blind()
        st.selectbox(
            "Against the verified label", list(TRUTHS), format_func=TRUTHS.get, disabled=blind,
            help=blinding.NOTE if blind else None, **state.bind("truth", TRUTHS),
        )  # fmt: skip
        st.selectbox(
            "Part of the data", ["", *SPLITS], format_func=lambda s: SPLIT_NAMES.get(s, "All"),
            disabled=blind, help=blinding.NOTE if blind else None,
            **state.bind("split", ["", *SPLITS]),
        )  # fmt: skip
        some = load.frame(run, overview.flip_counts).auto_accept > 0
        st.toggle(
            "Only those safe to accept", disabled=not (some or now.auto), help=safe_help(run, some),
            **state.bind("auto"),
        )  # fmt: skip
    if flip_panels.is_filtered(now):
        cleared = {name: getattr(default, name) for name in flip_panels.FILTERS}
        row.button(
            "Clear", icon=":material/filter_alt_off:", type="tertiary", key="clear_filters",
            on_click=state.update, kwargs=cleared,
        )  # fmt: skip


def safe_help(run: Run, some: bool) -> str:
    """What the filter of accepted flips means, or why there are none."""
    if some:
        return (
            "Flips that may be accepted without a look: enough of those like them were right on "
            "verified images that training did not use. The overview has the figures."
        )
    found = load.frame(run, trust.trust)
    if found is None:
        return "None: this run was made before confidence was calibrated."
    return " ".join(dict.fromkeys(trust.promise(row) for _, row in found.thresholds.iterrows()))


def show_list(run: Run) -> None:
    """Filters, counts, one page of cards, and the list as a file."""
    now = state.read()
    choose(run)
    query = flip_panels.query_of(run, now)
    counts = blinding.of_counts(load.frame(run, frames.flips_summary, query))
    judged = query.truth in ("right", "wrong")
    st.html(flip_cards.CSS + flip_cards.counts_line(counts, now.basis, now.needed, judged))
    if counts["verified"]:
        st.caption(flip_cards.verified_note(counts, judged))
    if not counts["n"]:
        nothing(run)
        return
    start, _ = components.pager(counts["n"], frames.PAGE_SIZE, noun="flips")
    page = load.frame(run, frames.flips_page, query, start // frames.PAGE_SIZE + 1)
    flip_cards.grid(run, blinding.of_table(page), flip_panels.filters(now))
    flip_panels.download(run, query, counts["n"])


def nothing(run: Run) -> None:
    """Why there is no flip, and what to do."""
    if flip_panels.is_filtered(state.read()):
        components.empty_state(
            "No flip is like this", "Loosen a filter, or use **Clear** above to see all flips."
        )
    elif not load.frame(run, frames.flips_summary, frames.FlipQuery())["n"]:
        components.empty_state("No label was changed in this run", _why_none(run))


def _why_none(run: Run) -> str:
    if run.info.get("source_run") and load.frame(run, frames.n_given_unseen) == 0:
        return (
            "The images were relabelled without labels, so there was none to change. What is said "
            "of each is in the files `parts/*.parquet` of the run, column `label_score`."
        )
    return (
        "The evidence agrees with every given label. Train longer, or look at the **Attributes** "
        "view for what each label is worth."
    )


run = components.run_or_stop("flips", "images", "attributes")
selection = state.read()
st.title("Flips", anchor=False)
if selection.flip_key is not None:
    flip_panels.show_receipt(run, selection, *selection.flip_key)
elif selection.image is not None:
    flip_panels.show_image(run, selection, selection.image)
else:
    show_list(run)
