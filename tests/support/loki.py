"""A client of the Loki API, for the platform's implementation and for the real one, and a real Loki to run."""

from __future__ import annotations

import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.http_response import HttpResponse
from tests.support.ports import free_port
from tests.support.waiting import wait_until

__all__ = ["LokiClient", "LokiResponse", "running_loki"]


@dataclass(frozen=True, slots=True)
class LokiResponse(HttpResponse):
    """A response of the Loki API."""

    @property
    def data(self) -> object:
        """The ``data`` of a successful response."""
        assert self.status == 200, (self.status, self.body)
        return self.document["data"]

    @property
    def result(self) -> list[dict[str, object]]:
        """The result of a query."""
        data = self.data
        assert isinstance(data, dict)
        result = data["result"]
        assert isinstance(result, list)
        return result

    @property
    def lines(self) -> list[tuple[int, str]]:
        """Times and lines of all streams, in the order of the response."""
        return [(int(value[0]), value[1]) for stream in self.result for value in _values(stream)]

    @property
    def samples(self) -> dict[tuple[str, ...], dict[float, float]]:
        """The values of each series by time. The key of a series is its label values, sorted by label name."""
        made = {}
        for series in self.result:
            metric = series["metric"]
            assert isinstance(metric, dict)
            value = series.get("value")
            values = [value] if isinstance(value, list) else _values(series)
            key = tuple(metric[name] for name in sorted(metric))
            made[key] = {float(value[0]): float(value[1]) for value in values}
        return made


def _values(series: Mapping[str, object]) -> list[list[str]]:
    values = series["values"]
    assert isinstance(values, list)
    return values


@dataclass(frozen=True, slots=True)
class LokiClient:
    """A client of one server; ``headers`` are sent with each request."""

    address: str
    headers: Mapping[str, str] = field(default_factory=dict)

    def with_headers(self, **headers: str) -> LokiClient:
        """Return a client with more headers; ``_`` in a name stands for ``-``."""
        more = {name.replace("_", "-"): value for name, value in headers.items()}
        return LokiClient(self.address, {**self.headers, **more})

    def get(self, path: str, **parameters: object) -> LokiResponse:
        """GET a path under ``/loki/api/v1``; a list becomes a repeated parameter."""
        query = urllib.parse.urlencode(parameters, doseq=True)
        return self._send(urllib.request.Request(f"{self.address}/loki/api/v1/{path}?{query}"))

    def post(self, path: str, body: bytes) -> LokiResponse:
        """POST to a path under ``/loki/api/v1``."""
        return self._send(urllib.request.Request(f"{self.address}/loki/api/v1/{path}", data=body))

    def _send(self, request: urllib.request.Request) -> LokiResponse:
        for name, value in self.headers.items():
            request.add_header(name, value)
        try:
            with urllib.request.urlopen(request, timeout=90) as answer:
                return LokiResponse(answer.status, answer.headers, answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return LokiResponse(error.code, error.headers, error.read())


_CONFIG = """
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
    """Run a Loki that adds no labels of its own, and yield its address."""
    http, grpc = free_port(), free_port()
    configuration = folder / "loki.yaml"
    configuration.write_text(_CONFIG.format(http=http, grpc=grpc, folder=folder / "data"))
    address = f"http://127.0.0.1:{http}"
    with (folder / "loki.log").open("wb") as log:
        command = [str(program), f"-config.file={configuration}"]
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, cwd=folder)
        try:
            wait_until(lambda: _is_ready(address, process), 90, what="Loki is ready")
            yield address
        finally:
            process.kill()
            process.wait()


def _is_ready(address: str, process: subprocess.Popen[bytes]) -> bool:
    assert process.poll() is None, "Loki exited"
    try:
        with urllib.request.urlopen(f"{address}/ready", timeout=5) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.HTTPError):
        return False
