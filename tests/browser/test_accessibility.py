"""Every view as axe-core sees it, light and dark, and from a phone to a wide screen.

A finding of Streamlit's or Plotly's own that cannot be mended here is listed in ``KNOWN`` with its
reason; everything else that axe calls serious or critical fails.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dashboard.frames.audit import cells_of
from dashboard.frames.flips import FlipQuery, flips_page
from selfml.decisions import Store
from selfml.run import Run, catalogue_of
from tests.browser.conftest import running_server, settled
from tests.tiny_run import build_tiny_run
from tests.what_if_cases import fragile_flip

sync_api = pytest.importorskip("playwright.sync_api")
axe = pytest.importorskip("axe_playwright_python.base", reason="pip install -e '.[dev]'")
pytestmark = [pytest.mark.browser, pytest.mark.slow]
Open = Callable[..., "sync_api.Page"]

VIEWS = (
    "overview",
    "overview?run=training",
    "overview?run=nothing",
    "map?color=changed&attribute=1",
    "map?area=-99,-99;99,-99;99,99;-99,99",
    "basis",
    "basis?part=labels",
    "basis?part=images",
    "basis?part=faithfulness",
    "basis?part=to-label",
    "basis?part=to-label&basis=1",
    "basis?basis=3",
    "attributes",
    "attributes?part=flips",
    "attributes?part=right",
    "attributes?part=prevalence",
    "attributes?part=category",
    "attributes?part=compare&other=other",
    "attributes?attribute=1",
    "flips",
    "flips?direction=to_0&min_confidence=1",
    "flips?flip=FALLING",
    "flips?image=0",
    "audit",
    "audit?part=all",
    "audit?part=conflicts",
    "audit?part=traced",
    "audit?part=history",
    "audit?part=export",
)
# What differs between light and dark; all other rules are about the same document.
COLOUR_RULES = ("color-contrast", "link-in-text-block")
# How a view is looked at: scheme, width in pixels, rules; () means all, None only that it fits.
LOOKS: tuple[tuple[str, int, tuple[str, ...] | None], ...] = (
    ("light", 1440, ()),
    ("light", 390, ()),
    ("dark", 390, COLOUR_RULES),
    ("dark", 768, None),
    ("dark", 1440, COLOUR_RULES),
    ("dark", 2560, None),
)
# A colour on its way from one scheme to the other is nobody's.
AT_ONCE = "*, *::before, *::after {transition: none !important; animation: none !important}"
BACKGROUND = {"light": "rgb(255, 255, 255)", "dark": "rgb(15, 19, 25)"}
# (rule, what the selector of the finding holds, why it stays)
KNOWN: tuple[tuple[str, str, str], ...] = ()


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A complete run with decisions and conflicts, one beside it, and one in training."""
    runs = tmp_path_factory.mktemp("accessible_runs")
    build_tiny_run(runs / "training", status="running")
    build_tiny_run(runs / "other", seed=1)
    run = Run(build_tiny_run(runs / "tiny", n_images=200, n_atoms=12))
    cells = cells_of(flips_page(run, FlipQuery(), 1, 24))
    with Store(f"sqlite:///{runs / 'decisions.db'}") as store:
        for auditor, decision, chosen in (
            ("ann", "reject", cells[::2]),
            ("bob", "accept", cells[:6]),
        ):
            store.decide(catalogue_of(run), chosen, decision, auditor=auditor, run_id="tiny")
    return runs


@pytest.fixture(scope="module")
def app_url(runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of its own: its decisions are no other test's."""
    with running_server(runs, tmp_path_factory.mktemp("server") / "log.txt") as (url, _):
        yield url


@pytest.fixture(scope="module")
def falling(runs: Path) -> str:
    """A flip that falls without one of its basis images, which is taken out."""
    i, j, k = fragile_flip(Run(runs / "tiny"))
    return f"{i}-{j}&without={k}"


def show(page: sync_api.Page, scheme: str, width: int) -> None:
    """The page in this scheme and width, once it has followed."""
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 900})
    page.wait_for_function(
        "color => getComputedStyle(document.querySelector('[data-testid=stApp]'))"
        ".backgroundColor === color",
        arg=BACKGROUND[scheme],
    )


def findings(page: sync_api.Page, rules: tuple[str, ...] = ()) -> list[str]:
    """What axe calls serious or critical and ``KNOWN`` does not list, a line each."""
    options: dict[str, Any] = {"resultTypes": ["violations"], "elementRef": False}
    if rules:
        options["runOnly"] = {"type": "rule", "values": list(rules)}
    found = page.evaluate("options => axe.run(document, options)", options)["violations"]
    return [
        f"{one['id']}: {node['html'][:160]} {node['failureSummary']}"
        for one in found
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
        if not any(one["id"] == rule and part in str(node["target"]) for rule, part, _ in KNOWN)
    ]


def lasting(page: sync_api.Page, rules: tuple[str, ...]) -> list[str]:
    """What is found again a moment later: a part that is being drawn anew is paler meanwhile."""
    found = findings(page, rules)
    for _ in range(3):
        if not found:
            break
        page.wait_for_timeout(700)
        found = findings(page, rules)
    return found


def fits(page: sync_api.Page) -> None:
    """Nothing scrolls sideways but what is made to."""
    page.wait_for_function(
        "() => [document.scrollingElement, document.querySelector('[data-testid=stMain]')]"
        ".every(e => e.scrollWidth <= e.clientWidth && e.clientWidth <= innerWidth)",
        timeout=5_000,
    )


def open_all(page: sync_api.Page) -> None:
    """Unfold what is folded, so that it is looked at, too."""
    page.evaluate(
        "() => document.querySelectorAll('[data-testid=stMain] details:not([open]) > summary')"
        ".forEach(e => e.click())"
    )
    settled(page)
    sync_api.expect(page.locator("[data-testid=stSkeleton]")).to_have_count(0, timeout=30_000)


@pytest.mark.parametrize("address", VIEWS)
def test_a_view_reads_well_in_every_light_and_width(open_view: Open, page, falling, address: str):
    view, _, query = address.replace("FALLING", falling).partition("?")
    page.set_viewport_size({"width": 1440, "height": 900})
    open_view(view, query if query.startswith("run=") else f"run=tiny&{query}")
    open_all(page)
    page.add_style_tag(content=AT_ONCE)
    page.evaluate(axe.AXE_SCRIPT)
    problems = []
    for scheme, width, rules in LOOKS:
        show(page, scheme, width)
        fits(page)
        if rules is not None:
            problems += [f"{scheme}, {width} px: {one}" for one in lasting(page, rules)]
    assert problems == []


@pytest.mark.parametrize(("view", "words"), [("flips", "More filters"), ("audit", "Which flips")])
def test_filters_behind_a_button_read_well(open_view: Open, page, view: str, words: str):
    page.set_viewport_size({"width": 390, "height": 900})
    open_view(view)
    page.get_by_role("button", name=words).click()
    page.get_by_text("Confidence at least").first.wait_for(timeout=10_000)
    page.add_style_tag(content=AT_ONCE)
    page.evaluate(axe.AXE_SCRIPT)
    problems = []
    for scheme in ("light", "dark"):
        show(page, scheme, 390)
        problems += findings(page)
    fits(page)
    assert problems == []
