"""The real server over the tiny runs, and a headless Chromium to look at it.

``app_url`` is the address of the server, ``page`` a fresh tab, ``open_view`` goes to a view and
waits until it has been drawn.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.tiny_run import build_tiny_run

sync_api = pytest.importorskip("playwright.sync_api", reason="pip install -e '.[dev]'")

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
REPOSITORY = Path(__file__).resolve().parents[2]


# Notes when the page last sent something to the server, and when it last heard from it.
LISTEN = """(() => {
  if (window.heard !== undefined) return;
  window.sent = window.heard = performance.now();
  const sockets = new WeakSet(), send = WebSocket.prototype.send;
  WebSocket.prototype.send = function (...data) {
    if (!sockets.has(this)) {
      sockets.add(this);
      for (const event of ["message", "close"])  // what was lost is not waited for
        this.addEventListener(event, () => { window.heard = performance.now(); });
    }
    window.sent = performance.now();
    return send.apply(this, data);
  };
})()"""


@pytest.fixture(scope="session")
def browser_runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a complete run, ``tiny``, and one in training, ``training``."""
    folder = tmp_path_factory.mktemp("browser_runs")
    build_tiny_run(folder / "training", status="running")
    build_tiny_run(folder / "tiny", n_images=200, n_atoms=12)
    return folder


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _wait_until_up(url: str, server: subprocess.Popen, limit_s: float = 60) -> None:
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        if server.poll() is not None:
            raise RuntimeError(f"the server ended with code {server.returncode}")
        try:
            with urllib.request.urlopen(f"{url}/_stcore/health", timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise TimeoutError(f"the server did not answer within {limit_s} s")


@contextmanager
def running_server(
    runs: Path,
    log: Path,
    *,
    port: int = 0,
    settings: dict[str, str] | None = None,
    script: str | Path = "dashboard/app.py",
) -> Iterator[tuple[str, int]]:
    """``streamlit run dashboard/app.py``, as a user starts it; its address and process id."""
    port = port or free_port()
    command = [sys.executable, "-m", "streamlit", "run", str(script)]
    options = ["--server.port", str(port), "--server.headless", "true"]
    environment = {**os.environ, "SELFML_RUNS": str(runs), **(settings or {})}
    with open(log, "wb") as sink:
        server = subprocess.Popen(
            command + options, cwd=REPOSITORY, env=environment, stdout=sink, stderr=sink
        )
        try:
            _wait_until_up(f"http://127.0.0.1:{port}", server)
            yield f"http://127.0.0.1:{port}", server.pid
        finally:
            server.terminate()
            server.wait(timeout=20)


@pytest.fixture(scope="session")
def app_url(browser_runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the server over ``browser_runs``."""
    log = tmp_path_factory.mktemp("server") / "log.txt"
    with running_server(browser_runs, log) as (url, _):
        yield url


@pytest.fixture(scope="session")
def provider() -> Iterator[str]:
    """The address of an OpenID provider."""
    from tests.browser.provider import running_provider

    with running_provider() as address:
        yield address


@pytest.fixture(scope="session")
def chromium() -> Iterator[sync_api.Browser]:
    """Debian's Chromium, or the one that Playwright installed."""
    with sync_api.sync_playwright() as playwright:
        own = str(CHROMIUM) if CHROMIUM.exists() else None
        try:
            browser = playwright.chromium.launch(executable_path=own, args=ARGUMENTS)
        except sync_api.Error:
            pytest.skip("no Chromium: run `apt-get install chromium` or `playwright install`")
        made = browser.new_context

        def new_context(**how) -> sync_api.BrowserContext:
            context = made(**how)
            context.add_init_script(LISTEN)
            return context

        browser.new_context = new_context
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def browser_context(chromium: sync_api.Browser) -> Iterator[sync_api.BrowserContext]:
    """One cache for all tabs, so that Streamlit's scripts are loaded once."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    yield context
    context.close()


@pytest.fixture
def page(browser_context: sync_api.BrowserContext) -> Iterator[sync_api.Page]:
    """A fresh tab of 1280 x 900 pixels."""
    tab = browser_context.new_page()
    yield tab
    tab.close()


@pytest.fixture
def open_view(page: sync_api.Page, app_url: str) -> Callable[..., sync_api.Page]:
    """``open_view("map", "run=tiny")``: the tab, once the view has been drawn without error."""

    def open_(view: str, query: str = "run=tiny") -> sync_api.Page:
        path = "" if view == "overview" else view
        page.goto(f"{app_url}/{path}?{query}")
        page.locator("h1").first.wait_for(timeout=30_000)
        settled(page)
        assert page.locator("[data-testid=stException]").count() == 0
        return page

    return open_


AT_REST = """() => window.heard >= window.sent && performance.now() - window.heard > 100
  && document.querySelector("[data-testid=stApp][data-test-script-state=notRunning]") !== null"""


def settled(page: sync_api.Page) -> None:
    """Wait until what was pressed just before has been answered and drawn.

    The page does not know that its script runs until the server has said so, which on a busy
    machine takes longer than any pause. Needs ``LISTEN`` in the page: contexts of ``chromium`` have
    it.
    """
    page.wait_for_timeout(150)
    page.wait_for_function(AT_REST, timeout=30_000, polling=20)


def at_the_desk(page: sync_api.Page) -> None:
    """Wait until an item of the audit desk is shown and its keys are listened to.

    Streamlit loads the code of buttons apart: on a busy machine they come after the photo, and a
    key that is pressed between is nobody's. Until a page is drawn anew, the item before stands
    beside the next: there are two of each.
    """
    for shown in (".au-photo img", "[class*=st-key-accept-] button"):
        sync_api.expect(page.locator(shown)).to_have_count(1, timeout=60_000)
        page.locator(shown).first.wait_for(timeout=60_000)
    settled(page)
