"""Whether basis images are the reason of a flip: the same by receipts, and every case named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from selfml.flips import read_evidence_model
from selfml.reasons import REASONS, flip_reasons, prior_term, reason_names, stands_without_any
from selfml.receipts import receipt, without_all
from selfml.run import Run


@pytest.fixture(scope="module")
def run(tiny_run: Path) -> Run:
    return Run(tiny_run)


@pytest.mark.parametrize("mode", ["full", "strict"])
def test_what_stands_without_any_is_that_of_receipts(run: Run, mode: str):
    """Of flips that the evidence makes; the tiny run has both kinds, to yes and to no."""
    model, flips = read_evidence_model(run), run.table("flips")
    name = "score" if mode == "full" else "strict_score"
    flips = flips[(flips[name] > 0) == (flips["corrected"] == 1)]
    stands = stands_without_any(flips, model, mode)
    for flip, said in zip(flips.itertuples(), stands, strict=True):
        of = receipt(run, flip.image_index, flip.attribute_index, model=model)
        after = getattr(without_all(of), name)
        assert said == ((after > 0) == (flip.corrected == 1))
        basis = of.terms["basis"] if mode == "full" else of.strict_terms["basis"]
        term = prior_term(model, mode)[flip.attribute_index]
        assert after == pytest.approx(getattr(of, name) - basis + term, abs=1e-9)
    assert set(zip(stands, flips["corrected"], strict=True)) >= {(True, 1), (False, 1)}


def test_every_case_has_its_name():
    agrees, stands = np.array([1, 1, 0, 0]), np.array([0, 1, 0, 1])
    full = reason_names(agrees, stands, "full").tolist()
    strict = reason_names(agrees, stands, "strict").tolist()
    assert full == ["basis", "other", "contradicted", "contradicted"]
    assert strict == ["basis", "other", "disputed", "other_disputed"]
    assert {*full, *strict} == set(REASONS)
    assert str(reason_names(True, False, "full")) == "basis"


def test_reasons_of_flips_and_of_none(run: Run):
    model, flips = read_evidence_model(run), run.table("flips")
    for mode in ("full", "strict"):
        found = pd.Series(flip_reasons(flips, model, mode))
        split = found.isin(["contradicted", "disputed", "other_disputed"])
        assert split.tolist() == (~flips["strict_agrees"]).tolist()
        assert found.nunique() > 2
        assert len(flip_reasons(flips.iloc[:0], model, mode)) == 0
