"""Lines of events: JSON, one each, with nothing personal but the auditor's id."""

from __future__ import annotations

import datetime
import json

import pytest

from dashboard.events import FIELDS, event


def test_an_event_is_one_line_of_json(capsys):
    event("decide", auditor="ann@shop.org", catalogue="shop", run="r", n=3, role="", what=None)
    event("undo", auditor="a\nb")
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    first = json.loads(lines[0])
    moment = datetime.datetime.fromisoformat(first.pop("time"))
    assert abs((datetime.datetime.now(datetime.UTC) - moment).total_seconds()) < 60
    assert first == {
        "event": "decide", "auditor": "ann@shop.org", "catalogue": "shop", "run": "r", "n": 3,
    }  # fmt: skip
    assert json.loads(lines[1])["auditor"] == "a\nb"


def test_nothing_else_can_be_noted():
    with pytest.raises(ValueError, match=r"event: takes .* got image_id"):
        event("decide", image_id="ann.jpg")
    assert "name" not in FIELDS


@pytest.mark.parametrize("value", ["off", "0", "OFF"])
def test_it_can_be_turned_off(monkeypatch, capsys, value):
    monkeypatch.setenv("SELFML_LOG", value)
    event("decide", auditor="ann")
    assert capsys.readouterr().err == ""
