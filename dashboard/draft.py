"""Labels of basis images that are given and not saved yet, as text for the address.

The address is where they live, as all that is looked at: reloading the page, going elsewhere and
back, or opening the address on another machine loses none of them. A row of labels is a number in
base 3 (no, yes, not known), written in base 36: 31 attributes are ten characters, so 40 basis
images are some 550. The run's name goes with them, for labels of one run mean nothing in another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
DIGIT_OF = {0: 0, 1: 1, -1: 2}
LABEL_OF = (0, 1, -1)
Rows = dict[int, tuple[int, ...]]


def encode(run_name: str, rows: Mapping[int, Sequence[int]]) -> str:
    """Rows by basis_index, each of L labels 1, 0 or -1; empty where there is none."""
    if not rows:
        return ""
    return f"{run_name}!" + ",".join(f"{k}-{_packed(row)}" for k, row in sorted(rows.items()))


def decode(text: str, run_name: str, n_atoms: int, n_attributes: int) -> Rows:
    """What :func:`encode` wrote for this run; what it could not have written is left out."""
    name, _, listed = text.rpartition("!")
    if name != run_name:
        return {}
    found: Rows = {}
    for part in listed.split(","):
        index, _, code = part.partition("-")
        row = _unpacked(code, n_attributes)
        k = int(index) if index.isascii() and index.isdecimal() and len(index) < 10 else n_atoms
        if k < n_atoms and row is not None:
            found[k] = row
    return dict(sorted(found.items()))


def _packed(labels: Sequence[int]) -> str:
    number = 0
    for label in reversed(labels):
        number = 3 * number + DIGIT_OF[int(label)]
    text = ""
    while number:
        number, digit = divmod(number, 36)
        text = DIGITS[digit] + text
    return text or "0"


def _unpacked(code: str, n_attributes: int) -> tuple[int, ...] | None:
    if not code or not set(code) <= set(DIGITS) or len(code) > n_attributes + 1:
        return None
    number, labels = int(code, 36), []
    for _ in range(n_attributes):
        number, digit = divmod(number, 3)
        labels.append(LABEL_OF[digit])
    return None if number else tuple(labels)
