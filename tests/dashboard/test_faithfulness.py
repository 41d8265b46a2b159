"""Faithfulness in the dashboard: frames, figures, sentences and the part of the basis view."""

from __future__ import annotations

import shutil
from collections.abc import Callable
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
from dashboard.frames.receipt_words import sentences
from selfml.deletion import ALL, COLUMNS
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


def test_cards_mark_what_the_basis_images_would_not_do(run: Run):
    page = flips_page(run, FlipQuery(), 1, 10_000)
    for row in page.itertuples():
        html = flip_cards._card(row, "u", "h")
        assert ("alone they disagree" in html) == (not row.strict_agrees)
    split = page[~page["strict_agrees"]].iloc[:1].assign(strict_score=lambda t: -t["strict_score"])
    assert "the classifier disagrees" in flip_cards._card(next(split.itertuples()), "u", "h")


def test_labels_of_an_image_mark_it_too(run: Run):
    flips = run.table("flips")
    i = int(flips[~flips["strict_agrees"]]["image_index"].iloc[0])
    labels = receipts.image_labels(run, i)
    image = pd.Series({"image_index": i, "image_id": "a", "category": "b", "split": "c"})
    html = receipt_html.image_labels(image, labels, "u", ["h"] * len(labels))
    own = flips[flips["image_index"] == i]
    assert html.count("basis images disagree") == (~own["strict_agrees"]).sum() > 0
    assert html.count(">changed<") == len(own)


def test_a_receipt_says_where_no_basis_image_is_needed(run: Run):
    said = {True: 0, False: 0}
    for _, flip in run.table("flips").iterrows():
        of = receipt(run, flip["image_index"], flip["attribute_index"])
        verdict = receipts.verdict(run, of, flip)
        atoms = receipts.atoms_frame(of, verdict)
        words = sentences(of, verdict, atoms)[-1]
        bare = receipts.stands_without_any(of, verdict)
        assert ("other evidence is the reason" in words) == (atoms["stands"].all() and bare)
        assert not receipts.export_frame(of, atoms)["strict_agrees"].ne(of.strict_agrees).any()
        said["other evidence is the reason" in words] += 1
    assert all(said.values())


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
