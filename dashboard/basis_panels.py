"""One basis image and what leans on it."""

from __future__ import annotations

from html import escape

import pandas as pd
import streamlit as st

from dashboard import (
    components,
    load,
    media,
    oracle_panels,
    receipt_html,
    state,
    what_if_html,
    what_if_panels,
)
from dashboard.frames import basis as frames
from selfml.run import Run

SOURCES = {
    "oracle": "a person labelled this image",
    "nearest_clean": "labels of the nearest verified image, which is shown",
}


def show_atom(run: Run, basis_index: int) -> None:
    """The image, its verified labels, the images that lean on it and their flips."""
    st.button(
        "All basis images", icon=":material/arrow_back:", key="basis_back",
        on_click=state.update, kwargs={"basis": None},
    )  # fmt: skip
    atoms = load.frame(run, frames.atoms)
    found = atoms[atoms["basis_index"] == basis_index]
    if found.empty:
        components.empty_state(
            f"Basis image {basis_index} is not in use",
            "No image leans on it; go back and choose one of those in use.",
        )
        return
    atom = found.iloc[0]
    labels = load.frame(run, frames.labels_of, basis_index)
    url = media.image_url(run, int(atom["image_index"]))
    st.html(receipt_html.CSS + _head(atom, labels, url))
    st.button(
        "Label this basis image", icon=":material/edit:", key="basis_label",
        on_click=state.update, kwargs={"part": oracle_panels.PART},
    )  # fmt: skip
    _leaning(run, atom)
    if run.has("flips", "terms_classifier", "terms_residual", "labels_given"):
        _blast_radius(run, basis_index)
        what_if_panels.show_for_atom(run, basis_index)


def _head(atom: pd.Series, labels: pd.DataFrame, url: str) -> str:
    chips = "".join(
        receipt_html.chip(
            row.attribute, receipt_html.COLOR[row.label], receipt_html.SIGN[row.label]
        )
        for row in labels.itertuples()
    )
    facts = (
        f"{atom['usage']:,} images lean on it, with {100 * atom['share']:.1f} % of all "
        f"coefficients. It is {100 * atom['self_coefficient']:.0f} % made of itself."
    )
    about = [f"Labels: {SOURCES.get(atom['label_source'], atom['label_source'])}"]
    if atom["distance"] > 0:
        about.append(f"{atom['distance']:.3g} feature units away")
    about += [atom["image_id"], atom["category"]]
    meta = " · ".join(escape(part) for part in about if isinstance(part, str))
    index = int(atom["basis_index"])
    return (
        f'<div class="rc-head rc-blue"><img src="{escape(url)}" alt="Basis image {index}"><div>'
        f"<h2>Basis image {index}</h2>"
        f'<p class="rc-words">{facts}</p><div class="rc-chips">{chips}</div>'
        f'<p class="rc-meta">✓ yes, ✕ no, ? unknown. {meta}</p></div></div>'
    )


def _leaning(run: Run, atom: pd.Series) -> None:
    st.subheader("Images that lean on it most", anchor=False)
    top = load.frame(run, frames.leaning, int(atom["basis_index"]))
    captions = [f"c = {c:.2f}" for c in top["coefficient"]]
    hrefs = [state.link("flips", image=int(i)) for i in top["image_index"]]
    own = int(atom["image_index"])
    badges = ["itself" if i == own else None for i in top["image_index"]]
    components.image_strip(run, top["image_index"], captions, hrefs, 128, badges)


def _blast_radius(run: Run, basis_index: int) -> None:
    st.subheader("Flips that lean on it", anchor=False)
    of = load.blast_radius(run, basis_index)
    if not of.n_flips:
        st.caption("No label of the images that lean on it was changed.")
        return
    components.metric_row(
        [
            ("Images", f"{of.n_images:,}", "With a coefficient above zero on it"),
            ("Flips", f"{of.n_flips:,}", "Labels of these images that were changed"),
            ("Would fall", f"{of.deciding.falls:,}",
             "Flips that would not be, were this basis image not there and its share spread "
             f"over the others; by the basis images alone: {of.strict.falls:,}"),
            ("Newly flipped", f"{of.deciding.arises:,}",
             "Labels that stand as given only because of it; by the basis images alone: "
             f"{of.strict.arises:,}"),
        ]
    )  # fmt: skip
    row = st.container(horizontal=True)
    row.page_link(
        "views/flips.py",
        label=f"See all {of.n_flips:,} flips of images that lean on it",
        icon=":material/swap_horiz:",
        query_params=state.query_for(basis=basis_index),
    )
    if of.keys:
        row.page_link(
            "views/flips.py",
            label=f"See the {len(of.keys):,} that would fall without it",
            icon=":material/link_off:",
            query_params=state.query_for(basis=basis_index, needed=True),
        )
    _by_attribute(of.by_attribute, basis_index)
    if len(of.changes):
        st.subheader("What would change without it", anchor=False)
        what_if_panels.show_changes(run, of.changes)
        components.download_csv(of.changes, f"changes-without-basis-image-{basis_index}")


def _by_attribute(frame: pd.DataFrame, basis_index: int) -> None:
    every, falling = (
        [state.link("flips", basis=basis_index, attribute=int(j), needed=needed)
         for j in frame["attribute_index"]]
        for needed in (False, True)
    )  # fmt: skip
    st.html(what_if_html.blast_table(frame, every, falling))
    components.download_csv(frame, f"flips-of-basis-image-{basis_index}")
