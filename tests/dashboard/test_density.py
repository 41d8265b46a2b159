"""The picture beneath the map's points: it counts every image, where it lies."""

from __future__ import annotations

import base64
import io

import numpy as np
import plotly.graph_objects as go
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from dashboard.figures import density as figures
from dashboard.figures import theme
from dashboard.frames.density import density

# One image at the lower left, four at the upper right, ten in the upper left corner.
X = np.array([0.0] + [10.0] * 4 + [0.0] * 10)
Y = np.array([-5.0] + [5.0] * 14)


@given(
    st.lists(st.tuples(*[st.floats(-99, 99, width=32)] * 2), min_size=1, max_size=60),
    st.integers(1, 9),
)
def test_every_image_is_counted_once(places, n_cells):
    x, y = np.array(places, np.float32).T
    of = density(x, y, n_cells)
    assert of.counts.shape == (n_cells, n_cells)
    assert of.counts.sum() == len(places)


def test_cells_are_where_the_images_are():
    of = density(X, Y, 2)
    assert of.counts.tolist() == [[1, 0], [10, 4]]
    assert (of.x, of.y) == ((0.0, 10.0), (-5.0, 5.0))
    assert density([], []) is None


def test_the_picture_has_the_highest_row_on_top_and_nothing_where_nothing_is():
    of = density(X, Y, 2)
    alpha = np.asarray(figures.picture(of))[..., 3]
    assert alpha[1, 1] == 0
    assert 0 < alpha[1, 0] < alpha[0, 1] < alpha[0, 0] == figures.ALPHA[1]
    np.testing.assert_array_equal(alpha == 0, of.counts[::-1] == 0)


def test_the_picture_lies_in_place_beneath_the_traces():
    of = density(X, Y, 4)
    figure = go.Figure()
    figures.add_density(figure, of)
    (image,) = figure.layout.images
    assert (image.xref, image.yref, image.layer, image.sizing) == ("x", "y", "below", "stretch")
    assert (image.x, image.y, image.sizex, image.sizey) == (0, 5, 10, 10)
    assert (image.xanchor, image.yanchor) == ("left", "top")
    kind, data = image.source.split(",", 1)
    assert kind == "data:image/png;base64"
    drawn = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))
    np.testing.assert_array_equal(drawn, np.asarray(figures.picture(of)))
    assert f"#{bytes(drawn[0, 0, :3].tolist()).hex()}" == theme.NEUTRAL
