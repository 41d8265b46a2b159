"""Chromium with nobody who debugs it: from an address in a new tab to a drawn figure.

Playwright and WebDriver turn on the debugger's ``Runtime`` domain in every tab. While it is on, V8
looks up the line of every frame of each error that a script makes, for which it parses the
functions on the way anew; Plotly, 4.7 MB, makes some while it is read. On two cores that is half a
second which no reader waits for, also on a page of Streamlit with nothing but one chart
(``figure_debugged`` beside ``figure_empty`` in the benchmark of the dashboard). Here that domain
stays off: the page itself notes when its figure is drawn, and is asked for it
(Chrome DevTools Protocol, ``Runtime.evaluate`` alone).
"""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

from playwright.sync_api import sync_playwright
from websockets.sync.client import ClientConnection, connect

from tests.benchmarks.processors import spent_s
from tests.browser.conftest import ARGUMENTS, CHROMIUM, free_port

LIMIT_S = 120.0
POLL_S = 0.05
REST_S = 1.5  # before a tab is closed: what else is drawn, and what the browser keeps of it
SIZE = "--window-size=1280,900"
NOTE = """(() => {
  const drawn = %s;
  const look = () => {
    if (drawn()) window.drawnAt = performance.timeOrigin + performance.now();
    else requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
})()"""


class QuietBrowser:
    """A running Chromium; its profile keeps what it has loaded."""

    def __init__(self, connection: ClientConnection):
        self._connection, self._numbers = connection, count(1)

    def _call(self, method: str, session: str = "", **parameters: Any) -> dict[str, Any]:
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters}
        self._connection.send(json.dumps(message | ({"sessionId": session} if session else {})))
        while True:
            said = json.loads(self._connection.recv(LIMIT_S))
            if said.get("id") == number:
                if "error" in said:
                    raise RuntimeError(f"{method}: {said['error']['message']}")
                return said["result"]

    def drawn_ms(self, url: str, drawn: str, *, debugged: bool = False) -> tuple[float, float]:
        """Open ``url`` in a new tab, wait until ``drawn`` is true there, and close it.

        Parameters
        ----------
        drawn : str
            A function of JavaScript without arguments; asked at every frame.
        debugged : bool
            Turn the debugger's domain on, as Playwright does.

        Returns
        -------
        tuple of float
            Milliseconds that passed, and those of all processors for programs begun by this one.

        Raises
        ------
        TimeoutError
            When it is not within two minutes.
        """
        tab = self._call("Target.createTarget", url="about:blank")["targetId"]
        session = self._call("Target.attachToTarget", targetId=tab, flatten=True)["sessionId"]
        self._call("Page.enable", session)
        if debugged:
            self._call("Runtime.enable", session)
        self._call("Page.addScriptToEvaluateOnNewDocument", session, source=NOTE % drawn)
        cpu_s, start_s, until = spent_s(own=False), time.time(), time.monotonic() + LIMIT_S
        self._call("Page.navigate", session, url=url)
        while (at_ms := self._asked(session, "window.drawnAt")) is None:
            if time.monotonic() > until:
                raise TimeoutError(f"{url}: no figure within {LIMIT_S:g} s")
            time.sleep(POLL_S)
        found = at_ms - 1000 * start_s, 1000 * (spent_s(own=False) - cpu_s)
        time.sleep(REST_S)
        self._call("Target.closeTarget", targetId=tab)
        return found

    def _asked(self, session: str, expression: str) -> Any:
        try:
            said = self._call("Runtime.evaluate", session, expression=expression)
        except RuntimeError:  # there is no document between the old one and the new one
            return None
        return said["result"].get("value")


@contextmanager
def quiet_browser() -> Iterator[QuietBrowser]:
    """Headless Chromium with a new profile on the disk."""
    port = free_port()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        options = ["--headless=new", SIZE, f"--remote-debugging-port={port}"]
        options += [f"--user-data-dir={profile}", "about:blank"]
        command = [_chromium(), *ARGUMENTS, *options]
        chromium = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            with connect(_address(port), max_size=None, proxy=None) as connection:
                yield QuietBrowser(connection)
        finally:
            chromium.terminate()
            try:
                chromium.wait(20)
            except subprocess.TimeoutExpired:
                chromium.kill()
                chromium.wait()


def _chromium() -> str:
    if CHROMIUM.exists():
        return str(CHROMIUM)
    with sync_playwright() as playwright:
        return playwright.chromium.executable_path


def _address(port: int) -> str:
    end = time.monotonic() + 60
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while True:
        try:
            with direct.open(f"http://127.0.0.1:{port}/json/version", timeout=5) as said:
                return json.load(said)["webSocketDebuggerUrl"]
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)
