"""One basis image and what leans on it; the images that the basis covers least."""

from __future__ import annotations

from html import escape

import pandas as pd
import streamlit as st

from dashboard import components, load, media, receipt_html, state
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
    _leaning(run, atom)
    if run.has("flips"):
        _flips(run, basis_index)


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


def _flips(run: Run, basis_index: int) -> None:
    st.subheader("Flips that lean on it", anchor=False)
    counts = load.frame(run, frames.flips_by_attribute, basis_index)
    if counts.empty:
        st.caption("No label of the images that lean on it was changed.")
        return
    total = int(counts["n_flips"].sum())
    st.page_link(
        "views/flips.py",
        label=f"See all {total:,} flips of images that lean on it",
        icon=":material/swap_horiz:",
        query_params=state.query_for(basis=basis_index),
    )
    hrefs = [
        state.link("flips", basis=basis_index, attribute=int(j)) for j in counts["attribute_index"]
    ]
    columns = (counts[name] for name in ("attribute", "n_flips", "n_agree"))
    st.html(receipt_html.link_table(*columns, hrefs))
    components.download_csv(counts, f"flips-of-basis-image-{basis_index}")


def show_worst(run: Run, category: str | None) -> None:
    """The images farthest from the hull of the basis."""
    st.subheader("Images that the basis covers least", anchor=False)
    st.caption(
        "Nothing verified looks like these: what their receipts say deserves less trust. "
        "The number is the distance to the hull of the basis."
    )
    names = load.frame(run, frames.hull_by_category)["category"].tolist()
    options = ["", *(name for name in names if name != frames.NO_CATEGORY)]
    st.selectbox(
        "Category", options, format_func=lambda c: c or "All", width=220,
        **state.bind("category", options),
    )  # fmt: skip
    worst = load.frame(run, frames.worst_covered, category if category in options else None)
    if worst.empty:
        components.empty_state("No distances in this run", "Train it again to measure them.")
        return
    captions = [
        f"{row.hull_distance:.3f}{f' · {row.category}' if isinstance(row.category, str) else ''}"
        for row in worst.itertuples()
    ]
    hrefs = [state.link("flips", image=int(i)) for i in worst["image_index"]]
    components.image_grid(run, worst["image_index"], captions, hrefs, 112)
    components.download_csv(worst, "least-covered-images")
