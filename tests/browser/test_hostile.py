"""Names by somebody who means harm, on every view: nothing runs, nothing is fetched, all fits."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dashboard.frames.audit import cells_of
from dashboard.frames.flips import FlipQuery, flips_page
from selfml.decisions import Store
from selfml.run import Run, catalogue_of
from tests import hostile
from tests.browser.conftest import running_server, settled
from tests.browser.test_accessibility import VIEWS

sync_api = pytest.importorskip("playwright.sync_api")
pytestmark = [pytest.mark.browser, pytest.mark.slow]
WIDTHS_PX = (1280, 390)
FITS = "e => e.scrollWidth <= e.clientWidth"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Run]]:
    """A server over a hostile run with decisions and conflicts on every attribute."""
    folder = tmp_path_factory.mktemp("hostile")
    shop = hostile.write_catalogue(folder, links=True)
    run = hostile.build_hostile_run(folder / "runs" / "evil", shop.root)
    store_at = f"sqlite:///{folder / 'runs' / 'decisions.db'}"
    with Store(store_at) as store:
        for j in range(len(hostile.ATTRIBUTES)):
            cells = cells_of(flips_page(run, FlipQuery(attribute=j), 1, 6))
            for auditor, decision, chosen in (
                ("ann", "reject", cells[:3]),
                ("<b>bob</b> ![](http://outside.invalid/bob.png)", "accept", cells[:1]),
            ):
                store.decide(catalogue_of(run), chosen, decision, auditor=auditor, run_id="evil")
    with running_server(
        folder / "runs", folder / "log.txt", settings={"DATABASE_URL": store_at}
    ) as (url, _):
        yield url, run
    assert not shop.witness.exists()


class Watcher:
    """A tab, and what it should never do."""

    def __init__(self, page: sync_api.Page, url: str):
        self.page, self.url = page, url
        self.dialogs: list[str] = []
        self.elsewhere: list[str] = []
        page.on("dialog", self._dialog)
        page.on("request", self._request)

    def _dialog(self, dialog: sync_api.Dialog) -> None:
        self.dialogs.append(dialog.message)
        dialog.dismiss()

    def _request(self, request: sync_api.Request) -> None:
        here = (self.url, self.url.replace("http", "ws"), "data:", "blob:")
        if not request.url.startswith(here):
            self.elsewhere.append(request.url)

    def look_at(self, view: str) -> list[str]:
        """Open a view; what is wrong with it."""
        self.page.goto(f"{self.url}/{view}{'&' if '?' in view else '?'}run=evil")
        self.page.locator("h1").first.wait_for(timeout=60_000)
        settled(self.page)
        return self.problems(view)

    def problems(self, view: str) -> list[str]:
        """What was done by now that should not be."""
        found = [f"{view}: asked {url}" for url in self.elsewhere]
        found += [f"{view}: said {text}" for text in self.dialogs]
        self.elsewhere.clear()
        self.dialogs.clear()
        if self.page.evaluate("() => 'hacked' in window"):
            found.append(f"{view}: ran a script")
        links = self.page.locator(f"a[href^='javascript:'], a[href^='{hostile.OUTSIDE}']")
        found += [f"{view}: links to {a.get_attribute('href')}" for a in links.all()]
        if self.page.locator("[data-testid=stException]").count():
            found.append(f"{view}: an exception is shown")
        for width_px in WIDTHS_PX:
            self.page.set_viewport_size({"width": width_px, "height": 900})
            self.page.wait_for_timeout(200)
            if not self.page.locator("[data-testid=stMain]").evaluate(FITS):
                found.append(f"{view}: wider than {width_px} px")
        self.page.set_viewport_size({"width": WIDTHS_PX[0], "height": 900})
        return found


@pytest.fixture
def watcher(page: sync_api.Page, site: tuple[str, Run]) -> Watcher:
    return Watcher(page, site[0])


def test_no_view_runs_fetches_or_links_to_what_a_name_says(watcher, site):
    flips = flips_page(site[1], FlipQuery(), 1, 1)
    key = f"{flips['image_index'][0]}-{flips['attribute_index'][0]}"
    views = [v.replace("FALLING", key) for v in VIEWS if "run=" not in v and "other=" not in v]
    views += [f"attributes?attribute={j}" for j in range(len(hostile.ATTRIBUTES))]
    views += [f"flips?attribute={j}" for j in (2, 5, 6)]
    views += [f"flips?image={i}" for i in (0, 5)]  # a bomb, and a link out of the folder
    views += ["map?image=0", "attributes?part=category&attribute=2", "audit?category=%3D1%2B1"]
    found = [problem for view in views for problem in watcher.look_at(view)]
    assert not found, "\n".join(found)


def test_acts_on_hostile_names_say_them_as_text(watcher, site):
    """The filter, a decision, what was taken back, a conflict: each names the attribute."""
    found = []
    for j in (1, 2, 4, 5, 6):
        flip = flips_page(site[1], FlipQuery(attribute=j), 1, 1).iloc[0]
        contrary = f"audit?flip={flip['image_index']}-{j}"
        for view in (f"audit?attribute={j}", contrary):
            found += watcher.look_at(view)
            for button in ("Unsure", "Undo") if view != contrary else ("Reject", "Accept"):
                watcher.page.get_by_role("button", name=button, exact=False).first.click()
                settled(watcher.page)
                found += watcher.problems(f"{view}, {button}")
                if button == "Undo":
                    note = watcher.page.get_by_text("Taken back").inner_text()
                    assert hostile.ATTRIBUTES[j] in note.replace("\u2060", "")
    assert not found, "\n".join(found)
