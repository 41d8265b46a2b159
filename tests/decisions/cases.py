"""Cells, and what tests do to a store with them."""

from __future__ import annotations

from selfml.decisions import Cell, Store

SHIRT, DRESS = Cell("shirt.jpg", "Red", 1, 0), Cell("dress.jpg", "Long", 0, 1)


def decide(store: Store, cells, decision: str, auditor: str = "ann", **how):
    cells = [cells] if isinstance(cells, Cell) else cells
    return store.decide("shop", cells, decision, auditor=auditor, run_id="r1", **how)


def states(store: Store, catalogue: str = "shop") -> dict[tuple[str, str], str]:
    frame = store.state(catalogue)
    cells = zip(frame["image_id"], frame["attribute"], strict=True)
    return dict(zip(cells, frame["state"], strict=True))
