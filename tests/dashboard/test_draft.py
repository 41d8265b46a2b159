from __future__ import annotations

import numpy as np
import pytest

from dashboard.draft import decode, encode


def test_labels_survive_the_address():
    rng = np.random.default_rng(0)
    for n_attributes in (1, 6, 17, 31, 200):
        rows = {
            int(k): rng.integers(-1, 2, n_attributes).tolist() for k in rng.integers(0, 900, 40)
        }
        back = decode(encode("shop", rows), "shop", 900, n_attributes)
        assert back == {k: tuple(row) for k, row in rows.items()}


def test_forty_images_of_31_attributes_are_a_short_address():
    rows = dict.fromkeys(range(960, 1000), (-1,) * 31)
    assert len(encode("runs of a shop", rows)) < 700


def test_labels_of_another_run_are_not_taken():
    text = encode("a!b", {3: (1, 0, -1)})
    assert decode(text, "a!b", 8, 3) == {3: (1, 0, -1)}
    assert decode(text, "b", 8, 3) == {}
    assert decode(text, "a", 8, 3) == {}
    assert encode("a", {}) == ""


NONSENSE = [
    *("", "a", "a!", "a!3", "a!3-", "a!-1", "a!x-1", "a!8-1", "a!3-zzzzzz", "a!3-r", "a!3-ä"),
    *("a!3- 1", "a!3--1", "a!٣-1", "a!3-1-1", "a!99999999999-1", "a!3-" + "1" * 5000),
]


@pytest.mark.parametrize("text", NONSENSE)
def test_nonsense_is_left_out(text):
    assert decode(text, "a", 8, 3) == {}
    if "!" in text:
        assert decode(f"{text},2-1", "a", 8, 3) == {2: (1, 0, 0)}
