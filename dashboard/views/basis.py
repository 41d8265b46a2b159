"""The basis view: the images that everything else is made of, and how well they cover it."""

import pandas as pd
import streamlit as st

from dashboard import (
    basis_panels,
    components,
    coverage_panels,
    faithfulness_panels,
    load,
    oracle_form,
    oracle_panels,
    state,
)
from dashboard.figures import basis as figures
from dashboard.frames import basis as frames
from selfml.run import Run

ATOMS_A_PAGE = 48
PARTS = {
    "": "Basis images",
    "labels": "Attributes it covers",
    "images": "Coverage",
    "faithfulness": "Are they the reasons?",
    oracle_panels.PART: "Label basis images",
}


def show_atoms(run: Run) -> None:
    """The basis images in use, most used first; each opens its detail."""
    atoms = load.frame(run, frames.atoms)
    if atoms.empty:
        components.empty_state(
            "No basis image is in use", "No image has a coefficient above zero; train longer."
        )
        return
    metrics = load.frame(run, frames.explained)
    _figures_in_short(run, atoms, metrics)
    start, stop = components.pager(len(atoms), ATOMS_A_PAGE, noun="basis images")
    page = atoms.iloc[start:stop]
    flips = load.frame(run, frames.flips_leaning) if run.has("flips") else None
    leaning = {} if flips is None else dict(flips.itertuples(index=False))
    captions = [
        f"{a.usage:,} images, {100 * a.share:.1f} %\n{leaning.get(a.basis_index, 0):,} flips\n"
        f"{a.n_yes} labels, {'nearest' if a.label_source == 'nearest_clean' else 'checked'}"
        for a in page.itertuples()
    ]
    hrefs = [state.link("basis", basis=int(k)) for k in page["basis_index"]]
    badges = [str(k) for k in page["basis_index"]]
    components.image_grid(run, page["image_index"], captions, hrefs, 120, badges)
    components.download_csv(atoms, "basis")
    with st.expander("How few carry how much"):
        alt = "Cumulated share of all coefficients over the basis images, most used first"
        components.show_figure(figures.mass(atoms), "basis-mass", alt=alt)


def _figures_in_short(run: Run, atoms: pd.DataFrame, metrics: dict[str, float]) -> None:
    items = [
        (f"In use of {int(run.info['n_atoms']):,}", f"{len(atoms):,}",
         "Basis images with a coefficient above zero in at least one image"),
        ("Carry 95 %", f"{frames.n_holding(atoms):,}",
         "The most used ones that together hold 95 % of all coefficients"),
        ("Own share", f"{100 * atoms['self_coefficient'].mean():.0f} %",
         "Mean share of a basis image in its own reconstruction (paper, Fig. 3b)"),
    ]  # fmt: skip
    if "r2" in metrics:
        items.append(
            ("Explained variance", f"{metrics['r2']:.1f} %", "Of the features, by this basis")
        )
    components.metric_row(items)


def show_labels(run: Run) -> None:
    """Which attributes the basis can speak about."""
    coverage = load.frame(run, frames.coverage)
    bare = coverage[coverage["n_yes"] == 0]["attribute"].tolist()
    if bare:
        st.text(f"No basis image has: {', '.join(bare)}. Flips to these rest on other evidence.")
    else:
        st.caption("Every attribute has at least one basis image. Blue: yes, orange: no.")
    matrix = load.frame(run, frames.label_matrix)
    n_atoms = len(load.frame(run, frames.atoms))
    if n_atoms > len(matrix.columns):
        st.caption(f"Shown: the {len(matrix.columns)} most used of {n_atoms:,} basis images.")
    alt = "Verified labels of the basis images: attributes by basis images"
    components.show_figure(figures.coverage(matrix), "basis-coverage", alt=alt)
    components.download_csv(coverage, "basis-coverage")


SHOWS = {
    "labels": show_labels,
    "images": coverage_panels.show,
    "faithfulness": faithfulness_panels.show,
    oracle_panels.PART: oracle_panels.show,
}
run = components.run_or_stop("basis", "images", "coefficients", "basis_labels", "attributes")
selection = state.read()
st.title("Basis", anchor=False)
if selection.basis is not None and selection.part == oracle_panels.PART:
    oracle_form.show(run, selection.basis)
elif selection.basis is not None:
    basis_panels.show_atom(run, selection.basis)
else:
    st.segmented_control(
        "Show", list(PARTS), format_func=PARTS.get, required=True, label_visibility="collapsed",
        **state.bind("part", PARTS),
    )  # fmt: skip
    SHOWS.get(state.read().part, show_atoms)(run)
