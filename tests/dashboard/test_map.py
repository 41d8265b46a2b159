from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import plotly.io
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.figures import map as figures
from dashboard.frames import map as frames
from dashboard.frames import polygons
from dashboard.frames.density import density
from selfml.run import Run
from tests.tiny_run import build_tiny_run


@pytest.fixture(scope="module")
def run(tiny_run: Path) -> Run:
    return Run(tiny_run)


@pytest.fixture(scope="module")
def points(run: Run) -> pd.DataFrame:
    return frames.points(run, "tsne")


def _inside_by_angles(x: float, y: float, polygon: np.ndarray) -> bool:
    """Even-odd by counting crossings of a ray, one edge after the other."""
    inside, n = False, len(polygon)
    for i in range(n):
        (x1, y1), (x2, y2) = polygon[i], polygon[(i + 1) % n]
        if (y1 > y) != (y2 > y) and x < x1 + (y - y1) * (x2 - x1) / (y2 - y1):
            inside = not inside
    return inside


@given(
    st.lists(st.tuples(*[st.floats(-9, 9, width=32)] * 2), min_size=0, max_size=12),
    st.integers(0, 2**32 - 1),
)
def test_inside_polygon_equals_the_plain_rule(corners, seed):
    polygon = np.array(corners, np.float64).reshape(-1, 2)
    x, y = np.random.default_rng(seed).uniform(-10, 10, (2, 40))
    expected = [len(polygon) >= 3 and _inside_by_angles(a, b, polygon) for a, b in zip(x, y)]  # noqa: B905
    assert polygons.inside_polygon(x, y, polygon).tolist() == expected


def test_inside_a_square_and_a_concave_shape():
    square = np.array([[0, 0], [2, 0], [2, 2], [0, 2]])
    assert polygons.inside_polygon([1, 3, -1], [1, 1, 1], square).tolist() == [True, False, False]
    notch = np.array([[0, 0], [4, 0], [4, 4], [2, 1], [0, 4]])
    assert polygons.inside_polygon([2, 0.5], [3, 3], notch).tolist() == [False, True]


def test_points_are_the_images_with_a_place(run, points):
    assert points["image_index"].tolist() == list(range(60))
    assert points.dtypes[["x", "y"]].eq(np.float32).all()
    flips = run.table("flips")["image_index"].value_counts().reindex(range(60), fill_value=0)
    assert points["n_flips"].tolist() == flips.sort_index().tolist()
    assert set(points["category"]) <= {"dresses", "jackets", "knitwear", "tops", "no category"}


def test_one_category(run):
    assert set(frames.points(run, "tsne", "tops")["category"]) == {"tops"}


def test_without_a_map_there_are_no_points(tmp_path):
    run = Run(build_tiny_run(tmp_path / "run", maps=False))
    assert frames.points(run, "umap").empty
    assert frames.basis_points(run, "umap").empty


def test_a_sample_keeps_the_basis_and_flips_and_all_categories():
    n = 1000
    frame = pd.DataFrame(
        {
            "image_index": np.arange(n),
            "x": np.zeros(n),
            "category": np.where(np.arange(n) % 10 == 0, "rare", "common"),
            "n_flips": (np.arange(n) % 20 == 1).astype(int),
        }
    )
    keep = np.arange(n) < 5
    part = frames.sample(frame, 200, keep)
    assert len(part) == 200
    assert part["image_index"].is_monotonic_increasing
    assert set(frame.loc[keep | (frame["n_flips"] > 0), "image_index"]) <= set(part["image_index"])
    plain = part[(part["n_flips"] == 0) & (part["image_index"] >= 5)]
    assert (plain["category"] == "rare").mean() == pytest.approx(100 / 950, abs=0.02)
    assert len(frames.sample(frame, n, keep)) == n


def test_a_sample_is_the_same_each_time_and_has_its_size(run):
    everything = frames.places(run, "tsne")
    one, two = (frames.drawn(run, everything, 30) for _ in range(2))
    pd.testing.assert_frame_equal(one, two)
    assert len(one) == 30
    assert set(run.table("basis")["image_index"]) <= set(one["image_index"])
    rest = everything[~everything["image_index"].isin(one["image_index"])]
    assert (one["n_flips"] > 0).sum() >= (rest["n_flips"] > 0).sum()


def test_more_flips_than_fit_are_drawn_in_shares_of_their_categories():
    n = 3000
    category = np.where(np.arange(n) % 3 == 0, "rare", "common")
    columns = {"image_index": np.arange(n), "x": np.zeros(n), "category": category}
    frame = pd.DataFrame({**columns, "n_flips": np.ones(n, int)})
    part = frames.sample(frame, 900, np.arange(n) < 10)
    assert len(part) == 900
    assert set(range(10)) <= set(part["image_index"])
    assert (part["category"] == "rare").mean() == pytest.approx(1 / 3, abs=0.01)


def test_a_lasso_holds_all_images_though_only_some_are_drawn(run):
    everything = frames.places(run, "tsne")
    some = frames.drawn(run, everything, 20)
    middle = everything[["x", "y"]].median().to_numpy()
    triangle = middle + np.array([[-40.0, -30], [45, -25], [0, 40]])
    chosen = frames.selected(everything, [triangle])
    inside = [
        i
        for i, x, y in everything[["image_index", "x", "y"]].itertuples(index=False)
        if _inside_by_angles(x, y, triangle)
    ]
    assert sorted(chosen) == inside
    assert len(inside) > len(set(inside) & set(some["image_index"])) > 0


def test_rows_of_images_come_in_the_order_asked_for(points):
    chosen = frames.most_flips(points)
    rows = frames.rows_of(points, chosen)
    assert rows["image_index"].tolist() == chosen.tolist()
    expected = points.sort_values(["n_flips", "image_index"], ascending=[False, True])
    assert chosen.tolist() == expected["image_index"].tolist()


def test_colours_count_every_point_once(run, points):
    for color in frames.COLORS:
        values, names = frames.colour(run, points, color, attribute=2)
        assert len(values) == len(points)
        if names:
            assert values.min() >= 0
            assert values.max() < len(names)


def test_changed_is_what_the_flips_say(run, points):
    values, names = frames.colour(run, points, "changed", attribute=2)
    flips = run.table("flips").query("attribute_index == 2")
    for label, name in ((1, "label added"), (0, "label removed")):
        found = points["image_index"][values == names.index(name)].tolist()
        assert found == sorted(flips.loc[flips["corrected"] == label, "image_index"])


def test_colour_says_what_is_wrong(run, points):
    with pytest.raises(ValueError, match="color: must be one of"):
        frames.colour(run, points, "rainbow")
    with pytest.raises(ValueError, match="attribute: 'given' needs one"):
        frames.colour(run, points, "given")


def test_many_categories_share_other():
    codes, names = frames._category_codes(pd.Series(["c9", "c0"]), [f"c{i}" for i in range(10)])
    assert names[-1] == "other"
    assert codes.tolist() == [frames.MAX_CATEGORIES, 0]


def test_hull_of_a_square_and_of_too_little():
    corners = polygons.hull([0, 2, 2, 0, 1], [0, 0, 2, 2, 1])
    assert {tuple(c) for c in corners} == {(0, 0), (2, 0), (2, 2), (0, 2)}
    assert len(polygons.hull([0, 1], [0, 1])) == 0
    assert len(polygons.hull([0, 1, 2], [0, 1, 2])) == 0


def test_share_inside_is_by_category(points):
    triangle = np.array([[-1e3, -1e3], [1e3, -1e3], [0, 1e3]])
    assert frames.share_inside(points, {"": triangle}) == 100
    assert np.isnan(frames.share_inside(points, {}))


def test_a_selection_survives_the_address():
    event = {
        "box": [{"x": [3.0, 1.0], "y": [0.5, 2.0]}],
        "lasso": [{"x": [0.0, 1.0, 0.123456789], "y": [0.0, 0.0, 1.0]}],
        "points": [],
    }
    shapes = polygons.polygons_of_event(event)
    back = polygons.from_text(polygons.as_text(shapes))
    assert shapes[0].tolist() == [[1, 0.5], [3, 0.5], [3, 2], [1, 2]]
    for one, other in zip(shapes, back, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


@pytest.mark.parametrize(
    "text", ["", "1,2", "x", "1,2;3,4", "1,2;3;4,5", "nan,1;2,3;4,5", "1,2,3;"]
)
def test_nonsense_selects_nothing(text, points):
    assert polygons.from_text(text) == []
    assert len(frames.selected(points, [])) == 0


def test_a_long_lasso_is_thinned():
    t = np.linspace(0, 2 * np.pi, 1000)
    (polygon,) = polygons.polygons_of_event({"lasso": [{"x": np.cos(t), "y": np.sin(t)}]})
    assert len(polygon) <= polygons.MAX_VERTICES


def test_selected_is_the_union_with_most_flips_first(points):
    everything = np.array([[-1e3, -1e3], [1e3, -1e3], [1e3, 1e3], [-1e3, 1e3]])
    chosen = frames.selected(points, [everything, everything])
    assert sorted(chosen) == points["image_index"].tolist()
    assert points.set_index("image_index")["n_flips"].loc[chosen].is_monotonic_decreasing


def _scatter(run: Run, points: pd.DataFrame, color: str):
    values, names = frames.colour(run, points, color, 2)
    basis = frames.basis_points(run, "tsne")
    return figures.scatter(
        points, values, names, basis, frames.hulls(basis, by_category=False),
        map_name="t-SNE", value_title=frames.COLORS[color],
    )  # fmt: skip


@pytest.mark.parametrize("color", frames.COLORS)
def test_the_figure_has_every_point_as_typed_arrays(run, points, color):
    figure = _scatter(run, points, color)
    drawn = [
        t
        for t in figure.data
        if t.mode == "markers" and not t.name.startswith(("Basis", "Not covered"))
    ]
    assert sorted(i for t in drawn for i in t.customdata) == points["image_index"].tolist()
    spec = json.loads(plotly.io.to_json(figure, validate=False))
    for trace in spec["data"]:
        assert trace["type"] == ("scattergl" if trace["mode"] == "markers" else "scatter")
        assert trace["x"]["dtype"] == "f4"
        if trace["mode"] == "markers":
            assert trace["customdata"]["dtype"] in ("i4", "i2", "i1", "u1")
    assert figure.layout.xaxis.title.text == "t-SNE, first axis (no unit)"


def test_the_figure_is_the_same_bytes_each_time(run, points):
    first, second = (plotly.io.to_json(_scatter(run, points, "category")) for _ in range(2))
    assert first == second


@pytest.mark.parametrize("color", frames.COLORS)
def test_no_rows_no_error(run, points, color):
    figure = _scatter(run, points.iloc[:0], color)
    assert "No images" in figure.layout.annotations[0].text


def test_a_sample_has_all_images_beneath_it(run, points):
    values, names = frames.colour(run, points, "category")
    basis = frames.basis_points(run, "tsne")
    beneath = density(points["x"], points["y"], 8)
    figure, again = (
        figures.scatter(
            points.assign(uncovered=points["image_index"] < 2), values, names, basis, {},
            map_name="t-SNE", value_title="Category", beneath=beneath, n_uncovered=1234,
        )
        for _ in range(2)
    )  # fmt: skip
    assert figure.layout.images[0].x == points["x"].min()
    assert plotly.io.to_json(figure) == plotly.io.to_json(again)
    assert [t.name for t in figure.data if "covered" in t.name] == ["Not covered (1,234)"]
    assert not _scatter(run, points, "category").layout.images


def test_a_selection_is_drawn_into_a_copy(run, points):
    figure = _scatter(run, points, "category")
    drawn = figures.with_selections(figure, [np.array([[0, 0], [1, 0], [1, 2.5]])])
    assert drawn.layout.selections[0].path == "M0,0L1,0L1,2.5Z"
    assert not figure.layout.selections
    assert figures.with_selections(figure, []) is figure
