"""Fixtures of the tests of reading."""

from pathlib import Path

import pytest

from tests.data import write_dataset
from tests.data.cases import BASE


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three images, two attributes a0 and a1, every row verified."""
    return write_dataset(tmp_path, BASE)
