"""Pages of flips against pandas on the same file."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dashboard.frames import flips as frames
from dashboard.frames.flip_query import SORTS, FlipQuery
from selfml.audited import verified_images
from selfml.flips import read_evidence_model
from selfml.reasons import stands_without_any
from selfml.run import Run, RunWriter

KEY = ["image_index", "attribute_index"]


@pytest.fixture(scope="module")
def run(tiny_run: Path) -> Run:
    return Run(tiny_run)


@pytest.fixture(scope="module")
def everything(run: Run) -> pd.DataFrame:
    """All flips joined with their images, by pandas."""
    images = run.table("images", ["image_index", "category", "split"])
    return run.table("flips").merge(images, on="image_index")


def expected(run: Run, flips: pd.DataFrame, query: FlipQuery) -> pd.DataFrame:
    keep = flips["confidence"] >= query.min_confidence
    for column, value in (
        ("attribute_index", query.attribute),
        ("image_index", query.image),
        ("category", query.category),
        ("split", query.split),
        ("auto_accept", query.auto),
        ("corrected", {"to_1": 1, "to_0": 0}.get(query.direction or "")),
        ("strict_agrees", {"agree": True, "disagree": False}.get(query.agreement or "")),
    ):
        if value is not None:
            keep &= flips[column] == value
    if query.agreement == "bare":
        keep &= stands_without_any(flips, read_evidence_model(run), "full")
    right = flips["truth"] == flips["corrected"]
    known = flips["truth"] >= 0
    truths = {"right": right, "wrong": known & ~right, "known": known, "unknown": ~known}
    if query.truth in truths:
        keep &= truths[query.truth]
    if query.basis is not None:
        coefficients = run.table("coefficients")
        keep &= flips["image_index"].isin(
            coefficients[coefficients["basis_index"] == query.basis]["image_index"]
        )
    return flips[keep]


QUERIES = [
    FlipQuery(),
    FlipQuery(attribute=1),
    FlipQuery(image=4),
    FlipQuery(category="tops"),
    FlipQuery(split="noisy_train"),
    FlipQuery(direction="to_1"),
    FlipQuery(direction="to_0"),
    FlipQuery(direction="all", agreement="all", truth="all"),
    FlipQuery(agreement="agree"),
    FlipQuery(agreement="disagree"),
    FlipQuery(agreement="bare"),
    FlipQuery(agreement="bare", direction="to_0", category="tops"),
    FlipQuery(auto=True),
    FlipQuery(auto=False),
    FlipQuery(truth="right"),
    FlipQuery(truth="wrong"),
    FlipQuery(truth="known"),
    FlipQuery(truth="unknown"),
    FlipQuery(min_confidence=0.9),
    FlipQuery(basis=2),
    FlipQuery(category="jackets", direction="to_1", split="noisy_train", min_confidence=0.6),
    FlipQuery(category="'; DROP TABLE flips; --"),
]


@pytest.mark.parametrize("query", QUERIES, ids=str)
def test_a_query_finds_what_pandas_finds(run: Run, everything: pd.DataFrame, query: FlipQuery):
    wanted = expected(run, everything, query)
    page = frames.flips_page(run, query, 1, 10_000)
    pairs = set(map(tuple, page[KEY].to_numpy()))
    assert pairs == set(map(tuple, wanted[KEY].to_numpy()))
    summary = frames.flips_summary(run, query)
    known = wanted["truth"] >= 0
    learned = known & (wanted["split"] == "clean_train")
    right = wanted["truth"] == wanted["corrected"]
    assert summary == {
        "n": len(wanted),
        "to_1": (wanted["corrected"] == 1).sum(),
        "to_0": (wanted["corrected"] == 0).sum(),
        "agree": wanted["strict_agrees"].sum(),
        "auto": wanted["auto_accept"].sum(),
        "right": (right & ~learned).sum(),
        "wrong": (known & ~right & ~learned).sum(),
        "learned": learned.sum(),
        "bare": stands_without_any(wanted, read_evidence_model(run), "full").sum(),
        "verified": verified_images(run)[wanted["image_index"]].sum(),
    }


def test_the_queries_are_not_all_trivial(run: Run, everything: pd.DataFrame):
    sizes = {len(expected(run, everything, query)) for query in QUERIES}
    assert len(sizes) > 10
    counts = frames.flips_summary(run, FlipQuery())
    assert min(n for name, n in counts.items() if name != "wrong") > 0
    assert counts["right"] + counts["wrong"] + counts["learned"] == (everything["truth"] >= 0).sum()


def test_images_that_were_set_aside_are_verified_ones(tiny_run: Path, tmp_path: Path):
    """Their part is that of noisy images; a run of format 1 does not say which they are."""
    writer = RunWriter(shutil.copytree(tiny_run, tmp_path / "run"))
    run = Run(writer.path)
    noisy = run.table("images")["split"].str.startswith("noisy").to_numpy()
    at = run.table("flips")["image_index"].to_numpy()
    aside = np.unique(at[noisy[at]])[:3]
    writer.write_table("calibration", pd.DataFrame({"image_index": aside.astype(np.int32)}))
    n_clean, n_aside = (~noisy[at]).sum(), np.isin(at, aside).sum()
    assert frames.flips_summary(run, FlipQuery())["verified"] == n_clean + n_aside > n_clean
    run.table_path("calibration").unlink()
    assert frames.flips_summary(Run(writer.path), FlipQuery())["verified"] == n_clean


def test_images_that_get_another_part_are_counted_anew(tiny_run: Path, tmp_path: Path):
    """What training learned from is in another file than the flips."""
    writer = RunWriter(shutil.copytree(tiny_run, tmp_path / "run"))
    run = Run(writer.path)
    flips = run.table("flips")
    contrary = flips["truth"].where(
        (flips.index % 3 > 0) | (flips["truth"] < 0), 1 - flips["truth"]
    )
    flips = flips.assign(truth=contrary.astype(np.int8))
    writer.write_table("flips", flips)
    images = run.table("images")
    for learned_from in ("noisy_train", "clean_train"):
        split = images["split"].where(images["split"] != learned_from, "clean_train")
        split = split.where(images["split"] == learned_from, "clean_test")
        writer.write_table("images", images.assign(split=split))
        learned = (images["split"] == learned_from).to_numpy()[flips["image_index"]]
        known, right = flips["truth"] >= 0, flips["truth"] == flips["corrected"]
        counts = frames.flips_summary(run, FlipQuery())
        found = [counts[name] for name in ("right", "wrong", "learned")]
        kinds = (right & ~learned, known & ~right & ~learned, known & learned)
        assert found == [kind.sum() for kind in kinds]
        assert min(found) > 0


@pytest.mark.parametrize("sort", SORTS)
def test_pages_hold_every_flip_once_in_order(run: Run, everything: pd.DataFrame, sort: str):
    query = FlipQuery(sort=sort)
    pages = [frames.flips_page(run, query, n, 10) for n in range(1, len(everything) // 10 + 3)]
    assert pages[-1].empty
    whole = pd.concat(pages, ignore_index=True)
    assert len(whole) == len(everything)
    assert not whole.duplicated(KEY).any()
    whole["bare"] = stands_without_any(whole, read_evidence_model(run), "full")
    surest = whole.sort_values(["confidence", "image_index"], ascending=[False, True])
    whole["turn"] = surest.groupby(["attribute_index", "corrected"]).cumcount()
    order = {
        "mixed": [("turn", True), ("bare", True), ("confidence", False)],
        "confidence": [("confidence", False)],
        "doubt": [("confidence", True)],
        "attribute": [("attribute_index", True), ("confidence", False)],
        "image": [],
    }[sort]
    order += [(k, True) for k in KEY if k not in dict(order)]
    names, ascending = zip(*order, strict=True)
    sorted_ = whole.sort_values(list(names), ascending=list(ascending), kind="stable")
    assert sorted_.index.tolist() == list(range(len(whole)))


def test_attributes_take_turns_whatever_is_filtered(run: Run, everything: pd.DataFrame):
    """Flips of the same turn: those that rest on basis images come before those that do not."""
    page = frames.flips_page(run, FlipQuery(sort="mixed"), 1, 1_000)
    groups = everything.groupby(["attribute_index", "corrected"])["confidence"].max()
    first = page.head(len(groups)).set_index(["attribute_index", "corrected"])
    assert first["confidence"].to_dict() == groups.to_dict()
    bare = stands_without_any(first.reset_index(), read_evidence_model(run), "full")
    assert bare.any()
    assert bare.tolist() == sorted(bare)
    tops = frames.flips_page(run, FlipQuery(sort="mixed", category="tops"), 1, 1_000)
    same = page[page["category"] == "tops"]
    assert tops[KEY].to_numpy().tolist() == same[KEY].to_numpy().tolist()


def test_a_page_has_what_the_cards_show(run: Run):
    page = frames.flips_page(run, FlipQuery(), 1, 5)
    assert page["attribute"].tolist() == [run.attributes[j] for j in page["attribute_index"]]
    assert {"image_id", "category", "split", "score", "label_score"} <= set(page)


@pytest.mark.parametrize("sort", SORTS)
def test_neighbours_walk_through_the_list_both_ways(run: Run, sort: str):
    query = FlipQuery(sort=sort, direction="to_1")
    whole = frames.flips_page(run, query, 1, 10_000)
    keys = [tuple(int(v) for v in pair) for pair in whole[KEY].to_numpy()]
    for n in (0, 1, len(keys) // 2, len(keys) - 1):
        before, after = frames.neighbours(run, query, whole.iloc[n])
        assert before == (keys[n - 1] if n else None)
        assert after == (keys[n + 1] if n + 1 < len(keys) else None)


def test_one_flip_is_found_or_none(run: Run, everything: pd.DataFrame):
    row = everything.iloc[3]
    found = frames.one_flip(run, row["image_index"], row["attribute_index"])
    assert found["score"] == row["score"]
    assert frames.one_flip(run, 10_000, 0) is None


def test_one_image_is_found_or_none(run: Run):
    assert frames.image_row(run, 7)["image_id"] == "photos/item-00007.jpg"
    assert frames.image_row(run, 10_000) is None


def test_categories_leave_out_the_missing_one(run: Run):
    assert frames.categories(run) == ["dresses", "jackets", "knitwear", "tops"]
    assert run.table("images")["category"].isna().any()


def test_a_file_that_was_replaced_is_read_anew(tmp_path: Path, run: Run):
    """The connection keeps file pieces in memory; a growing run must not show old ones."""
    writer = RunWriter(tmp_path / "r")
    writer.update(status="running")
    for name in ("images", "attributes"):
        writer.write_table(name, run.table(name))
    writer.write_text("evidence.json", run.text("evidence.json"))
    flips = run.table("flips")
    for n, ns in ((5, 10**18), (9, 2 * 10**18)):
        writer.write_table("flips", flips.iloc[:n].assign(confidence=np.float32(n / 10)))
        os.utime(writer.path / "flips.parquet", ns=(ns, ns))
        page = frames.flips_page(Run(writer.path), FlipQuery(), 1, 100)
        assert len(page) == n
        assert page["confidence"].unique().tolist() == [np.float32(n / 10)]


def test_a_file_that_is_replaced_between_query_and_reading_is_asked_again(tiny_run, tmp_path):
    """Row numbers of the old file would be those of other flips in the new one."""
    writer = RunWriter(shutil.copytree(tiny_run, tmp_path / "run"))
    run = Run(writer.path)
    flips = run.table("flips")
    read, replaced = run.table_rows, [flips.iloc[::-1], flips.iloc[:0]]

    def late(name, rows, columns=None):
        if name == "flips" and replaced:
            writer.write_table("flips", replaced.pop())
        return read(name, rows, columns)

    run.table_rows = late
    first = flips.iloc[0]
    query = FlipQuery(attribute=int(first["attribute_index"]))
    page = frames.flips_page(run, query, 1, 10_000)
    assert not replaced
    assert set(page["attribute_index"]) == {query.attribute}
    assert len(page) == (flips["attribute_index"] == query.attribute).sum()
    replaced.append(flips)
    found = frames.one_flip(run, first["image_index"], first["attribute_index"])
    assert not replaced
    assert found["score"] == first["score"]


def test_images_without_a_category_have_none(tiny_run, tmp_path):
    writer = RunWriter(shutil.copytree(tiny_run, tmp_path / "run"))
    run = Run(writer.path)
    images = run.table("images")
    for gone in (images["image_index"] % 2 == 0, images["image_index"] >= 0):
        some = images.assign(category=images["category"].where(~gone, None))
        writer.write_table("images", some)
        page = frames.flips_page(run, FlipQuery(), 1, 50)
        expected = [None if gone[i] else images["category"][i] for i in page["image_index"]]
        assert page["category"].tolist() == expected
