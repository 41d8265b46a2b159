"""t-SNE and UMAP of the coefficients: every image a place, the same for a seed, or a note."""

from __future__ import annotations

import builtins
import shutil
from contextlib import contextmanager

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from selfml import maps
from selfml.maps import MapsUnavailable, embedding_input, tsne_map, umap_map, write_maps
from selfml.progress import Reporter
from selfml.run import Run

QUIET = Reporter(quiet=True)
COLUMNS = [f"map_{kind}_{axis}" for kind in ("tsne", "umap") for axis in "xy"]


def mixtures(n=90, k=9, seed=0) -> tuple[sparse.csr_matrix, np.ndarray]:
    """Three groups of images, each on three atoms of its own; an atom more that nobody uses."""
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(3), n // 3)
    c = np.zeros((n, k + 1))
    for i, g in enumerate(group):
        c[i, 3 * g : 3 * g + 3] = rng.dirichlet([1, 1, 1])
    return sparse.csr_matrix(c), group


def purity(places: np.ndarray, group: np.ndarray) -> float:
    """Share of images whose nearest neighbour is of their group."""
    distance = np.square(places[:, None] - places).sum(-1)
    np.fill_diagonal(distance, np.inf)
    return float((group[distance.argmin(1)] == group).mean())


@pytest.fixture
def no_embedding(monkeypatch):
    """Instant stand-ins: the first two columns of what would be embedded."""
    monkeypatch.setattr(maps, "tsne_map", lambda points, seed, reporter: points[:, :2])
    monkeypatch.setattr(maps, "umap_map", lambda points, seed, reporter: 2 * points[:, :2])


def copied(tiny_run, tmp_path) -> Run:
    return Run(shutil.copytree(tiny_run, tmp_path / "run"))


# ---------------------------------------------------------------------------------------- input
def test_input_has_hellinger_distances_and_only_atoms_in_use():
    c, _ = mixtures()
    points = embedding_input(c, 0)
    assert points.shape == (90, 9)
    dense = c.toarray()[:, :9]
    np.testing.assert_allclose(points, np.sqrt(dense), atol=8 * maps.JITTER)
    affinity = np.sqrt(dense[3]) @ np.sqrt(dense[60])
    expected = np.sqrt(2 - 2 * affinity)
    assert np.linalg.norm(points[3] - points[60]) == pytest.approx(expected, abs=0.02)


def test_identical_rows_are_kept_apart_the_same_way_each_time():
    c = sparse.csr_matrix(np.tile([1.0, 0.0], (40, 1)))
    points = embedding_input(c, 5)
    assert len(np.unique(points, axis=0)) == 40
    assert np.ptp(points) < 0.02
    np.testing.assert_array_equal(points, embedding_input(c, 5))
    assert (points != embedding_input(c, 6)).any()


# ------------------------------------------------------------------------------------ embeddings
@pytest.mark.slow
def test_tsne_keeps_groups_apart_and_is_deterministic():
    c, group = mixtures()
    points = embedding_input(c, 0)
    places = tsne_map(points, 0, QUIET)
    assert places.shape == (90, 2)
    assert places.dtype == np.float32
    assert purity(places, group) > 0.97
    np.testing.assert_array_equal(places, tsne_map(points, 0, QUIET))


@pytest.mark.slow
def test_umap_keeps_groups_apart_and_is_deterministic():
    c, group = mixtures()
    points = embedding_input(c, 0)
    places = umap_map(points, 0, QUIET)
    assert places.shape == (90, 2)
    assert places.dtype == np.float32
    assert purity(places, group) > 0.97
    listening = Listening()
    np.testing.assert_array_equal(places, umap_map(points, 0, listening))
    epochs = 500  # umap-learn's for so few images
    assert sorted(set(listening.told)) == [(done, epochs) for done in range(epochs + 1)]
    assert [done for done, _ in listening.told] == sorted(done for done, _ in listening.told)


class Listening(Reporter):
    """Keeps what a task says of its progress."""

    def __init__(self):
        super().__init__(quiet=True)
        self.told: list[tuple[int, int | None]] = []

    @contextmanager
    def task(self, name: str, total: int):
        """See `Reporter.task`."""
        yield lambda done, of=None: self.told.append((done, of))


@pytest.mark.slow
def test_few_images_are_enough():
    c, _ = mixtures(n=12)
    points = embedding_input(c, 0)
    for places in (tsne_map(points, 0, QUIET), umap_map(points, 0, QUIET)):
        assert places.shape == (12, 2)
        assert np.isfinite(places).all()


# ------------------------------------------------------------------------------------- in a run
@pytest.mark.usefixtures("no_embedding")
def test_places_go_to_their_images_and_nothing_else_changes(tiny_run, tmp_path):
    run = copied(tiny_run, tmp_path)
    before = run.table("images")
    assert write_maps(run, seed=1, reporter=QUIET) == len(before)
    after = run.table("images")
    points = embedding_input(run.coefficients(), 1)
    np.testing.assert_array_equal(after[["map_tsne_x", "map_tsne_y"]], points[:, :2])
    np.testing.assert_array_equal(after[["map_umap_x", "map_umap_y"]], 2 * points[:, :2])
    pd.testing.assert_frame_equal(after.drop(columns=COLUMNS), before.drop(columns=COLUMNS))


@pytest.mark.usefixtures("no_embedding")
def test_beyond_the_limit_a_sample_with_every_basis_image(tiny_run, tmp_path):
    run = copied(tiny_run, tmp_path)
    assert write_maps(run, max_images=20, reporter=QUIET) == 20
    images = run.table("images")
    placed = images["map_tsne_x"].notna()
    assert placed.sum() == 20
    atoms = run.table("basis")["image_index"]
    assert placed[atoms].all()
    assert (placed == images["map_umap_y"].notna()).all()
    first = images["map_tsne_x"].copy()
    write_maps(run, max_images=20, reporter=QUIET)
    pd.testing.assert_series_equal(first, run.table("images")["map_tsne_x"])


@pytest.mark.usefixtures("no_embedding")
def test_a_limit_below_the_number_of_basis_images_maps_those(tiny_run, tmp_path):
    run = copied(tiny_run, tmp_path)
    atoms = run.table("basis")["image_index"].nunique()
    assert write_maps(run, max_images=3, reporter=QUIET) == atoms


@pytest.mark.parametrize(("module", "embed"), [("openTSNE", tsne_map), ("umap", umap_map)])
def test_a_missing_library_is_one_line(module, embed, monkeypatch):
    original = builtins.__import__

    def without(name, *args, **kwargs):
        if name == module:
            raise ImportError(f"No module named {module!r}")
        return original(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MapsUnavailable, match="pip install") as caught:
        embed(np.zeros((5, 2), np.float32), 0, QUIET)
    assert "\n" not in str(caught.value)
