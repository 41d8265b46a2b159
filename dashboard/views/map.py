"""The map: which images are alike, what changed where, and the images within a lasso."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from dashboard import components, load, state
from dashboard.figures import map as figures
from dashboard.frames import map as frames
from dashboard.frames import polygons
from dashboard.frames.density import density
from dashboard.state import Selection
from selfml.run import Run

PAGE_SIZE = 12
# A lasso's event lists every point in it: 13 MB of 100,000 points, sent, read and kept for each
# session. The shape is enough, as the server looks up what lies in it; this leaves the points of
# drawn shapes out before Streamlit sees the event. Where it cannot, all works as before, slower.
SHAPES_ONLY = """<script>
if (!window.selfmlShapesOnly) {
  window.selfmlShapesOnly = true;
  const hook = (press) => {
    const plot = press.target.closest && press.target.closest('.js-plotly-plot');
    const events = plot && plot._ev;
    if (!events || !events.prependListener || plot.selfmlShapesOnly) return;
    plot.selfmlShapesOnly = true;
    events.prependListener('plotly_selected', (event) => {
      if (event && event.selections && event.selections.length) event.points = [];
    });
  };
  for (const kind of ['mousedown', 'touchstart']) document.addEventListener(kind, hook, true);
}
</script>"""
COVERAGE = {"all": "All images", "uncovered": "Not covered only"}


def _figure(
    run: Run, kind: str, color: str, attribute: int | None, category: str, faded: bool
) -> go.Figure:
    """The figure of these choices; worked out once, so that the browser need not load it again."""
    places = load.frame(run, frames.places, kind, category)
    points = frames.drawn(run, places)
    values, names = frames.colour(run, points, color, attribute)
    basis = _basis(run, kind, category)
    some = len(points) < len(places)
    return figures.scatter(
        points, values, names, basis, frames.hulls(basis, by_category=color == "category"),
        map_name=frames.MAPS[kind], value_title=frames.COLORS[color], faded=faded,
        beneath=density(places["x"], places["y"]) if some else None,
        n_uncovered=int(places["uncovered"].sum()),
    )  # fmt: skip


def _basis(run: Run, kind: str, category: str) -> pd.DataFrame:
    basis = load.frame(run, frames.basis_points, kind)
    return basis[basis["category"] == category] if category else basis


def _choices(run: Run, categories: Sequence[str]) -> tuple[str, int | None, str]:
    """The controls; returns color, attribute and category as they are to be drawn."""
    row = st.container(horizontal=True, vertical_alignment="bottom")
    maps = list(frames.MAPS)
    row.segmented_control(
        "Map", maps, format_func=frames.MAPS.get, required=True, **state.bind("map", maps),
        help="Two ways to lay the images out. Neighbours are made of the same basis images; "
        "distances across the map mean little.",
    )  # fmt: skip
    colors = list(frames.COLORS)
    row.selectbox(
        "Colour by", colors, format_func=frames.COLORS.get, width=270, **state.bind("color", colors)
    )
    color, attribute = state.read().color, None
    color = color if color in frames.COLORS else colors[0]
    if color in frames.NEEDS_ATTRIBUTE:
        names = run.attributes
        indices = list(range(len(names)))
        widget = state.bind("attribute", indices)
        attribute = row.selectbox(
            "Attribute", indices, format_func=lambda j: names[j], width=270, **widget
        )
    shown = ["", *categories]
    category = row.selectbox(
        "Category", shown, format_func=lambda c: c or "All", width=180,
        **state.bind("category", shown),
    )  # fmt: skip
    row.segmented_control(
        "Coverage", list(COVERAGE), format_func=COVERAGE.get, required=True,
        **state.bind("coverage", COVERAGE),
        help="Not covered: farther from the hull of the basis than 95 % of the verified test "
        "images. The Basis view says more under Coverage.",
    )  # fmt: skip
    return color, attribute, category or ""


def _chart_key() -> str:
    """Changes when the selection is cleared, which makes the browser start over."""
    return f"map-{st.session_state.get('map_turn', 0)}"


def _clear() -> None:
    st.session_state["map_turn"] = st.session_state.get("map_turn", 0) + 1
    st.session_state.pop("map_drawn", None)
    state.update(area="", image=None, page=1)


def _remember() -> None:
    """Write what was drawn into the address, so that it can be shared."""
    event = st.session_state[_chart_key()]["selection"]
    shapes = polygons.polygons_of_event(event)
    clicked = [p.get("customdata") for p in event["points"]] if not shapes else []
    image = np.ravel(clicked[0])[0] if clicked and clicked[0] is not None else None
    state.update(area=polygons.as_text(shapes), image=None if image is None else int(image), page=1)


def _drawn_before(figure: tuple, selection: Selection) -> list[polygons.Polygon]:
    """The selection to draw into a figure that the browser has not shown yet.

    It must stay the same as long as the figure does, or the browser would start over.
    """
    if st.session_state.get("map_drawn", (None,))[0] != figure:
        st.session_state["map_drawn"] = (figure, selection.area)
    return polygons.from_text(st.session_state["map_drawn"][1])


def _grid(run: Run, places: pd.DataFrame, chosen: np.ndarray) -> None:
    start, stop = components.pager(len(chosen), PAGE_SIZE)
    shown = chosen[start:stop]
    rows = frames.rows_of(places, shown)
    ids = load.table(run, "images", ["image_id"])["image_id"].iloc[shown]
    components.image_grid(
        run,
        shown,
        [f"{i.rpartition('/')[2]}\n{c}" for i, c in zip(ids, rows["category"], strict=True)],
        [state.link("flips", image=int(i)) for i in shown],
        size_px=104,
        badges=[f"{n} flip{'s' if n != 1 else ''}" if n else None for n in rows["n_flips"]],
    )


def _heading(title: str, hint: str, *, clear: bool = True) -> None:
    row = st.container(horizontal=True, vertical_alignment="center")
    row.subheader(title)
    if clear:
        row.button("Clear", icon=":material/close:", type="tertiary", on_click=_clear)
    st.caption(hint)


def _chosen(run: Run, places: pd.DataFrame, selection: Selection) -> None:
    """The pictures beside the map."""
    shapes = polygons.from_text(selection.area)
    if shapes:
        chosen = frames.selected(places, shapes)
        hint = "Most flips first. Click an image to see why its labels are flipped."
        hint = hint if len(chosen) else "No image lies there. Draw around some points."
        _heading(f"{len(chosen):,} images in your selection", hint)
    elif selection.image is not None and (places["image_index"] == selection.image).any():
        chosen = np.array([selection.image])
        _heading("The image you clicked", "Click it to see why its labels are flipped.")
    elif selection.coverage == "uncovered":
        order = places.sort_values("hull_distance", ascending=False, kind="stable")
        chosen = order["image_index"].to_numpy()
        hint = "Farthest from the basis first. Draw around points to see only those."
        _heading(f"{len(chosen):,} images not covered", hint, clear=False)
    else:
        chosen = frames.most_flips(places)
        hint = "Draw around points in the map to see those images here instead."
        _heading("Images with the most flips", hint, clear=False)
    if len(chosen):
        narrowed = shapes or len(chosen) == 1 or selection.coverage == "uncovered"
        _grid(run, places, chosen if narrowed else chosen[:PAGE_SIZE])
        components.download_csv(lambda: _table(run, places, chosen), "map-images")


def _table(run: Run, places: pd.DataFrame, chosen: np.ndarray) -> pd.DataFrame:
    """The rows of images, with their names."""
    rows = frames.rows_of(places, chosen).reset_index(drop=True)
    names = load.table(run, "images", ["image_id"])["image_id"].to_numpy()
    rows.insert(1, "image_id", names[rows["image_index"]])
    return rows


def _share_inside(run: Run, kind: str, category: str, by_category: bool) -> float:
    places = load.frame(run, frames.places, kind, category)
    basis = _basis(run, kind, category)
    return frames.share_inside(places, frames.hulls(basis, by_category))


def _about(run: Run, n_places: int, kind: str, category: str, by_category: bool) -> None:
    basis = _basis(run, kind, category)
    inside = load.frame(run, _share_inside, kind, category, by_category)
    text = f"{n_places:,} images, {len(basis):,} basis images."
    if np.isfinite(inside):
        text += f" {inside:.0f} % lie within the dotted hull of the basis images"
        text += " of their category." if by_category else "."
    left_out = 0 if category else int(run.info["n_images"]) - n_places
    if left_out:
        text += f" {left_out:,} further images have no place: the map was made of a sample."
    if n_places > frames.MAX_POINTS:
        text += (
            f" Drawn are {frames.MAX_POINTS:,} of them: all basis images, then images with flips, "
            "every category in its share. The grey beneath is how many images there are in all, "
            "and what you draw around counts them all."
        )
    st.caption(text)


def show() -> None:
    """Draw the view."""
    st.title("Map")
    run = components.run_or_stop("images", "basis")
    categories = load.frame(run, frames.categories)
    color, attribute, category = _choices(run, categories)
    selection = state.read()
    places = load.frame(run, frames.places, selection.map, category)
    if places.empty:
        components.empty_state(
            f"This run has no {frames.MAPS[selection.map]} map yet",
            f"Make it with `selfml map {run.path}`; it takes a minute or two.",
        )
        return
    left, right = st.columns([3, 2], gap="medium")
    with left:
        drawn = (selection.map, color, attribute, category, selection.coverage == "uncovered")
        figure = load.frame(run, _figure, *drawn)
        figure = figures.with_selections(figure, _drawn_before((run.path.name, *drawn), selection))
        st.plotly_chart(
            figure, key=_chart_key(), theme="streamlit", on_select=_remember,
            selection_mode=("points", "box", "lasso"), config=components.figure_config("map"),
            alt="Map of all images; images made of the same basis images lie near each other",
        )  # fmt: skip
        st.html(SHAPES_ONLY, unsafe_allow_javascript=True)
        _about(run, len(places), selection.map, category, color == "category")
    with right:
        only = places[places["uncovered"]] if selection.coverage == "uncovered" else places
        _chosen(run, only, selection)


show()
