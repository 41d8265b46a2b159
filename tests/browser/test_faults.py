"""The server is killed while somebody decides: what the page showed as done is in the store."""

from __future__ import annotations

import os
import signal
import threading
from html import unescape
from pathlib import Path

import numpy as np
import pytest

from dashboard.receipt_html import spoken
from selfml.decisions import Store
from selfml.run import Run, catalogue_of
from tests.browser.conftest import at_the_desk, free_port, running_server
from tests.tiny_run import build_tiny_run

sync_api = pytest.importorskip("playwright.sync_api")
pytestmark = [pytest.mark.browser, pytest.mark.slow]
PHOTO = ".au-photo img"
CONNECTED = "[data-testid=stApp][data-test-connection-state=CONNECTED]"
AT_LEAST = 12  # decisions before it is killed


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    """A folder with a run of more than 1,000 flips."""
    folder = tmp_path_factory.mktemp("faults")
    build_tiny_run(folder / "shop", n_images=1_200, n_atoms=12)
    return folder


def asked(page: sync_api.Page) -> str:
    """What identifies the item that is shown."""
    return page.locator(PHOTO).get_attribute("alt", timeout=5_000) or ""


def moves_on(page: sync_api.Page, limit_ms: float) -> bool:
    """Press A; whether the next item comes within the limit."""
    before = asked(page)
    page.keyboard.press("a")
    try:
        page.wait_for_function(
            f"before => {{ const i = document.querySelector('{PHOTO}');"
            " return i && i.alt !== before }",
            arg=before,
            timeout=limit_ms,
            polling=10,
        )
    except sync_api.TimeoutError:
        return False
    return True


def kept(runs: Path) -> list[str]:
    """What the store has, as the page says it, oldest first."""
    with Store(f"sqlite:///{runs / 'decisions.db'}") as store:
        history = store.history(catalogue_of(Run(runs / "shop")))
    words = np.where(history["proposed"] == 1, "Add", "Take off")
    rows = zip(words, history["attribute"], history["image_id"], strict=True)
    return [unescape(spoken(f"{word} {name}? Image {image}")) for word, name, image in rows][::-1]


def decide_until_killed(page: sync_api.Page, pid: int) -> list[str]:
    """Press again and again; the server is killed at some moment of it. What was shown as done."""
    done: list[str] = []
    wait_s = float(np.random.default_rng().uniform(0.0, 0.6))
    killer = threading.Timer(wait_s, os.kill, (pid, signal.SIGKILL))
    while True:
        shown = asked(page)
        if len(done) == AT_LEAST:
            killer.start()
        if not moves_on(page, 30_000 if len(done) < AT_LEAST else 5_000):
            break
        done.append(shown)
    killer.join()
    return done


def test_what_the_page_showed_as_done_survives_a_kill(page, runs, tmp_path):
    port = free_port()
    with running_server(runs, tmp_path / "first.txt", port=port) as (url, pid):
        page.goto(f"{url}/audit?run=shop")
        at_the_desk(page)
        done = decide_until_killed(page, pid)
    assert len(done) >= AT_LEAST
    before = kept(runs)
    assert before[: len(done)] == done
    assert len(before) <= len(done) + 1  # the press that it died of may be there or not
    with running_server(runs, tmp_path / "second.txt", port=port):
        page.locator(CONNECTED).wait_for(timeout=90_000)  # by itself: the tab was left open
        at_the_desk(page)
        shown = asked(page)
        assert shown not in done
        # The new server has drawn nothing yet: a first press asks it to, and decides nothing.
        assert moves_on(page, 5_000) or moves_on(page, 30_000)
    assert kept(runs) == [*before, shown]
