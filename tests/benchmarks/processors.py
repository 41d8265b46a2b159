"""What a program and the processes below it take, by Linux's own account."""

from __future__ import annotations

import os
from pathlib import Path

TICK_S = 1.0 / os.sysconf("SC_CLK_TCK")
PAGE_MIB = os.sysconf("SC_PAGE_SIZE") / 2**20
PARENT, UTIME, CSTIME, RSS = 1, 11, 14, 21  # fields of /proc/PID/stat behind the name


def family(pid: int) -> dict[int, list[str]]:
    """The fields of ``/proc/PID/stat`` of a process that runs and of all below it."""
    fields: dict[int, list[str]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields[int(folder.name)] = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:  # has just ended
            continue
    below, found = {pid}, True
    while found:
        found = {p for p, own in fields.items() if int(own[PARENT]) in below} - below
        below |= found
    return {p: fields[p] for p in below if p in fields}


def spent_s(*, own: bool) -> float:
    """Seconds that processors spent on all processes below this one, and on it with ``own``."""
    of_each = family(os.getpid())
    ticks = {p: sum(map(int, fields[UTIME : CSTIME + 1])) for p, fields in of_each.items()}
    return TICK_S * sum(spent for p, spent in ticks.items() if own or p != os.getpid())


def resident_mib(pid: int) -> float:
    """MiB resident of a process and all below it; pages that they share count for each."""
    return PAGE_MIB * sum(int(fields[RSS]) for fields in family(pid).values())
