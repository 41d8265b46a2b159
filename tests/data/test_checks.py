"""The check: it counts what is there and refuses what training could not survive."""

import io
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from selfml.data.check_report import CheckReport, render, to_json
from selfml.data.checks import attribute_table, check_dataset
from selfml.data.dataset import read_dataset
from tests.data import photo, random_labels, write_csv, write_dataset

SPLIT = ["train"] * 20 + ["test"] * 10
SHARED = Path("/work/shared/data")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Sixty images, five attributes; thirty verified, of which ten for test."""
    given = random_labels(60, 5, seed=3)
    given[20:30] = [1, 0, 1, 0, 1]
    given[21] = 1
    return write_dataset(tmp_path, given, given[:30], split=SPLIT, images=True)


def shown(report: CheckReport, width: int = 100) -> str:
    out = io.StringIO()
    Console(file=out, width=width).print(render(report))
    return out.getvalue()


def test_a_good_dataset(folder):
    calls = []
    report = check_dataset(folder, progress=lambda *c: calls.append(c))
    assert report.ok
    assert (report.errors, report.warnings, report.unreadable) == ((), (), ())
    assert calls[-1] == (60, 60)
    given = read_dataset(folder).labels_given
    counts = report.counts
    assert (counts["n_images"], counts["n_attributes"], counts["n_png"]) == (60, 5, 60)
    assert (counts["n_clean"], counts["n_clean_train"], counts["n_clean_test"]) == (30, 20, 10)
    assert counts["labels_per_image_given"] == pytest.approx((given == 1).sum() / 60)
    assert counts["labels_per_image_verified"] == pytest.approx((given[:30] == 1).sum() / 30)
    assert counts["n_unknown_given"] == (given < 0).sum()
    assert (counts["shortest_side_px"], counts["longest_side_px"]) == (8, 8)
    assert counts["n_errors"] == counts["n_unreadable"] == counts["n_missing_images"] == 0
    assert "Ready for training." in shown(report)


def test_prevalence_by_hand(tmp_path):
    """Unknown labels are in neither the numerator nor the denominator."""
    labels = np.array([[1, -1], [0, -1], [1, 1], [-1, 0]], np.int8)
    table = attribute_table(read_dataset(write_dataset(tmp_path, labels, labels[:2])))
    assert table["attribute"].tolist() == ["a0", "a1"]
    assert table["given_positive"].tolist() == [2, 1]
    assert table["given_known"].tolist() == [3, 2]
    np.testing.assert_allclose(table["given_prevalence_fraction"], [2 / 3, 1 / 2])
    assert table["verified_known"].tolist() == [2, 0]
    np.testing.assert_allclose(table["verified_prevalence_fraction"], [1 / 2, np.nan])
    assert attribute_table(None).columns.tolist() == table.columns.tolist()


def test_unreadable_images_are_listed(folder):
    (folder / "003.png").write_bytes(b"broken")
    (folder / "004.png").unlink()
    (folder / "005.png").write_bytes(photo()[:40])
    report = check_dataset(folder)
    assert report.ok
    assert [name for name, _ in report.unreadable] == ["003.png", "004.png", "005.png"]
    assert report.counts["n_unreadable"] == 3
    assert report.counts["n_missing_images"] == 1
    assert "'005.png': corrupt or truncated" in shown(report)
    (folder / "006.png").unlink()
    report = check_dataset(folder)
    assert not report.ok
    assert report.errors[0].startswith("labels.csv: 4 of 60 images are unreadable, the limit is 5%")
    assert "'003.png': not a JPEG" in report.errors[0]
    assert "Not ready for training." in shown(report)


def test_a_sample_decodes_fewer(folder):
    report = check_dataset(folder, sample=7)
    assert report.counts["n_images_decoded"] == report.counts["n_png"] == 7
    assert report.counts["n_images"] == 60
    assert check_dataset(folder, sample=1000).counts["n_images_decoded"] == 60


def test_images_without_a_row_are_counted(folder):
    (folder / "extra").mkdir()
    (folder / "extra" / "new.JPG").write_bytes(photo())
    (folder / "notes.txt").write_text("no image")
    (folder / ".hidden.png").write_bytes(photo())
    report = check_dataset(folder)
    assert report.ok
    assert report.counts["n_images_without_row"] == 1
    assert (
        "1 image has no row in labels.csv and is ignored, such as 'extra/new.JPG'"
        in (report.warnings[0])
    )


def test_a_parquet_file(folder):
    names = [f"{i:03}.png" for i in range(61)]
    table = pa.table({"file_name": names, "image_bytes": [photo(kind="JPEG")] * 61})
    pq.write_table(table, folder / "images.parquet")
    report = check_dataset(folder)
    assert report.ok
    assert report.counts["n_jpeg"] == 60
    assert report.warnings[0].startswith("images.parquet is read, so 60 image files")
    assert "such as '060.png'" in report.warnings[1]


def test_every_reading_error_is_listed_at_once(folder):
    text = (folder / "labels.csv").read_text().splitlines()
    text[3] = "002.png,maybe,0,0,1,1"
    text[6] = "../005.png,1,0,0,1,1"
    text.append("000.png,1,1,1,1,1")
    (folder / "labels.csv").write_text("\n".join(text))
    report = check_dataset(folder)
    starts = ("labels.csv, row 4, column 'a0'", "labels.csv, row 7", "labels.csv, row 62")
    assert len(report.errors) == report.counts["n_errors"] == 3
    for error, start in zip(report.errors, starts, strict=True):
        assert error.startswith(start)
    assert report.counts["n_conflicting_rows"] == 1
    assert report.counts["n_images"] == 59


def test_what_cannot_be_read_at_all(tmp_path):
    report = check_dataset(tmp_path / "nowhere")
    assert not report.ok
    assert len(report.errors) == report.counts["n_errors"] == 1
    assert "no such folder" in report.errors[0]
    assert "no such folder" in shown(report, width=300)


def test_too_few_clean_rows_are_an_error(tmp_path):
    labels = random_labels(40, 3, seed=0)
    report = check_dataset(write_dataset(tmp_path, labels, labels[:9], images=True))
    assert report.errors == (
        "clean.csv: 7 train rows; training needs at least 10. Verify more images, or mark fewer as "
        "test in the column 'split'.",
    )


def test_attributes_that_cannot_be_measured_are_a_warning(folder):
    """Never verified at all; in train only; in test only: three lines. None given: an error."""
    text = [line.split(",") for line in (folder / "clean.csv").read_text().splitlines()]
    for row in text[1:]:
        row[2] = "0"
        row[3] = "1" if row[1] == "train" else "0"
        row[4] = "1" if row[1] == "test" else "0"
    write_csv(folder / "clean.csv", text[0], text[1:])
    report = check_dataset(folder)
    assert report.ok
    never, train, test = report.warnings
    assert never.startswith("1 attribute is never 1 in clean.csv, so there is nothing to measure")
    assert "'a0'" in never
    assert train.startswith("1 attribute is never 1 in the train rows of clean.csv, so no flips")
    assert "'a2'" in train
    assert test.startswith("1 attribute is never 1 in the test rows of clean.csv, so there")
    assert "'a1'" in test
    text = [line.split(",") for line in (folder / "labels.csv").read_text().splitlines()]
    write_csv(folder / "labels.csv", text[0], [[r[0], "0", *r[2:]] for r in text[1:]])
    report = check_dataset(folder)
    assert report.errors[0].startswith("labels.csv, column 'a0': never 1, here or in clean.csv")


def test_all_images_verified_is_a_warning(tmp_path):
    labels = random_labels(40, 3, seed=0, unknown_fraction=0)
    report = check_dataset(write_dataset(tmp_path, labels, images=True))
    assert report.ok
    assert report.warnings[0].startswith("clean.csv: every image is verified")


def test_names_are_shown_as_text(tmp_path):
    """Markup, formulas and other scripts in names are printed as they are."""
    labels = random_labels(40, 3, seed=0)
    names = ["[red]bold[/red]", "=1+1, 2", "赤い"]
    root = write_dataset(tmp_path, labels, attributes=names, images=True)
    (root / "000.png").unlink()
    text = shown(check_dataset(root))
    for name in names:
        assert name in text


def test_json(folder):
    (folder / "003.png").unlink()
    report = check_dataset(folder)
    loaded = json.loads(to_json(report))
    assert loaded["ok"] is True
    assert loaded["counts"]["n_images"] == 60
    assert loaded["attributes"][0]["attribute"] == "a0"
    assert loaded["unreadable"] == [["003.png", "missing: no such file in the dataset folder"]]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "n_images", "n_attributes"),
    [("fashion-products", 5231, 31), ("fashion-products-21k", 20628, 33)],
)
def test_real_photographs(name, n_images, n_attributes):
    if not (SHARED / name).exists():
        pytest.skip(f"the photographs of {name} are not on this machine")
    report = check_dataset(SHARED / name, sample=200)
    assert report.ok
    assert report.warnings == ()
    assert report.counts["n_images"] == n_images
    assert report.counts["n_attributes"] == n_attributes
    assert report.counts["n_unreadable"] == 0
    assert report.counts["n_truth"] == n_images
