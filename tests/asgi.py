"""GET requests to an ASGI application, without a server or a client library."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import unquote

Answer = tuple[int, dict[str, str], bytes]


def get(app: Any, path: str, cookies: str = "") -> Answer:
    """Status, headers and body of the answer."""
    return get_all(app, [path], cookies)[0]


def get_all(app: Any, paths: list[str], cookies: str = "") -> list[Answer]:
    """The answers to requests that come at the same time, in their order."""

    async def ask() -> list[Answer]:
        return await asyncio.gather(*(_answer(app, path, cookies) for path in paths))

    # In a thread of its own: Playwright leaves an event loop running in the one it was used in.
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(lambda: asyncio.run(ask())).result()


async def _answer(app: Any, path: str, cookies: str) -> Answer:
    sent: list[dict[str, Any]] = []
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET",
        "scheme": "http", "path": unquote(path), "raw_path": path.encode(), "query_string": b"",
        "headers": [(b"host", b"localhost"), (b"cookie", cookies.encode())],
        "server": ("localhost", 80),
        "client": ("127.0.0.1", 1), "root_path": "",
    }  # fmt: skip

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await app(scope, receive, send)
    headers = {k.decode(): v.decode() for k, v in sent[0]["headers"]}
    return sent[0]["status"], headers, b"".join(m.get("body", b"") for m in sent[1:])
