"""A merchandiser's morning: sign in, decide, accept many, undo, settle, export, compare."""

from __future__ import annotations

import io
import re
import time
import zipfile
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import pandas as pd
import pytest

from dashboard.frames.audit import cells_of, queue
from dashboard.frames.controls import controls
from dashboard.frames.flips import FlipQuery
from dashboard.receipt_html import spoken
from selfml.corrections import restore
from selfml.data.tables import tidy_name
from selfml.decisions import Store
from selfml.exchange.check import compare
from selfml.run import Run, catalogue_of
from tests.browser.conftest import at_the_desk, settled
from tests.browser.provider import sign_in, site_with_sign_in
from tests.browser.test_audit import asked, wait_for_next
from tests.tiny_dataset import CELLS, Shop, open_shop, read_csv
from tests.tiny_run import build_tiny_run

sync_api = pytest.importorskip("playwright.sync_api")
pytestmark = [pytest.mark.browser, pytest.mark.slow]
N = 40
KEYS = {"a": "accept", "x": "reject", "s": "unsure"}
ANN, BEN = "ann@shop.org", "ben@shop.org"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """A run with its dataset, in a folder of runs of its own."""
    folder = tmp_path_factory.mktemp("morning")
    return open_shop(build_tiny_run(folder / "made", n_images=240, n_atoms=12), folder / "runs")


@pytest.fixture(scope="module")
def site(provider: str, shop: Shop) -> Iterator[str]:
    """Where ann signs in."""
    folder = shop.run.path.parent
    with site_with_sign_in(provider, folder, folder / "log.txt") as address:
        yield address


@pytest.fixture
def store(shop: Shop) -> Iterator[Store]:
    """What the site writes to."""
    with Store(f"sqlite:///{shop.run.path.parent / 'decisions.db'}") as opened:
        yield opened


def choose(page: sync_api.Page, part: str) -> None:
    """Another part of the Audit view."""
    page.get_by_test_id("stMain").get_by_role("radio", name=part).click()
    settled(page)


def press(page: sync_api.Page, name: str) -> None:
    page.get_by_role("button", name=re.compile(name)).first.click()
    settled(page)


def current(store: Store, run: Run) -> dict[tuple[str, str], str]:
    state = store.state(catalogue_of(run))
    cells = zip(state["image_id"], state["attribute"], strict=True)
    return dict(zip(cells, state["state"], strict=True))


def decide_by_keyboard(page: sync_api.Page, n: int) -> list[tuple[str, str]]:
    """Press A, A, X, A, S in turn; what was asked each time, and what was said."""
    said = []
    for k in range(n):
        before = asked(page)
        settled(page)
        key = "aaxas"[k % 5]
        page.keyboard.press(key)
        wait_for_next(page, before)
        said.append((before, KEYS[key]))
    return said


def test_a_morning(chromium, site, shop, store, tmp_path):
    run, catalogue = Run(shop.run.path), catalogue_of(shop.run)
    known = controls(run)
    left = queue(run, FlipQuery(), known.hidden, 10_000)
    contested = cells_of(left.tail(1))[0]
    store.decide(catalogue, [contested], "reject", auditor=BEN, run_id=run.run_id)

    page = chromium.new_context(accept_downloads=True).new_page()
    sign_in(page, f"{site}/audit?run=run", "ann")
    at_the_desk(page)

    # Forty by keyboard, in her own name, each once and as she said; some are control items.
    start = time.perf_counter()
    said = decide_by_keyboard(page, N)
    a_minute = 60 * N / (time.perf_counter() - start)
    print(f"{a_minute:.0f} decisions a minute")
    assert a_minute >= 30
    settled(page)
    history = store.history(catalogue)
    mine = history[history["auditor"] == ANN][::-1].reset_index(drop=True)
    assert len(mine) == N
    assert mine["decision"].tolist() == [decision for _, decision in said]
    for row, (shown, _) in zip(mine.itertuples(), said, strict=True):
        assert row.image_id in shown
        assert unescape(spoken(row.attribute)) in shown
    verified = set(zip(*flips_of_verified(run, known), strict=True))
    n_controls = sum((row.image_id, row.attribute) in verified for row in mine.itertuples())
    assert 2 <= n_controls <= 5
    assert f"{N} decided in this visit" in page.get_by_test_id("stMain").inner_text()

    # Accept the rest, take it back in one step, and accept it after all.
    before = current(store, run)
    choose(page, "All at once")
    n_rest = int(page.get_by_test_id("bulk-counts").locator("strong").inner_text().replace(",", ""))
    press(page, f"Accept all {n_rest}")
    assert len(current(store, run)) == len(before) + n_rest
    press(page, "Undo")
    assert current(store, run) == before
    press(page, f"Accept all {n_rest}")

    # Ben said otherwise of one: it is a conflict, and she settles it.
    page.goto(f"{site}/audit?run=run&flip={name_of(left.tail(1))}")
    at_the_desk(page)
    page.keyboard.press("a")
    settled(page)
    assert current(store, run)[contested.image_id, contested.attribute] == "conflict"
    choose(page, "Conflicts")
    assert f"{BEN} rejected" in page.get_by_test_id("stMain").inner_text()
    press(page, "^Accept$")
    assert "No conflict is open" in page.get_by_test_id("stMain").inner_text()
    assert current(store, run)[contested.image_id, contested.attribute] == "accept"

    # She takes the labels away: the shop's own file, with what she accepted and nothing else.
    choose(page, "Export")
    with page.expect_download() as caught:
        page.get_by_role("button", name="Download corrected labels").click()
    files = zipfile.ZipFile(io.BytesIO(Path(caught.value.path()).read_bytes()))
    files.extractall(tmp_path)
    accepted = {cell for cell, state in current(store, run).items() if state == "accept"}
    changes = pd.read_csv(tmp_path / "corrected.flips.csv")
    flips = set(
        zip(*(changes[name].map(restore) for name in ("file_name", "attribute")), strict=True)
    )
    assert flips == {cell for cell in accepted if cell not in shop.verified}
    assert_only_these_changed(shop, tmp_path / "corrected.csv", flips)
    found = compare(tmp_path / "corrected.csv", tmp_path / "corrected.csv")
    assert found.same
    assert found.n_cells > 0
    page.context.close()


def flips_of_verified(run: Run, known) -> tuple[list[str], list[str]]:
    """Images and attributes of the flips of verified images."""
    ids, n = run.table("images")["image_id"].to_numpy(), len(run.attributes)
    return (
        ids[known.hidden // n].tolist(),
        [run.attributes[j] for j in known.hidden % n],
    )


def name_of(flips: pd.DataFrame) -> str:
    row = flips.iloc[0]
    return f"{row['image_index']}-{row['attribute_index']}"


def assert_only_these_changed(shop: Shop, file: Path, flips: set[tuple[str, str]]) -> None:
    """Every cell of the shop's file is as it was, flipped, or verified."""
    run = shop.run
    i = {name: n for n, name in enumerate(run.table("images")["image_id"])}
    given = run.array("labels_given")
    corrected = {
        (name, attribute): CELLS[1 - int(given[i[name], run.attributes.index(attribute)])]
        for name, attribute in flips
    }
    header, *rows = read_csv(file)
    at = header.index("file_name")
    seen = set()
    for row, old in zip(rows, shop.rows, strict=True):
        name = tidy_name(row[at])
        for column, value, before in zip(header, row, old, strict=True):
            key = (name, restore(column).strip())
            expected = corrected.get(key, shop.verified.get(key))
            if expected is None or value == before:
                assert value == before, key
            else:
                assert value == expected, key
                seen.add(key)
    assert flips <= seen
