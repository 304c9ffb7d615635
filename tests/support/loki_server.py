"""A real Loki, to ask the same questions and to push to."""

from __future__ import annotations

import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.ports import free_port
from tests.support.waiting import wait_until

__all__ = ["running_loki"]

_CONFIGURATION = """
auth_enabled: true
server: {{http_listen_address: 127.0.0.1, http_listen_port: {http}, grpc_listen_address: 127.0.0.1,
  grpc_listen_port: {grpc}, log_level: error}}
common:
  instance_addr: 127.0.0.1
  path_prefix: {folder}
  storage: {{filesystem: {{chunks_directory: {folder}/chunks, rules_directory: {folder}/rules}}}}
  replication_factor: 1
  ring: {{kvstore: {{store: inmemory}}}}
ingester: {{lifecycler: {{min_ready_duration: 0s}}}}
schema_config:
  configs:
    - {{from: 2020-10-24, store: tsdb, object_store: filesystem, schema: v13,
       index: {{prefix: index_, period: 24h}}}}
limits_config:
  discover_service_name: []
  discover_log_levels: false
  reject_old_samples: false
  max_line_size: 0
  split_queries_by_interval: 0
query_range: {{align_queries_with_step: false, cache_results: false}}
analytics: {{reporting_enabled: false}}
"""


@contextmanager
def running_loki(program: Path, folder: Path) -> Iterator[str]:
    """Start a Loki that adds no labels of its own; gives its address, and ends it whatever happens."""
    http, grpc = free_port(), free_port()
    configuration = folder / "loki.yaml"
    configuration.write_text(_CONFIGURATION.format(http=http, grpc=grpc, folder=folder / "data"))
    address = f"http://127.0.0.1:{http}"
    with (folder / "loki.log").open("wb") as log:
        command = [str(program), f"-config.file={configuration}"]
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, cwd=folder)
        try:
            wait_until(lambda: _ready(address, process), 90, what="a Loki that is ready")
            yield address
        finally:
            process.kill()
            process.wait()


def _ready(address: str, process: subprocess.Popen[bytes]) -> bool:
    assert process.poll() is None, "Loki ended"
    try:
        with urllib.request.urlopen(f"{address}/ready", timeout=5) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.HTTPError):
        return False
