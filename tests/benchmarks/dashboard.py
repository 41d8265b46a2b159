"""What the dashboard needs on runs of 5,000, 60,000 and 300,000 images, beside its acceptance.

    python -m tests.benchmarks.dashboard --work /tmp/runs --sizes 5000,60000,300000
    python -m tests.benchmarks.dashboard --run runs/new-photos     # one that is there already

Drawn runs (31 attributes, about 2.9 flips an image) are built into ``--work`` once and kept there.
Times on the server are those of whole reruns (AppTest); bytes, memory and what a reader waits for
are measured in Chromium over the real server, new tabs in one that nobody debugs. A busy machine
makes the times that pass longer; the processors' time stands beside them, and the growth between
sizes goes by it.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

import pandas as pd

from selfml.run import Run
from tests.benchmarks.dashboard_server import measure_pages
from tests.benchmarks.worlds import build_run

SMALL, LARGE = 60_000, 300_000  # what the acceptance speaks of
Row = tuple[str, float, str, float | None]


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, help="folder for the runs (default: a temporary one)")
    parser.add_argument("--sizes", default="5000,60000,300000", help="images, with commas")
    parser.add_argument("--repeats", type=int, default=10, help="of each time (5 in the browser)")
    parser.add_argument("--only", default="", help="pages whose name holds this word")
    parser.add_argument("--sessions", type=int, default=10, help="tabs that are open in the end")
    parser.add_argument("--run", type=Path, help="this run alone, such as a relabelled catalogue")
    parser.add_argument("--skip", choices=("server", "browser", "none"), default="none")
    return parser.parse_args()


def page_table(pages: dict[int, pd.DataFrame]) -> str:
    """Times of every page (ms) by size, as text, with the growth of the processors' time."""
    sizes = sorted(pages)
    head = "".join(f" {f'{n:,} images':>27}" for n in sizes)
    under = "".join(f" {'first':>8} {'p50':>5} {'p95':>5} {'cpu':>6}" for _ in sizes)
    lines = [f"{'page':<26}{head}", f"{'':<26}{under}  growth"]
    for i, name in enumerate(pages[sizes[0]]["page"]):
        cells = ""
        for n in sizes:
            row = pages[n].iloc[i]
            cells += f" {row.first_ms:8.0f} {row.p50:5.0f} {row.p95:5.0f} {row.p50_cpu:6.0f}"
        lines.append(f"{name:<26}{cells}  {_growth(pages).get(name, float('nan')):6.1f}")
    return "\n".join(lines)


def _growth(pages: dict[int, pd.DataFrame]) -> dict[str, float]:
    """Of the processors' time (p50) between the sizes of the acceptance, by page."""
    if not {SMALL, LARGE} <= pages.keys():
        return {}
    small, large = (pages[n].set_index("page")["p50_cpu"] for n in (SMALL, LARGE))
    return (large / small).to_dict()


def acceptance(pages: dict[int, pd.DataFrame], seen: dict[int, dict[str, float]]) -> list[Row]:
    """The table of acceptance: what, measured, unit, limit; what was not measured is left out.

    Parameters
    ----------
    pages : dict of int to DataFrame
        Of ``measure_pages``, by size.
    seen : dict of int to dict
        Of ``dashboard_browser.measure_run``, by size.
    """
    rows: list[Row] = []
    if LARGE in pages:
        rows += _paging(pages[LARGE], "300k")
    if SMALL in seen:
        rows += _opening(seen[SMALL], "60k")
    if LARGE in seen:
        at = seen[LARGE]
        rows.append(("lasso at 100k points -> grid: p95", at["lasso_p95"], "ms", 1000))
        rows.append(("  of that, processors together (p50)", at["lasso_cpu"], "ms", None))
    growth = _growth(pages)
    paged = pages[SMALL][pages[SMALL]["pages"]]["page"] if growth else []
    rows += [(f"growth 60k -> 300k: {name}", growth[name], "x", 2) for name in paged]
    return rows


def _paging(measured: pd.DataFrame, size: str) -> list[Row]:
    rows: list[Row] = []
    for row in measured[measured["page"].str.startswith("Flips")].itertuples():
        rows.append((f"{row.page}, {size}: p95 on the server", row.p95, "ms", 200))
        rows.append((f"{row.page}, {size}: p95, processors", row.p95_cpu, "ms", 200))
    return rows


def _opening(at: dict[str, float], size: str) -> list[Row]:
    chosen = f"open {size}: first figure, run chosen in an open tab"
    rows: list[Row] = [(chosen, at["figure_chosen"], "ms", 2000)]
    for view in ("overview", "map"):
        if f"figure_{view}_p50" in at:
            p50 = at[f"figure_{view}_p50"]
            rows.append((f"open {size}: first figure, {view} in a new tab (p50)", p50, "ms", 2000))
    for name, what in (
        ("empty", "  of that, Streamlit and Plotly: a page of one chart (p50)"),
        ("debugged", "  the same while a debugger looks on, as Playwright does"),
    ):
        rows.append((what, at[f"figure_{name}_p50"], "ms", None))
    rows.append((f"open {size}: server's memory, first session", at["pss_first"], "MiB", 300))
    rows.append((f"open {size}: each further session", at["pss_each"], "MiB", 50))
    return rows


def verdicts(rows: list[Row]) -> str:
    """The rows as text, with pass or FAIL where there is a limit."""
    lines = []
    for what, value, unit, limit in rows:
        line = f"{what:<58} {value:9.1f} {unit:<4}"
        if limit is not None:
            line += f" {limit:>6g}  {'pass' if value <= limit else 'FAIL'}"
        lines.append(line)
    return "\n".join(lines)


def main() -> None:
    """Build, measure, print."""
    chosen = arguments()
    if chosen.run and chosen.run.name == "demo":
        raise SystemExit("--run: the bundled run has this name; give yours another")
    work = chosen.work or Path(tempfile.mkdtemp(prefix="selfml-runs-"))
    pages, seen = {}, {}
    print(f"{os.cpu_count()} processors, load average {os.getloadavg()[0]:.1f} at the start")
    sizes = [int(Run(chosen.run).info["n_images"])] if chosen.run else chosen.sizes.split(",")
    for n in map(int, sizes):
        folder = chosen.run or build_run(work / f"drawn-{n}", n, n_atoms=min(500, n // 50))
        if chosen.skip != "server":
            pages[n] = measure_pages(folder, chosen.repeats, chosen.only)
            print("\nTimes of reruns on the server, ms\n" + page_table(pages), flush=True)
        if chosen.skip != "browser":
            from tests.benchmarks.dashboard_browser import measure_run

            repeats = max(5, chosen.repeats // 2)
            seen[n] = measure_run(folder, work / "server.log", repeats, chosen.sessions)
            print("\nIn the browser: ms, bytes, MiB\n" + pd.DataFrame(seen).round(1).to_string())
    if chosen.run:
        at = f"{n:,} images"
        rows = [row for found in pages.values() for row in _paging(found, at)]
        rows += [row for found in seen.values() for row in _opening(found, at)]
    else:
        rows = acceptance(pages, seen)
    print(f"\nAcceptance (limits for {SMALL:,} and {LARGE:,} images)\n" + verdicts(rows))
    print(f"\nload average {os.getloadavg()[0]:.1f} at the end; runs are in {folder.parent}")


if __name__ == "__main__":
    main()
