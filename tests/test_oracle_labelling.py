"""Label a few basis images, correct many labels: the committed scenario, made small."""

from __future__ import annotations

import numpy as np
import pytest

from selfml.oracle import asked_images
from selfml.run import Run
from tests.benchmarks.oracle_labelling import Catalogue, Outcome, build, by_number, label_all

N_IMAGES, N_USED = 3_000, 12


@pytest.fixture(scope="module")
def of(tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    return build(tmp_path_factory.mktemp("scenario") / "run", N_IMAGES, 60, N_USED, 8)


@pytest.fixture(scope="module")
def result(of: Catalogue) -> Outcome:
    return label_all(of, of.run.path.with_name("labelled"))


def test_a_person_is_asked_about_the_image_of_each_atom(of: Catalogue):
    assert asked_images(of.run)[:N_USED].tolist() == list(range(N_USED))


def test_a_few_labels_correct_many(of: Catalogue, result: Outcome):
    assert result.done.n_basis_images == N_USED
    assert result.done.n_labels > 20
    assert result.n_mended > 10 * result.done.n_labels
    assert result.n_mended > 5 * result.n_spoilt
    assert result.after > result.before + 0.1
    assert result.after > result.given
    child = Run(result.done.path)
    np.testing.assert_array_equal(child.array("basis_labels")[:N_USED], of.right[:N_USED])
    assert (child.table("basis")["label_source"] == "oracle").sum() == N_USED


def test_what_is_shown_before_saving_is_what_comes(of: Catalogue, result: Outcome):
    old, new = (np.array(Run(p).array("labels_corrected")) for p in (of.run.path, result.done.path))
    assert result.n_previewed == result.done.n_changed == (old != new).sum()
    counted = result.n_mended - result.n_spoilt
    assert counted == pytest.approx(
        (result.after - result.before) * (of.run.array("labels_given") >= 0).sum()
    )


def test_the_order_is_worth_more_than_chance(of: Catalogue):
    left = by_number(of, [0, 4, N_USED], draws=20).set_index("n")
    assert left.loc[0, "ordered"] == left.loc[0, "random"]
    assert left.loc[4, "ordered"] < left.loc[4, "random"] < left.loc[0, "random"]
    assert left.loc[N_USED, "ordered"] == left.loc[N_USED, "random"]
