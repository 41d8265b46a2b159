"""What is being looked at, kept in the address of the page.

The address is the truth: every view can be shared and reopened. This is the only module that
touches ``st.query_params``; session state holds nothing but what widgets need.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any
from urllib.parse import urlencode

import streamlit as st

VIEWS = ("overview", "map", "basis", "attributes", "flips", "audit")
CHOICES: dict[str, tuple[str, ...]] = {
    "map": ("tsne", "umap"),
    "baseline": ("baseline_1", "baseline_0"),
    "direction": ("all", "to_1", "to_0"),
    "agreement": ("all", "agree", "disagree", "bare"),
    "truth": ("all", "right", "wrong", "unknown"),
    "coverage": ("all", "uncovered"),
    "by": ("category", "attribute", "split"),
}
LABELS = {"yes": 1, "no": 0, "unknown": -1}


@dataclass(frozen=True)
class Selection:
    """What a view shows; the defaults are left out of the address.

    Attributes
    ----------
    run : str
        The run's folder name; empty: the newest.
    map, color : str
        Which map, and what its points are coloured by (see ``frames.map.COLORS``).
    area : str
        Polygon of a map selection, ``x,y;x,y;...`` in map units; empty: none.
    attribute : int or None
        attribute_index; None: all.
    category, split : str
        Empty: all.
    direction, agreement, truth : str
        One of ``CHOICES``; ``truth`` is about flips whose verified label is known.
    auto : bool
        Only the flips that are safe to accept without looking.
    min_confidence : float
        0 to 1.
    sort : str
        The view's own order; empty: its default.
    part : str
        Which part of a view that shows one at a time; empty: its first.
    page : int
        From 1.
    image, basis : int or None
        image_index, basis_index.
    flip : str
        ``<image_index>-<attribute_index>``; empty: none.
    needed : bool
        With ``basis``: only the flips that would fall without that basis image.
    without : str
        What if: the basis images taken out, ``<basis_index>,...``; empty: none.
    relabel : str
        What if: labels of basis images that are changed, in ``LABELS``:
        ``<basis_index>-<attribute_index>-yes,...``; empty: none.
    draft : str
        Labels of basis images that are given and not saved (``dashboard.draft``); empty: none. It
        goes along to every view of the run.
    other : str
        Folder name of a second run to compare with; empty: none.
    baseline : str
        What gains are measured over.
    measure : str
        Which figure a view with several shows; empty: its first.
    coverage : str
        One of ``CHOICES``: all images, or those that the basis does not cover.
    by : str
        What a comparison of groups goes by, one of ``CHOICES``.
    """

    run: str = ""
    map: str = "tsne"
    color: str = "category"
    area: str = ""
    attribute: int | None = None
    category: str = ""
    split: str = ""
    direction: str = "all"
    agreement: str = "all"
    auto: bool = False
    truth: str = "all"
    min_confidence: float = 0.0
    sort: str = ""
    part: str = ""
    page: int = 1
    image: int | None = None
    flip: str = ""
    basis: int | None = None
    needed: bool = False
    without: str = ""
    relabel: str = ""
    draft: str = ""
    other: str = ""
    baseline: str = "baseline_1"
    measure: str = ""
    coverage: str = "all"
    by: str = "category"

    @property
    def taken_out(self) -> tuple[int, ...]:
        """The basis_index of ``without``, ascending."""
        found = {_index(part) for part in self.without.split(",")}
        return tuple(sorted(k for k in found if k is not None))

    @property
    def relabelled(self) -> dict[tuple[int, int], int]:
        """(basis_index, attribute_index) of ``relabel`` to 1, 0 or -1 for unknown."""
        found = {}
        for part in self.relabel.split(","):
            k, _, rest = part.partition("-")
            j, _, word = rest.partition("-")
            key = (_index(k), _index(j))
            if None not in key and word in LABELS:
                found[key] = LABELS[word]
        return dict(sorted(found.items()))

    @property
    def flip_key(self) -> tuple[int, int] | None:
        """image_index and attribute_index of ``flip``; None where there is none."""
        left, _, right = self.flip.partition("-")
        return (int(left), int(right)) if left.isdecimal() and right.isdecimal() else None

    def query(self) -> dict[str, str]:
        """The fields that differ from their defaults, as text for an address."""
        default = asdict(Selection())
        changed = {k: v for k, v in asdict(self).items() if v != default[k] and v is not None}
        return {k: _as_text(v) for k, v in changed.items()}


FIELDS = tuple(field.name for field in fields(Selection))
FILTERS = {
    *("attribute", "category", "split", "direction", "agreement", "auto", "truth"),
    *("min_confidence", "sort", "coverage"),
}
_KEEPS_PAGE = {"page", "image", "flip", "basis", "without", "relabel", "draft", "by"}


def _as_text(value: Any) -> str:
    if isinstance(value, bool):
        return "1" if value else "0"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _index(text: str) -> int | None:
    return int(text) if text.isdecimal() and len(text) < 10 else None


def _fraction(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        return 0.0
    return min(max(value, 0.0), 1.0) if math.isfinite(value) else 0.0


_PARSERS: dict[str, Callable[[str], Any]] = {
    "attribute": _index,
    "image": _index,
    "basis": _index,
    "page": lambda text: max(_index(text) or 1, 1),
    "auto": lambda text: text == "1",
    "needed": lambda text: text == "1",
    "min_confidence": _fraction,
}


def parse(query: dict[str, str]) -> Selection:
    """A selection from the text of an address; what makes no sense becomes the default."""
    known: dict[str, Any] = {}
    for name in FIELDS:
        text = query.get(name)
        if text is None or (name in CHOICES and text not in CHOICES[name]):
            continue
        known[name] = _PARSERS.get(name, str)(text)
    chosen = Selection(**known)
    edits = edits_as_text(chosen.taken_out, chosen.relabelled)
    return replace(chosen, flip=chosen.flip if chosen.flip_key else "", **edits)


def edits_as_text(
    taken_out: Iterable[int] = (), labels: Mapping[tuple[int, int], int] | None = None
) -> dict[str, str]:
    """The fields ``without`` and ``relabel`` of these edits; both empty where there are none."""
    words = {label: word for word, label in LABELS.items()}
    relabel = [f"{k}-{j}-{words[label]}" for (k, j), label in sorted((labels or {}).items())]
    return {"without": ",".join(map(str, sorted(set(taken_out)))), "relabel": ",".join(relabel)}


def read() -> Selection:
    """The present selection."""
    return parse(st.query_params.to_dict())


def update(**changes: Any) -> None:
    """Change fields of the address; a changed filter goes back to the first page.

    It also closes the one flip that was shown, which need not be among what is left.

    Raises
    ------
    TypeError
        When a field does not exist.
    """
    if "page" not in changes and not set(changes) <= _KEEPS_PAGE:
        changes["page"] = 1
    if "flip" not in changes and set(changes) & FILTERS:
        changes["flip"] = ""
    st.query_params.from_dict(replace(read(), **changes).query())


def query_for(**changes: Any) -> dict[str, str]:
    """The address fields of another view of the same run; other fields start anew."""
    now = read()
    return replace(Selection(run=now.run, draft=now.draft), **changes).query()


def link(view: str, **changes: Any) -> str:
    """Address of a view of the same run, for the ``href`` of an HTML link.

    Raises
    ------
    ValueError
        When there is no such view.
    TypeError
        When a field does not exist.
    """
    if view not in VIEWS:
        raise ValueError(f"view: must be one of {VIEWS}, got {view!r}")
    base = (st.get_option("server.baseUrlPath") or "").strip("/")
    path = "/".join(part for part in (base, "" if view == VIEWS[0] else view) if part)
    query = urlencode(query_for(**changes))
    return f"/{path}?{query}" if query else f"/{path}"


def _push(name: str, key: str, empty: Any) -> None:
    value = st.session_state[key]
    update(**{name: empty if value is None else value})


def bind(name: str, options: Iterable[Any] | None = None, *, key: str = "") -> dict[str, Any]:
    """Keyword arguments that tie a widget to a field of the address.

    ``st.selectbox("Attribute", options, **state.bind("attribute", options))`` shows what the
    address says and writes the choice there. With ``options``, a value that is not among them
    is shown as the first one.

    Parameters
    ----------
    name : str
        A field of :class:`Selection`.
    options : iterable, optional
        What the widget offers.
    key : str
        The widget's key, where one field has two widgets; by default ``url_<name>``.
    """
    value = getattr(read(), name)
    choices: Sequence[Any] | None = None if options is None else list(options)
    if choices and value not in choices:
        value = choices[0]
    key = key or f"url_{name}"
    st.session_state[key] = value
    empty = getattr(Selection(), name)
    return {"key": key, "on_change": _push, "args": (name, key, empty)}
