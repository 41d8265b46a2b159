"""Labelling basis images in the view, without a browser: labels, effect, saving, the way back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from dashboard import components, oracle_form, oracle_panels
from dashboard.draft import decode, encode
from dashboard.frames import oracle
from selfml.counterfactual import read_counterfactuals
from selfml.oracle import expert_labels
from selfml.run import Run
from tests.dashboard.conftest import APP, text_of
from tests.oracle_cases import build_unverified_run
from tests.tiny_run import build_tiny_run

pytestmark = pytest.mark.slow
Open = Callable[..., AppTest]
PART = oracle_panels.PART


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run, ``shop``; nobody writes into it."""
    return build_unverified_run(tmp_path_factory.mktemp("oracle_view") / "shop")


@pytest.fixture
def folder(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The runs folder of one test; ``shop`` in it is the run."""
    runs = tmp_path / "runs"
    runs.mkdir()
    (runs / "shop").symlink_to(made)
    monkeypatch.setenv("SELFML_RUNS", str(runs))
    monkeypatch.setenv("SELFML_DEMO_RUN", str(runs / "nowhere"))
    return runs


@pytest.fixture
def run(folder: Path) -> Run:
    return Run(folder / "shop")


@pytest.fixture
def right(run: Run) -> np.ndarray:
    return np.load(run.path / "right_labels.npy")


def open_part(**query: str) -> AppTest:
    app = AppTest.from_file(str(APP), default_timeout=30)
    app.switch_page("views/basis.py")
    app.query_params.update({"run": "shop", "part": PART} | query)
    app.run()
    assert not app.exception, app.exception[0].message
    return app


def press(app: AppTest, key: str) -> None:
    app.button(key=key).click().run()
    assert not app.exception, app.exception[0].message


def query_of(app: AppTest) -> dict[str, str]:
    return {k: v[0] if isinstance(v, list) else v for k, v in dict(app.query_params).items()}


def rows_of(app: AppTest, run: Run) -> dict[int, tuple[int, ...]]:
    shape = run.array("basis_labels").shape
    return decode(query_of(app).get("draft", ""), "shop", *shape)


def say(app: AppTest, basis_index: int, labels: np.ndarray) -> None:
    for j, label in enumerate(labels):
        control = app.segmented_control(key=f"oracle_{basis_index}_{j}")
        if control.value != label:
            control.set_value(int(label)).run()
            assert not app.exception


def test_the_list_is_in_the_order_of_expected_effect(run: Run):
    order = oracle.order(run, read_counterfactuals(run))
    text = text_of(open_part())
    assert "To label: 4" in text
    assert "Verified: 3" in text
    places = [text.index(f"Basis image {k}</b>") for k in order["basis_index"]]
    assert places == sorted(places)
    assert text.count("labels, at most") == 4
    assert text.count("✓ Verified") == 3
    assert f"part={PART}&amp;basis={order['basis_index'][0]}" in text
    assert "<script>alert" not in text


def test_labels_go_to_the_address_as_they_are_given(run: Run, right: np.ndarray):
    app = open_part()
    first = int(oracle.order(run, read_counterfactuals(run))["basis_index"][0])
    press(app, "oracle_start")
    assert query_of(app)["basis"] == str(first)
    assert rows_of(app, run) == {}
    present = np.array(run.array("basis_labels"))[first]
    j = int(np.flatnonzero(present != right[first])[0])
    app.segmented_control(key=f"oracle_{first}_{j}").set_value(int(right[first, j])).run()
    expected = present.copy()
    expected[j] = right[first, j]
    assert rows_of(app, run) == {first: tuple(expected)}
    was = {1: "yes", 0: "no"}[present[j]]
    assert f"was {was}" in app.segmented_control(key=f"oracle_{first}_{j}").label
    of = oracle.preview(run, read_counterfactuals(run), {first: tuple(expected)})
    assert f"({of.deciding.arises:,} new flips, {of.deciding.falls:,} gone)" in text_of(app)
    press(app, "oracle_forget")
    assert rows_of(app, run) == {}
    assert app.segmented_control(key=f"oracle_{first}_{j}").value == present[j]


def test_one_after_the_other_until_all_are_labelled(run: Run, right: np.ndarray):
    order = oracle.order(run, read_counterfactuals(run))
    todo = order[~order["verified"]]["basis_index"].tolist()
    app = open_part(basis=str(todo[0]))
    for place, k in enumerate(todo):
        assert query_of(app)["basis"] == str(k)
        say(app, k, right[k])
        press(app, "oracle_done")
        assert len(rows_of(app, run)) == place + 1
    assert "basis" not in query_of(app)
    assert rows_of(app, run) == {k: tuple(right[k]) for k in sorted(todo)}
    assert "Not saved: 4" in text_of(app)


def test_confirming_a_label_that_is_right_counts(run: Run):
    app = open_part(basis="4")
    press(app, "oracle_done")
    assert rows_of(app, run) == {4: tuple(run.array("basis_labels")[4])}
    press(app, "oracle_back")
    assert "saving notes that a person confirmed them" in text_of(app)


def test_skipping_says_nothing(run: Run):
    order = oracle.order(run, read_counterfactuals(run))["basis_index"].tolist()
    app = open_part(basis=str(order[0]))
    press(app, "oracle_skip")
    assert query_of(app)["basis"] == str(order[1])
    assert rows_of(app, run) == {}


def test_the_address_alone_opens_the_same_labels_and_effect(run: Run, right: np.ndarray):
    rows = {k: tuple(int(v) for v in right[k]) for k in (0, 2)}
    text = text_of(open_part(draft=encode("shop", rows)))
    of = oracle.preview(run, read_counterfactuals(run), rows)
    assert "2 basis images labelled, not saved" in text
    assert f"Their labels: {of.n_labels}" in text
    assert f"Lean on them: {of.n_images}" in text
    assert f"Labels changed: {of.n_changed}" in text
    assert f"New flips: {of.deciding.arises}" in text
    assert f"Flips gone: {of.deciding.falls}" in text
    assert f"alone: {of.strict.arises:,} new, {of.strict.falls:,} gone" in text
    for row in of.by_attribute.itertuples():
        cells = f"<td>{row.n_new:,}</td><td>{row.n_gone:,}</td><td>{row.n_changed:,}</td>"
        assert cells in text
    assert text.count("Labelled, not saved") == 2
    form = open_part(draft=encode("shop", rows), basis="2")
    values = [form.segmented_control(key=f"oracle_2_{j}").value for j in range(right.shape[1])]
    assert values == right[2].tolist()


def test_labels_go_along_to_other_views_and_are_not_of_other_runs(folder: Path, right: np.ndarray):
    build_unverified_run(folder / "other")
    draft = encode("shop", {2: right[2].tolist()})
    assert "draft=shop%212-" in text_of(open_part(draft=draft))
    assert "Not saved: 0" in text_of(open_part(draft=draft, run="other"))
    app = AppTest.from_file(str(APP), default_timeout=30)
    app.switch_page("views/flips.py")
    app.query_params.update({"run": "shop", "draft": draft})
    app.run()
    assert not app.exception
    assert "draft=shop%212-" in text_of(app)


# ------------------------------------------------------------------------------------------- saving
def test_saving_writes_a_run_and_opens_it(folder: Path, run: Run, right: np.ndarray):
    rows = {k: tuple(int(v) for v in right[k]) for k in (0, 2)}
    of = oracle.preview(run, read_counterfactuals(run), rows)
    before = np.array(run.array("labels_corrected"))
    app = open_part(draft=encode("shop", rows))
    assert f"`{folder / 'shop-labelled'}`" in text_of(app)
    press(app, "oracle_save")
    assert query_of(app) == {"run": "shop-labelled", "part": PART}
    child = Run(folder / "shop-labelled")
    assert child.is_complete
    assert (before != child.array("labels_corrected")).sum() == of.n_changed
    assert set(expert_labels(child)["who"]) == {"local"}  # without sign-in
    (said,) = [message.value for message in app.success]
    assert f"**shop** with 2 basis images labelled: {of.n_labels} of their labels changed" in said
    assert f"{of.n_changed:,} labels of images" in said
    assert str(folder / "shop-labelled") in said
    text = text_of(app)
    assert "To label: 2" in text
    assert "Verified: 5" in text
    assert "Not saved: 0" in text
    press(app, "oracle_parent")
    assert query_of(app) == {"run": "shop", "part": PART}
    assert "To label: 4" in text_of(app)
    np.testing.assert_array_equal(Run(folder / "shop").array("labels_corrected"), before)


def test_saving_twice_in_a_hurry_writes_one_run(folder: Path, right: np.ndarray):
    draft = encode("shop", {0: right[0].tolist()})
    app = open_part(draft=draft)
    press(app, "oracle_save")
    app.query_params.update({"run": "shop", "part": PART, "draft": draft})  # a click on its way
    app.run()
    press(app, "oracle_save")
    assert query_of(app)["run"] == "shop-labelled"
    assert sorted(p.name for p in folder.iterdir()) == ["shop", "shop-labelled"]


def test_discarding_writes_nothing(folder: Path, run: Run, right: np.ndarray):
    app = open_part(draft=encode("shop", {0: right[0].tolist()}))
    press(app, "oracle_discard")
    assert rows_of(app, run) == {}
    assert [p.name for p in folder.iterdir()] == ["shop"]


def test_a_folder_that_cannot_be_written_keeps_the_labels(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, right: np.ndarray
):
    """The demo run over a runs folder that is a file: nothing goes into the demo either."""
    (tmp_path / "runs.txt").write_text("")
    monkeypatch.setenv("SELFML_RUNS", str(tmp_path / "runs.txt"))
    monkeypatch.setenv("SELFML_DEMO_RUN", str(made))
    files = sorted(made.iterdir())
    app = open_part(run="demo", draft=encode("demo", {0: right[0].tolist()}))
    press(app, "oracle_save")
    (said,) = [message.value for message in app.error]
    assert said.startswith("Not saved: ")
    assert "Your labels are kept" in said
    assert "SELFML_RUNS" in said
    assert query_of(app)["run"] == "demo"
    assert "1 basis image labelled, not saved" in text_of(app)
    monkeypatch.setenv("SELFML_RUNS", str(tmp_path / "runs"))
    app.run()
    press(app, "oracle_save")
    assert not app.error
    assert query_of(app)["run"] == "demo-labelled"
    assert Run(tmp_path / "runs" / "demo-labelled").is_complete
    assert sorted(made.iterdir()) == files


# ------------------------------------------------------------------------------------- other states
def test_a_run_whose_basis_is_verified_says_so(folder: Path):
    build_tiny_run(folder / "tiny")
    app = open_part(run="tiny")
    text = text_of(app)
    assert "To label: 0" in text
    assert "Every basis image in use is verified" in text
    assert "oracle_start" not in [button.key for button in app.button]
    form = open_part(run="tiny", basis="2")
    assert "Verified" in text_of(form)
    press(form, "oracle_done")
    assert "Not saved: 1" in text_of(form)


@pytest.mark.parametrize("basis", ["7", "999"])
def test_a_basis_image_that_is_not_in_use_says_so(folder: Path, basis: str):
    assert "is not in use" in text_of(open_part(basis=basis))


def test_a_run_without_its_evidence_says_so(folder: Path):
    path = build_unverified_run(folder / "part")
    (path / "terms_residual.npy").unlink()
    assert "cannot be labelled yet" in text_of(open_part(run="part"))
    assert "cannot be labelled yet" in text_of(open_part(run="part", basis="2"))


def test_from_a_basis_image_to_its_labels(folder: Path):
    app = AppTest.from_file(str(APP), default_timeout=30)
    app.switch_page("views/basis.py")
    app.query_params.update({"run": "shop", "basis": "2"})
    app.run()
    press(app, "basis_label")
    assert query_of(app) == {"run": "shop", "basis": "2", "part": PART}
    assert app.segmented_control(key="oracle_2_0")


def test_the_overview_says_where_a_run_comes_from(folder: Path, right: np.ndarray):
    app = open_part(draft=encode("shop", {0: right[0].tolist()}))
    press(app, "oracle_save")
    view = AppTest.from_file(str(APP), default_timeout=30)
    view.query_params.update({"run": "shop-labelled"})
    view.run()
    assert not view.exception
    text = text_of(view) + "".join(w.value for w in view.warning)
    assert "shop with 1 basis image labelled" in text
    assert "basis images were labelled after training" in text


def test_markdown_in_names_stays_text():
    assert components.plain("a *b* [c](d)") == r"a \*b\* \[c\]\(d\)"
    assert set(oracle_form.CHOICES) == {1, 0, -1}
