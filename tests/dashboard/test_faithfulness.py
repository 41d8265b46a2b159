"""Faithfulness in the dashboard: frames, figures, sentences and the part of the basis view."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from dashboard import flip_cards, receipt_html
from dashboard.figures import faithfulness as figures
from dashboard.frames import faithfulness as frames
from dashboard.frames import receipt as receipts
from dashboard.frames.flips import FlipQuery, flips_page
from dashboard.frames.receipt_words import MARKS, sentences
from selfml.faithfulness import ALL, COLUMNS
from selfml.reasons import REASONS
from selfml.receipts import receipt
from selfml.run import Run
from tests.dashboard.conftest import text_of

Open = Callable[..., AppTest]


@pytest.fixture(scope="module")
def run(tiny_run: Path) -> Run:
    return Run(tiny_run)


@pytest.fixture(scope="module")
def rows(run: Run) -> pd.DataFrame:
    return frames.table(run)


def made_up(top: float, chance: float, bare: float) -> pd.DataFrame:
    """Deletion by all evidence of 200 flips."""
    values = [
        ("deletion_reverted", "coefficients", 1, top),
        ("deletion_reverted", "random", 1, chance),
        ("deletion_reverted", "coefficients", ALL, bare),
        ("deletion_drop", "coefficients", 1, top / 20),
        ("deletion_drop", "random", 1, chance / 20),
    ]
    frame = pd.DataFrame(values, columns=["measure", "explanation", "k", "value"])
    return frame.assign(evidence="full", attribute_index=-1, n=200)[list(COLUMNS)]


@pytest.mark.parametrize(
    ("top", "chance", "bare", "words"),
    [
        (40.0, 5.0, 80.0, "carry flips: the top ones matter more than random ones. Still, 20.0 %"),
        (40.0, 5.0, 45.0, "55.0 % of the flips would stand without any of them"),
        (5.0, 5.0, 45.0, "are not why labels are flipped"),
        (0.0, 0.0, 0.0, "are not why labels are flipped"),
    ],
)
def test_the_verdict_says_what_the_numbers_say(top, chance, bare, words):
    assert words in frames.verdict(made_up(top, chance, bare)).replace("\u00a0", " ")


def test_the_sentence_to_cite():
    said = frames.deletion_sentence(made_up(40.0, 5.0, 80.0), "full").replace("\u00a0", " ")
    assert said == (
        "Of the 200 flips, by all evidence, 40.0 % revert once the basis image that "
        "contributes most is taken out of their explanation, against 5.0 % for a random image of "
        "it (mean drop in log-odds 2.00 against 0.25); without any basis image 80.0 % revert."
    )
    assert frames.deletion_sentence(made_up(40.0, 5.0, 80.0), "strict") == ""
    assert frames.verdict(made_up(1, 2, 3).iloc[:0]) == ""


def test_curves_start_at_nothing_and_end_with_all(rows: pd.DataFrame):
    frame = frames.curves(rows, "deletion_reverted", "full")
    for name, part in frame.groupby("explanation", sort=False):
        assert part["k"].tolist() == [0, 1, 2, 3, 5, ALL], name
        assert part["value"].iloc[0] == 0
    assert frame["explanation"].unique().tolist() == list(frames.CURVES["deletion"])
    kept = frames.curves(rows, "sufficiency_stands", "strict")
    assert kept["k"].tolist() == [1, 3, 5, ALL] * 4
    assert frames.curves(rows, "nothing", "full").empty


def test_the_figure_has_a_line_for_each_explanation(rows: pd.DataFrame):
    frame = frames.curves(rows, "deletion_reverted", "full")
    figure = figures.curves(frame, x_title="Images", y_title="Flips (%)")
    assert [trace.name for trace in figure.data] == [
        figures.NAME[n] for n in frames.CURVES["deletion"]
    ]
    assert len({trace.line.dash for trace in figure.data}) == 5  # told apart without colour
    assert all(isinstance(trace.y, np.ndarray) for trace in figure.data)
    own = frame[frame["explanation"] == "coefficients"]
    np.testing.assert_array_equal(figure.data[0].y, own["value"])
    assert figure.layout.xaxis.ticktext[-1] == "all"
    assert figure.layout.xaxis.title.text == "Images"
    empty = figures.curves(frame.iloc[:0], x_title="Images", y_title="Flips (%)")
    assert empty.layout.annotations[0].text == "Not measured in this run"


def test_agreement_by_attribute_least_first(run: Run):
    frame = frames.agreement(run)
    assert frame["agree"].is_monotonic_increasing
    flips = run.table("flips")
    for row in frame.itertuples():
        own = flips[flips["attribute_index"] == row.attribute_index]
        assert row.n_flips == len(own)
        assert row.agree == pytest.approx(100 * own["strict_agrees"].mean())
    figure = figures.agreement(frame)
    np.testing.assert_array_equal(figure.data[0].x, frame["agree"])
    assert any("&lt;script&gt;" in name for name in figure.layout.yaxis.ticktext)
    assert "Not measured" in figures.agreement(frame.iloc[:0]).layout.annotations[0].text


def test_the_download_says_what_each_row_is(run: Run, rows: pd.DataFrame):
    frame = frames.export_frame(run)
    assert len(frame) == len(rows)
    assert set(frame["k"]) == {"", "1", "2", "3", "5", "all"}
    assert (frame["definition"].str.len() > 10).all()
    assert (frame["explanation_is"].str.len() > 10).all()
    assert set(frame["attribute"]) <= {*run.attributes, "all"}


# --- what is not the reason is marked ------------------------------------------------------


def test_cards_say_it_before_anything_else(run: Run):
    """Every kind of reason, by the stored numbers; nothing where the basis images are why."""
    page = flips_page(run, FlipQuery(), 1, 10_000)
    assert set(page["reason"]) == {"basis", "other", "contradicted"}
    for row in page.itertuples():
        html = flip_cards._card(row, "u", "h")
        assert (row.reason == "contradicted") == (not row.strict_agrees)
        assert html.count("rc-mark") == (row.reason != "basis")
        if row.reason != "basis":
            mark = {"other": "stands without", "contradicted": "basis images disagree"}[row.reason]
            assert html.index(mark) < html.index("fc-row") < html.index("fc-bar")
    row = next(page.iloc[:1].assign(reason="other_disputed").itertuples())
    html = flip_cards._card(row, "u", "h")
    assert html.index("stands without") < html.index("the classifier disagrees")
    assert set(MARKS) == set(REASONS)


def test_labels_of_an_image_mark_it_too(run: Run):
    flips = flips_page(run, FlipQuery(), 1, 10_000)
    for i in flips["image_index"].unique()[:12]:
        labels = receipts.image_labels(run, i)
        own = flips[flips["image_index"] == i].set_index("attribute_index")["reason"]
        made = labels[labels["flipped"]].set_index("attribute_index")["reason"]
        assert made.to_dict() == own.to_dict()
        assert (labels[~labels["flipped"]]["reason"] == "").all()
        image = pd.Series({"image_index": i, "image_id": "a", "category": "b", "split": "c"})
        html = receipt_html.image_labels(image, labels, "u", ["h"] * len(labels))
        assert html.count("basis images disagree") == (own == "contradicted").sum()
        assert html.count("stands without basis images") == (own == "other").sum()
        assert html.count(">changed<") == len(own)


def test_receipts_say_it_first_in_words_and_chips_and_as_a_file(run: Run):
    said = dict.fromkeys(REASONS, 0)
    image = pd.Series({"image_id": "a.jpg", "category": "b", "split": "c"})
    for _, flip in flips_page(run, FlipQuery(), 1, 10_000).iterrows():
        of = receipt(run, flip["image_index"], flip["attribute_index"])
        verdict = receipts.verdict(run, of, flip)
        atoms = receipts.atoms_frame(of, verdict)
        name = receipts.reason(of, verdict)
        assert name == flip["reason"]
        bare = receipts.stands_without_any(of, verdict)
        words = sentences(of, verdict, atoms)
        html = receipt_html.head(of, verdict, words, image, "u")
        first = words[0]
        assert first.startswith("The basis images do not decide here: the change would") == (
            name == "other"
        )
        assert first.startswith("The basis images alone are not") == (name == "contradicted")
        assert html.count("<b>") == (name != "basis")
        assert ("Basis images agree" in html) == (name == "basis")
        assert any("So it is" in sentence for sentence in words) <= (name == "basis")
        if name != "other":
            assert ("without any of them" in words[-1] or "all of them it" in words[-1]) == bare
        frame = receipts.export_frame(of, atoms, verdict)
        assert set(frame["reason"]) == {REASONS[name]}
        assert set(frame["strict_agrees"]) == {of.strict_agrees}
        said[name] += 1
    assert all(said[name] for name in ("basis", "other", "contradicted"))


@pytest.mark.parametrize(
    ("largest", "words"),
    [
        ("classifier", "what a classifier sees in the whole photo"),
        ("residual", "what was learned of photo and label together"),
        ("given", "the shop's own label"),
        ("bias", "how common the attribute is"),
    ],
)
@pytest.mark.parametrize("label", [0, 1])
def test_what_it_rests_on_instead_is_named(run: Run, largest: str, words: str, label: int):
    flip = flips_page(run, FlipQuery(), 1, 1).iloc[0]
    of = receipt(run, flip["image_index"], flip["attribute_index"])
    sign = 1 if label else -1
    terms = dict.fromkeys(of.terms, sign * 0.1) | {largest: sign * 9.0}
    strict = dict.fromkeys(of.strict_terms, sign * 0.1)
    of = replace(of, given=1 - label, terms=terms, strict_terms=strict)
    verdict = replace(receipts.verdict(run, of, flip), given=1 - label, corrected=label)
    said = sentences(of, verdict, receipts.atoms_frame(of, verdict))
    assert said[0] == (
        "The basis images do not decide here: the change would stand without any of them, "
        f"mostly on {words}."
    )
    assert said[1] == f"With the shop's label alone they say {'yes' if label else 'no'}, too."
    assert sum("without any of them" in sentence for sentence in said) == 1


@pytest.mark.parametrize(("label", "says"), [(1, "yes as well: +5.22"), (0, "no as well: -5.22")])
def test_basis_images_that_agree_without_deciding_are_not_called_other_evidence(
    run: Run, label: int, says: str
):
    """Taken out, the category alone would do; as they are, they say most of the sum."""
    flip = flips_page(run, FlipQuery(), 1, 1).iloc[0]
    of = receipt(run, flip["image_index"], flip["attribute_index"])
    sign = 1 if label else -1
    terms = dict.fromkeys(of.strict_terms, sign * 3.0) | {"basis": sign * 5.22}
    of = replace(of, given=1 - label, strict_terms=terms, terms=dict.fromkeys(of.terms, sign * 1.0))
    verdict = replace(
        receipts.verdict(run, of, flip), given=1 - label, corrected=label, mode="strict"
    )
    assert receipts.reason(of, verdict) == "other"
    said = sentences(of, verdict, receipts.atoms_frame(of, verdict))
    assert said[0].startswith("The basis images do not decide here: the change would stand")
    assert said[1] == f"They say {says} of the sum of {of.strict_score:+.2f}."
    assert any(sentence.startswith("With or without them it is") for sentence in said)


def test_what_strict_evidence_decided_without_them_says_both(run: Run):
    """The classifier disagrees, and it would stand on the shop's label alone."""
    flip = flips_page(run, FlipQuery(), 1, 1).iloc[0]
    of = receipt(run, flip["image_index"], flip["attribute_index"])
    strict = dict.fromkeys(of.strict_terms, 0.1) | {"given": 9.0}
    of = replace(of, strict_terms=strict, terms=dict.fromkeys(of.terms, -1.0))
    verdict = replace(receipts.verdict(run, of, flip), corrected=1, mode="strict")
    assert receipts.reason(of, verdict) == "other_disputed"
    first = sentences(of, verdict, receipts.atoms_frame(of, verdict))[0]
    assert first.startswith("Only the basis images and the shop's label decided here")
    assert first.endswith("would stand without any of them, mostly on the shop's own label.")
    chips = receipt_html.verdict_chips(of, verdict)
    assert "Stands without basis images" in chips
    assert "The classifier disagrees" in chips
    assert "Basis images agree" not in chips


def test_where_strict_evidence_decides_the_sentences_are_of_it(rows: pd.DataFrame):
    said = frames.deletion_sentence(rows, "strict", "strict")
    assert "flips, by strict evidence (no classifier), " in said
    assert "flips that all evidence makes too" in frames.deletion_sentence(rows, "full", "strict")
    for mode in ("full", "strict"):
        rest = 100 - frames.value(rows, "deletion_reverted", mode, "coefficients", ALL)
        assert f"{rest:.1f}\u00a0% of the flips would stand" in frames.verdict(rows, mode)


# --- the view --------------------------------------------------------------------------------


@pytest.fixture
def open_part(open_view: Open, runs_folder: Path) -> Open:
    """The part of the basis view, and a run as of before, ``older``, without the table."""
    older = runs_folder / "older"
    if not older.exists():
        shutil.copytree(runs_folder / "tiny", older)
        (older / "faithfulness.parquet").unlink()
    half = runs_folder / "no_model"
    if not half.exists():
        shutil.copytree(runs_folder / "tiny", half)
        table = Run(half).table("faithfulness")
        table = table[~table["measure"].str.startswith("stability")]
        table.to_parquet(half / "faithfulness.parquet")
    return lambda name: open_view("basis", run=name, part="faithfulness")


@pytest.mark.slow
def test_the_view_shows_its_numbers(open_part: Open, rows: pd.DataFrame):
    text = text_of(open_part("tiny"))
    assert frames.deletion_sentence(rows, "full") in text
    assert frames.nearest_sentence(rows) in text
    assert frames.verdict(rows) in text
    top = frames.value(rows, "deletion_reverted", "full", "coefficients", 1)
    assert f"Top image out: {top:.1f} %" in text
    assert "Stay if changed: 91.0 %" in text
    assert "Images taken out" in text
    assert "40 images with flips were mirrored" in text


@pytest.mark.slow
def test_an_older_run_says_how_to_measure_it(open_part: Open):
    text = text_of(open_part("older"))
    assert "Faithfulness was not measured in this run" in text
    assert "selfml evaluate RUN" in text


@pytest.mark.slow
def test_without_stability_the_rest_is_shown(open_part: Open):
    text = text_of(open_part("no_model"))
    assert "it needs the model" in text
    assert "Stay if changed: –" in text
    assert "Images taken out" in text


@pytest.mark.slow
def test_a_run_without_flips_is_shown_too(open_part: Open):
    assert open_part("no_flips").title[0].value == "Basis"
