"""A connection to PostgreSQL that gives up where the server stops answering.

``tcp_user_timeout`` notices a host that is gone. A server that hangs, or a proxy before it, still
acknowledges what it is sent, so the one who waits has to count the time: all of psycopg's waiting
goes through ``Connection.wait`` (psycopg 3, "connections", implementation note on generators).
"""

from __future__ import annotations

import math
import time
from collections.abc import Generator
from typing import Any

import psycopg


class AnsweringConnection(psycopg.Connection):
    """Like ``psycopg.Connection``; after ``answer_s`` without an answer it is closed.

    Attributes
    ----------
    answer_s : float
        Seconds; without end until it is set.

    Raises
    ------
    psycopg.OperationalError
        From whatever was waiting.
    """

    answer_s = math.inf

    def wait(self, gen: Generator, *args: Any, **how: Any) -> Any:
        """Wait for what a generator of psycopg waits for."""
        return super().wait(self._in_time(gen), *args, **how)

    def _in_time(self, gen: Generator) -> Generator:
        end_s = time.monotonic() + self.answer_s
        try:
            wanted = next(gen)
            while True:
                ready = yield wanted
                if not ready and time.monotonic() > end_s:
                    self.close()
                    raise psycopg.OperationalError(
                        f"the server has not answered for {self.answer_s:.0f} seconds"
                    )
                wanted = gen.send(ready)
        except StopIteration as done:
            return done.value
