"""Request parameters of Loki's API, from the query string and from a form, with Loki's defaults and formats."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final, Literal
from urllib.parse import parse_qsl

from starlette.requests import HTTPConnection, Request

from fnkit.platform.control.logs.query import MAX_LINES
from fnkit.platform.control.logs.segments import TimeSpan
from fnkit.platform.logql.lexer import QueryError
from fnkit.platform.logql.units import parse_duration

_NANOSECONDS_PER_SECOND: Final = 10**9
_DEFAULT_LIMIT: Final = 100
_DEFAULT_RANGE: Final = 3600 * _NANOSECONDS_PER_SECOND
_DEFAULT_POINTS: Final = 250  # per series, if the request gives no step
_MAX_FORM_BYTES: Final = 1024 * 1024
_MAX_SECONDS_DIGITS: Final = 10
_MAX_NANOSECONDS: Final = 2**63 - 1
_UTC_OFFSET: Final = re.compile(r"(Z|[+-]\d\d:\d\d)$")
_SECOND_FRACTION: Final = re.compile(r"\.(\d{1,9})(?=Z|[+-]|$)")


class LokiParameters:
    """The parameters of a request. All times and durations are nanoseconds.

    Every method that reads a value raises ``QueryError`` if the value is malformed.
    """

    def __init__(self, values: list[tuple[str, str]], now: int) -> None:
        """Create the parameters.

        Args:
            values: Names and values in order; the first of repeated names counts.
            now: The current platform time in Unix nanoseconds, the default of times.
        """
        self._values = values
        self._now = now

    def get(self, name: str) -> str:
        """Return the first value of a parameter, or an empty string."""
        return next((value for key, value in self._values if key == name), "")

    def get_all(self, *names: str) -> list[str]:
        """Return the values of all parameters with one of the names, except empty ones."""
        return [value for key, value in self._values if key in names and value]

    def time(self, name: str = "time") -> int:
        """Return a time, by default the current time."""
        return self._time(name, self._now)

    def time_range(self, since: int = _DEFAULT_RANGE) -> TimeSpan:
        """Return the time range of the parameters ``start``, ``end`` and ``since``.

        Args:
            since: The length of the range, if the request gives neither ``start`` nor ``since``.

        Raises:
            QueryError: A value is malformed, or the end is before the start.
        """
        if text := self.get("since"):
            since = self._duration("since", text)
        # As in Loki, "since" counts back from "end", but not from an end in the future.
        end = self._time("end", self._now)
        start = self._time("start", min(end, self._now) - since)
        if end < start:
            raise QueryError("end timestamp must not be before or equal to start time")
        return TimeSpan(start, end)

    def step(self, span: TimeSpan) -> int:
        """Return the distance between two points of a series."""
        if text := self.get("step"):
            step = self._duration("step", text)
            if step <= 0:
                raise QueryError(
                    "zero or negative query resolution step widths are not accepted. Try a positive integer"
                )
            return step
        # Loki's default: whole seconds, at least one, so that a series has about 250 points.
        seconds = (span.end - span.start) // _NANOSECONDS_PER_SECOND // _DEFAULT_POINTS
        return max(seconds, 1) * _NANOSECONDS_PER_SECOND

    def interval(self) -> int:
        """Return the minimum distance between two returned lines; 0 returns all of them."""
        text = self.get("interval")
        interval = self._duration("interval", text) if text else 0
        if interval < 0:
            raise QueryError("interval must be >= 0")
        return interval

    def limit(self) -> int:
        """Return the maximum number of lines.

        Raises:
            QueryError: The limit is not positive, or larger than ``MAX_LINES``.
        """
        text = self.get("limit")
        if not re.fullmatch(r"[+-]?\d{1,12}", text or str(_DEFAULT_LIMIT)):
            raise QueryError(f'invalid limit: parsing "{text[:64]}": invalid syntax')
        limit = int(text or _DEFAULT_LIMIT)
        if limit <= 0:
            raise QueryError("limit must be a positive value")
        if limit > MAX_LINES:
            raise QueryError(
                f"max entries limit per query exceeded, limit > max_entries_limit_per_query ({limit} > {MAX_LINES})"
            )
        return limit

    def direction(self) -> Literal["forward", "backward"]:
        """Return the order of lines: newest first (``backward``, the default) or oldest first."""
        match self.get("direction").lower():
            case "" | "backward":
                return "backward"
            case "forward":
                return "forward"
            case other:
                raise QueryError(f"invalid direction '{other[:64]}'")

    def _time(self, name: str, default: int) -> int:
        text = self.get(name)
        if not text:
            return default
        moment = _parse_time(text)
        if moment is None or abs(moment) > _MAX_NANOSECONDS:
            raise QueryError(f"could not parse '{name}' parameter: {text[:64]!r} is not a time")
        return moment

    def _duration(self, name: str, text: str) -> int:
        length = _parse_seconds(text)
        if length is None:
            length = parse_duration(text)
        if length is None or abs(length) > _MAX_NANOSECONDS:
            raise QueryError(f"could not parse '{name}' parameter: cannot parse {text[:64]!r} to a valid duration")
        return length


def _parse_time(text: str) -> int | None:
    """Parse a time: Unix seconds (with or without a fraction), Unix nanoseconds or RFC 3339.

    Like Loki, take an integer of up to ten characters for seconds and a longer one for nanoseconds.
    """
    if re.fullmatch(r"[+-]?\d{1,19}", text):
        return int(text) * (_NANOSECONDS_PER_SECOND if len(text) <= _MAX_SECONDS_DIGITS else 1)
    if "." in text and (seconds := _parse_seconds(text)) is not None:
        return seconds
    zone, fraction = _UTC_OFFSET.search(text), _SECOND_FRACTION.search(text)
    if zone is None:
        return None
    try:
        # datetime has microseconds only, so the fraction is parsed separately.
        whole = datetime.fromisoformat(_SECOND_FRACTION.sub("", text))
        nanoseconds = int(fraction[1].ljust(9, "0")) if fraction else 0
        return int(whole.timestamp()) * _NANOSECONDS_PER_SECOND + nanoseconds
    except (ValueError, OverflowError):
        return None


def _parse_seconds(text: str) -> int | None:
    if not re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?", text[:64]):
        return None
    seconds = float(text[:64])
    nanoseconds = seconds * _NANOSECONDS_PER_SECOND
    return round(nanoseconds) if abs(nanoseconds) < _MAX_NANOSECONDS else None


async def read_parameters(request: Request, now: int) -> LokiParameters:
    """Return the parameters of a GET, or of a POST with a form.

    Args:
        request: The request; its body is consumed.
        now: The current platform time in Unix nanoseconds.

    Raises:
        QueryError: The body is larger than a megabyte.
    """
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MAX_FORM_BYTES:
            raise QueryError("the form is larger than a megabyte")
    return connection_parameters(request, now, bytes(body))


def connection_parameters(connection: HTTPConnection, now: int, body: bytes = b"") -> LokiParameters:
    """Return the parameters of a request or WebSocket; those of the form take precedence over the query string."""
    form = parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=1000)
    return LokiParameters([*form, *connection.query_params.multi_items()], now)
