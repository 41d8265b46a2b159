"""``/healthz``: whether this server can do its work, for whoever watches over it.

Open to all, so it says what fails and nothing else: no path, no address, no reason.
"""

from __future__ import annotations

import os
import threading
import time

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from dashboard.media import base_path
from dashboard.settings import settings
from selfml.store_health import is_writable

LIMIT_S = 2.0
KEEP_S = 1.0  # our choice: many questions at once are one to the database

_lock = threading.Lock()
_last: tuple[float, str, dict[str, str]] = (-KEEP_S, "", {})


def _runs() -> str:
    """A folder that is not there yet is no failure: the demo run is shown then."""
    folder = settings().runs_folder
    try:
        if folder.exists():
            os.listdir(folder)
    except OSError:
        return "cannot be read"
    return "ok"


def _database() -> str:
    try:
        return "ok" if is_writable(settings().database_url, LIMIT_S) else "cannot be written"
    except ValueError:
        return "its address cannot be read"


def check() -> dict[str, str]:
    """What works and what does not: ``runs`` and ``database``, "ok" or what fails."""
    global _last
    with _lock:
        now, asked = time.monotonic(), f"{settings().runs_folder} {settings().database_url}"
        if now - _last[0] >= KEEP_S or _last[1] != asked:
            _last = (now, asked, {"runs": _runs(), "database": _database()})
        return _last[2]


def serve(request: Request) -> JSONResponse:
    """200 where all is well, else 503."""
    parts = check()
    well = set(parts.values()) == {"ok"}
    body = {"status": "ok" if well else "failing"} | parts
    return JSONResponse(body, 200 if well else 503, headers={"Cache-Control": "no-store"})


def route() -> Route:
    """The route to mount beside Streamlit's own."""
    return Route(f"{base_path()}/healthz", serve, methods=["GET"])
