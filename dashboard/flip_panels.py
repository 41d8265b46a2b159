"""One flip with its receipt, and all labels of one image: the panels of the flips view."""

from __future__ import annotations

from html import escape

import pandas as pd
import streamlit as st

from dashboard import blinding, components, load, media, receipt_html, state, what_if_panels
from dashboard.figures import flips as figures
from dashboard.frames import flips as frames
from dashboard.frames import receipt as receipts
from dashboard.frames import trust as trusts
from dashboard.frames.flip_query import SORTS
from dashboard.frames.receipt_words import sentences
from dashboard.state import Selection
from selfml.receipts import Receipt, receipt
from selfml.run import Run
from selfml.run_format import SPLITS

FILTERS = (
    "attribute", "category", "split", "direction", "agreement", "auto", "truth",
    "min_confidence", "sort", "page", "basis", "needed",
)  # fmt: skip

ORDER = "mixed"  # of the list: a first page shows what there is
MAX_ROWS = 200_000  # of a downloaded list; more than a spreadsheet is good for


def filters(selection: Selection) -> dict[str, object]:
    """The fields that say which list one came from; they travel with every link."""
    return {name: getattr(selection, name) for name in FILTERS}


def query_of(run: Run, selection: Selection, order: str = ORDER) -> frames.FlipQuery:
    """The query of an address; an attribute, category or part that does not exist counts as all.

    ``order`` is that of a view, where the address names none.
    """
    categories = load.frame(run, frames.categories)
    known = selection.attribute is not None and selection.attribute < len(run.attributes)
    query = frames.FlipQuery(
        attribute=selection.attribute if known else None,
        category=selection.category if selection.category in categories else None,
        split=selection.split if selection.split in SPLITS else None,
        direction=selection.direction,
        agreement=selection.agreement,
        auto=True if selection.auto else None,
        truth=selection.truth,
        min_confidence=selection.min_confidence,
        basis=selection.basis,
        keys=_needing(run, selection),
        sort=selection.sort if selection.sort in SORTS else order,
    )
    return blinding.of_query(query)


def _needing(run: Run, selection: Selection) -> tuple[int, ...] | None:
    """The flips that would fall without the basis image of the address, where it asks for them."""
    k = selection.basis
    if not selection.needed or k is None or k >= int(run.info["n_atoms"]):
        return None
    return load.blast_radius(run, k).keys


def show_receipt(run: Run, selection: Selection, image_index: int, attribute_index: int) -> None:
    """The receipt of one label: reason in words, basis images, sums, both kinds of evidence."""
    image = load.frame(run, frames.image_row, image_index)
    if image is None or attribute_index >= len(run.attributes):
        _navigation(run, selection, None)
        components.empty_state(
            "There is no such label in this run",
            f"Flip {image_index}-{attribute_index} does not exist here; it may be of another run.",
        )
        return
    flip = load.frame(run, frames.one_flip, image_index, attribute_index)
    of = receipt(run, image_index, attribute_index, model=load.evidence_model(run))
    image = blinding.of_image(image)
    verdict = blinding.of_verdict(receipts.verdict(run, of, flip))
    atoms = receipts.atoms_frame(of, verdict)
    _navigation(run, selection, flip)
    url = media.image_url(run, image_index)
    words = sentences(of, verdict, atoms)
    why = ""
    if flip is not None:
        found = load.frame(run, trusts.trust)
        why = trusts.acceptance(found, flip, float(image["hull_distance"]))
    st.html(receipt_html.CSS + receipt_html.head(of, verdict, words, image, url, why))
    st.page_link(
        "views/flips.py",
        label="All labels of this image",
        icon=":material/checklist:",
        query_params=state.query_for(**filters(selection), image=image_index),
    )
    _basis_images(run, of, verdict, atoms)
    if len(atoms):
        what_if_panels.show_for_flip(run, of, verdict, atoms)
    _evidence(of, verdict)
    _in_figures(of, verdict, atoms)


def _navigation(run: Run, selection: Selection, flip: pd.Series | None) -> None:
    before = after = None
    if flip is not None:
        query = query_of(run, selection)
        key = (int(flip["image_index"]), int(flip["attribute_index"]))
        before, after = load.frame(run, _neighbours, query, *key)
    row = st.container(horizontal=True, vertical_alignment="center")
    row.button(
        "All flips", icon=":material/arrow_back:", key="receipt_back",
        on_click=state.update, kwargs={"flip": "", "image": None, **state.edits_as_text()},
    )  # fmt: skip
    for label, icon, key in (
        ("Previous", ":material/chevron_left:", before),
        ("Next", ":material/chevron_right:", after),
    ):
        to = "" if key is None else f"{key[0]}-{key[1]}"
        row.button(
            label, icon=icon, disabled=key is None, key=f"receipt_{label}",
            on_click=state.update, kwargs={"flip": to, **state.edits_as_text()},
        )  # fmt: skip


def _neighbours(
    run: Run, query: frames.FlipQuery, image_index: int, attribute_index: int
) -> tuple[tuple[int, int] | None, tuple[int, int] | None]:
    flip = frames.one_flip(run, image_index, attribute_index)
    return (None, None) if flip is None else frames.neighbours(run, query, flip)


def _basis_images(run: Run, of: Receipt, verdict: receipts.Verdict, atoms: pd.DataFrame) -> None:
    st.subheader("What the image is made of", anchor=False)
    st.caption(
        "c is the share of each basis image in this one. Blue frames: labels verified by a person."
    )
    if atoms.empty:
        components.empty_state("No basis image takes part", "The prior of the attribute counts.")
        return
    hrefs = [state.link("basis", basis=int(k)) for k in atoms["basis_index"]]
    urls = media.image_urls(run, atoms["image_index"].tolist())
    edits = what_if_panels.Edits.of(run).on_cards(of.attribute_index)
    total = f"{100 * of.label_score:.0f} % of it has the attribute"
    if (atoms["label"] < 0).any():
        total = f"{total}, an unknown label counted as {100 * of.prior:.0f} %"
    st.html(
        receipt_html.strip(atoms, verdict, urls, hrefs, edits)
        + receipt_html.share_bar(atoms)
        + f'<div class="rc-meta">{escape(total)} (label score {of.label_score:.4f}; '
        f"among all verified images {100 * of.prior:.0f} %)</div>"
        + receipt_html.atoms_table(of)
        + f'<div class="rc-meta">{escape(receipt_html.from_score_to_log_odds(of))}</div>'
    )


def _evidence(of: Receipt, verdict: receipts.Verdict) -> None:
    st.subheader("How the evidence adds up", anchor=False)
    full, strict = (receipts.terms_frame(of, mode) for mode in ("full", "strict"))
    limits = figures.waterfall_limits(full, strict)
    columns = st.columns(2, gap="large")
    for column, mode, terms, score in (
        (columns[0], "full", full, of.score),
        (columns[1], "strict", strict, of.strict_score),
    ):
        with column:
            says = receipts.LABEL_WORDS[int(score > 0)]
            decided = ", decides" if mode == verdict.mode else ""
            name = "All evidence" if mode == "full" else receipts.strict_name(of)
            st.markdown(f"**{name}**: {says} ({score:+.2f}){decided}")
            figure = figures.waterfall(terms, limits=limits)
            alt = f"{name}: terms adding up to {score:+.2f}, which says {says}"
            components.show_figure(figure, f"waterfall-{mode}", alt=alt)
            st.html(receipt_html.terms_table(terms, f"sum-{mode}"))


def _in_figures(of: Receipt, verdict: receipts.Verdict, atoms: pd.DataFrame) -> None:
    st.caption(
        "Digits are rounded so that they add up as shown; the download has all of them. "
        "A basis image without a verified label counts as the attribute's prior."
    )
    name = f"receipt-{of.image_index}-{of.attribute_index}"
    components.download_csv(receipts.export_frame(of, atoms, verdict), name)


def show_image(run: Run, selection: Selection, image_index: int) -> None:
    """All labels of one image, each with a way to its receipt."""
    image = load.frame(run, frames.image_row, image_index)
    st.button(
        "All flips", icon=":material/arrow_back:", key="image_back",
        on_click=state.update, kwargs={"image": None, "flip": ""},
    )  # fmt: skip
    if image is None:
        components.empty_state(
            "There is no such image in this run",
            f"Images are numbered from 0 to {int(run.info['n_images']) - 1:,}.",
        )
        return
    labels = blinding.of_table(receipts.image_labels(run, image_index))
    image = blinding.of_image(image)
    hrefs = [
        state.link("flips", **filters(selection), flip=f"{image_index}-{j}")
        for j in labels["attribute_index"]
    ]
    url = media.image_url(run, image_index)
    st.html(receipt_html.CSS + receipt_html.image_labels(image, labels, url, hrefs))
    components.download_csv(labels, f"labels-of-image-{image_index}")


def is_filtered(selection: Selection) -> bool:
    """Whether the address narrows the list of flips."""
    default = Selection()
    names = set(FILTERS) - {"sort", "page"}
    return any(getattr(selection, name) != getattr(default, name) for name in names)


def download(run: Run, query: frames.FlipQuery, n_flips: int) -> None:
    """A button that saves the list; the rows are fetched when it is pressed."""
    n_rows = min(n_flips, MAX_ROWS)
    of = f" first {n_rows:,}" if n_rows < n_flips else ""

    def rows() -> bytes:
        frame = blinding.of_table(frames.flips_page(run, query, 1, n_rows))
        return components.safe_for_spreadsheets(frame).to_csv(index=False).encode("utf-8-sig")

    st.download_button(
        f"Download the{of} {'' if of else f'{n_flips:,} '}flips as CSV", rows, "flips.csv",
        "text/csv", icon=":material/download:", on_click="ignore", key="download_flips",
    )  # fmt: skip
