"""A Ray cluster of two nodes on this machine: says its address, and ends when its input does.

python -m tests.train.ray_cluster
"""

from __future__ import annotations

import os
import sys

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"


def main() -> None:
    """Start, print the address, wait, stop."""
    from ray.cluster_utils import Cluster

    first = {"num_cpus": 1, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=first)
    try:
        cluster.add_node(num_cpus=1)
        print(f"address {cluster.address}", flush=True)
        sys.stdin.read()
    finally:
        cluster.shutdown()


if __name__ == "__main__":
    main()
