"""Exports of what people accepted: those flips and no others, with who and when."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dashboard.frames.audit import cells_of
from dashboard.frames.flips import FlipQuery, flips_page
from selfml.decisions import Cell, Store
from selfml.export import export
from selfml.run import Run, catalogue_of
from tests.tiny_dataset import Shop, open_shop, read_csv


@pytest.fixture(scope="module")
def shop(tiny_run, tmp_path_factory) -> Shop:
    return open_shop(tiny_run, tmp_path_factory.mktemp("audited"))


@pytest.fixture
def store(tmp_path):
    with Store(f"sqlite:///{tmp_path / 'decisions.db'}") as opened:
        yield opened


def noisy_flips(run: Run) -> pd.DataFrame:
    """Flips of images that nobody verified: those an export may change."""
    return flips_page(run, FlipQuery(split="noisy_train"), 1, 10_000)


def decide(store: Store, run: Run, flips: pd.DataFrame, decision: str, auditor="ann") -> None:
    store.decide(catalogue_of(run), cells_of(flips), decision, auditor=auditor, run_id="r")


def test_only_accepted_flips_change(shop, store, tmp_path):
    flips = noisy_flips(shop.run)
    for part, decision in ((flips[:5], "accept"), (flips[5:8], "reject"), (flips[8:9], "unsure")):
        decide(store, shop.run, part, decision)
    done = export(shop.run, tmp_path / "out.csv", store=store)
    assert done.n_flips == 5
    written = pd.read_csv(done.flips_file)
    assert set(zip(written["file_name"], written["attribute"], strict=True)) == {
        (cell.image_id, cell.attribute.replace("=1+1", "'=1+1")) for cell in cells_of(flips[:5])
    }
    assert written["decision"].tolist() == ["accept"] * 5
    assert written["auditors"].tolist() == ["ann"] * 5
    assert pd.to_datetime(written["decided_at"]).notna().all()


def test_a_conflict_changes_nothing_until_it_is_settled(shop, store, tmp_path):
    flips = noisy_flips(shop.run)[:1]
    decide(store, shop.run, flips, "accept")
    decide(store, shop.run, flips, "reject", "bob")
    assert export(shop.run, tmp_path / "a.csv", store=store).n_flips == 0
    store.decide(catalogue_of(shop.run), cells_of(flips), "accept", auditor="cat", run_id="r",
                 settle=True)  # fmt: skip
    done = export(shop.run, tmp_path / "b.csv", store=store)
    assert pd.read_csv(done.flips_file)["auditors"].tolist() == ["cat"]  # closed what was said


def test_undecided_sure_flips_are_an_option(shop, store, tmp_path):
    flips = noisy_flips(shop.run)
    sure = flips[flips["auto_accept"]]
    assert len(sure) > 3
    decide(store, shop.run, sure[:1], "reject")
    decide(store, shop.run, sure[1:2], "accept")
    done = export(shop.run, tmp_path / "out.csv", store=store, with_auto=True)
    written = pd.read_csv(done.flips_file)
    assert written["decision"].value_counts().to_dict() == {"auto": len(sure) - 2, "accept": 1}
    assert done.n_flips == len(sure) - 1


def test_what_another_run_proposed_and_somebody_accepted_is_kept(shop, store, tmp_path):
    run = shop.run
    given = np.asarray(run.array("labels_given"))
    images = run.table("images")
    flipped = set(zip(*run.table("flips")[["image_index", "attribute_index"]].to_numpy().T,
                      strict=True))  # fmt: skip
    i = next(
        i for i in np.flatnonzero(images["split"] == "noisy_train")
        if given[i, 1] == 0 and (i, 1) not in flipped
    )  # fmt: skip
    cell = Cell(images["image_id"][i], run.attributes[1], 0, 1)
    store.decide(catalogue_of(run), [cell], "accept", auditor="ann", run_id="an older run")
    done = export(run, tmp_path / "out.csv", store=store)
    written = pd.read_csv(done.flips_file).iloc[0]
    assert (written["file_name"], written["corrected"], written["decision"]) == (
        cell.image_id, 1, "accept",
    )  # fmt: skip
    assert np.isnan(written["score"])


def test_what_somebody_left_unsure_is_no_sure_flip(shop, store, tmp_path):
    flips = noisy_flips(shop.run)
    sure = flips[flips["auto_accept"]]
    decide(store, shop.run, sure[:2], "unsure")
    done = export(shop.run, tmp_path / "out.csv", store=store, with_auto=True)
    written = pd.read_csv(done.flips_file)
    left_out = set(zip(sure["image_id"][:2], sure["attribute"][:2], strict=True))
    assert done.n_flips == len(sure) - 2
    assert not left_out & set(zip(written["file_name"], written["attribute"], strict=True))


def test_a_rejected_change_that_another_run_asked_for_is_a_wanted_label(shop, store, tmp_path):
    """Somebody refused to take a label off; this run has it given as absent: it comes back."""
    run = shop.run
    flips = noisy_flips(run)
    flip = flips[flips["given"] == 0].iloc[0]
    cell = Cell(flip["image_id"], flip["attribute"], 1, 0)
    store.decide(catalogue_of(run), [cell], "reject", auditor="ann", run_id="an older run")
    done = export(run, tmp_path / "out.csv", store=store)
    written = pd.read_csv(done.flips_file)
    assert written[["given", "corrected", "auditors"]].to_numpy().tolist() == [[0, 1, "ann"]]
    assert written["score"].notna().all()  # this run's own flip: with its evidence


def test_what_the_shop_leaves_blank_stays_blank(shop, store, tmp_path):
    """Somebody decided when the cell had a label; the shop has taken it out since."""
    run = shop.run
    given, images = np.asarray(run.array("labels_given")), run.table("images")
    noisy = images["split"].eq("noisy_train").to_numpy()[:, None]
    i, j = np.argwhere(noisy & (given < 0))[0]
    cell = Cell(images["image_id"][i], run.attributes[j], 0, 1)
    store.decide(catalogue_of(run), [cell], "accept", auditor="ann", run_id="an older run")
    assert export(run, tmp_path / "out.csv", store=store).n_flips == 0


def test_decisions_under_another_name_are_not_passed_over(shop, store, tmp_path):
    cells = cells_of(noisy_flips(shop.run)[:3])
    store.decide("/moved/shop", cells, "accept", auditor="ann", run_id="r")
    with pytest.raises(ValueError, match=r"'/moved/shop'.* --catalogue"):
        export(shop.run, tmp_path / "out.csv", store=store)
    assert not (tmp_path / "out.csv").exists()
    done = export(shop.run, tmp_path / "out.csv", store=store, catalogue="/moved/shop")
    assert done.n_flips == 3


def test_an_export_is_repeated_byte_for_byte(shop, store, tmp_path):
    decide(store, shop.run, noisy_flips(shop.run)[:9], "accept")
    files = [export(shop.run, tmp_path / n / "out.csv", store=store) for n in ("a", "b")]
    for name in ("labels_file", "flips_file"):
        one, other = (Path(getattr(done, name)).read_bytes() for done in files)
        assert one == other


def test_other_cells_stay_as_the_shop_wrote_them(shop, store, tmp_path):
    flips = noisy_flips(shop.run)[:6]
    nothing = export(shop.run, tmp_path / "none.csv", store=store)  # verified cells alone
    decide(store, shop.run, flips, "accept")
    done = export(shop.run, tmp_path / "out.csv", store=store)
    before, after = read_csv(nothing.labels_file), read_csv(done.labels_file)
    differ = [
        (shop.name(old), column)
        for old, new in zip(before[1:], after[1:], strict=True)
        for column, (a, b) in enumerate(zip(old, new, strict=True))
        if a != b
    ]
    assert len(differ) == done.n_changed_cells - nothing.n_changed_cells
    assert {name for name, _ in differ} == set(flips["image_id"])


def test_the_command(shop, store, tmp_path, selfml):
    decide(store, shop.run, noisy_flips(shop.run)[:2], "accept")
    where = ["export", shop.run.path, "--out", tmp_path / "o.csv"]
    done = selfml(*where, "--decisions", tmp_path / "decisions.db")
    assert "2 flips with their evidence" in done.out
    done = selfml(*where, "--decisions", tmp_path / "none.db")
    assert (done.code, "there is no file" in done.err) == (1, True)
    done = selfml(*where, "--with-auto")
    assert (done.code, "goes with --decisions" in done.err) == (1, True)
