"""``fnkit logs``: what deployed functions wrote."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Final

import click

from fnkit.cli.completion import complete_functions
from fnkit.cli.help import command
from fnkit.cli.options import ApiOptions, CommonOptions, LogOptions, api_options, common_options, log_options

if TYPE_CHECKING:
    from fnkit.client import FunctionsApi
    from fnkit.client.loki import LogLine
    from fnkit.contract.resources import Function
    from fnkit.logs.levels import LeveledLine
    from fnkit.logs.reading import LineFollower, LogReader

_DEFAULT_LINES: Final = 100
_DEFAULT_LINES_BEFORE_FOLLOWING: Final = 10
_NANOSECONDS: Final = 10**9
_DEFAULT_PERIOD: Final = 7 * 86400 * _NANOSECONDS
"""The newest lines are looked for in a week, for which Cockpit keeps logs by default."""

_REFRESH_SECONDS: Final = 5.0
_PLATFORM_POLL_SECONDS: Final = 0.25
_COCKPIT_POLL_SECONDS: Final = 2.0


@command()
@click.argument("names", nargs=-1, metavar="[NAME]...", shell_complete=complete_functions)
@log_options
@api_options
@common_options
def logs(common: CommonOptions, api: ApiOptions, query: LogOptions, *, names: tuple[str, ...]) -> None:
    """Show what deployed functions wrote.

    Without NAME, show the lines of all functions, oldest first. Lines about requests are shown with --level debug.
    On Scaleway, logs are read from Cockpit, which needs a token of its own.
    """
    import os

    from fnkit.cli.endpoints import open_api
    from fnkit.client.loki import LogClient
    from fnkit.errors import UsageError
    from fnkit.logs.levels import LogLevel
    from fnkit.logs.query import LogSelection
    from fnkit.logs.reading import LogReader
    from fnkit.logs.server import find_log_server

    level = None if query.level is None else LogLevel[query.level.upper()]
    if query.build and level is not None:
        raise UsageError("--build and --level exclude each other: the output of builds has no levels.")
    with open_api(common, api) as (client, identity):
        functions = FunctionList(client, identity.namespace, names)
        functions.read()
        server = find_log_server(client, os.environ, url=query.loki_url, token=query.loki_token)
        if query.build and not server.is_platform:
            raise UsageError(
                "This log server does not mark the output of builds.",
                code="no-build-logs",
                hint="Read it among the other lines: leave out --build.",
            )
        now = _server_time(client)
        with LogClient(server) as loki:
            reader = LogReader(loki, functions.ids, LogSelection(builds=query.build, level=level))
            _show(common, query, reader, functions, now)


def _server_time(client: FunctionsApi) -> int:
    """Return the time of the log server in Unix nanoseconds: the local platform has a clock of its own."""
    platform = client.platform_info()
    return time.time_ns() if platform is None or platform.now is None else int(platform.now * _NANOSECONDS)


class FunctionList:
    """The functions whose lines are shown. Deployments change them while a follower runs.

    Args:
        client: The API.
        namespace: Name of the namespace.
        names: The names to select; empty for all.
    """

    def __init__(self, client: FunctionsApi, namespace: str, names: tuple[str, ...]) -> None:
        self._client = client
        self._namespace = namespace
        self._names = names
        self._functions: list[Function] = []
        self._read_at = 0.0

    def read(self) -> None:
        """Read the list from the API.

        Raises:
            ApiError: The API rejects the request, or has no function of a name.
        """
        from fnkit.deploy.deployed import read_deployed_namespace

        self._read_at = time.monotonic()
        self._functions = read_deployed_namespace(self._client, self._namespace).select_functions(self._names)

    def refresh(self) -> None:
        """Read the list again if it is old. Without an answer it stays as it is."""
        from contextlib import suppress

        from fnkit.errors import ApiError

        if time.monotonic() - self._read_at > _REFRESH_SECONDS:
            with suppress(ApiError):
                self.read()

    def ids(self) -> list[str]:
        """Return the IDs of the functions."""
        return [one.id for one in self._functions]

    @property
    def name_width(self) -> int:
        """Length of the longest name."""
        return max((len(one.name) for one in self._functions), default=0)


def _show(common: CommonOptions, query: LogOptions, reader: LogReader, functions: FunctionList, now: int) -> None:
    from fnkit.cli.views.logs import LogLineView
    from fnkit.logs.levels import LevelReader
    from fnkit.logs.reading import LineFollower
    from fnkit.logs.since import parse_since

    def show(entries: Iterable[LeveledLine]) -> int:
        count = 0
        today = datetime.now().astimezone().date().isoformat()
        for entry in entries:
            common.output.item_view(LogLineView(entry=entry, name_width=functions.name_width, today=today))
            count += 1
        return count

    start = now - _DEFAULT_PERIOD if query.since is None else parse_since(query.since, now)
    levels = LevelReader()
    if query.since is not None and query.limit is None:
        known = list(reader.read_since(start))
        shown = show(reader.select(known, levels))
    else:
        default = _DEFAULT_LINES_BEFORE_FOLLOWING if query.follow else _DEFAULT_LINES
        count = default if query.limit is None else query.limit
        selected, known = reader.read_newest(start, count)
        start = known[0].time if known else (now if count == 0 else start)
        shown = show(selected)
        reader.select(known, levels)
    if query.follow:
        _follow(
            common, LineFollower(reader, start, known), functions, lambda lines: show(reader.select(lines, levels))
        )
    elif not shown:
        common.output.message(_explain_absence(query))


def _explain_absence(query: LogOptions) -> str:
    if query.build:
        return "No build wrote anything."
    period = f"since {query.since}" if query.since else "in the last week"
    level = f" of level {query.level}" if query.level else ""
    requests = "" if query.level else " Lines about requests are shown with --level debug."
    return f"There are no lines{level} {period}.{requests}"


def _follow(
    common: CommonOptions, follower: LineFollower, functions: FunctionList, show: Callable[[list[LogLine]], object]
) -> None:
    """Show new lines until Ctrl-C. While the server does not answer, wait for it."""
    from fnkit.client.loki import LogsUnavailable

    interval = _PLATFORM_POLL_SECONDS if follower.is_platform else _COCKPIT_POLL_SECONDS
    is_waiting = False
    while True:
        began = time.monotonic()
        try:
            lines = follower.read_new()
        except LogsUnavailable as error:
            if not is_waiting:
                common.output.warning(f"{error.message} Waiting for it; press Ctrl-C to stop.")
            is_waiting = True
        else:
            if is_waiting:
                common.output.message("The logs can be read again.")
            is_waiting = False
            show(lines)
            functions.refresh()
        # A query of many lines takes longer; the server needs time for others.
        time.sleep(max(interval, time.monotonic() - began))
