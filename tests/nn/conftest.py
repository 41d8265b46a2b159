"""Every test of this folder runs on the backend that KERAS_BACKEND names."""

from __future__ import annotations

import keras
import pytest


@pytest.fixture(autouse=True)
def _seeded():
    keras.utils.set_random_seed(0)


@pytest.fixture
def mixed_bfloat16():
    """The policy that `train.mixed_precision` sets, for one test."""
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    yield
    keras.mixed_precision.set_global_policy("float32")
