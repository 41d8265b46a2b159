"""Each exported flip with its evidence: numbers that add up, and names that no spreadsheet runs."""

from __future__ import annotations

import re
import shutil

import numpy as np
import pandas as pd
import pytest

from selfml.corrections import neutralise
from selfml.exchange.flip_list import deciding_columns
from selfml.export import Exported, export
from selfml.flips import TERMS, read_evidence_model, sigmoid
from selfml.reasons import REASONS
from selfml.receipts import receipt, without_all
from selfml.run import Run, RunWriter
from tests.evidence_cases import decide_strictly
from tests.tiny_dataset import Shop, open_shop, read_csv, write_csv


@pytest.fixture(scope="module")
def shop(tiny_run, tmp_path_factory) -> Shop:
    """Nobody writes into it."""
    return open_shop(tiny_run, tmp_path_factory.mktemp("export"))


@pytest.fixture(scope="module")
def exported(shop, tmp_path_factory) -> Exported:
    return export(shop.run, tmp_path_factory.mktemp("out") / "corrected.csv")


@pytest.fixture(scope="module")
def listed(exported) -> pd.DataFrame:
    return pd.read_csv(exported.flips_file, keep_default_na=False)


def test_each_flip_is_listed_once_with_its_numbers(shop, exported, listed):
    flips, names = shop.unverified(shop.run.table("flips")), shop.run.attributes
    assert exported.flips_file.name == "corrected.flips.csv"
    assert exported.n_flips == len(listed) == len(flips) > 50
    assert len(flips) < len(shop.run.table("flips"))
    assert not listed.duplicated(["file_name", "attribute"]).any()
    ids = shop.run.table("images")["image_id"]
    assert listed["file_name"].tolist() == ids[flips["image_index"]].tolist()
    assert listed["attribute"].tolist() == [neutralise(names[j]) for j in flips["attribute_index"]]
    for name in ("given", "corrected", "strict_agrees"):
        assert listed[name].tolist() == flips[name].tolist()
    for name in ("confidence", "label_score", "score", "strict_score"):
        np.testing.assert_allclose(listed[name], flips[name], atol=5.1e-7)


@pytest.mark.parametrize("limits", [{}, {"auto_only": True}, {"agreed_only": True}])
def test_where_basis_images_are_not_the_reason_the_row_says_so(shop, tmp_path, limits):
    """Before any figure, and by receipts: strict evidence, and what is left without any atom."""
    file = export(shop.run, tmp_path / "corrected.csv", **limits).flips_file
    listed = pd.read_csv(file, keep_default_na=False)
    assert list(listed).index("reason") < list(listed).index("confidence")
    flips = shop.unverified(shop.run.table("flips"))
    flips = flips[flips["auto_accept"]] if "auto_only" in limits else flips
    flips = flips[flips["strict_agrees"]] if "agreed_only" in limits else flips
    assert len(listed) == len(flips) > 0
    for said, flip in zip(listed["reason"], flips.itertuples(), strict=True):
        of = receipt(shop.run, flip.image_index, flip.attribute_index)
        bare = (without_all(of).score > 0) == (flip.corrected == 1)
        name = ("other" if bare else "basis") if of.strict_agrees else "contradicted"
        assert said == REASONS[name]
    assert listed["reason"].nunique() == (2 if limits else 3)


def test_terms_add_up_to_the_score(listed):
    terms = listed[[f"term_{name}" for name in TERMS]]
    assert (terms.abs() > 0.01).any().all()
    np.testing.assert_allclose(terms.sum(axis=1), listed["score"], atol=1e-5)
    assert ((listed["score"] > 0) == (listed["corrected"] == 1)).all()


@pytest.mark.parametrize("with_category", [False, True])
def test_where_strict_evidence_decides_the_terms_are_its_own(tiny_run, tmp_path, with_category):
    """Those of receipts; they add up to the score shown, which says what was corrected."""
    shop = open_shop(tiny_run, tmp_path)
    n_rows, n_attributes, _ = read_evidence_model(shop.run).llr.shape
    own = np.linspace(-1, 1, n_rows * n_attributes).reshape(n_rows, n_attributes)
    decide_strictly(shop.run, own if with_category else None)
    file = export(shop.run, tmp_path / "corrected.csv").flips_file
    listed = pd.read_csv(file, keep_default_na=False)
    terms = [name for name in listed if name.startswith("term_")]
    names = ("bias", *(["category"] * with_category), "basis", "given")
    assert terms == [f"term_{name}" for name in names]
    assert list(listed)[list(listed).index("term_given") + 1 :][:3] == [
        *("score", "full_score", "full_agrees")
    ]
    np.testing.assert_allclose(listed[terms].sum(axis=1), listed["score"], atol=5e-6)
    assert ((listed["score"] > 0) == (listed["corrected"] == 1)).all()
    np.testing.assert_allclose(listed["confidence"], sigmoid(abs(listed["score"])), atol=1e-6)
    flips = shop.unverified(shop.run.table("flips"))
    assert len(listed) == len(flips) > 20
    assert not listed["full_agrees"].all()
    for row, flip in zip(listed.to_dict("records"), flips.itertuples(), strict=True):
        of = receipt(shop.run, flip.image_index, flip.attribute_index)
        shown = [row[name] for name in terms]
        np.testing.assert_allclose(shown, [of.strict_terms[name] for name in names], atol=1e-5)
        assert row["full_score"] == pytest.approx(of.score, abs=1e-5)
        assert row["full_agrees"] == of.strict_agrees


def test_a_label_that_a_person_decided_has_no_terms(shop):
    flips = shop.run.table("flips").head(2)
    numbers = ["score", "strict_score", "strict_bias", "strict_basis", "term_given"]
    flips.loc[1, numbers] = np.nan
    found = deciding_columns(flips, read_evidence_model(shop.run), "strict")
    numbers = found.drop(columns="full_agrees")
    assert numbers.loc[0].notna().all()
    assert numbers.loc[1].isna().all()


def test_basis_images_carry_the_label_score(shop, listed):
    """Shares sum to one, and weigh the labels shown into the label score."""
    flips, prior = shop.unverified(shop.run.table("flips")), read_evidence_model(shop.run).prior
    atoms = set(shop.run.table("basis")["image_id"])
    for text, j, score in zip(
        listed["basis_images"], flips["attribute_index"], listed["label_score"], strict=True
    ):
        parts = [re.fullmatch(r"(.+) c=(\d\.\d{4}) (yes|no|unknown)", p) for p in text.split("; ")]
        assert {part[1] for part in parts} <= atoms
        c = np.array([float(part[2]) for part in parts])
        assert c.sum() == pytest.approx(1, abs=5e-5 * len(c) + 1e-9)
        assert (np.diff(c) <= 0).all()
        values = [{"yes": 1, "no": 0, "unknown": prior[j]}[part[3]] for part in parts]
        assert c @ values == pytest.approx(score, abs=5e-5 * len(c) + 1e-6)


# ---------------------------------------------------------------------------------------- formulas
def test_formulas_in_names_are_neutralised(tiny_run, tmp_path):
    """With the dataset and without it: no cell of text begins as a formula does."""
    run = Run(shutil.copytree(tiny_run, tmp_path / "run"))
    images, basis = run.table("images"), run.table("basis")
    atom = int(basis["image_index"][0])
    images.loc[[0, atom], "image_id"] = ["=cmd.jpg", "-atom.jpg"]
    basis.loc[0, "image_id"] = "-atom.jpg"
    images.loc[0, "category"] = "@home"
    root = tmp_path / "shop"
    root.mkdir()
    writer = RunWriter(run.path)
    writer.write_table("images", images)
    writer.write_table("basis", basis)
    writer.update(dataset={"path": str(root), "sha256": ""})
    given = run.array("labels_given")
    rows = [
        [name, category or "", *("" if v < 0 else str(v) for v in labels)]
        for name, category, labels in zip(
            images["image_id"], images["category"].fillna(""), given, strict=True
        )
    ]
    header = ["file_name", "category", *run.attributes]
    write_csv(root / "labels.csv", [header, *rows])
    write_csv(root / "clean.csv", [["file_name", header[2]], [rows[0][0], "1"]])
    nobody = run.table("calibration").iloc[:0]
    RunWriter(run.path).write_table("calibration", nobody)  # the first image is to keep its flips
    for source in ("input", "run"):
        done = export(Run(run.path), tmp_path / f"{source}.csv")
        assert done.from_input == (source == "input")
        found = read_csv(done.labels_file)
        assert found[0] == ["file_name", "category", *map(neutralise, run.attributes)]
        assert found[0][6] == "'=1+1"
        assert found[1][:2] == ["'=cmd.jpg", "'@home"]
        flips = read_csv(done.flips_file)
        assert {row[1] for row in flips[1:]} >= {"'=1+1"}
        assert {row[0] for row in flips[1:]} >= {"'=cmd.jpg"}
        assert any(row[-1].startswith("'-atom.jpg c=") for row in flips[1:])
        for row in [*found, *([r[0], r[1], r[-1]] for r in flips)]:
            assert not [cell for cell in row if cell.startswith(("=", "+", "-", "@"))]
        shutil.rmtree(root, ignore_errors=True)
