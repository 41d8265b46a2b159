"""The header by which a browser fetches the script for charts before the first chart comes."""

from __future__ import annotations

from pathlib import Path

import pytest
import streamlit as st
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from dashboard import preload
from tests.asgi import get


@pytest.fixture
def site() -> Starlette:
    """Every address answers; two links of its own stand on the page."""

    def page(_request) -> PlainTextResponse:
        return PlainTextResponse("page", headers={"Link": "</other>; rel=help"})

    return Starlette(routes=[Route("/{path:path}", page)], middleware=[Middleware(preload.Preload)])


def test_the_script_is_one_of_streamlits():
    folder = Path(st.__file__).parent / "static" / "static" / "js"
    assert (folder / preload.chart_script()).stat().st_size > 1_000_000


@pytest.mark.parametrize("path", ["/", "/map", "/attributes"])
def test_pages_with_charts_name_it(site, path):
    status, headers, body = get(site, path)
    assert (status, body) == (200, b"page")
    assert f'</static/js/{preload.chart_script()}>; rel="modulepreload"' in headers["link"]


@pytest.mark.parametrize("path", ["/flips", "/audit", "/static/js/index.js", "/thumbnails/map"])
def test_nothing_else_does(site, path):
    assert get(site, path)[1]["link"] == "</other>; rel=help"


def test_a_site_below_a_prefix(site, monkeypatch):
    monkeypatch.setattr(preload, "base_path", lambda: "/shop")
    assert "</shop/static/js/PlotlyChart" in get(site, "/shop/map")[1]["link"]
    assert "PlotlyChart" not in get(site, "/shopping")[1]["link"]


def test_a_streamlit_without_it_is_served_as_it_is(site, monkeypatch):
    monkeypatch.setattr(preload, "chart_script", lambda: "")
    assert get(site, "/map")[1]["link"] == "</other>; rel=help"
