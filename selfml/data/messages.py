"""Errors about a dataset, and how a message names what it is about.

A message is one line: file, row, rule, value received, next step.
"""

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field

_MAX_ERRORS_PER_SCAN = 20


class DatasetError(ValueError):
    """The dataset cannot be used; one line: file, row, rule, value, next step."""


class UnreadableImage(ValueError):
    """An image is missing or cannot be decoded; one line, without the file's name."""


@dataclass
class Findings:
    """What reading found so far; errors beyond twenty are only counted."""

    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    n_errors: int = 0

    def error(self, message: str) -> None:
        """Note an error."""
        self.n_errors += 1
        if len(self.errors) < _MAX_ERRORS_PER_SCAN:
            self.errors.append(message)

    def count(self, name: str, n: int) -> None:
        """Add ``n`` to a count."""
        self.counts[name] = self.counts.get(name, 0) + n


def some(names: Iterable[str], limit: int = 5) -> str:
    """Return the first names for a message, quoted, and how many more there are."""
    names = list(names)
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(quote(name) for name in names[:limit]) + more


def several(n: int, one: str, more: str) -> str:
    """Return a number with what there is so many of: "1 row is" or "2 rows are"."""
    return f"{n} {one if n == 1 else more}"


def quote(value: object) -> str:
    """Return a value for a message: on one line, at most 60 characters, in quotes."""
    text = str(value)
    return repr(text if len(text) <= 60 else text[:57] + "...")


def has_control(text: str) -> bool:
    """Return whether the text has a line break or a control character."""
    return any(unicodedata.category(char) in ("Cc", "Zl", "Zp") for char in text)
