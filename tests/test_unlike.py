"""When images to relabel count as unlike those of the training run: by hand, and by chance."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from selfml.relabel.unlike import CHANCE, Unlike
from selfml.run import Run, RunWriter


def with_distances(run: Run, distances: np.ndarray) -> Run:
    """The run with so many images; the first twelve are clean training ones."""
    images = run.table("images")
    images = images.iloc[np.arange(len(distances)) % len(images)].reset_index(drop=True)
    splits = np.where(np.arange(len(images)) < 12, "clean_train", "noisy_train")
    RunWriter(run.path).write_table("images", images.assign(hull_distance=distances, split=splits))
    return run


@pytest.fixture
def run(tiny_run, tmp_path) -> Run:
    """Twelve atoms at 0, and 199 images at 1, 2, ..., 199."""
    copied = Run(shutil.copytree(tiny_run, tmp_path / "run"))
    return with_distances(copied, np.r_[np.zeros(12), np.arange(1, 200)])


def counted(run: Run, *parts: object) -> Unlike:
    unlike = Unlike.of(run)
    for part in parts:
        unlike.add(np.array(part, np.float32))
    return unlike


def test_the_cut_is_where_one_in_a_hundred_lies_beyond(run):
    """Rank 198 of 199; the atoms, which lie in their own hull, would have drawn it closer."""
    assert Unlike.of(run).cut == 198


def test_images_are_counted_part_by_part(run):
    unlike = counted(run, [1, 198, 199, np.nan], [], [500.5, np.inf, 0])
    assert (unlike.n_images, unlike.n_beyond) == (5, 2)
    assert unlike == counted(run, [1, 198, 199, np.nan, 500.5, np.inf, 0])


@pytest.mark.parametrize(
    ("n", "n_beyond", "warned"),
    [
        *((1000, 10, False), (1000, 30, False), (1000, 31, True)),  # three times as many as usual
        *((100, 4, False), (100, 5, True)),  # chance: 1.8 and 0.3 %
        *((1, 1, False), (2, 2, True), (0, 0, False)),
    ],
)
def test_three_times_as_many_as_usual_and_no_chance(run, n, n_beyond, warned):
    unlike = counted(run, [300] * n_beyond, [5] * (n - n_beyond))
    assert unlike.is_so == warned
    assert bool(str(unlike)) == warned


def test_images_like_those_trained_on_are_rarely_warned_of(run):
    rng = np.random.default_rng(0)
    for n in (5, 50, 500):
        warned = [counted(run, rng.integers(1, 200, n)).is_so for _ in range(1000)]
        assert np.mean(warned) < 2 * CHANCE


def test_the_warning_has_the_numbers_and_what_to_do(run):
    said = str(counted(run, [300.25] * 1200, [5] * 1800))
    assert said.startswith(
        "Warning: 40.0 % of these images (1,200 of 3,000) lie farther from what was verified than "
        "99 % of those trained on (hull_distance above 198)."
    )
    assert "look at some before you use their labels" in said
    assert "\n" not in said


@pytest.mark.parametrize("known", [0, 98, 99])
def test_with_too_few_distances_nothing_is_said(run, known):
    """Of runs whose distances are not finite, too."""
    distances = np.full(211, np.nan)
    distances[12 : 12 + known] = np.arange(known)
    unlike = counted(with_distances(run, distances), [1e9] * 100)
    assert unlike.is_so == (known == 99)
    assert np.isinf(unlike.cut) == (known < 99)
