"""``python -m tests.cluster``: run a cluster to try things on, until Ctrl-C."""

from __future__ import annotations

import os
import signal
import sys
import threading

from tests.cluster.cluster import running_cluster
from tests.cluster.programs import MissingProgram, build_programs, missing_programs


def main() -> int:
    """Run a cluster of three nodes and say how to use it."""
    if missing := missing_programs():
        print(f"The cluster needs these packages: {' '.join(missing)}", file=sys.stderr)
        return 1
    if os.geteuid() != 0:
        print("The cluster needs root: it makes network namespaces and control groups.", file=sys.stderr)
        return 1
    print("Building Kubernetes, if that was not done before (about ten minutes) …", flush=True)
    try:
        programs = build_programs()
    except MissingProgram as error:
        print(error, file=sys.stderr)
        return 1
    with running_cluster(programs) as cluster:
        print(cluster.kubectl("get", "nodes"))
        print(f"export KUBECONFIG={cluster.kubeconfig}")
        print(f"export FNKIT_TEST_CLUSTER={cluster.directory}  # to run tests on it")
        print(f"{programs}/kubectl get pods --all-namespaces")
        print(f"Logs are in {cluster.directory}. Ctrl-C ends and removes the cluster.", flush=True)
        ended = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: ended.set())
        ended.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
