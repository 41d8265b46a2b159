"""One line of JSON on standard error for each event: who did what, and to how much.

An event says nothing of a person but the auditor's id, under which decisions are kept anyway, and
nothing of images. ``SELFML_LOG=off`` turns the lines off.

===========  =====================================================================================
Event        When
===========  =====================================================================================
sign-in      a person with a role opens the site, once for each tab
sign-out     a person leaves
decide       a batch of decisions was written; ``n`` of them
undo         a batch was taken back
save-run     labels of basis images were saved as a new run
export       a table or corrected labels were saved
refused      somebody without the role, or an image address that is not valid
error        the store or a run does not answer, or a page failed; the kind of error only
===========  =====================================================================================
"""

from __future__ import annotations

import datetime
import json
import logging
import sys

from dashboard.settings import settings

FIELDS = ("auditor", "role", "catalogue", "run", "n", "what", "error")
LOGGER = "selfml.events"


class _Lines(logging.Handler):
    """Writes to the standard error of now, which tests and servers replace."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            sys.stderr.write(self.format(record) + "\n")
            sys.stderr.flush()
        except Exception:
            self.handleError(record)


class _Json(logging.Formatter):
    """``{"time": ..., "event": ..., ...}``; without the fields that are empty."""

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.datetime.fromtimestamp(record.created, datetime.UTC)
        line = {"time": moment.isoformat(timespec="milliseconds"), "event": record.getMessage()}
        return json.dumps(line | getattr(record, "fields", {}), ensure_ascii=False)


def _logger() -> logging.Logger:
    """The logger with its one handler; also after Streamlit has loaded this module again."""
    logger = logging.getLogger(LOGGER)
    if not logger.handlers:
        handler = _Lines()
        handler.setFormatter(_Json())
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        logger.propagate = False
    return logger


def event(name: str, **fields: object) -> None:
    """Note an event.

    Parameters
    ----------
    name : str
        One of the table above.
    fields : dict
        Of ``FIELDS``; what is empty is left out.

    Raises
    ------
    ValueError
        For another field, lest something personal be logged by mistake.
    """
    unknown = fields.keys() - set(FIELDS)
    if unknown:
        raise ValueError(f"event: takes {', '.join(FIELDS)}; got {', '.join(sorted(unknown))}")
    if settings().log:
        kept = {key: fields[key] for key in FIELDS if fields.get(key) not in (None, "")}
        _logger().info(name, extra={"fields": kept})
