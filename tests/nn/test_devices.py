"""Which devices may share a batch; what two of them do is in tests/train/test_devices.py."""

from __future__ import annotations

import keras
import pytest

from selfml.nn import devices
from selfml.nn.devices import device_names, is_shared, over_devices, part_of_loss, shared_by
from tests.nn.backend import numbers


def test_one_device_is_left_as_it_is():
    assert device_names(1) == []
    with shared_by(1, 7) as count:
        assert count == 1
        assert not is_shared()
        x = keras.ops.convert_to_tensor([3.0])
        assert numbers(over_devices(x)) == numbers(part_of_loss(x)) == 3.0


def test_more_devices_than_there_are():
    n = 9 + len(keras.distribution.list_devices()) if keras.backend.backend() != "torch" else 2
    with pytest.raises(ValueError, match=r"train\.devices: ") as caught, shared_by(n, 64):
        pass
    assert "\n" not in str(caught.value)


def test_a_batch_that_cannot_be_shared_equally(monkeypatch):
    monkeypatch.setattr(devices, "device_names", lambda count: ["cpu:0", "cpu:1", "cpu:2"])
    with pytest.raises(ValueError, match="batch of 64 images cannot be shared equally by 3"):
        shared_by(0, 66, 64).__enter__()
