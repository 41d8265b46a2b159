"""Batches that depend on seed, stage and step alone."""

from __future__ import annotations

import numpy as np
import pytest

from selfml.nn.input_pipeline import Batches, ShuffledRows, augmented_maps, rows_of

NOISY, CLEAN = np.arange(0, 50), np.arange(50, 57)
INDEX = rows_of(np.arange(57))


def batches(steps=30, *, first_step=0, seed=1, stage="self_ml", fields=None, groups=None, **more):
    return Batches(
        groups or [(NOISY, 9), (CLEAN, 2)],
        fields or {"index": INDEX, "chance": lambda rows, rng: rng.random(len(rows))},
        steps=steps,
        first_step=first_step,
        seed=seed,
        stage=stage,
        **more,
    )


def listed(source):
    return [source[i][0] for i in range(len(source))]


def equal(a, b) -> bool:
    return all(np.array_equal(a[k], b[k]) for k in a)


def test_resumed_equals_straight():
    straight, resumed = listed(batches()), listed(batches(first_step=11))
    assert len(resumed) == 30 - 11
    assert all(equal(a, b) for a, b in zip(straight[11:], resumed, strict=True))


def test_order_of_asking_changes_nothing():
    source = batches()
    backwards = [source[i][0] for i in reversed(range(30))][::-1]
    assert all(equal(a, b) for a, b in zip(listed(batches()), backwards, strict=True))


def test_length_of_a_run_changes_no_batch():
    assert all(equal(a, b) for a, b in zip(listed(batches(12)), listed(batches(30)), strict=False))


@pytest.mark.parametrize("other", [{"seed": 2}, {"stage": "pretrain"}])
def test_seed_and_stage_matter(other):
    a, b = listed(batches(seed=1)), listed(batches(**{"seed": 1, **other}))
    assert not any(np.array_equal(x["index"], y["index"]) for x, y in zip(a, b, strict=True))
    assert not any(np.array_equal(x["chance"], y["chance"]) for x, y in zip(a, b, strict=True))


def test_every_row_once_an_epoch_and_group_counts():
    rows = np.stack([batch["index"] for batch in listed(batches(50))])
    assert (np.isin(rows[:, :9], NOISY)).all()
    assert (np.isin(rows[:, 9:], CLEAN)).all()
    noisy = rows[:, :9].reshape(-1)[: 9 * 50]
    for epoch in noisy.reshape(9, 50):
        assert sorted(epoch) == sorted(NOISY)
    clean = rows[:, 9:].reshape(-1)[:98].reshape(14, 7)
    assert all(sorted(epoch) == sorted(CLEAN) for epoch in clean)
    assert len({tuple(epoch) for epoch in clean}) > 10  # reshuffled each time


def test_a_batch_larger_than_its_group():
    drawn = ShuffledRows(np.array([4, 5, 6]), 8, [0]).draw(0)
    assert sorted(drawn[:3]) == sorted(drawn[3:6]) == [4, 5, 6]
    assert len(set(drawn[6:])) == 2


def test_groups_of_one_size_are_drawn_apart():
    both = batches(groups=[(np.arange(20), 5), (np.arange(20), 5)])
    assert any(not np.array_equal(b["index"][:5], b["index"][5:]) for b in listed(both))


def test_an_empty_group_is_an_error():
    with pytest.raises(ValueError, match=r"indices: .* must not be empty"):
        ShuffledRows(np.array([], int), 3, [0])


def test_targets_and_dtypes():
    labels = np.arange(57 * 2).reshape(57, 2).astype(np.int8)
    source = batches(fields=INDEX, target=rows_of(labels, np.float32))
    x, y = source[3]
    np.testing.assert_array_equal(y, labels[x])
    assert y.dtype == np.float32
    assert len(source[0]) == 2
    assert len(batches()[0]) == 1


def test_maps_come_plain_or_augmented():
    """Row i of maps holds 10 i + version, so what was drawn can be read off."""
    n, variants, fraction = 400, 3, 0.3
    value = 10.0 * np.arange(n)[:, None] + np.arange(1 + variants)
    maps = np.broadcast_to(value[:, :, None, None, None], (n, 1 + variants, 2, 2, 1))
    field = augmented_maps(maps.astype(np.float16), fraction)
    rows = np.random.default_rng(0).permutation(n)
    found = field(rows, np.random.default_rng(1))
    assert found.dtype == np.float16  # half of what a step would else carry; the model casts
    assert found.shape == (n, 2, 2, 1)
    version = found[:, 0, 0, 0] - (10.0 * rows).astype(np.float16)
    small = rows < 200  # float16 has no odd numbers above 2048
    counts = np.array([(version[small] == v).sum() for v in range(4)]) / small.sum()
    assert abs(counts[0] - (1 - fraction)) < 0.12
    assert (np.abs(counts[1:] - fraction / 3) < 0.08).all()
    assert counts.sum() == pytest.approx(1)
    again = field(rows, np.random.default_rng(1))
    np.testing.assert_array_equal(found, again)


def test_maps_without_variants_are_plain():
    maps = np.arange(6, dtype=np.float16).reshape(6, 1, 1, 1, 1)
    found = augmented_maps(maps, 1.0)(np.array([5, 0]), np.random.default_rng(0))
    np.testing.assert_array_equal(found.reshape(-1), [5, 0])
