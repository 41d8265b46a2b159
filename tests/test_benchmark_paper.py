"""The benchmark of the `paper` recipe, in miniature: pieces that go on, and what it prints."""

from __future__ import annotations

import os
import signal
import time
from contextlib import contextmanager

import pytest

from selfml.data.garments import write_catalogue
from tests.benchmarks import paper_recipe, steps
from tests.training import TINY, assert_same_results

MINIATURE = ["--recipe", "quick", "--images", "150", "--size-px", "32", "--clean", "45"]
MINIATURE += ["--workers", "1", "--steps", "6", "--turns", "2"]
MINIATURE += [w for s in TINY if "size_px" not in s for w in ("--set", s)]


def in_pieces(monkeypatch, work, stops: list[tuple[str, int]]) -> int:
    """Run it to its end, a piece ending at each of ``stops``; how many pieces it took."""
    left = list(stops)

    class Stopping(paper_recipe.Timed):
        @contextmanager
        def task(self, name, total):
            with super().task(name, total) as show:

                def advance(done, total=None):
                    show(done, total)
                    if left and (name, done) == left[0]:
                        left.pop(0)
                        os.kill(os.getpid(), signal.SIGINT)

                yield advance

    with monkeypatch.context() as patched:
        patched.setattr(paper_recipe, "Timed", Stopping)
        for pieces in range(1, 9):
            patched.setattr("sys.argv", ["paper_recipe", "--work", str(work), *MINIATURE])
            with pytest.raises(SystemExit) as ended:
                paper_recipe.main()
            if ended.value.code == 0:
                return pieces
            assert ended.value.code == paper_recipe.MORE
    raise AssertionError("it does not come to an end")


@pytest.mark.slow
def test_three_pieces_are_one(monkeypatch, tmp_path, capsys):
    """Stopped while drawing and in the joint stage: the same run, each step's time counted once."""
    assert in_pieces(monkeypatch, tmp_path / "one", []) == 1
    whole = capsys.readouterr().out
    assert (
        in_pieces(monkeypatch, tmp_path / "three", [("drawing garments", 150), ("self ml", 5)]) == 3
    )
    pieces = capsys.readouterr().out
    assert_same_results(tmp_path / "one/run", tmp_path / "three/run")
    for said in (whole, pieces):
        assert "Table 1" in said
        assert "joint / plain" in said
        assert "input alone" in said
    assert "self ml: " in whole
    times = paper_recipe.times(tmp_path / "three/times.jsonl")
    assert times.loc["self ml", "pieces"] == 2
    assert times.loc["pretrain", "pieces"] == 2  # the second time, there is nothing left to do
    assert times.loc["self ml", "rate"] > 0


def test_a_piece_ends_in_time():
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt), paper_recipe.ended_after(0.2):
        time.sleep(20)
    assert time.monotonic() - start < 10
    with paper_recipe.ended_after(0.2):
        pass
    time.sleep(0.4)  # nobody is interrupted once it is over


def test_an_interrupted_drawing_goes_on(tmp_path):
    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_catalogue(tmp_path / "a", n_images=250, size_px=32, progress=stop)
    drawn = sorted((tmp_path / "a/images").rglob("*.jpg"))
    assert len(drawn) == 200
    before = {p: p.stat().st_mtime_ns for p in drawn}
    with pytest.raises(ValueError, match="empty folder"):
        write_catalogue(tmp_path / "a", n_images=250, size_px=32)
    write_catalogue(tmp_path / "a", n_images=250, size_px=32, resume=True)
    write_catalogue(tmp_path / "b", n_images=250, size_px=32)
    assert {p: p.stat().st_mtime_ns for p in drawn} == before
    one, other = (
        {p.relative_to(tmp_path / x): p.read_bytes() for p in (tmp_path / x).rglob("*.*")}
        for x in "ab"
    )
    assert one == other
    with pytest.raises(ValueError, match="empty folder"):
        write_catalogue(tmp_path / "a", n_images=250, size_px=32, resume=True)


def test_operations_of_vgg_16_are_those_of_the_issue():
    """30.9 GFLOP forward at 224 px with 512 more channels, three times as much a training step."""
    import keras

    from selfml.config import Config
    from selfml.nn.classifier import AttributeClassifier

    class Shapes:
        """Of VGG-16, without its weights."""

        def __init__(self):
            self.layers = []

        def compute_output_shape(self, shape):
            return (1, 7, 7, 512)

    shapes = Shapes()
    side, channels = 224, 3
    for width, count in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        for _ in range(count):
            images = keras.Input((side, side, channels))
            layer = keras.layers.Conv2D(width, 3, padding="same")
            layer(images)
            shapes.layers.append(layer)
            channels = width
        side //= 2
    classifier = AttributeClassifier(17, Config())
    classifier.build((None, 7, 7, 512))
    classifier.backbone = shapes
    assert steps.forward_operations(classifier, 224) == pytest.approx(30.9e9, rel=0.01)
