"""Compares the platform's log API with Loki's: the same lines and queries must give equal responses.

Loki receives its lines through ``--loki-url``, so these tests also check what the platform pushed.
"""

from __future__ import annotations

import json
import math
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import pytest

from fnkit.platform.model.log_record import LogStream
from fnkit.platform.model.settings import LokiPushSettings
from tests.conformance.clients.packages import loki_program
from tests.support.control_process import running_control
from tests.support.log_lines import FunctionLogLine, write_log_lines
from tests.support.loki import LokiClient, LokiResponse, running_loki
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.clients, pytest.mark.long, pytest.mark.timeout(1800)]

SECOND = 10**9
START = (int(time.time()) - 900) * SECOND
LINES = 300
END = START + 2 * LINES * SECOND
PUSHED = "/loki/api/v1/push"


@dataclass(frozen=True)
class LogServers:
    platform: LokiClient
    loki: LokiClient


def random_message(dice: random.Random) -> str:
    """Return a log line as functions write them: JSON, logfmt, access log or text, some of them malformed."""
    level, number = dice.choice(["info", "error", "warn"]), dice.randrange(100)
    fields = {
        "level": level,
        "status": dice.choice([200, 404, 500, 503]),
        "took": dice.choice(["12ms", "1.5s", "2m", "oops"]),
        "size": dice.choice(["10kB", "2MB", "1.5KiB", "x"]),
        "user": {"id": dice.randrange(5), "na-me": dice.choice(["ann", "bob"])},
        "list": [1, {"a": 2}],
        "none": None,
        "ok": True,
        "stream": "mine",
        "ratio": dice.random(),
    }
    return dice.choice(
        [
            json.dumps(fields),
            json.dumps(fields, indent=1).replace("\n", " "),
            f'level={level} msg="hello \\"{level}\\"" dur={dice.choice(["5ms", "1s"])} n={number} empty= flag',
            f"10.0.0.{dice.randrange(9)} GET /{dice.choice('xyz')} {dice.choice([200, 500])}",
            dice.choice(["plain text", "Error: boom", "héllo wörld", "{broken json", "", " ", 'a=b=c d="x']),
            str(dice.randrange(1000)),
        ]
    )


def random_lines(seed: int) -> list[FunctionLogLine]:
    dice = random.Random(seed)  # noqa: S311  the same lines each time
    moment, lines = START, []
    streams: list[LogStream] = ["stdout", "stderr", "system"]
    for _ in range(LINES):
        moment += dice.randrange(1, 3 * SECOND)
        stream, instance = dice.choice(streams), f"i-{dice.randrange(2)}"
        lines.append(FunctionLogLine(moment, random_message(dice), stream, instance, dice.choice(["", "r1", "r2"])))
    return lines


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LogServers]:
    """A platform, and a Loki to which it has pushed all its lines."""
    program = loki_program("loki")
    with running_loki(program, tmp_path_factory.mktemp("loki")) as address:
        push = LokiPushSettings(url=address + PUSHED, headers=(("X-Scope-OrgID", "team"),))
        with running_control(tmp_path_factory.mktemp("c"), loki_push=push) as control:
            namespace = control.create_namespace()["id"]
            for seed, name in enumerate(("orders", "mail")):
                function = str(control.create_function(namespace, name)["id"])
                write_log_lines(Path(control.settings.data_dir), function, random_lines(seed))
            platform = f"http://127.0.0.1:{control.settings.api_port}"
            servers = LogServers(
                LokiClient(platform, {"X-Token": control.settings.secret_key}),
                LokiClient(address, {"X-Scope-OrgID": "team"}),
            )
            count = 'sum(count_over_time({resource_type="serverless_function"}[1h]))'
            wait_until(lambda: 2 * LINES in total(servers.loki.get("query", query=count, time=END)), 60)
            yield servers


def total(answer: LokiResponse) -> list[float]:
    return [value for values in answer.samples.values() for value in values.values()]


ONE = '{resource_name="orders"}'
MAIL = '{resource_name="mail"}'
ALL = '{resource_type="serverless_function"}'
CLEAN = ONE + ' | json | __error__=""'
PIPELINES = [
    "",
    '|= "error"',
    '!= "error"',
    '|~ "(?i)ERR.R"',
    '!~ "[0-9]+"',
    '|= "ann" or "bob"',
    '!= "ann" or "bob"',
    '|= "héllo"',
    "|= ``",
    "| json",
    '| json | level="error"',
    '| json | __error__=""',
    "| json | status >= 500",
    "| json | took > 1s",
    "| json | size > 2kB",
    "| json | size <= 10kB",
    '| json | level="error" or level="warn" and status=500',
    '| json | level="error", status=500 or status=404',
    '| json | level=~"e.*|i.*" | status != 500',
    '| json lvl="level", id="user.id", first="list[0]", miss="nothing"',
    '| json u="user"',
    '| json n="user[\\"na-me\\"]", deep="list[1].a"',
    '| json | user_na_me="ann"',
    "| logfmt",
    "| logfmt | n > 50",
    "| logfmt | dur < 1s",
    "| logfmt --strict",
    "| logfmt --keep-empty",
    '| logfmt l="level", d="dur"',
    '| logfmt --strict l="level"',
    '| regexp "(?P<ip>[0-9.]+) (?P<method>[A-Z]+) (?P<p>/\\\\S*)"',
    '| pattern "<ip> <method> <p> <code>"',
    '| pattern "<_>l<rest>"',
    '| stream="stderr"',
    '| resource_instance="i-0"',
    '| request_id!=""',
    '| request_id=""',
    '| request_id=~".+"',
    '| json | line_format "{{.level}} {{.status}}"',
    '| json | label_format lv=level, both="{{.level}}-{{.status}}"',
    '| json | drop level, status="500"',
    "| json | keep level, resource_name",
    "| json | drop __error__",
    "| decolorize",
    '| json | logfmt | level="info"',
    "| logfmt | json",
    '| line_format "{{__line__}}!" |= "!"',
]
RANGES = [
    f"{function}({selector}[{interval}]{offset})"
    for function, selector, interval, offset in product(
        ("count_over_time", "rate", "bytes_over_time", "bytes_rate"),
        (ALL, ONE + ' |= "e"'),
        ("20s", "1m", "5m"),
        ("", " offset 1m"),
    )
]
UNWRAPPED = [
    f"{function}({parameter}{CLEAN} | unwrap {label} [{interval}]) by (level)"
    for (function, parameter), label, interval in product(
        [(f"{name}_over_time", "") for name in ("avg", "min", "max", "stddev", "stdvar", "first", "last")]
        + [("quantile_over_time", "0.95, "), ("quantile_over_time", "0.5, ")],
        ("status", "ratio"),
        ("30s", "2m"),
    )
]
BY_STREAM = "sum by (stream) (count_over_time({}[1m]))"
ORDERS_AND_MAIL = (BY_STREAM.format(ONE), BY_STREAM.format(MAIL))
AGGREGATIONS = [
    *(
        f"{f} by (resource_name) (count_over_time({ALL}[1m]))"
        for f in ("sum", "min", "max", "avg", "count", "stddev", "stdvar")
    ),
    *(
        f"sum by ({label}) (count_over_time({CLEAN}[1m]))"
        for label in ("level", "user_id", "level, user_na_me", "nothing", "")
    ),
    f"sum without (stream, resource_id, resource_instance, request_id) (rate({ALL}[2m]))",
    f"sum by (level) (count_over_time({ONE} | json [1m]))",
    f"sum(count_over_time({ONE} | json [1m]))",
    f'sum by (level) (sum_over_time({CLEAN} | unwrap duration(took) | __error__="" [2m]))',
    f'sum by (level) (sum_over_time({CLEAN} | unwrap bytes(size) | __error__="" [2m]))',
    f"sum by (level) (sum_over_time({CLEAN} | unwrap took [2m]))",
    f"rate({CLEAN} | keep level, status | unwrap status [1m])",
    # Among equal values, each implementation selects a different one, so the sums are compared.
    f"sum(topk(2, {ORDERS_AND_MAIL[0]}))",
    f"sum(bottomk(1, {ORDERS_AND_MAIL[0]}))",
    f"sort_desc({ORDERS_AND_MAIL[0]})",
    f"sort({ORDERS_AND_MAIL[0]})",
    f"absent_over_time({ONE}[10s])",
    'absent_over_time({resource_name="nothing", stream="x"}[1m])',
    f"sum({ORDERS_AND_MAIL[0]})",
    "sum(vector(3))",
    "vector(1)+vector(1)",
    "vector(2) > 1",
    "vector(0) / vector(0)",
]
OPERATORS = [
    *(
        f"{ORDERS_AND_MAIL[0]} {o} {ORDERS_AND_MAIL[1]}"
        for o in ("+", "-", "*", "/", "%", "^", ">", "<=", "!=", "> bool", "and", "or", "unless")
    ),
    *(f"{ORDERS_AND_MAIL[0]} {o} 5" for o in ("+", "-", "*", "/", "%", "^", ">", "<=", "== bool")),
    *(f"5 {o} {ORDERS_AND_MAIL[0]}" for o in ("-", "/", "^", "<", ">= bool")),
    f"({ORDERS_AND_MAIL[0]} > 5) or {ORDERS_AND_MAIL[1]}",
    f"{ORDERS_AND_MAIL[0]} unless ({ORDERS_AND_MAIL[1]} > 3)",
    *(
        f"sum by (stream, resource_name) (rate({ONE}[1m])) / {on} sum by (stream, resource_name) (rate({MAIL}[1m]))"
        for on in ("on (stream)", "ignoring (resource_name)")
    ),
    f"sum(rate({ONE} |= `error` [1m])) / sum(rate({ONE}[1m])) * 100",
]
INVALID = [
    "{}",
    '{a=~".*"}',
    '{a="b"',
    '{a="b"} | foo',
    '{a="b"} |~ "("',
    "sum(",
    'count_over_time({a="b"})',
    'avg_over_time({a="b"}[1m])',
    'rate({a="b"}[1x])',
    "sum by (a) (1)",
    'count_over_time({a="b"} | unwrap x [1m])',
    '{a="b"} | regexp "x"',
    '{a="b"} | pattern "x"',
    '{a="b"} | pattern "<a><b>"',
    'topk(0, count_over_time({a="b"}[1m]))',
    'rate({a="b"}[1m]) by (c)',
    "1 and 2",
    '{a="b"} |= 5',
    'sum by (a) (rate({a="b"}[1m])) group_left 1',
    '{a="b"} | json | x >',
]


@pytest.mark.parametrize("direction", ["forward", "backward"])
@pytest.mark.parametrize("stages", PIPELINES)
def test_query_returns_the_lines_and_labels_that_loki_returns(
    servers: LogServers, stages: str, direction: str
) -> None:
    parameters = {"query": f"{ONE} {stages}", "start": START, "end": END, "limit": 150, "direction": direction}
    assert normalised(servers.platform.get("query_range", **parameters)) == normalised(
        servers.loki.get("query_range", **parameters)
    )


@pytest.mark.parametrize("stages", PIPELINES)
def test_categorized_labels_equal_those_of_loki(servers: LogServers, stages: str) -> None:
    flags = "categorize-labels"
    parameters = {"query": f"{ONE} {stages}", "start": START, "end": END, "limit": 500}
    platform, loki = (
        one.with_headers(X_Loki_Response_Encoding_Flags=flags).get("query_range", **parameters)
        for one in (servers.platform, servers.loki)
    )
    assert normalised(platform) == normalised(loki)


@pytest.mark.parametrize("query", [*RANGES, *UNWRAPPED, *AGGREGATIONS, *OPERATORS])
def test_metric_query_returns_the_values_that_loki_returns(servers: LogServers, query: str) -> None:
    for step in ("17", "60"):
        span = {"query": query, "start": START, "end": END, "step": step}
        assert normalised(servers.platform.get("query_range", **span)) == normalised(
            servers.loki.get("query_range", **span)
        )
    for moment in (START + 200 * SECOND, END):
        assert normalised(servers.platform.get("query", query=query, time=moment)) == normalised(
            servers.loki.get("query", query=query, time=moment)
        )


@pytest.mark.parametrize("query", INVALID)
def test_query_that_loki_rejects_is_rejected(servers: LogServers, query: str) -> None:
    assert servers.loki.get("query_range", query=query).status == 400
    platform = servers.platform.get("query_range", query=query)
    assert (platform.status, platform.text[:11]) == (400, "parse error")


def test_labels_values_and_series_equal_those_of_loki(servers: LogServers) -> None:
    span = {"start": START, "end": END}
    for path in ("labels", "label/stream/values", "label/resource_name/values", "label/region/values"):
        assert servers.platform.get(path, **span).data == servers.loki.get(path, **span).data
    platform, loki = (one.get("series", **span, match=ALL).data for one in (servers.platform, servers.loki))
    assert isinstance(platform, list)
    assert isinstance(loki, list)
    assert sorted(map(_text, platform)) == sorted(map(_text, loki))


PARSERS = ("| json", "| logfmt", "| regexp", "| pattern")


def random_query(seed: int) -> str:
    """Return a random query of valid stages, with one parser because Loki mixes up the labels of two."""
    dice = random.Random(seed)  # noqa: S311  the same queries each time
    filters = [stage for stage in PIPELINES if not stage.startswith(PARSERS)]
    parsers = [stage for stage in PIPELINES if stage.startswith(PARSERS) and "| json | logfmt" not in stage]
    stages = " ".join([*dice.sample(filters, dice.randrange(3)), dice.choice(parsers), dice.choice(filters)])
    query = f"{dice.choice([ONE, ALL])} {stages}"
    if dice.randrange(3) == 0:
        return query
    function, unwrap = dice.choice(
        [
            *((name, "") for name in ("count_over_time", "rate", "bytes_over_time")),
            *product(
                ("sum_over_time", "max_over_time"), ("| unwrap status", "| unwrap duration(took)", "| unwrap n")
            ),
        ]
    )
    query = query.replace("--keep-empty", "")  # Loki returns series with empty labels twice, merged
    clean = "| drop __error__, __error_details__" if dice.randrange(4) else ""
    numbers = f"{function}({query} {clean} {unwrap} [{dice.choice(['30s', '1m', '5m'])}])"
    by = dice.choice(["by (stream)", "by (level)", "by (resource_name, level)", "without (request_id)", ""])
    whole = f"{dice.choice(['sum', 'max', 'avg', 'count'])} {by} ({numbers})"
    return dice.choice([whole, numbers, f"{whole} > 3", f"{whole} * 2", f"{whole} / {whole}"])


@pytest.mark.parametrize("seed", range(250))
def test_random_query_returns_what_loki_returns(servers: LogServers, seed: int) -> None:
    parameters = {"query": random_query(seed), "start": START, "end": END, "step": "45", "limit": 1000}
    platform, loki = (
        servers.platform.get("query_range", **parameters),
        servers.loki.get("query_range", **parameters),
    )
    if loki.text.startswith("maximum number of series"):
        return  # Loki counts series before it aggregates them
    assert normalised(platform) == normalised(loki), (parameters["query"], platform.text[:300], loki.text[:300])


def normalised(answer: LokiResponse) -> object:
    """Return a response's data, sorted, without statistics, and with numbers that allow for rounding."""
    if answer.status != 200:
        return answer.status
    data = json.loads(answer.body)["data"]
    match data["resultType"]:
        case "streams":
            return sorted(
                (time, line, _text(more), _text(one["stream"]))
                for one in data["result"]
                for time, line, *more in one["values"]
            )
        case "matrix":
            return sorted(
                (_text(one["metric"]), [_near(value) for value in one["values"]]) for one in data["result"]
            )
        case "vector":
            return sorted((_text(one["metric"]), _near(one["value"])) for one in data["result"])
        case _:
            return data["result"]


class Near(float):
    """A number that equals any number within a rounding error; NaN equals NaN."""

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Near):
            return False
        both_nan = math.isnan(self) and math.isnan(other)
        return both_nan or math.isclose(self, other, rel_tol=1e-9, abs_tol=1e-9)

    __hash__ = float.__hash__


def _near(value: list[object]) -> tuple[float, Near]:
    at, number = value
    return float(str(at)), Near(str(number))


def _text(labels: object) -> str:
    """Return labels as JSON, without the wording of parser errors."""
    if isinstance(labels, dict):
        labels = {name: value for name, value in labels.items() if name != "__error_details__"}
    if isinstance(labels, list):
        labels = [{k: _text(v) for k, v in one.items()} for one in labels]
    return json.dumps(labels, sort_keys=True)
