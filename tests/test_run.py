"""The run directory: schemas, round trips, whole files while it grows, errors that help."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from selfml.files import write_atomic
from selfml.run import Run, RunError, RunWriter, catalogue_of, list_runs
from selfml.run_format import ARRAYS, SCHEMA_VERSION, SCHEMAS

GOLDEN = Path(__file__).parent / "golden" / "run_schema.json"


def schema_as_data() -> dict[str, object]:
    """What a reader of run directories depends on, as plain data."""
    return {
        "schema_version": SCHEMA_VERSION,
        "tables": {name: {f.name: str(f.type) for f in s} for name, s in SCHEMAS.items()},
        "arrays": {name: list(spec) for name, spec in ARRAYS.items()},
    }


def column(dtype: pa.DataType, n_rows: int, rng: np.random.Generator) -> pd.Series:
    """Values that exercise a type, a null last where the type can hold one in pandas."""
    if pa.types.is_string(dtype):
        words = ["é ü", "<script>", "=1+1", "", None]
        return pd.Series([words[i % 5] for i in range(n_rows)], dtype="str")
    if pa.types.is_boolean(dtype):
        return pd.Series(rng.random(n_rows) > 0.5)
    if pa.types.is_integer(dtype):
        return pd.Series(rng.integers(-1, 100, n_rows).astype(dtype.to_pandas_dtype()))
    values = rng.standard_normal(n_rows).astype(dtype.to_pandas_dtype())
    values[-1:] = np.nan
    return pd.Series(values)


def random_table(name: str, n_rows: int) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame({field.name: column(field.type, n_rows, rng) for field in SCHEMAS[name]})


@pytest.fixture
def writer(tmp_path: Path) -> RunWriter:
    writer = RunWriter(tmp_path / "r1")
    writer.update(status="running", n_images=4, n_atoms=3)
    return writer


def test_the_schema_changes_only_on_purpose():
    """After a deliberate change: bump SCHEMA_VERSION and write this file again."""
    assert json.loads(GOLDEN.read_text()) == schema_as_data()


@pytest.mark.parametrize("n_rows", [0, 1, 12])
@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_every_table_comes_back_equal(writer: RunWriter, name: str, n_rows: int):
    frame = random_table(name, n_rows)
    writer.write_table(name, frame[frame.columns[::-1]])  # in any order of columns
    pd.testing.assert_frame_equal(Run(writer.path).table(name), frame, check_dtype=n_rows > 0)
    assert Run(writer.path).n_rows(name) == n_rows


def test_rows_come_in_the_order_asked_for(writer: RunWriter, monkeypatch):
    monkeypatch.setattr("selfml.row_groups.FEW", 5)
    whole = random_table("flips", 23)
    writer.write_table("flips", whole)
    run = Run(writer.path)
    assert pq.ParquetFile(run.table_path("flips")).num_row_groups == 5
    for rows in ([22, 0, 7, 6, 7, 13], [4, 5], range(23), []):
        found = run.table_rows("flips", rows)
        pd.testing.assert_frame_equal(found, whole.iloc[list(rows)].reset_index(drop=True))
    found = run.table_rows("flips", [3, 21], ["score", "given"])
    pd.testing.assert_frame_equal(
        found, whole.loc[[3, 21], ["score", "given"]].reset_index(drop=True)
    )
    for beyond in ([23], [-1]):
        with pytest.raises(RunError, match=r"flips\.parquet: cannot be read"):
            run.table_rows("flips", beyond)


@pytest.mark.parametrize("name", sorted(ARRAYS))
def test_every_array_comes_back_equal_and_read_only(writer: RunWriter, name: str):
    dtype, _ = ARRAYS[name]
    array = np.arange(-2, 10).reshape(4, 3).astype(dtype)
    writer.write_array(name, array[:, ::-1])
    back = Run(writer.path).array(name)
    np.testing.assert_array_equal(back, array[:, ::-1])
    assert back.dtype == dtype
    assert isinstance(back, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        back[0, 0] = 1


def test_a_table_with_wrong_columns_is_refused_by_name(writer: RunWriter):
    frame = random_table("basis", 2).drop(columns="mass").assign(weight=1.0)
    with pytest.raises(ValueError, match=r"basis: missing columns \['mass'\], extra \['weight'\]"):
        writer.write_table("basis", frame)
    assert not Run(writer.path).has("basis")


def test_an_array_with_wrong_axes_is_refused(writer: RunWriter):
    with pytest.raises(ValueError, match=r"features: must have axes Nd, got shape \(4,\)"):
        writer.write_array("features", np.zeros(4))


def test_what_is_not_there_is_said_with_the_status(writer: RunWriter):
    run = Run(writer.path)
    assert not run.has("flips")
    assert not run.is_complete
    with pytest.raises(RunError, match=r"flips\.parquet: not written yet \(status: running\)"):
        run.table("flips")
    with pytest.raises(RunError, match="not written yet"):
        run.array("features")
    with pytest.raises(KeyError, match="no table 'flip'"):
        run.table("flip")
    with pytest.raises(KeyError, match="no array 'feature'"):
        run.array("feature")


def test_an_unknown_status_is_refused(writer: RunWriter):
    with pytest.raises(ValueError, match=r"status: must be one of .* got 'done'"):
        writer.update(status="done")


def test_run_json_keeps_what_was_said_before(writer: RunWriter):
    created = writer.info["created"]
    writer.update(status="complete", seed=7)
    info = Run(writer.path).info
    assert (info["n_images"], info["seed"], info["run_id"]) == (4, 7, "r1")
    assert info["created"] == created
    assert Run(writer.path).is_complete
    assert RunWriter(writer.path).info == info  # an existing run is continued


def test_no_run_and_another_version_are_one_line_errors(tmp_path: Path):
    with pytest.raises(RunError, match="not a run directory") as missing:
        Run(tmp_path)
    assert "\n" not in str(missing.value)
    (tmp_path / "run.json").write_text('{"schema_version": 0, "run_id": "x"}')
    with pytest.raises(RunError, match="schema version 0, this program reads 1 and 2"):
        Run(tmp_path)


def test_list_runs_gives_the_newest_first_and_passes_over_the_rest(tmp_path: Path):
    for name, created in (("old", "2024-01-01"), ("new", "2025-01-01")):
        RunWriter(tmp_path / name).update(created=created)
    (tmp_path / "notes").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "run.json").write_text("{")
    assert [run.run_id for run in list_runs(tmp_path)] == ["new", "old"]
    assert list_runs(tmp_path / "nowhere") == []


def test_history_leaves_out_a_line_being_written(writer: RunWriter):
    run = Run(writer.path)
    assert run.history().empty
    writer.append_history("train", 1, {"loss": 2.0, "map": 0.5})
    with open(writer.path / "history.jsonl", "a") as file:
        file.write('{"time": "2025')
    history = run.history()
    assert history["name"].tolist() == ["loss", "map"]
    assert history["value"].tolist() == [2.0, 0.5]


def test_a_resumed_run_drops_only_its_own_later_steps(writer: RunWriter):
    writer.drop_history("train", 1)  # nothing there yet
    for step in (1, 2, 3):
        writer.append_history("train", step, {"loss": step})
    writer.append_history("joint", 3, {"loss": 9})
    writer.drop_history("train", 2)
    kept = Run(writer.path).history()
    assert list(zip(kept["stage"], kept["step"], strict=True)) == [
        ("train", 1),
        ("train", 2),
        ("joint", 3),
    ]


def test_a_reader_sees_the_old_file_or_the_whole_new_one(tmp_path: Path):
    path, texts = tmp_path / "run.json", [bytes([c]) * 200_000 for c in b"ab"]
    write_atomic(path, texts[0])
    done = threading.Event()

    def write() -> None:
        for k in range(40):
            write_atomic(path, texts[k % 2])
        done.set()

    thread = threading.Thread(target=write)
    thread.start()
    seen = set()
    while not done.is_set():
        seen.add(path.read_bytes())
    thread.join()
    assert seen <= set(texts)
    assert [p.name for p in tmp_path.iterdir()] == ["run.json"]  # no temporary file is left


@pytest.mark.slow
def test_tables_are_whole_while_the_run_grows(writer: RunWriter):
    """A reader that keeps asking never meets half a table."""
    frames = [random_table("flips", n) for n in (10, 2000)]
    writer.write_table("flips", frames[0])
    done = threading.Event()

    def write() -> None:
        for k in range(60):
            writer.write_table("flips", frames[k % 2])
        done.set()

    thread = threading.Thread(target=write)
    thread.start()
    sizes = set()
    while not done.is_set():
        sizes.add(len(Run(writer.path).table("flips")))
    thread.join()
    assert sizes <= {10, 2000}


def test_coefficients_of_one_image_and_of_all(writer: RunWriter):
    frame = pd.DataFrame(
        {
            "image_index": np.int32([0, 0, 1, 3]),
            "basis_index": np.int32([0, 2, 1, 0]),
            "coefficient": np.float32([0.25, 0.75, 1.0, 1.0]),
        }
    )
    writer.write_table("coefficients", frame)
    run = Run(writer.path)
    own = run.coefficients_of(0)
    assert own["basis_index"].tolist() == [0, 2]
    assert own["coefficient"].tolist() == [0.25, 0.75]
    assert run.coefficients_of(2).empty
    expected = [[0.25, 0, 0.75], [0, 1, 0], [0, 0, 0], [1, 0, 0]]
    np.testing.assert_array_equal(run.coefficients().toarray(), expected)


def test_a_thumbnail_is_cut_out_by_offset(writer: RunWriter):
    writer.write_bytes("thumbnails.bin", b"aabbbc")
    assert Run(writer.path).thumbnail(2, 3) == b"bbb"


def test_texts_and_attribute_names_come_back(writer: RunWriter):
    writer.write_text("config.toml", "name = 'é'\n")
    writer.write_table("attributes", random_table("attributes", 3))
    run = Run(writer.path)
    assert run.text("config.toml") == "name = 'é'\n"
    assert run.attributes == ["é ü", "<script>", "=1+1"]


def test_two_folders_of_one_name_are_two_catalogues(writer: RunWriter):
    names = []
    for dataset in (
        {"path": "/a/shop"},
        {"path": "/b/shop", "catalogue": ""},
        {"path": "/b/shop", "catalogue": "shop b"},
        {},
    ):
        writer.update(dataset=dataset)
        names.append(catalogue_of(Run(writer.path)))
    assert names[:3] == ["/a/shop", "/b/shop", "shop b"]
    assert names[3]
