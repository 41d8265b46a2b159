"""The benchmark of the `paper` recipe: when a piece ends, what is drawn, what it counts.

That its pieces are one run is in tests/train/test_pieces.py.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator

import pytest

from selfml.data.garments import write_catalogue
from tests.benchmarks import paper_recipe, steps


@pytest.fixture
def interruptible() -> Iterator[None]:
    """A job in the background ignores Ctrl-C, and what it starts does, too."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_a_piece_ends_in_time(interruptible):
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


@pytest.mark.parametrize("per_call", [1, 8])
def test_the_clock_counts_the_steps_after_the_first_calls(monkeypatch, per_call):
    """28 steps, the last call of 8 half empty; each call takes as many seconds as it has steps."""
    now = [0.0]
    monkeypatch.setattr(steps.time, "perf_counter", lambda: now[0])
    clock = steps.Clock(28)
    for first in range(0, 28, per_call):
        now[0] += 100.0 if first < steps.WARM * per_call else min(per_call, 28 - first)
        clock.on_train_batch_end(first + per_call - 1, {"loss": 0.5})
    assert clock.each == 1.0


def test_too_few_steps_are_refused_before_anything_is_drawn(tmp_path, monkeypatch, capsys):
    arguments = ["--steps", "24", "--set", "train.steps_per_call=8", "--work", str(tmp_path / "w")]
    monkeypatch.setattr("sys.argv", ["paper_recipe", *arguments])
    with pytest.raises(SystemExit, match="2"):
        paper_recipe.main()
    assert "--steps: must be over 24" in capsys.readouterr().err
    assert not (tmp_path / "w").exists()
