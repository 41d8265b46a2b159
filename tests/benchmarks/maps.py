"""How long t-SNE and UMAP take; the figure to keep is 60,000 images under ten minutes.

    python -m tests.benchmarks.maps --images 60000

Embedded are drawn coefficients: 500 basis images, 11 draws an image.
"""

from __future__ import annotations

import argparse
import os
import time

import numpy as np

from selfml.maps import embedding_input, tsne_map, umap_map
from selfml.progress import Reporter
from tests.benchmarks.worlds import mixtures

LIMIT_S = 600.0  # for LIMIT_IMAGES, both maps together
LIMIT_IMAGES = 60_000


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", default="60000", help="numbers of images, with commas")
    parser.add_argument("--atoms", type=int, default=500, help="basis images")
    chosen = parser.parse_args()
    print(f"{os.cpu_count()} processors, load average {os.getloadavg()[0]:.1f} at the start")
    for n in map(int, chosen.images.split(",")):
        points = embedding_input(mixtures(n, chosen.atoms, 11, np.random.default_rng(0)), 0)
        total = 0.0
        for name, embed in (("t-SNE", tsne_map), ("UMAP", umap_map)):
            start, cpu = time.perf_counter(), time.process_time()
            embed(points, 0, Reporter(quiet=True))
            took = time.perf_counter() - start
            total += took
            print(
                f"{n:,} images, {name}: {took:.0f} s (processors {time.process_time() - cpu:.0f})"
            )
        met = f", limit {LIMIT_S:.0f} s: {'met' if total <= LIMIT_S else 'MISSED'}"
        print(f"{n:,} images, both: {total:.0f} s{met if n == LIMIT_IMAGES else ''}", flush=True)


if __name__ == "__main__":
    main()
