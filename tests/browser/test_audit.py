"""The audit desk in a real browser: by keyboard alone, fast, and nothing decided twice."""

from __future__ import annotations

import time
from collections.abc import Callable
from html import unescape
from pathlib import Path

import numpy as np
import pytest

from dashboard.receipt_html import spoken
from selfml.decisions import Store
from selfml.run import Run, catalogue_of
from tests.browser.conftest import at_the_desk, settled

sync_api = pytest.importorskip("playwright.sync_api")
pytestmark = [pytest.mark.browser, pytest.mark.slow]
Open = Callable[..., "sync_api.Page"]
N = 20


def asked(page: sync_api.Page) -> str:
    """What identifies the item that is shown."""
    return page.locator(".au-photo img").get_attribute("alt") or ""


def wait_for_next(page: sync_api.Page, before: str) -> None:
    page.wait_for_function(
        "before => { const i = document.querySelector('.au-photo img');"
        " return i && i.alt !== before }",
        arg=before,
        timeout=20_000,
        polling=10,
    )


def test_a_queue_is_decided_by_keyboard(page, open_view: Open, browser_runs: Path):
    """What comes over the line for each is counted; the time (limit: p95 300 ms) is printed."""
    received: list[int] = []
    page.on(
        "websocket",
        lambda socket: socket.on("framereceived", lambda frame: received.append(len(frame))),
    )
    run = Run(browser_runs / "tiny")
    page = open_view("audit", "run=tiny")
    at_the_desk(page)
    took_s, took_bytes, seen = [], [], []
    for n in range(N):
        before = asked(page)
        seen.append(before)
        settled(page)  # a person needs longer than the browser to listen to the new buttons' keys
        received.clear()
        start = time.perf_counter()
        page.keyboard.press("axs"[n % 3])
        wait_for_next(page, before)
        took_s.append(time.perf_counter() - start)
        settled(page)
        took_bytes.append(sum(received))
    p95 = float(np.quantile(took_s, 0.95))
    print(f"next item: p50 {1000 * np.median(took_s):.0f} ms, p95 {1000 * p95:.0f} ms")
    print(f"{min(took_bytes):,} to {max(took_bytes):,} bytes")
    assert 0 < max(took_bytes) < 30_000
    with Store(f"sqlite:///{browser_runs / 'decisions.db'}") as store:
        history = store.history(catalogue_of(run))
    words = [("accept", "reject", "unsure")[n % 3] for n in range(N)]
    assert history["decision"].tolist()[::-1] == words
    for shown, row in zip(seen[::-1], history.itertuples(), strict=True):
        assert row.image_id in shown
        assert unescape(spoken(row.attribute)) in shown
    assert not history.duplicated(["image_id", "attribute"]).any()
    assert not history["taken_back"].any()
    settled(page)
    before = asked(page)
    page.keyboard.press("u")
    wait_for_next(page, before)
    assert asked(page) == seen[-1]
    settled(page)
    before = asked(page)
    page.keyboard.press("ArrowRight")
    wait_for_next(page, before)


# Sent one by one from here, the second may come when the next item is there, and be meant for it.
TWICE = """async () => {
  const press = () => { for (const kind of ["keydown", "keyup"]) document.body.dispatchEvent(
    new KeyboardEvent(kind, {key: "a", code: "KeyA", bubbles: true})) };
  press();
  await new Promise(done => setTimeout(done, 30));
  press();
}"""


def test_one_press_too_many_decides_nothing_unseen(open_view: Open, browser_runs: Path):
    """Two presses at once: the second is for an item that nobody has seen yet."""
    run = Run(browser_runs / "tiny")
    page = open_view("audit", "run=tiny&direction=to_0")
    at_the_desk(page)
    before = asked(page)
    with Store(f"sqlite:///{browser_runs / 'decisions.db'}") as store:
        had = len(store.history(catalogue_of(run)))
        page.evaluate(TWICE)
        wait_for_next(page, before)
        settled(page)
        assert len(store.history(catalogue_of(run))) == had + 1
