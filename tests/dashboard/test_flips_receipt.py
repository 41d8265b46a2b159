"""Receipts as the reader sees them: sums that add up, words that say what the numbers say."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dashboard import receipt_html
from dashboard.components import safe_for_spreadsheets
from dashboard.frames import receipt as receipts
from dashboard.frames.flips import FlipQuery, flips_page, one_flip
from dashboard.frames.receipt_words import number, percent, sentences
from selfml.receipts import Receipt, receipt
from selfml.run import Run


@pytest.fixture(scope="module")
def run(tiny_run: Path) -> Run:
    return Run(tiny_run)


@pytest.fixture(scope="module")
def flips(run: Run) -> pd.DataFrame:
    return flips_page(run, FlipQuery(), 1, 10_000)


def full(run: Run, flip: pd.Series) -> tuple[Receipt, receipts.Verdict, pd.DataFrame]:
    of = receipt(run, flip["image_index"], flip["attribute_index"])
    verdict = receipts.verdict(run, of, flip)
    return of, verdict, receipts.atoms_frame(of, verdict)


@pytest.fixture(scope="module")
def every(run: Run, flips: pd.DataFrame) -> list[tuple[pd.Series, tuple]]:
    """Every flip of the run with its receipt."""
    return [(flip, full(run, flip)) for _, flip in flips.iterrows()]


def shown(html: str) -> list[float]:
    """The last number of every row of a table, as a reader sees it."""
    rows = re.findall(r"<tr[^>]*>(.*?)</tr>", html.split("<tbody>")[1])
    return [float(re.findall(r"<td>([^<]*)</td>", row)[-1]) for row in rows]


@pytest.mark.slow
def test_every_flip_of_the_run_adds_up_in_every_place_it_is_shown(every: list):
    for flip, (of, verdict, atoms) in every:
        assert of.score == pytest.approx(flip["score"], abs=1e-6)
        assert of.strict_score == pytest.approx(flip["strict_score"], abs=1e-6)
        assert atoms["contribution"].sum() == pytest.approx(flip["label_score"], abs=1e-6)
        for mode, score in (("full", flip["score"]), ("strict", flip["strict_score"])):
            terms = receipts.terms_frame(of, mode)
            assert terms["value"].sum() == pytest.approx(score, abs=1e-6)
            assert terms["end"].iloc[-1] == pytest.approx(score, abs=1e-6)
            *parts, total = shown(receipt_html.terms_table(terms, "t"))
            assert round(sum(parts), 4) == total
            assert total == pytest.approx(score, abs=5.1e-5)
        *parts, total = shown(receipt_html.atoms_table(of))
        assert round(sum(parts), 4) == total
        assert total == pytest.approx(flip["label_score"], abs=5.1e-5)
        assert (verdict.given, verdict.corrected) == (flip["given"], flip["corrected"])
        assert verdict.flipped


def test_what_stands_without_a_basis_image_is_a_recomputed_score(run: Run, flips: pd.DataFrame):
    for _, flip in flips.iloc[::7].iterrows():
        of, verdict, atoms = full(run, flip)
        assert verdict.mode == "full"
        says = atoms["score_without"] > 0
        assert (says == (verdict.corrected == 1)).tolist() == atoms["stands"].tolist()
        for row in atoms.itertuples():
            rest = of.atoms[of.atoms["basis_index"] != row.basis_index]
            share = rest["coefficient"].astype(np.float64)
            share = share / share.sum()
            s = float(share @ rest["value"]) if len(rest) else of.prior
            s = (s + of.smoothing * of.prior) / (1 + of.smoothing)
            terms = {**of.terms, "basis": of.basis_weight * np.log(s / (1 - s))}
            assert row.score_without == pytest.approx(sum(terms.values()), abs=1e-6)


@pytest.mark.slow
def test_where_the_evidence_is_split_that_is_said_first(every: list):
    split = 0
    for flip, found in every:
        words = sentences(*found)
        is_first = words[0].startswith("The basis images alone are not the reason")
        assert is_first == (not flip["strict_agrees"])
        split += is_first
    assert 0 < split < len(every)


def test_the_sentence_of_a_plain_case():
    atoms = pd.DataFrame(
        {
            "basis_index": [3, 5, 9],
            "coefficient": [0.5, 0.42, 0.08],
            "label": [1, 1, -1],
            "value": [1.0, 1.0, 0.3],
            "stands": [True, False, True],
        }
    )
    of = Receipt(
        image_index=0, attribute_index=0, attribute="Long Sleeved", given=0, label_score=0.94,
        prior=0.3, smoothing=0.1, basis_weight=1, strict_basis_weight=1, atoms=atoms,
        terms={"bias": 0.0, "basis": 2.0, "given": -0.5, "classifier": 1.0, "residual": 0.0},
        strict_terms={"bias": 0.0, "basis": 2.0, "given": -0.5},
    )  # fmt: skip
    verdict = receipts.Verdict(given=0, corrected=1, truth=-1, confidence=0.92, mode="full")
    assert sentences(of, verdict, atoms) == [
        "The shop did not list “Long Sleeved”.",
        "Of the three verified images that look most like this one, two (92\u00a0%) have it and "
        "one (8\u00a0%) has no verified label for it.",
        "So it is added; the chance that this is right is put at 92\u00a0%.",
        "Take away basis image 5, and the change would not stand.",
    ]
    against = replace(of, terms={**of.terms, "basis": -0.4})
    assert "speak rather against it" in sentences(against, verdict, atoms)[2]
    by_images = replace(verdict, mode="strict")  # there the term of full evidence decides nothing
    assert sentences(against, by_images, atoms)[2].startswith("So it is added")
    otherwise = replace(of, strict_terms={"bias": 3.0, "basis": -0.4, "given": -0.5})
    assert "speak rather against it" in " ".join(sentences(otherwise, by_images, atoms))
    kept = replace(verdict, given=1)
    assert sentences(replace(of, given=1), kept, atoms)[2].startswith("So the label stays as it is")
    blank = sentences(replace(of, given=-1), replace(verdict, given=-1), atoms)
    assert blank[0] == "The shop left “Long Sleeved” open."
    assert blank[2].startswith("There is no label to correct; the evidence says yes")


@pytest.mark.parametrize("category", [True, False])
@pytest.mark.parametrize(
    ("classifier", "residual", "why"),
    [
        (1.1, 0.1, "what a classifier sees in the whole photo says yes and outweighs them."),
        (0.1, 1.1, "what was learned of photo and label together says yes and outweighs them."),
        (-0.3, 0.2, "weighed together with the classifier, the evidence says yes."),
    ],
)
def test_what_outweighs_the_basis_images_is_named(run, flips, classifier, residual, why, category):
    flip = flips[flips["given"] == 0].iloc[0]
    of = receipt(run, flip["image_index"], flip["attribute_index"])
    terms = {"bias": 2.0, "basis": -0.5, "given": -1.0}
    own = {"category": 0.4} if category else {}
    of = replace(
        of,
        terms={**terms, "classifier": classifier, "residual": residual},
        strict_terms={"bias": -0.5, **own, "basis": -0.5, "given": -1.0},
    )
    verdict = replace(receipts.verdict(run, of, flip), corrected=1, mode="full")
    words = sentences(of, verdict, receipts.atoms_frame(of, verdict))
    beside = "the shop's label and category" if category else "the shop's label"
    assert words[0] == (
        f"The basis images alone are not the reason. With {beside} they say no; {why}"
    )
    assert ("category" in receipts.strict_name(of)) == category
    assert ("category" in set(receipts.terms_frame(of, "strict")["term"])) == category


def test_a_flip_that_strict_evidence_decided_says_so(
    tiny_run: Path, flips: pd.DataFrame, tmp_path: Path
):
    shutil.copytree(tiny_run, tmp_path, dirs_exist_ok=True)
    (tmp_path / "config.toml").write_text('[flips]\nmode = "strict"\n')
    run = Run(tmp_path)
    flip = flips[~flips["strict_agrees"]].iloc[0].copy()
    flip["corrected"] = flip["given"]  # what full evidence wants is not what was stored
    of = receipt(run, flip["image_index"], flip["attribute_index"])
    verdict = receipts.verdict(run, of, flip)
    assert verdict.mode == "strict"
    words = sentences(of, verdict, receipts.atoms_frame(of, verdict))
    assert words[0].startswith("Only the basis images and the shop's label decided here")


def test_a_label_that_was_kept_has_a_receipt_too(run: Run):
    kept = (run.array("labels_given") == run.array("labels_corrected")) & (
        run.array("labels_given") >= 0
    )
    i, j = (int(v[0]) for v in np.nonzero(kept))
    assert one_flip(run, i, j) is None
    of = receipt(run, i, j)
    verdict = receipts.verdict(run, of, None)
    assert not verdict.flipped
    assert verdict.corrected == run.array("labels_corrected")[i, j]
    assert 0.5 <= verdict.confidence <= 1


def test_all_labels_of_an_image_flips_first(run: Run):
    labels = receipts.image_labels(run, 5)
    assert sorted(labels["attribute_index"]) == list(range(len(run.attributes)))
    flips = run.table("flips")
    own = set(flips[flips["image_index"] == 5]["attribute_index"])
    assert set(labels[labels["flipped"]]["attribute_index"]) == own
    assert labels["flipped"].is_monotonic_decreasing
    row = labels.iloc[-1]
    assert row["truth"] == run.array("labels_true")[5, row["attribute_index"]]


def test_the_export_has_all_digits_and_no_formula(run: Run, flips: pd.DataFrame):
    flip = flips[flips["attribute"] == "=1+1"].iloc[0]
    of, verdict, atoms = full(run, flip)
    export = receipts.export_frame(of, atoms, verdict)
    sums = export.groupby("part")["contribution"].sum()
    assert sums["basis"] == pytest.approx(of.label_score, abs=1e-12)
    assert sums["full"] == pytest.approx(of.score, abs=1e-12)
    assert sums["strict"] == pytest.approx(of.strict_score, abs=1e-12)
    assert (safe_for_spreadsheets(export)["attribute"] == "'=1+1").all()


def test_names_are_escaped_everywhere(run: Run, flips: pd.DataFrame):
    flip = flips[flips["attribute"].str.startswith("<script>")].iloc[0]
    of, verdict, atoms = full(run, flip)
    image = pd.Series({"image_id": "<b>x</b>.jpg", "category": "<i>", "split": None})
    html = receipt_html.head(of, verdict, sentences(of, verdict, atoms), image, "/t/1")
    html += receipt_html.strip(atoms, verdict, ["u"] * len(atoms), ['"><b>'] * len(atoms))
    assert "<script" not in html
    assert "<b>x" not in html
    assert '"><b>"' not in html
    assert "&lt;script&gt;" in html


def test_the_bar_shows_each_share_once(run: Run, flips: pd.DataFrame):
    _, _, atoms = full(run, flips.iloc[0])
    bar = receipt_html.share_bar(atoms)
    shares = [float(v) for v in re.findall(r"flex:([0-9.]+)", bar)]
    assert sum(shares) == pytest.approx(1, abs=1e-4)
    assert len(shares) == len(atoms)


@pytest.mark.parametrize("values", [[0.12345] * 5, [-3.3, 1.00004, 2.00004], [], [0.00004]])
def test_digits_shown_add_up(values: list[float]):
    parts = receipts.shown_parts(np.array(values))
    assert round(parts.sum(), 4) == round(sum(values), 4)
    assert np.abs(parts - np.array(values)).max(initial=0) <= 1.01e-4


def test_percentages_never_claim_certainty():
    assert [percent(v).replace("\u00a0", " ") for v in (0, 0.001, 0.5, 0.9951, 0.99999, 1)] == [
        "0 %", "under 1 %", "50 %", "over 99 %", "over 99 %", "100 %",
    ]  # fmt: skip
    assert [number(n) for n in (0, 1, 12, 13, 1300)] == ["no", "one", "twelve", "13", "1,300"]
