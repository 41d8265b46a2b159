"""Label scores and flips, without a run."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings

from selfml import flips
from selfml.flips import EvidenceModel
from tests.evidence_cases import HAND_MODEL, models


@pytest.mark.parametrize(
    ("category", "label", "worth"),
    [("jackets", 0, -3), ("jackets", 1, 4), ("hats", 1, 2), (None, 0, -1), ("jackets", -1, 0)],
)
def test_what_a_given_label_is_worth_by_category(category: str | None, label: int, worth: float):
    row = HAND_MODEL.category_index([category], 1)
    assert flips.given_term(HAND_MODEL, np.array([[label]]), row).tolist() == [[worth]]


def test_without_categories_every_image_uses_the_common_row():
    assert HAND_MODEL.category_index(None, 3).tolist() == [0, 0, 0]


def test_unknown_labels_are_never_flips():
    assert flips.corrected_labels(np.array([-1, 0, 1]), np.array([9.0, 9, -9])).tolist() == [
        -1,
        1,
        0,
    ]


def test_a_score_of_zero_says_absent():
    assert flips.corrected_labels(np.array([1, 0]), np.zeros(2)).tolist() == [0, 0]


def test_sigmoid_is_safe_far_out_and_undoes_logit():
    p = np.array([1e-12, 0.3, 0.5, 1 - 1e-12])
    np.testing.assert_allclose(flips.sigmoid(flips.logit(p)), p)
    assert flips.sigmoid(np.array([-1e4, 1e4])).tolist() == [0.0, 1.0]


@given(models(3))
@settings(max_examples=20, deadline=None)
def test_an_evidence_model_comes_back_equal_from_json(model: EvidenceModel):
    back = EvidenceModel.from_json(model.to_json())
    for name, value in vars(model).items():
        np.testing.assert_array_equal(getattr(back, name), value)
