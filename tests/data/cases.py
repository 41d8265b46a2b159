"""A small dataset folder, and what it must say when it is broken."""

from pathlib import Path

import numpy as np
import pytest

from selfml.data.dataset import DatasetError, read_dataset

BASE = np.array([[1, 0], [0, 1], [-1, 1]], np.int8)


def fails(root: Path, *parts: str) -> str:
    """Assert that reading fails with one line that holds all ``parts``; return it."""
    with pytest.raises(DatasetError) as caught:
        read_dataset(root)
    message = str(caught.value)
    assert "\n" not in message
    for part in parts:
        assert part in message
    return message


def write(root: Path, name: str, text: str) -> None:
    (root / name).write_text(text, encoding="utf-8", newline="")
