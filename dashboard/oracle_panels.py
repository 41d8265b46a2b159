"""Basis images to label, most effect first; what is labelled, its effect, and saving it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import streamlit as st

from dashboard import access, components, load, media, oracle_html, state
from dashboard.draft import Rows, decode, encode
from dashboard.events import event
from dashboard.frames import basis as basis_frames
from dashboard.frames import oracle as frames
from dashboard.frames.receipt import LABEL_WORDS
from dashboard.settings import run_folders, settings
from selfml.derived import NEEDED, ExpertLabels, write_relabelled
from selfml.expert_table import table_to_fill_in
from selfml.run import Run, RunError

PART = "to-label"
PAGE_SIZE = 24
_ERROR, _SAVED = "oracle_error", "oracle_saved"


def drafted(run: Run) -> Rows:
    """The labels of the address that are given for this run and not saved."""
    shape = int(run.info["n_atoms"]), len(run.attributes)
    return decode(state.read().draft, media.run_name(run), *shape)


def keep(run: Run, rows: Rows, **changes: object) -> None:
    """Put these labels into the address, and nothing else of this kind."""
    access.require("auditor")
    st.session_state.pop(_ERROR, None)
    state.update(draft=encode(media.run_name(run), rows), **changes)


def can_be_labelled(run: Run) -> bool:
    """Whether the run has what labels of its basis images would change; else says so."""
    person = access.who()
    if person is None or not person.may("auditor"):
        components.empty_state(
            "Labelling needs the role auditor",
            "You may look at everything; ask whoever runs this site for the role.",
        )
        return False
    if run.is_complete and run.has(*NEEDED):
        return True
    components.empty_state(
        "Basis images cannot be labelled yet",
        "This run was not finished. They are labelled once training is complete.",
    )
    return False


def show(run: Run) -> None:
    """The whole part: where the run comes from, what is not saved, and the list."""
    _origin(run)
    if not can_be_labelled(run):
        return
    ordered = load.label_order(run)
    if ordered.empty:
        components.empty_state("No basis image is in use", "There is nothing to label.")
        return
    rows = drafted(run)
    n_todo = int((~ordered["verified"]).sum())
    st.markdown(
        "All flips lean on the labels of a few basis images. Label those that nobody has looked "
        "at, and every image that leans on them follows, **without training again**. Nothing is "
        "written before you save."
    )
    components.metric_row(
        [
            ("To label", f"{n_todo:,}", "Basis images in use that nobody labelled by looking"),
            ("Verified", f"{len(ordered) - n_todo:,}", "A person labelled the image itself"),
            ("Not saved", f"{len(rows):,}", "Labelled here, and not saved yet"),
        ]
    )
    if rows:
        _review(run, rows)
    _start(run, ordered, rows)
    _list(run, ordered, rows)


def _origin(run: Run) -> None:
    """Where a run that was made here comes from, and the way back."""
    parent, what = run.info.get("parent"), run.info.get("relabelled")
    if not parent or not what:
        return
    names = {str(path.resolve()): name for name, path in run_folders().items()}
    before = names.get(str(parent.get("path")))
    st.success(
        f"This run is **{components.plain(before or parent.get('name', ''))}** with "
        f"{oracle_html.count(what['n_basis_images'], 'basis image')} labelled: "
        f"{what['n_labels']:,} of {'its' if what['n_basis_images'] == 1 else 'their'} labels "
        "changed, and "
        f"{what['n_new'] + what['n_gone']:,} labels of images with them ({what['n_new']:,} new "
        f"flips, {what['n_gone']:,} gone). It is in `{run.path}`. The weights of the evidence are "
        "those that were trained; no flip is accepted without a look.",
        icon=":material/check_circle:",
    )
    if before:
        st.button(
            "Open the run before", icon=":material/undo:", key="oracle_parent",
            on_click=state.update, kwargs={"run": before, "draft": "", "basis": None},
        )  # fmt: skip


def _review(run: Run, rows: Rows) -> None:
    """What is labelled and not saved: its effect, saving and discarding."""
    with st.container(key="oracle_review"):
        n = oracle_html.count(len(rows), "basis image")
        st.subheader(f"{n} labelled, not saved", anchor=False)
        show_effect(run, rows)
        _save_row(run, rows)


def show_effect(run: Run, rows: Rows, *, short: bool = False) -> None:
    """What all labels would be; ``short``: in a sentence."""
    of = load.preview(run, rows)
    changed = f"{of.n_labels:,} of {'its' if len(rows) == 1 else 'their'} labels changed"
    if not of.n_labels:
        st.markdown("The labels are as they were; saving notes that a person confirmed them.")
        return
    if short:
        st.markdown(
            f"**{changed}**: {oracle_html.count(of.n_changed, 'label')} of images would come out "
            f"otherwise ({of.deciding.arises:,} new flips, {of.deciding.falls:,} gone)."
        )
        return
    components.metric_row(
        [
            ("Their labels", f"{of.n_labels:,}", "Labels of the basis images that you changed"),
            ("Lean on them", f"{of.n_images:,}", "Images with a coefficient above zero on one"),
            ("Labels changed", f"{of.n_changed:,}", "Of all images: new flips and flips gone"),
            ("New flips", f"{of.deciding.arises:,}", "Labels that would newly be flipped"),
            ("Flips gone", f"{of.deciding.falls:,}", "Flips that would be no more"),
        ]
    )
    kind = "all evidence" if of.mode == "full" else "the basis images and the shop's labels alone"
    text = f"Counted by {kind}, which decides in this run."
    if of.mode == "full":
        text += (
            f" By the basis images and the shop's labels alone: {of.strict.arises:,} new, "
            f"{of.strict.falls:,} gone."
        )
    st.caption(text)
    if of.n_changed:
        _examples(run, of)
        with st.expander(f"By attribute ({len(of.by_attribute)})"):
            st.html(oracle_html.by_attribute(of.by_attribute))
            components.download_csv(of.by_attribute, "effect-of-labels")


def _examples(run: Run, of: frames.Preview) -> None:
    captions = [
        f"{row.attribute}\n{LABEL_WORDS[row.corrected_before]} → {LABEL_WORDS[row.corrected_after]}"
        for row in of.examples.itertuples()
    ]
    badges = ["flip gone" if falls else "new flip" for falls in of.examples["falls"]]
    hrefs = [
        state.link("flips", flip=f"{row.image_index}-{row.attribute_index}")
        for row in of.examples.itertuples()
    ]
    components.image_strip(run, of.examples["image_index"], captions, hrefs, 112, badges)


def _save_row(run: Run, rows: Rows) -> None:
    folder = settings().runs_folder
    name = frames.new_run_name(media.run_name(run), _taken(folder))
    row = st.container(horizontal=True, vertical_alignment="center", key="oracle_save_row")
    may_save = access.require("auditor").may("admin")
    row.button(
        "Save as a new run", icon=":material/save:", type="primary", key="oracle_save",
        on_click=_save, args=(run, rows, folder / name), disabled=not may_save,
    )  # fmt: skip
    row.button(
        "Discard", icon=":material/delete:", key="oracle_discard",
        on_click=keep, args=(run, {}),
    )  # fmt: skip
    st.caption(
        f"Saved in `{folder / name}`; this run stays as it is. In the new one no flip is accepted "
        "without a look: what was proven was of the flips before."
        if may_save
        else "A new run is what everybody sees first, so an admin saves it. Your labels are in the "
        "address of this page; send it to one."
    )
    if st.session_state.get(_ERROR):
        st.error(st.session_state[_ERROR], icon=":material/error:")


def _taken(folder: Path) -> set[str]:
    return {entry.name for entry in folder.iterdir()} if folder.is_dir() else set()


def _save(run: Run, rows: Rows, out: Path) -> None:
    """Write the run and open it; labels that cannot be saved are kept in the address."""
    text = encode(media.run_name(run), rows)
    saved = st.session_state.get(_SAVED)
    if not (saved and saved[0] == (str(run.path), text) and saved[1] in run_folders()):
        expert = ExpertLabels(np.array(list(rows)), np.array(list(rows.values()), np.int8))
        try:
            person = access.require("admin")
            write_relabelled(run, expert, out, who=person.id)
            event("save-run", auditor=person.id, run=out.name, n=len(rows))
        except access.Refused as error:
            st.session_state[_ERROR] = f"Not saved: {error}."
            return
        except (OSError, ValueError, RunError) as error:
            event("error", error=type(error).__name__, what="save-run")
            st.session_state[_ERROR] = (
                f"Not saved: {' '.join(str(error).split())}. Your labels are kept; make "
                f"`{out.parent}` writable (or set SELFML_RUNS to a folder that is), and save again."
            )
            return
        st.session_state[_SAVED] = saved = ((str(run.path), text), out.name)
    st.session_state.pop(_ERROR, None)
    state.update(run=saved[1], draft="", basis=None, part=PART)


def _start(run: Run, ordered: pd.DataFrame, rows: Rows) -> None:
    first = frames.next_to_label(ordered, rows)
    row = st.container(horizontal=True, vertical_alignment="center")
    if first is not None:
        row.button(
            "Label the next" if rows else "Start with the first", icon=":material/edit:",
            type="secondary" if rows else "primary", key="oracle_start",
            on_click=state.update, kwargs={"basis": first},
        )  # fmt: skip
    with row:
        todo = ordered[~ordered["verified"]]
        table = table_to_fill_in(run, todo if len(todo) else ordered)
        components.download_csv(table, "basis-images-to-label")
    if first is None and not rows:
        st.caption(
            "Every basis image in use is verified. Should one be labelled wrongly, open it below."
        )
    else:
        st.caption(
            "The file can be filled in instead, and saved with "
            "`selfml label-basis RUN --labels FILE --out NEWRUN`."
        )


def _list(run: Run, ordered: pd.DataFrame, rows: Rows) -> None:
    st.subheader("Basis images, most effect first", anchor=False)
    start, stop = components.pager(len(ordered), PAGE_SIZE, noun="basis images")
    page = ordered.iloc[start:stop]
    urls = media.image_urls(run, page["image_index"].tolist())
    parts = [
        oracle_html.item(
            row, rank, url, state.link("basis", part=PART, basis=row.basis_index),
            load.frame(run, basis_frames.labels_of, row.basis_index), row.basis_index in rows,
        )
        for rank, row, url in zip(range(start + 1, stop + 1), page.itertuples(), urls, strict=True)
    ]  # fmt: skip
    st.html(oracle_html.CSS + oracle_html.items(parts))
    with st.expander("How the order comes about"):
        st.markdown(
            "**Expected to change** is how many labels, of all images, are expected to come out "
            "otherwise once this basis image is labelled: for each of its labels, the chance that "
            "it is wrong, times the number of labels that would change with it. The chance is what "
            "the evidence says of the image itself when this basis image is taken out; the number "
            "is counted, not estimated. **At most**: if every label were wrong.\n\n"
            "**Which image is shown**: the one that training used and that is nearest to the basis "
            "image's features. Its labels become those of the basis image. A label that you cannot "
            "tell counts as the attribute's share among verified images."
        )
