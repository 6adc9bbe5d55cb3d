"""A Ray cluster of several nodes on this machine, for tests: it lives until its standard input is closed.

For each line that it reads it puts back what was killed of its nodes, and writes a line of JSON: the cluster's address,
and the process of each node by the node's id, the first node apart (its death is the cluster's).
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

NODES = 2
"""Besides the first."""


def main() -> None:
    """Start the cluster, and keep it whole."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    from ray.cluster_utils import Cluster  # noqa: PLC0415 - after the environment is set

    quick = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 300, "health_check_failure_threshold": 3}
    small = {"num_cpus": 1, "object_store_memory": 80_000_000}
    cluster: Any = Cluster(True, head_node_args={**small, "include_dashboard": False, "_system_config": quick})
    nodes: dict[str, Any] = {}
    for _ in sys.stdin:
        for name, node in list(nodes.items()):
            if _raylet(node).poll() is not None:
                cluster.remove_node(node, allow_graceful=False)
                del nodes[name]
        while len(nodes) < NODES:
            node = cluster.add_node(**small)
            nodes[node.node_id] = node
        pids = {name: _raylet(node).pid for name, node in nodes.items()}
        sys.stdout.write(json.dumps({"address": cluster.address, "nodes": pids}) + "\n")
        sys.stdout.flush()
    cluster.shutdown()


def _raylet(node: Any) -> Any:
    return node.all_processes["raylet"][0].process


if __name__ == "__main__":
    main()
