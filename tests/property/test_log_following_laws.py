"""A follower of logs returns each line once, however late and in whichever order a server stores lines."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fnkit.client.loki import MAX_LINES, LogClient, LogLine, LogServer
from fnkit.logs.query import LogSelection
from fnkit.logs.reading import LineFollower, LogReader
from tests.support.examples import examples
from tests.support.loki_store import LokiStore, StoredLine, loki_store
from tests.support.scripted_server import ScriptedResponse

SECOND = 10**9
START = 1_800_000_000 * SECOND
LATEST_MS = 4_900
"""Milliseconds from the time of a line until it is stored; the follower reads the last five seconds again."""

STEPS = st.lists(
    st.tuples(st.integers(0, 6_000), st.lists(st.integers(0, LATEST_MS), max_size=4)), min_size=1, max_size=12
)
"""Steps: milliseconds that pass, and the lateness of each line that is stored then."""


@pytest.fixture(scope="module")
def store() -> Iterator[LokiStore]:
    with loki_store() as running:
        yield running


def reader_of(client: LogClient) -> LogReader:
    return LogReader(client, lambda: ["f-1"], LogSelection())


@settings(max_examples=examples(100))
@given(steps=STEPS)
def test_each_line_is_returned_once_however_late_it_is_stored(
    store: LokiStore, steps: list[tuple[int, list[int]]]
) -> None:
    store.lines.clear()
    now = [0]
    returned: list[str] = []
    with LogClient(LogServer(url=store.url, token="", is_platform=True)) as client:
        follower = LineFollower(reader_of(client), START, [], seconds=lambda: now[0] / 1000)
        for passed, lateness in steps:
            now[0] += passed
            for late in lateness:
                time = START + max(0, now[0] - late) * SECOND // 1000
                store.lines.append(StoredLine(time, str(len(store.lines))))
            found = follower.read_new()
            assert [one.time for one in found] == sorted(one.time for one in found)
            returned += [one.message for one in found]
    assert sorted(returned, key=int) == [one.text for one in store.lines]


def test_more_lines_than_a_response_holds_are_read_in_pages_also_with_equal_times(store: LokiStore) -> None:
    count = MAX_LINES * 2 + 10
    store.lines[:] = [StoredLine(START + number // 7, str(number)) for number in range(count)]
    with LogClient(LogServer(url=store.url, token="", is_platform=True)) as client:
        found = LineFollower(reader_of(client), START, []).read_new()
    assert [one.message for one in found] == [str(number) for number in range(count)]


def test_pages_become_smaller_when_lines_are_too_large_for_one_response(store: LokiStore) -> None:
    store.lines[:] = [StoredLine(START + number, str(number)) for number in range(2000)]
    text = b"the answer would be larger than 64 MiB; ask for fewer lines (limit)"
    refusal = ScriptedResponse(status=400, body=text)
    store.responses += [refusal, refusal]
    with LogClient(LogServer(url=store.url, token="", is_platform=True)) as client:
        found = list(reader_of(client).read_since(START))
    assert [one.message for one in found] == [str(number) for number in range(2000)]


def test_newest_lines_are_known_to_the_follower(store: LokiStore) -> None:
    store.lines[:] = [StoredLine(START + number, str(number)) for number in range(300)]
    with LogClient(LogServer(url=store.url, token="", is_platform=True)) as client:
        reader = reader_of(client)
        newest, known = reader.read_newest(START, 3)
        follower = LineFollower(reader, known[0].time, known)
        store.lines.append(StoredLine(START + 300, "new"))
        found: list[LogLine] = follower.read_new()
    assert [one.line.message for one in newest] == ["297", "298", "299"]
    assert [one.message for one in found] == ["new"]
