"""Exports read back by the libraries they are for: ``datasets`` and ``label-studio-sdk``."""

from __future__ import annotations

import io
import json
import os
import warnings

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from PIL import Image

from selfml.corrections import restore
from selfml.exchange.image_folder import column_names
from selfml.exchange.label_studio import address, interface_bytes
from selfml.export import Exported, export
from tests.exchange_cases import HOSTILE, hostile_shop, picture
from tests.tiny_dataset import BROKEN, Shop

pytestmark = pytest.mark.slow
os.environ.setdefault("HF_HUB_OFFLINE", "1")  # before the library is imported: nothing is asked


@pytest.fixture(scope="module")
def shop(tiny_run, tmp_path_factory) -> Shop:
    """Nobody writes into it."""
    return hostile_shop(tiny_run, tmp_path_factory.mktemp("hostile"))


@pytest.fixture(scope="module")
def table(shop, tmp_path_factory) -> pd.DataFrame:
    """The Parquet export by image: what the other formats are compared with."""
    done = export(shop.run, tmp_path_factory.mktemp("parquet") / "corrected.parquet")
    frame = pq.read_table(done.labels_file).to_pandas()
    frame["file_name"] = frame["file_name"].str.replace("\\", "/")
    return frame.drop_duplicates("file_name").set_index("file_name")


# ------------------------------------------------------------------------------- Hugging Face
@pytest.fixture(scope="module")
def folder(shop, tmp_path_factory) -> Exported:
    return export(shop.run, tmp_path_factory.mktemp("hf") / "test set", kind="huggingface")


def read_folder(folder, cache, *name, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from datasets import load_dataset

        return load_dataset(*name, cache_dir=str(cache), **options)


@pytest.mark.parametrize("how", ["by its card", "as an image folder"])
def test_the_datasets_library_reads_the_image_folder(shop, folder, table, tmp_path, how):
    path = str(folder.labels_file)
    named = (path,) if how == "by its card" else ("imagefolder",)
    options = {} if how == "by its card" else {"data_dir": path}
    splits = read_folder(folder, tmp_path, *named, **options)
    assert list(splits) == ["train"]
    found = splits["train"]
    given = dict(zip(shop.run.table("images")["image_id"], shop.run.array("labels_given"),
                     strict=True))  # fmt: skip
    images = shop.run.table("images")["image_id"].tolist()
    assert sorted(found["image_id"]) == sorted(images)
    assert folder.n_photos == len(images) == found.num_rows
    assert {str(found.features[name].dtype) for name in HOSTILE} == {"int8"}
    n_changed = 0
    for row in found:
        name = row["image_id"]
        expected = [None if pd.isna(v) else int(v) for v in table.loc[name, list(HOSTILE)]]
        assert [row[attribute] for attribute in HOSTILE] == expected
        before = [None if v < 0 else int(v) for v in given[name]]
        assert [row["given"][attribute] for attribute in HOSTILE] == before
        changed = [a for a, b, c in zip(HOSTILE, before, expected, strict=True) if b != c]
        assert row["changed"] == changed
        n_changed += len(changed)
        category = table.loc[name, "category"]
        assert row["category"] == (None if pd.isna(category) else category)
        i = images.index(name)
        assert abs(int(np.asarray(row["image"].convert("RGB"))[0, 0, 0]) - i) <= 1
    assert n_changed > 50


def test_photos_are_the_bytes_of_the_catalogue(shop, folder):
    files = sorted(p for p in folder.labels_file.rglob("images/*/*") if p.is_file())
    assert {p.suffix for p in files} == {".jpg", ".png", ".webp"}
    assert sorted(p.read_bytes() for p in files) == sorted(picture(i) for i in range(len(files)))
    assert not any(os.path.samefile(p, q) for p in files[:1] for q in shop.root.rglob("*.jpg"))


def test_links_are_the_same_files_and_the_same_manifest(shop, folder, tmp_path):
    done = export(shop.run, tmp_path / "test set", kind="huggingface", link=True)
    linked = {p.stat().st_ino for p in done.labels_file.rglob("images/*/*")}
    assert linked == {p.stat().st_ino for p in (shop.root / "photos").iterdir()}
    assert done.manifest_file.read_bytes() == folder.manifest_file.read_bytes()


def test_columns_of_ours_give_way_to_no_attribute_and_none_is_twice():
    names = ("image", "given", "changed", "dress", "attribute: image")
    columns = column_names(names)
    assert columns == [
        "attribute 2: image", "attribute: given", "attribute: changed", "dress", "attribute: image",
    ]  # fmt: skip
    assert len(set(columns)) == len(names)


# -------------------------------------------------------------------------------- Label Studio
@pytest.fixture(scope="module")
def tasks(shop, tmp_path_factory) -> Exported:
    return export(shop.run, tmp_path_factory.mktemp("ls") / "tasks.json")


def interface(text: str):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from label_studio_sdk.label_interface import LabelInterface

        return LabelInterface(text)


def test_the_label_studio_sdk_takes_the_tasks_and_their_interface(shop, tasks, table):
    ours = interface(tasks.interface_file.read_text("utf-8"))
    ours.validate()
    control = ours.get_control("labels")
    assert control.is_multiple_choice
    assert [restore(name) for name in control.labels] == list(HOSTILE)
    assert not any(name.startswith(("=", "-", "@")) for name in control.labels)
    found = json.loads(tasks.labels_file.read_text("utf-8"))
    assert [task["data"]["image_id"] for task in found] == table.index.tolist()
    for task in found:
        (prediction,) = task["predictions"]
        assert ours.validate_prediction(prediction, return_errors=True) == []
        chosen = [c for region in prediction["result"] for c in region["value"]["choices"]]
        row = table.loc[task["data"]["image_id"]]
        assert [restore(name) for name in chosen] == [a for a in HOSTILE if row[a] == 1]
        assert prediction["model_version"] == shop.run.run_id
        assert {ours.get_object(n).value_name for n in ("image", "changes")} <= task["data"].keys()


def test_a_task_is_as_sure_as_its_least_sure_flip(shop, tasks):
    flips = shop.unverified(shop.run.table("flips"))
    least = flips.groupby("image_index")["confidence"].min()
    ids = shop.run.table("images")["image_id"]
    expected = {ids[i]: value for i, value in least.items()}
    found = json.loads(tasks.labels_file.read_text("utf-8"))
    scores = {task["data"]["image_id"]: task["predictions"][0]["score"] for task in found}
    assert set(BROKEN) < scores.keys()
    for name, score in scores.items():
        assert score == pytest.approx(expected.get(name, 1.0), abs=5.1e-7)
    assert 5 < len(expected) < len(scores)


def test_the_interface_refuses_a_prediction_of_another_catalogue(tasks):
    """So that the tests above can fail."""
    ours = interface(tasks.interface_file.read_text("utf-8"))
    (first, *_) = (t["predictions"][0] for t in json.loads(tasks.labels_file.read_text("utf-8"))
                   if t["predictions"][0]["result"])  # fmt: skip
    first["result"][0]["value"]["choices"] = ["no such attribute"]
    assert ours.validate_prediction(first, return_errors=True)


def test_where_the_photos_are(shop, tmp_path):
    done = export(shop.run, tmp_path / "a.json", image_url="https://shop.example/p")
    found = json.loads(done.labels_file.read_text("utf-8"))[0]["data"]
    assert found["image"] == f"https://shop.example/p/{found['image_id']}"
    assert address("/data/local-files/?d=", "a b/ü#?&.jpg") == (
        "/data/local-files/?d=a%20b/%C3%BC%23%3F%26.jpg"
    )


def test_a_name_that_xml_cannot_hold_is_named():
    with pytest.raises(ValueError, match="XML cannot hold; rename it"):
        interface_bytes(("dress", "x\ufffe"))


def test_a_picture_tells_its_number():
    assert np.asarray(Image.open(io.BytesIO(picture(7))).convert("RGB"))[0, 0, 0] == 7
