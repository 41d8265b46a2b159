"""Corrected labels from given ones, flips and verified ones; names that no spreadsheet runs."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selfml.corrections import FORMULA_STARTS, apply_flips, neutralise, restore, select_flips

CONFIDENCES = [0.5, 0.7, 0.9, 0.9, 1.0]


def flips_of(*cells: tuple[int, int, int]) -> pd.DataFrame:
    """A flips table of (image, attribute, corrected)."""
    columns = ["image_index", "attribute_index", "corrected"]
    return pd.DataFrame(cells, columns=columns, dtype=np.int32)


def sure(confidences: list[float], agrees: list[bool]) -> pd.DataFrame:
    """A flips table with these confidences and this agreement of strict evidence."""
    frame = {"confidence": np.float32(confidences), "strict_agrees": agrees}
    return pd.DataFrame(frame | {"auto_accept": np.float32(confidences) > 0.95})


@pytest.fixture
def five() -> pd.DataFrame:
    return sure(CONFIDENCES, [True, False, True, False, True])


def test_verified_beats_flip_beats_given():
    given = np.array([[0, 1, -1], [1, 0, 0]], np.int8)
    verified = np.array([[-1, -1, 1], [-1, 0, -1]], np.int8)
    flips = flips_of((0, 0, 1), (1, 0, 0), (1, 1, 1))
    corrected = apply_flips(given, flips, verified)
    assert corrected.tolist() == [[1, 1, 1], [0, 0, 0]]
    assert corrected.dtype == np.int8
    assert given.tolist() == [[0, 1, -1], [1, 0, 0]]


def test_without_flips_and_verified_labels_nothing_changes():
    given = np.array([[0, 1], [-1, 0]], np.int8)
    unknown = np.full_like(given, -1)
    assert apply_flips(given, flips_of(), unknown).tolist() == given.tolist()
    assert apply_flips(given, flips_of(), np.ones_like(given)).tolist() == [[1, 1], [1, 1]]


@st.composite
def corrections(draw):
    """Given and verified labels of one shape, and flips of some known cells."""
    shape = draw(st.integers(1, 6)), draw(st.integers(1, 5))
    n_cells = shape[0] * shape[1]
    labels = st.lists(st.sampled_from([-1, 0, 1]), min_size=n_cells, max_size=n_cells)
    given, verified = (np.array(draw(labels), np.int8).reshape(shape) for _ in range(2))
    known = [(int(i), int(j), int(1 - given[i, j])) for i, j in np.argwhere(given >= 0)]
    chosen = draw(st.lists(st.sampled_from(known), unique=True)) if known else []
    return given, flips_of(*chosen), verified


@settings(max_examples=40, deadline=None)
@given(corrections())
def test_every_cell_has_one_source(case):
    labels, flips, verified = case
    flipped = {(f.image_index, f.attribute_index): f.corrected for f in flips.itertuples()}
    corrected = apply_flips(labels, flips, verified)
    for cell in np.ndindex(labels.shape):
        expected = verified[cell] if verified[cell] >= 0 else flipped.get(cell, labels[cell])
        assert corrected[cell] == expected
    blank = (labels < 0) & (verified < 0)
    assert (corrected[blank] == -1).all()
    np.testing.assert_array_equal(apply_flips(corrected, flips, verified), corrected)


@pytest.mark.parametrize(
    ("arguments", "kept"),
    [
        ({}, [0, 1, 2, 3, 4]),
        ({"min_confidence": 0.9}, [2, 3, 4]),
        ({"min_confidence": 1}, [4]),
        ({"agreed_only": True}, [0, 2, 4]),
        ({"agreed_only": True, "min_confidence": 0.7}, [2, 4]),
        ({"auto_only": True}, [4]),
        ({"auto_only": True, "min_confidence": 0.95}, [4]),
    ],
)
def test_select_flips(five, arguments, kept):
    """A limit counts itself, also .9 that single precision cannot hold."""
    assert select_flips(five, **arguments).index.tolist() == kept
    assert five["confidence"].tolist() == [np.float32(c) for c in CONFIDENCES]


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0.5, 1, width=32), st.booleans()), max_size=8),
    st.floats(0, 1, width=32),
    st.floats(0, 1, width=32),
)
def test_a_higher_limit_keeps_fewer(rows, one, other):
    table = sure([c for c, _ in rows], np.array([a for _, a in rows], bool))
    low, high = sorted([one, other])
    few, many = (select_flips(table, min_confidence=limit) for limit in (high, low))
    assert set(few.index) <= set(many.index)
    assert (few["confidence"] >= high).all()
    assert (table.drop(few.index)["confidence"] < high).all()


@pytest.mark.parametrize("limit", [-0.01, 1.01, float("nan")])
def test_a_limit_out_of_range_is_refused(five, limit):
    with pytest.raises(ValueError, match=r"min_confidence: must be within 0\.\.1, got "):
        select_flips(five, min_confidence=limit)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("=1+1", "'=1+1"),
        ("+49", "'+49"),
        ("-x.jpg", "'-x.jpg"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t=1"),
        (" =1", "' =1"),
        ("＝1", "'＝1"),
        ("\r=1", "'\r=1"),
        ("a=1", "a=1"),
        ("'=1", "'=1"),
        ("", ""),
        ("赤い", "赤い"),
    ],
)
def test_neutralise(text, expected):
    assert neutralise(text) == expected


@settings(max_examples=100, deadline=None)
@given(st.text(st.sampled_from("=+-@\t\r\n' a1ü,"), max_size=6))
def test_neutralised_texts_are_no_formulas_and_lose_nothing(text):
    safe = neutralise(text)
    assert not safe.startswith(FORMULA_STARTS)
    assert safe in (text, f"'{text}")
    assert neutralise(safe) == safe
    assert restore(safe) == restore(text)
    assert restore(safe) == text or text.startswith("'")
