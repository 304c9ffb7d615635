"""Questions to a Loki, ours or the real one, and its answers in a form that can be compared."""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.message import Message

__all__ = ["LokiAnswer", "LokiClient"]


@dataclass(frozen=True, slots=True)
class LokiAnswer:
    """One HTTP answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode()

    @property
    def data(self) -> object:
        """What a success brings."""
        assert self.status == 200, (self.status, self.body)
        return json.loads(self.body)["data"]

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
        """Times and lines of all streams, in the order of each."""
        return [(int(value[0]), value[1]) for stream in self.result for value in _values(stream)]

    @property
    def numbers(self) -> dict[tuple[str, ...], dict[float, float]]:
        """Of each series (its labels' values, by name), its numbers by moment."""
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
    """Asks one Loki. headers: who we are."""

    address: str
    headers: Mapping[str, str] = field(default_factory=dict)

    def saying(self, **headers: str) -> LokiClient:
        """The same client with more headers; ``_`` stands for ``-``."""
        more = {name.replace("_", "-"): value for name, value in headers.items()}
        return LokiClient(self.address, {**self.headers, **more})

    def get(self, path: str, **parameters: object) -> LokiAnswer:
        """GET a path under ``/loki/api/v1``; a list is repeated."""
        query = urllib.parse.urlencode(parameters, doseq=True)
        return self._send(urllib.request.Request(f"{self.address}/loki/api/v1/{path}?{query}"))

    def post(self, path: str, body: bytes) -> LokiAnswer:
        """POST to a path under ``/loki/api/v1``."""
        return self._send(urllib.request.Request(f"{self.address}/loki/api/v1/{path}", data=body))

    def _send(self, request: urllib.request.Request) -> LokiAnswer:
        for name, value in self.headers.items():
            request.add_header(name, value)
        try:
            with urllib.request.urlopen(request, timeout=90) as answer:
                return LokiAnswer(answer.status, _lower(answer.headers), answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return LokiAnswer(error.code, _lower(error.headers), error.read())


def _lower(headers: Message) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}
