"""The overview and the navigation, in a browser."""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.mark.parametrize("view", ["overview", "map", "basis", "attributes", "flips"])
def test_every_view_opens_by_its_address(open_view, view):
    assert open_view(view).locator("h1").count() == 1
