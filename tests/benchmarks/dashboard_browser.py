"""Times, bytes and memory of the dashboard in a real browser, over its real server.

Chromium is headless and draws WebGL in software, which is slower than on a desk. Streamlit's own
scripts come from the browser's cache, as they do from the second visit on (``_visit``: a browser
that has never been there). A run is opened in two ways: chosen in a tab that shows another run,
and by its address in a new tab, where the browser must first read Streamlit and Plotly again; what
that alone takes is measured beside it, by a page of Streamlit with one chart and nothing else.
New tabs are opened with no debugger in them (:mod:`tests.benchmarks.quiet_tab`), all else by
Playwright.
Beside the time that passed stands the time of all processors for server and browser together
(``_cpu``): on two free cores what passes is less than that, on a busy machine much more.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from playwright.sync_api import BrowserContext, Page, sync_playwright

from selfml.run import Run
from tests.benchmarks.processors import spent_s
from tests.benchmarks.quiet_tab import quiet_browser
from tests.browser.conftest import ARGUMENTS, CHROMIUM, LISTEN, running_server, settled

LIMIT_MS = 120_000
SECOND_VISITS = 3  # that are not timed: until a browser has kept a script as it compiled it
VIEWS = ("", "map", "basis", "attributes", "flips")
DRAWN = """() => {
  const plots = [...document.querySelectorAll('.js-plotly-plot')];
  return plots.some((p) => p.querySelector('.main-svg') && (p._fullData || []).length);
}"""
# charts as they are now; and whether one of them has been drawn again, or a new one is there
MARK = (
    "() => document.querySelectorAll('.js-plotly-plot').forEach((p) => { p.seen = p._fullData; })"
)
DRAWN_ANEW = """() => [...document.querySelectorAll('.js-plotly-plot')].some(
  (p) => p.querySelector('.main-svg') && (p._fullData || []).length && p._fullData !== p.seen)"""
EMPTY_PAGE = """import plotly.graph_objects as go
import streamlit as st

st.title("One chart")
st.plotly_chart(go.Figure(go.Bar(x=["a", "b"], y=[1, 2])))
"""


class Watch:
    """Milliseconds since it was made: passed, and of processors."""

    def __init__(self) -> None:
        self.cpu, self.start = spent_s(own=False), time.perf_counter()

    def read(self) -> tuple[float, float]:
        """Both times."""
        passed = time.perf_counter() - self.start
        return 1000 * passed, 1000 * (spent_s(own=False) - self.cpu)


def percentiles(name: str, times: list[tuple[float, float]]) -> dict[str, float]:
    """``<name>_p50`` and ``_p95``, and ``<name>_cpu`` (p50)."""
    passed, cpu = np.array(times).T
    p50, p95 = np.percentile(passed, [50, 95])
    return {f"{name}_p50": p50, f"{name}_p95": p95, f"{name}_cpu": float(np.median(cpu))}


@dataclass
class Session:
    """A tab, and what came to it over the websocket."""

    page: Page
    url: str
    run: str
    received: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.set_default_timeout(LIMIT_MS)
        self.page.add_init_script(LISTEN)
        self.page.on("websocket", self._listen)

    def _listen(self, socket) -> None:
        socket.on("framereceived", lambda payload: self.received.append(len(payload)))

    def open(self, view: str, query: str = "") -> None:
        """Go to a view and wait until its script has ended."""
        self.page.goto(f"{self.url}/{view}?run={self.run}{query}")
        self.page.locator("h1").first.wait_for()
        settled(self.page)

    def chosen(self, run: str) -> tuple[float, float]:
        """From choosing another run in this tab to its figure (ms, see :class:`Watch`)."""
        self.page.evaluate(MARK)
        self.page.get_by_role("combobox", name="Run").click()
        option = self.page.get_by_role("option", name=run, exact=True)
        option.wait_for()
        watch = Watch()
        option.click()
        self.page.wait_for_function(DRAWN_ANEW, polling="raf")
        return watch.read()

    def taken(self) -> int:
        """Bytes since the last call."""
        total = sum(self.received)
        self.received.clear()
        return total


def memory_mb(pid: int) -> tuple[float, float]:
    """PSS of a process, and the part of it that is not of files, in MiB."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    values = {name: int(rest.split()[0]) for name, _, rest in (x.partition(":") for x in lines)}
    return values["Pss"] / 1024, values["Pss_Anon"] / 1024


@contextmanager
def returning_browser() -> Iterator[BrowserContext]:
    """Headless Chromium with a profile on the disk, as people have."""
    own = str(CHROMIUM) if CHROMIUM.exists() else None
    how = {"executable_path": own, "args": ARGUMENTS}
    with (
        sync_playwright() as playwright,
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile,
    ):
        context = playwright.chromium.launch_persistent_context(
            profile, viewport={"width": 1280, "height": 900}, **how
        )
        yield context
        context.close()


def measure_new_tabs(url: str, run: str, log: Path, repeats: int, views: tuple[str, ...]):
    """``figure_visit``, ``figure_<view>``, ``_empty``, ``_debugged`` (ms, see :func:`measure_run`).

    The page with one chart has a server of its own; its tabs and ours are opened in turns.
    """
    script = log.with_name("one_chart.py")
    script.write_text(EMPTY_PAGE)
    with (
        quiet_browser() as browser,
        running_server(log.parent, log.with_name("empty.log"), script=script) as (empty, _),
    ):
        visit, visit_cpu = browser.drawn_ms(f"{url}/?run={run}", DRAWN)
        pages = {view or "overview": f"{url}/{view}?run={run}" for view in views} | {"empty": empty}
        pages["debugged"] = empty
        times: dict[str, list[tuple[float, float]]] = {name: [] for name in pages}
        for turn in range(-SECOND_VISITS, repeats):
            for name, address in pages.items():
                took = browser.drawn_ms(address, DRAWN, debugged=name == "debugged")
                if turn >= 0:
                    times[name].append(took)
    found = {"figure_visit": visit, "figure_visit_cpu": visit_cpu}
    for name, measured in times.items():
        found |= percentiles(f"figure_{name}", measured)
    return found


def measure_run(run_folder: Path, log: Path, repeats: int, sessions: int = 10) -> dict[str, float]:
    """Open one run in a server of its own, and work with it.

    Returns
    -------
    dict
        ``pss_idle``, ``pss_first``, ``pss_tenth`` (MiB, of the server with no session, one and
        the last), ``anon_`` of each (the part that is not of files), ``pss_each`` (for each
        further session); ``bytes_<view>``, ``bytes_turn`` (a page of the grid turned beside an
        unchanged map); ``figure_chosen`` (ms to the first figure of the overview, the run chosen
        for the first time in an open tab), ``figure_visit`` (the overview in a browser without
        Streamlit's scripts); and what :func:`percentiles` gives of the overview and the map in
        new tabs, ``figure_<view>``, of a page with one chart and nothing else,
        ``figure_empty``, of that while a debugger looks on, ``figure_debugged``, of a lasso until
        its images, of an image until its labels and of a label until its receipt (not for a run
        without a map).
    """
    name = run_folder.name
    mapped = Run(run_folder).table("images", ["map_tsne_x"])["map_tsne_x"].notna().any()
    with running_server(run_folder.parent, log) as (url, pid):
        with returning_browser() as context:
            found = _work(context, url, name, pid, sessions, repeats if mapped else 0)
        views = ("", "map") if mapped else ("",)
        return found | measure_new_tabs(url, name, log, repeats, views)


def _work(
    context: BrowserContext, url: str, name: str, pid: int, sessions: int, lassos: int
) -> dict[str, float]:
    """All that is done in tabs that stay open, and the server's memory meanwhile."""
    found: dict[str, float] = {}

    def note_memory(when: str) -> None:
        found[f"pss_{when}"], found[f"anon_{when}"] = memory_mb(pid)

    one = Session(context.new_page(), url, "demo")
    for view in ("map", ""):  # Streamlit's scripts into the browser, its modules into the server
        one.open(view)
        one.page.wait_for_function(DRAWN)  # the script for charts is the last that comes
        one.page.wait_for_timeout(1000)
    note_memory("idle")
    found["figure_chosen"], found["figure_chosen_cpu"] = one.chosen(name)
    one.run = name
    found |= _bytes(one)
    note_memory("first")
    found |= _lassos(one, lassos) if lassos else {}
    note_memory("worked")
    for _ in range(sessions - 1):
        _bytes(Session(context.new_page(), url, name))
    note_memory("tenth")
    found["pss_each"] = (found["pss_tenth"] - found["pss_worked"]) / max(sessions - 1, 1)
    return found


def _bytes(session: Session) -> dict[str, float]:
    """Every view opened in turn, by its address."""
    found = {}
    for view in VIEWS:
        session.taken()
        session.open(view)
        found[f"bytes_{view or 'overview'}"] = session.taken()
    return found


def _lassos(one: Session, repeats: int) -> dict[str, float]:
    """Draw around points, see the grid; open an image of it, then a receipt."""
    page, times, turned = one.page, {"lasso": [], "labels": [], "receipt": []}, 0
    for i in range(repeats):
        one.open("map")
        page.wait_for_function(DRAWN)
        page.wait_for_timeout(1500)  # WebGL draws after the axes
        box = page.locator(".js-plotly-plot .nsewdrag").first.bounding_box()
        times["lasso"].append(_draw(page, box, i))
        settled(page)
        one.taken()
        page.get_by_role("button", name="Next").click()
        page.get_by_text("13–24 of").wait_for()
        settled(page)
        turned = one.taken()
        watch = Watch()
        page.locator(".sm-item a").first.click()
        page.locator(".rc-head").first.wait_for()
        times["labels"].append(watch.read())
        watch = Watch()
        page.locator("a[href*='flip=']").first.click()
        page.get_by_text("What the image is made of").wait_for()
        times["receipt"].append(watch.read())
    found = {"bytes_turn": turned}
    for name, measured in times.items():
        found |= percentiles(name, measured)
    return found


def _draw(page: Page, box: dict, i: int) -> tuple[float, float]:
    """From letting go of the mouse to the images of the i-th lasso beside the map."""
    t = np.linspace(0, 2 * np.pi, 12)
    reach = 0.42 - 0.02 * (i % 10)
    x = box["x"] + box["width"] * (0.5 + reach * np.cos(t))
    y = box["y"] + box["height"] * (0.5 + reach * np.sin(t))
    page.mouse.move(x[0], y[0])
    page.mouse.down()
    for place in zip(x[1:], y[1:], strict=True):
        page.mouse.move(*place, steps=2)
    watch = Watch()
    page.mouse.up()
    page.get_by_text("in your selection").wait_for()
    page.wait_for_function(
        "() => document.querySelectorAll('.sm-item img').length >= 12"
        " && document.querySelector('.sm-item img').complete"
    )
    return watch.read()
