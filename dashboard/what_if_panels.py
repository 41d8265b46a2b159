"""Taking a basis image out and changing its labels: the controls, and what would follow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
import streamlit as st

from dashboard import components, load, state, what_if_html
from dashboard.frames import receipt as receipts
from dashboard.frames import what_if
from dashboard.frames.receipt import LABEL_WORDS
from selfml.effects import Effect
from selfml.receipts import Receipt
from selfml.run import Run

SHOWN = 24  # changed labels as pictures; the download has all
AS_IT_IS, OUT = "as it is", "out"
CHOICES = {AS_IT_IS: "As it is", OUT: "Taken out", 1: "Label yes", 0: "Label no",
           -1: "Unknown"}  # fmt: skip


@dataclass(frozen=True)
class Edits:
    """The edits of an address that a run can have: it has these basis images and attributes."""

    taken_out: tuple[int, ...]
    labels: Mapping[tuple[int, int], int]

    @classmethod
    def of(cls, run: Run) -> Edits:
        """Those of the present address."""
        now, n_atoms, n_labels = state.read(), int(run.info["n_atoms"]), len(run.attributes)
        labels = {
            (k, j): label
            for (k, j), label in now.relabelled.items()
            if k < n_atoms and j < n_labels
        }
        return cls(tuple(k for k in now.taken_out if k < n_atoms), labels)

    def __bool__(self) -> bool:
        return bool(self.taken_out or self.labels)

    def of_atom(self, basis_index: int, attribute_index: int) -> str | int:
        """A key of ``CHOICES``: what is done with one basis image for one attribute."""
        if basis_index in self.taken_out:
            return OUT
        return self.labels.get((basis_index, attribute_index), AS_IT_IS)

    def on_cards(self, attribute_index: int) -> dict[int, str]:
        """What is supposed of basis images that bears on one attribute, in words."""
        atoms = {*self.taken_out, *(k for k, j in self.labels if j == attribute_index)}
        return {k: CHOICES[self.of_atom(k, attribute_index)].lower() for k in atoms}

    def words(self, run: Run) -> str:
        """``Without basis image 3 and with basis image 7 labelled no for “hood”``."""
        atoms = [str(k) for k in self.taken_out]
        listed = " and ".join(filter(None, [", ".join(atoms[:-1]), *atoms[-1:]]))
        out = f"without basis image{'s' if len(atoms) > 1 else ''} {listed}" if atoms else ""
        relabelled = [
            f"with basis image {k} labelled {LABEL_WORDS[label]} for “{run.attributes[j]}”"
            for (k, j), label in self.labels.items()
        ]
        text = " and ".join(part for part in (out, *relabelled) if part)
        return text[:1].upper() + text[1:]


def _choose(key: str, basis_index: int, attribute_index: int) -> None:
    """Put what was chosen for one basis image into the address."""
    now, choice = state.read(), st.session_state[key]
    out = set(now.taken_out) - {basis_index}
    labels = {k: v for k, v in now.relabelled.items() if k != (basis_index, attribute_index)}
    if choice == OUT:
        out.add(basis_index)
    elif choice in (1, 0, -1):
        labels[basis_index, attribute_index] = choice
    state.update(**state.edits_as_text(out, labels))


def _control(edits: Edits, basis_index: int, attribute_index: int, label: int, out: bool) -> None:
    """What to do with one basis image; its present label is not offered again."""
    options = [c for c in CHOICES if c != label and (out or c != OUT)]
    key = f"what_if_{basis_index}_{attribute_index}"
    now = edits.of_atom(basis_index, attribute_index)
    st.session_state[key] = now if now in options else AS_IT_IS
    st.segmented_control(
        "Suppose it were", options, format_func=CHOICES.get, required=True, key=key,
        on_change=_choose, args=(key, basis_index, attribute_index),
    )  # fmt: skip


def _put_back(key: str) -> None:
    st.button(
        "Put everything back", icon=":material/undo:", type="tertiary", key=key,
        on_click=state.update, kwargs=state.edits_as_text(),
    )  # fmt: skip


def show_for_flip(run: Run, of: Receipt, verdict: receipts.Verdict, atoms: pd.DataFrame) -> None:
    """The controls for the basis images of one receipt, and the effect on it and all others."""
    st.subheader("What if a basis image were not there, or labelled otherwise?", anchor=False)
    edits = Edits.of(run)
    labels = dict(zip(atoms["basis_index"], atoms["label"], strict=True))
    shares = dict(zip(atoms["basis_index"], atoms["coefficient"], strict=True))
    edited = edits.on_cards(of.attribute_index)
    first = next((n for n, k in enumerate(labels) if k in edited), 0)
    row = st.container(horizontal=True, vertical_alignment="bottom")
    with row:
        chosen = st.selectbox(
            "Basis image", list(labels), first, width=260,
            format_func=lambda k: f"{k} · c = {shares[k]:.2f} · {LABEL_WORDS[labels[k]]}",
            key=f"what_if_atom_{of.image_index}_{of.attribute_index}",
        )  # fmt: skip
        _control(edits, int(chosen), of.attribute_index, int(labels[chosen]), out=True)
        if edits:
            _put_back("what_if_back")
    if not edits:
        st.caption(
            "Nothing is saved: choose one, and see what becomes of this label and of all others."
        )
        return
    effect = load.counterfactuals(run).what_if(edits.taken_out, edits.labels)
    key = (of.image_index, of.attribute_index)
    st.html(what_if_html.sentence(f"{edits.words(run)}, {_own(of, verdict, effect)}."))
    place = effect.place(*key)
    if place is not None:
        st.html(what_if_html.before_and_after(receipts.strict_name(of), *_sides(effect, place)))
    show_effect(run, effect, key)


def _own(of: Receipt, verdict: receipts.Verdict, effect: Effect) -> str:
    """What becomes of the label of the receipt."""
    what = "change" if verdict.flipped else "label"
    place = effect.place(of.image_index, of.attribute_index)
    if place is None:
        return f"nothing changes for this {what}: it does not lean on what was edited"
    says = int(effect.after.deciding(effect.mode)[place] > 0)
    return f"this {what} would {'' if says == verdict.corrected else 'not '}stand"


def _sides(effect: Effect, place: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """label_score, score and strict_score of one label before and after."""
    return tuple(
        np.array([side.label_score[place], side.score[place], side.strict_score[place]])
        for side in (effect.before, effect.after)
    )


def show_effect(run: Run, effect: Effect, skip: tuple[int, int] | None = None) -> None:
    """How many labels would come out otherwise, all or all but one, and which."""
    other = skip is not None
    deciding = what_if.counts(effect, effect.mode, skip)
    text = f"{deciding.words(other)}."
    if effect.mode == "full":
        strict = what_if.counts(effect, "strict", skip)
        text += f" By the basis images and the shop's labels alone: {_short(strict)}."
    n = len(effect.image_index)
    lean = f"{n:,} image{'s lean' if n != 1 else ' leans'} on what was edited."
    st.html(what_if_html.others(text, lean))
    changed = what_if.changes(run, effect, skip)
    if len(changed):
        show_changes(run, changed)
        components.download_csv(changed, "what-if")


def _short(counts: what_if.Counts) -> str:
    return f"{counts.falls:,} would fall, {counts.arises:,} would be new"


def show_changes(run: Run, changed: pd.DataFrame) -> None:
    """The first changed labels as pictures, each leading to its receipt."""
    top = changed.head(SHOWN)
    words = {True: "flip falls", False: "newly flipped"}
    captions = [
        f"{row.attribute}\n{LABEL_WORDS[row.corrected_before]} → {LABEL_WORDS[row.corrected_after]}"
        for row in top.itertuples()
    ]
    now = state.read()
    link = partial(state.link, "flips", without=now.without, relabel=now.relabel)
    hrefs = [
        link(flip=f"{i}-{j}")
        for i, j in zip(top["image_index"], top["attribute_index"], strict=True)
    ]
    badges = [words[bool(falls)] for falls in top["falls"]]
    components.image_strip(run, top["image_index"], captions, hrefs, 128, badges)
    if len(changed) > len(top):
        st.caption(f"Shown: {len(top)} of {len(changed):,} labels; the download has all of them.")


def show_for_atom(run: Run, basis_index: int) -> None:
    """Other labels of one basis image, and what would follow for all labels."""
    st.subheader("What if it were labelled otherwise?", anchor=False)
    edits = Edits.of(run)
    labels = {(k, j): label for (k, j), label in edits.labels.items() if k == basis_index}
    edits = Edits((), labels)
    first = next((j for _, j in labels), 0)
    present = run.array("basis_labels")[basis_index]
    row = st.container(horizontal=True, vertical_alignment="bottom")
    with row:
        j = st.selectbox(
            "Attribute", list(range(len(run.attributes))), first, width=260,
            format_func=lambda j: f"{run.attributes[j]} · {LABEL_WORDS[int(present[j])]}",
            key=f"what_if_attribute_{basis_index}",
        )  # fmt: skip
        _control(edits, basis_index, j, int(present[j]), out=False)
        if edits:
            _put_back("what_if_atom_back")
    if edits:
        effect = load.counterfactuals(run).what_if(labels=labels)
        st.html(what_if_html.sentence(f"{edits.words(run)}:"))
        show_effect(run, effect)
    else:
        st.caption("Nothing is saved: choose a label, and see what becomes of all others.")
