"""What lies beside an export: true hashes and counts; the same bytes again; nothing half done."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pandas as pd
import pytest
import sqlalchemy as sa

from selfml.exchange import staging
from selfml.exchange.manifest import store_address
from selfml.exchange.targets import targets
from selfml.export import Exported, export
from tests.command import one_line
from tests.exchange_cases import HOSTILE, decided, hostile_shop
from tests.tiny_dataset import Shop, read_csv

KINDS = {"csv": "a.csv", "parquet": "a.parquet", "huggingface": "a", "label-studio": "a.json"}


@pytest.fixture(scope="module")
def shop(tiny_run, tmp_path_factory) -> Shop:
    """Nobody writes into it."""
    return hostile_shop(tiny_run, tmp_path_factory.mktemp("hostile"))


@pytest.fixture(scope="module")
def store(shop, tmp_path_factory):
    with decided(shop, tmp_path_factory.mktemp("store")) as opened:
        yield opened


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def manifest(done: Exported) -> dict:
    return json.loads(done.manifest_file.read_text("utf-8"))


@pytest.mark.parametrize("kind", KINDS)
def test_twice_is_the_same_bytes_and_hashes_are_true(shop, store, tmp_path, kind):
    for name in ("one", "two", "two"):  # the last over the one before
        done = export(shop.run, tmp_path / name / KINDS[kind], kind=kind, store=store,
                      with_auto=True)  # fmt: skip
    one, two = contents(tmp_path / "one"), contents(tmp_path / "two")
    assert one == two
    said = {entry["name"]: entry for entry in manifest(done)["files"]}
    assert {*said, done.manifest_file.name} == one.keys()
    for name, entry in said.items():
        assert entry["sha256"] == hashlib.sha256(one[name]).hexdigest()
        assert entry["bytes"] == len(one[name])
    assert len(said) == {"csv": 2, "parquet": 2, "label-studio": 3}.get(kind, 60 + 3)


def test_what_it_was_made_from(shop, store, tmp_path):
    said = manifest(export(shop.run, tmp_path / "a.csv", store=store, min_confidence=0.25))
    assert said["run"] == {"run_id": shop.run.run_id, "dataset": "0" * 64}
    assert [entry["name"] for entry in said["inputs"]] == ["labels.csv", "clean.csv"]
    for entry in said["inputs"]:
        data = (shop.root / entry["name"]).read_bytes()
        assert entry["sha256"] == hashlib.sha256(data).hexdigest()
        assert entry["bytes"] == len(data)
    assert said["options"]["min_confidence"] == 0.25
    assert said["options"]["format"] == "csv"
    assert said["decisions"]["catalogue"] == "shop"
    assert said["decisions"]["store"] == str(store.url)


def test_counts_are_those_of_the_files(shop, store, tmp_path):
    done = export(shop.run, tmp_path / "a.csv", store=store, with_auto=True)
    said = manifest(done)
    counts = said["counts"]
    listed = pd.read_csv(done.flips_file)
    assert counts["flips"] == len(listed)
    assert said["decisions"]["accepted"] == 4
    assert said["decisions"]["accepted_by"] == {"ann": 3, "ann, bob": 1}
    assert said["decisions"]["undecided"] == (listed["decision"] == "auto").sum() > 0
    before, after = shop.rows, read_csv(done.labels_file)[1:]
    columns = {name.strip(): k for k, name in enumerate(shop.header)}
    changed = {}
    for old, new in zip(before, after, strict=True):
        for name in HOSTILE:
            a, b = old[columns[name]].removesuffix(".0"), new[columns[name]].removesuffix(".0")
            if a != b:
                changed[shop.name(old), name] = (a, b)
    assert counts["changed_cells"] == len(changed)
    assert counts["changed_by_flips"] == len(listed)
    assert counts["changed_by_verified_labels"] == len(changed) - len(listed) > 0
    assert counts["rows"] == len(before) == counts["images"] + 1
    kinds = {"added": ("0", "1"), "taken_off": ("1", "0"), "filled_1": ("", "1"),
             "filled_0": ("", "0")}  # fmt: skip
    for name in HOSTILE:
        expected = {kind: sum(v == pair for (_, n), v in changed.items() if n == name)
                    for kind, pair in kinds.items()}  # fmt: skip
        found = [row for row in counts["changed_by_attribute"] if row["attribute"] == name]
        assert found == ([{"attribute": name, **expected}] if any(expected.values()) else [])


def test_a_password_is_not_in_it():
    class Store:
        url = sa.make_url("postgresql://ann:secret@db.example/shop?password=hidden&sslmode=require")

    assert store_address(Store()) == "postgresql://ann@db.example/shop"


# -------------------------------------------------------------------------- what is there already
def test_what_somebody_else_wrote_is_left_alone(shop, tmp_path):
    other = tmp_path / "a.csv"
    other.write_text("mine")
    with pytest.raises(ValueError, match=r"a.csv is there already and was not .*--overwrite"):
        export(shop.run, other)
    assert contents(tmp_path) == {"a.csv": b"mine"}
    assert export(shop.run, other, overwrite=True).labels_file.read_bytes() != b"mine"


def test_what_was_changed_since_is_left_alone(shop, tmp_path):
    done = export(shop.run, tmp_path / "a.csv")
    done.flips_file.write_text("noted by hand")
    with pytest.raises(ValueError, match=r"a.flips.csv was changed since it was exported"):
        export(shop.run, tmp_path / "a.csv", min_confidence=0.5)
    assert done.flips_file.read_text() == "noted by hand"


def test_two_formats_do_not_share_a_name(shop, tmp_path):
    export(shop.run, tmp_path / "a.csv")
    before = contents(tmp_path)
    with pytest.raises(ValueError, match=r"belongs to the export a.csv; name another"):
        export(shop.run, tmp_path / "a.parquet")
    assert contents(tmp_path) == before


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_with_other_files_is_never_replaced(shop, tmp_path, overwrite):
    out = tmp_path / "set"
    done = export(shop.run, out, kind="huggingface")
    (out / "images" / "mine.txt").write_text("mine")
    with pytest.raises(ValueError, match=r"holds images/mine.txt, which is not as an export"):
        export(shop.run, out, kind="huggingface", overwrite=overwrite)
    assert (out / "images" / "mine.txt").read_text() == "mine"
    assert done.manifest_file.exists()


def test_nothing_is_there_when_writing_fails(shop, tmp_path, monkeypatch):
    kept = export(shop.run, tmp_path / "set", kind="huggingface", min_confidence=0.9)
    before = contents(tmp_path)
    calls = []

    def full(self, name, data, **named):
        calls.append(name)
        if name.endswith("manifest.json"):
            raise OSError("No space left on device")
        return write(self, name, data, **named)

    write = staging.Staging.write
    monkeypatch.setattr(staging.Staging, "write", full)
    with pytest.raises(OSError, match="No space"):
        export(shop.run, tmp_path / "set", kind="huggingface")
    assert len(calls) > 60
    assert contents(tmp_path) == before
    assert sorted(os.listdir(tmp_path)) == ["set", "set.flips.csv", "set.manifest.json"]
    assert kept.labels_file.is_dir()


def test_names_that_do_not_fit_are_said(tmp_path):
    with pytest.raises(ValueError, match=r"--format: must be one of csv, .*got 'xml'"):
        targets(tmp_path / "a.csv", "xml")
    assert targets(tmp_path / "my.data", "huggingface").flips.name == "my.data.flips.csv"
    assert targets(tmp_path / "a.PARQUET").kind == "parquet"


def test_the_command(shop, tmp_path, selfml):
    where = ["export", shop.run.path, "--all-flips", "--out"]
    done = selfml(*where, tmp_path / "set", "--format", "huggingface", "--link")
    assert done.code == 0
    assert "set: 60 photos, " in done.out
    done = selfml(*where, tmp_path / "tasks.json", "--image-url", "https://x.example/")
    assert "tasks.labels.xml: the labelling interface" in done.out
    one_line(selfml(*where, tmp_path / "a.csv", "--format", "xls"), "--format: must be one of")
    (tmp_path / "b.csv").write_text("mine")
    one_line(selfml(*where, tmp_path / "b.csv"), "b.csv is there already", "--overwrite")
    assert selfml(*where, tmp_path / "b.csv", "--overwrite").code == 0
