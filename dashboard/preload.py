"""Tells browsers at once which script draws charts.

Streamlit's page asks for Plotly, 4.7 MB, only when a first chart has come from the server, and
then the browser needs most of a second to read it before anything is drawn. A ``Link`` header on
the page itself lets it fetch and read the script while the server is at work (HTML Standard,
"Link type modulepreload").
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import streamlit
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dashboard.media import base_path

#: addresses of the views that open with a chart
CHARTED = ("", "map", "attributes")


@cache
def chart_script() -> str:
    """Name of Streamlit's script for charts; empty where this Streamlit has none of that name."""
    folder = Path(streamlit.__file__).parent / "static" / "static" / "js"
    return next((path.name for path in sorted(folder.glob("PlotlyChart.*.js"))), "")


class Preload:
    """ASGI middleware that adds the header to the pages of ``CHARTED``."""

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on."""
        base, path = base_path(), str(scope.get("path", ""))
        view = path.removeprefix(f"{base}/").strip("/")
        if scope["type"] != "http" or view not in CHARTED or not chart_script():
            await self.app(scope, receive, send)
            return

        async def with_link(message: Message) -> None:
            if message["type"] == "http.response.start":
                link = f'<{base}/static/js/{chart_script()}>; rel="modulepreload"; crossorigin'
                MutableHeaders(scope=message).append("Link", link)
            await send(message)

        await self.app(scope, receive, with_link)
