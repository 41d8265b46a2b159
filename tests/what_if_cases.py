"""A flip that hangs by one basis image."""

from __future__ import annotations

from dashboard.frames.flips import FlipQuery, flips_page
from selfml.receipts import receipt, without_atom
from selfml.run import Run


def fragile_flip(run: Run) -> tuple[int, int, int]:
    """image_index, attribute_index and basis_index of a flip that falls without that atom."""
    for row in flips_page(run, FlipQuery(), 1, 1000).itertuples():
        of = receipt(run, row.image_index, row.attribute_index)
        for k in of.atoms["basis_index"]:
            if (without_atom(of, k).score > 0) != (row.corrected == 1):
                return int(row.image_index), int(row.attribute_index), int(k)
    raise AssertionError("no flip of the run falls")
