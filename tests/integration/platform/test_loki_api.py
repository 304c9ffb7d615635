"""Loki's HTTP API over real log segments: queries, formats, permissions, paging, errors and random input."""

from __future__ import annotations

import base64
import json
import threading
import time
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fnkit.platform.model.log_record import LogStream
from tests.support.control_process import ControlProcess, running_control
from tests.support.examples import examples
from tests.support.log_lines import FunctionLogLine, write_log_lines
from tests.support.loki import LokiClient

SECOND = 10**9
START = 1_780_000_000 * SECOND
OTHER_PROJECT = "33333333-3333-3333-3333-333333333333"
ORDERS = '{resource_name="orders"}'
COUNT = 400


@dataclass(frozen=True)
class Logs:
    """A control process with the log lines of two functions in two projects."""

    control: ControlProcess
    orders: str
    mail: str

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.control.settings.api_port}"

    @property
    def loki(self) -> LokiClient:
        return LokiClient(self.address, {"X-Auth-Token": self.control.settings.secret_key})

    def key(self, **fields: object) -> str:
        made = self.control.request("POST", "/fnkit/v1/keys", fields).ok()
        return str(made["secret_key"])

    def labels(self, stream: str) -> dict[str, str]:
        return {
            "project_id": self.control.settings.project_id,
            "region": "fr-par",
            "resource_id": self.orders,
            "resource_name": "orders",
            "resource_type": "serverless_function",
            "source": "user",
            "stream": stream,
        }


def line(number: int) -> FunctionLogLine:
    message = json.dumps({"n": number, "level": "error" if number % 10 == 0 else "info"})
    stream: LogStream = "stderr" if number % 4 == 0 else "stdout"
    return FunctionLogLine(START + number * SECOND, message, stream, f"i-{number % 2}", f"r-{number}")


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Logs]:
    with running_control(tmp_path_factory.mktemp("c")) as control:
        orders = str(control.create_function(control.create_namespace("shop")["id"], "orders")["id"])
        mail = str(
            control.create_function(control.create_namespace("post", project_id=OTHER_PROJECT)["id"], "mail")["id"]
        )
        home = Path(control.settings.data_dir)
        write_log_lines(home, orders, [line(number) for number in range(COUNT)])
        write_log_lines(home, mail, [FunctionLogLine(START + 5 * SECOND, "secret of another project")])
        yield Logs(control, orders, mail)


SPAN = {"start": START, "end": START + COUNT * SECOND}


def test_query_range_returns_streams_with_newest_lines_first(logs: Logs) -> None:
    response = logs.loki.get("query_range", query=ORDERS + " | drop request_id, resource_instance", **SPAN, limit=6)

    assert response.headers["content-type"] == "application/json"
    assert response.result == [
        {
            "stream": logs.labels(stream),
            "values": [[str(line(n).time), line(n).message] for n in numbers],
        }
        for stream, numbers in (("stderr", [396]), ("stdout", [399, 398, 397, 395, 394]))
    ]
    data = response.data
    assert isinstance(data, dict)
    assert data["resultType"] == "streams"
    assert data["stats"]["summary"]["totalEntriesReturned"] == 6


def test_structured_metadata_is_merged_into_labels_or_categorized(logs: Logs) -> None:
    query = {"query": ORDERS + ' | request_id="r-8"', **SPAN}
    metadata = {"request_id": "r-8", "resource_instance": "i-0"}

    assert logs.loki.get("query_range", **query).result == [
        {"stream": logs.labels("stderr") | metadata, "values": [[str(line(8).time), line(8).message]]}
    ]
    categorized = logs.loki.with_headers(X_Loki_Response_Encoding_Flags="categorize-labels").get(
        "query_range", **query
    )
    assert categorized.result == [
        {
            "stream": logs.labels("stderr"),
            "values": [[str(line(8).time), line(8).message, {"structuredMetadata": metadata}]],
        }
    ]
    assert isinstance(categorized.data, dict)
    assert categorized.data["encodingFlags"] == ["categorize-labels"]


@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_paging_by_time_returns_every_line_once(logs: Logs, direction: str) -> None:
    span = dict(SPAN)
    times: list[int] = []
    while True:
        response = logs.loki.get("query_range", query=ORDERS, **span, limit=37, direction=direction)
        page = sorted(time for time, _ in response.lines)
        if not page:
            break
        times += page if direction == "forward" else page[::-1]
        span |= {"start": page[-1] + 1} if direction == "forward" else {"end": page[0]}

    expected = [line(n).time for n in range(COUNT)]
    assert times == (expected if direction == "forward" else expected[::-1])


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (START + 3 * SECOND, START + 6 * SECOND),
        ((START + 3 * SECOND) // SECOND, (START + 6 * SECOND) // SECOND),
        (f"{START // SECOND + 3}.0", f"{START // SECOND + 6}.0"),
        (time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(START // SECOND + 3)),
         time.strftime("%Y-%m-%dT%H:%M:%S.000000000+00:00", time.gmtime(START // SECOND + 6))),
    ],
    ids=["nanoseconds", "seconds", "fractions", "RFC 3339"],
)  # fmt: skip
def test_query_range_accepts_lokis_time_formats(logs: Logs, start: object, end: object) -> None:
    response = logs.loki.get("query_range", query=ORDERS, start=start, end=end)
    assert sorted(time for time, _ in response.lines) == [line(n).time for n in (3, 4, 5)]


def test_query_range_defaults_to_last_hour_unless_since_is_given(logs: Logs) -> None:
    assert logs.loki.get("query_range", query=ORDERS).lines == []
    assert len(logs.loki.get("query_range", query=ORDERS, since="5y").lines) == 100
    assert len(logs.loki.get("query_range", query=ORDERS, **SPAN, interval="100s").lines) == 4


def test_query_can_be_posted_as_a_form(logs: Logs) -> None:
    form = urllib.parse.urlencode({"query": ORDERS + ' |= `"n": 7,`', **SPAN}).encode()
    assert logs.loki.post("query_range", form).lines == [(line(7).time, line(7).message)]


def test_metric_query_over_a_range_and_at_an_instant(logs: Logs) -> None:
    query = 'sum by (level) (count_over_time({resource_name="orders"} | json [100s]))'
    response = logs.loki.get(
        "query_range", query=query, start=START + 99 * SECOND, end=START + 399 * SECOND, step=100
    )
    instants = [START // SECOND + 99 + 100 * n for n in range(4)]
    assert response.samples == {("error",): dict.fromkeys(instants, 10), ("info",): dict.fromkeys(instants, 90)}

    instant = logs.loki.get("query", query=f"topk(1, {query})", time=START + 99 * SECOND)
    assert instant.result == [{"metric": {"level": "info"}, "value": [instants[0], "90"]}]
    assert logs.loki.get("query", query="vector(1)+vector(1)", time=7).result == [{"metric": {}, "value": [7, "2"]}]


def test_labels_label_values_series_and_index_stats(logs: Logs) -> None:
    assert logs.loki.get("labels", **SPAN).data == sorted(logs.labels(""))
    assert logs.loki.get("label", **SPAN).data == sorted(logs.labels(""))
    assert logs.loki.get("label/resource_name/values", **SPAN).data == ["mail", "orders"]
    assert logs.loki.get("label/stream/values", **SPAN, query=ORDERS).data == ["stderr", "stdout"]
    assert logs.loki.get("label/nothing/values", **SPAN).data == []
    assert logs.loki.get("series", **SPAN, **{"match[]": [ORDERS]}).data == [
        logs.labels("stderr"),
        logs.labels("stdout"),
    ]
    assert logs.loki.get("series", start=START + SECOND, end=START + 2 * SECOND, match=ORDERS).data == [
        logs.labels("stdout")
    ]
    assert logs.loki.get("labels", start=START - 9, end=START - 1).data == []
    stats = json.loads(logs.loki.get("index/stats", query=ORDERS, **SPAN).body)
    assert (stats["streams"], stats["entries"]) == (2, COUNT)


def test_requests_are_a_stream_of_the_source_core(tmp_path: Path) -> None:
    with running_control(tmp_path) as control:
        function = str(control.create_function(control.create_namespace()["id"], "called")["id"])
        logs = Logs(control, function, "")
        lines = [
            FunctionLogLine(START, "/a", "requests", "i-1", "r-1"),
            FunctionLogLine(START + 1, "out", "stdout", "i-1", "r-1"),
            FunctionLogLine(START + 2, "ended", "system", "i-1"),
        ]
        write_log_lines(Path(control.settings.data_dir), function, lines)
        span = {"start": START, "end": START + SECOND, "direction": "forward"}

        def found(query: str) -> list[str]:
            return [text for _, text in sorted(logs.loki.get("query_range", query=query, **span).lines)]

        triggered = "Function Triggered: /a"
        selector = f'resource_id="{function}"'
        assert found(f"{{{selector}}}") == [triggered, "out", "ended"]
        assert found(f'{{{selector}, source="core"}}') == found(f'{{{selector}}} | source="core"')
        assert found(f'{{{selector}, source="core"}}') == [triggered, "ended"]
        assert found(f'{{{selector}, source="user"}}') == ["out"]
        assert found(f'{{{selector}, stream="requests"}} | resource_instance="i-1" | request_id="r-1"') == [
            triggered
        ]
        assert logs.loki.get("label/source/values", **SPAN).data == ["core", "user"]
        series = logs.loki.get("series", **SPAN, match=f'{{{selector}, stream="requests"}}').data
        assert series == [
            {**logs.labels("requests"), "resource_name": "called", "source": "core"},
        ]
        stats = json.loads(logs.loki.get("index/stats", query=f"{{{selector}}}", **SPAN).body)
        assert (stats["streams"], stats["entries"]) == (3, 3)
        older = control.request("GET", f"/functions/v1beta1/regions/fr-par/functions/{function}/logs").ok()
        entries = older["logs"]
        assert isinstance(entries, list)
        assert [(log["message"], log["source"]) for log in entries] == [
            ("ended", "core"),
            ("out", "user"),
            (triggered, "core"),
        ]


def test_build_logs_are_a_separate_stream(logs: Logs) -> None:
    function = str(logs.control.create_function(logs.control.create_namespace("broken")["id"], "broken")["id"])
    logs.control.request("POST", f"/functions/v1beta1/regions/fr-par/functions/{function}/deploy", {}).ok()
    logs.control.wait_until_settled("functions", function)

    found = logs.loki.get("query_range", query=f'{{resource_id="{function}", stream="build"}}').result
    assert len(found) == 1
    assert "'generation': '1'" in str(found[0]["stream"])
    assert "nothing was uploaded" in str(found[0]["values"])


@pytest.mark.parametrize("header", ["X-Auth-Token", "X-Token", "Bearer", "Basic"])
def test_key_is_accepted_in_every_header_that_loki_clients_use(logs: Logs, header: str) -> None:
    key = logs.control.settings.secret_key
    basic = base64.b64encode(f"anyone:{key}".encode()).decode()
    headers = {"Bearer": {"Authorization": f"Bearer {key}"}, "Basic": {"Authorization": f"Basic {basic}"}}

    assert LokiClient(logs.address, headers.get(header, {header: key})).get("labels", **SPAN).status == 200


@pytest.mark.parametrize(
    "headers", [{}, {"X-Token": "no"}, {"Authorization": "Basic %%%"}, {"Authorization": "Bearer"}]
)
def test_missing_or_invalid_key_gives_401(logs: Logs, headers: dict[str, str]) -> None:
    response = LokiClient(logs.address, headers).get("query_range", query="}}}")
    assert response.status == 401
    assert response.headers["www-authenticate"] == 'Basic realm="Loki"'


def test_project_key_can_only_query_logs_of_its_project(logs: Logs) -> None:
    loki = LokiClient(logs.address, {"X-Token": logs.key(project_id=OTHER_PROJECT, read_only=True)})
    everything = '{resource_type="serverless_function"}'

    assert [text for _, text in loki.get("query_range", query=everything, **SPAN).lines] == [
        "secret of another project"
    ]
    assert loki.get("query_range", query=f'{{resource_id="{logs.orders}"}}', **SPAN).lines == []
    assert loki.get("label/resource_name/values", **SPAN).data == ["mail"]
    assert loki.get("series", **SPAN, match=everything).data == loki.get("series", **SPAN).data
    count = loki.get("query", query=f"sum(count_over_time({everything}[1h]))", time=SPAN["end"])
    assert count.samples == {(): {SPAN["end"] / SECOND: 1}}


@pytest.mark.parametrize(
    ("path", "parameters", "status", "text"),
    [
        ("query_range", {"query": "{"}, 400, "parse error at line 1, col 2: syntax error: unexpected end of query"),
        ("query_range", {"query": ORDERS, "limit": 5001}, 400, "max entries limit per query exceeded"),
        ("query_range", {"query": ORDERS, "limit": 0}, 400, "limit must be a positive value"),
        ("query_range", {"query": ORDERS, "limit": "x"}, 400, "invalid limit"),
        ("query_range", {"query": ORDERS, "start": 9, "end": 8}, 400, "end timestamp must not be before"),
        ("query_range", {"query": ORDERS, "start": "soon"}, 400, "could not parse 'start' parameter"),
        ("query_range", {"query": ORDERS, "direction": "up"}, 400, "invalid direction 'up'"),
        ("query_range", {"query": "vector(1)", "step": "0"}, 400, "zero or negative query resolution"),
        ("query_range", {"query": "vector(1)", "start": 1, "end": 90000, "step": "1"}, 400, "exceeded maximum"),
        ("query_range", {"query": f"rate({ORDERS} | json | level > 2 [1m])", **SPAN}, 400, "pipeline error"),
        ("query_range", {"query": f"sum by (n) (rate({ORDERS} | json [1h]))", **SPAN, "step": 60}, 200, ""),
        ("query", {"query": ORDERS}, 400, "log queries are not supported as an instant query type"),
        ("series", {"match": ORDERS + " | json"}, 400, "parse error at line 1, col 1: only label matchers"),
        ("tail", {"query": ORDERS}, 400, "tail is a WebSocket"),
        ("index/volume", {"query": ORDERS}, 404, "/loki/api/v1/index/volume is not supported here"),
        ("patterns", {}, 404, "/loki/api/v1 serves: query_range"),
    ],
)  # fmt: skip
def test_errors_are_plain_text_in_lokis_wording(
    logs: Logs, path: str, parameters: dict[str, object], status: int, text: str
) -> None:
    response = logs.loki.get(path, **parameters)
    assert response.status == status, response.body
    assert text in response.text
    assert response.headers["content-type"].startswith("application/json" if status == 200 else "text/plain")


def test_buildinfo_and_readiness_endpoints(logs: Logs) -> None:
    assert "version" in json.loads(logs.loki.get("status/buildinfo").body)
    assert logs.control.request("GET", "/ready", headers={"X-Auth-Token": ""}).status == 503


QUERY_PARTS = st.sampled_from([
    ORDERS, "{", "}", "(", ")", " | json", " | logfmt", ' |~ "(a|b"', ' |= "x"', " | level > 5", "[1m]", "[",
    "rate", "sum by (n)", "count_over_time", " | unwrap n", "quantile_over_time(2, ", "topk(3, ", " / ", "-", "1e9",
    " offset 1h",
    " | regexp `(?P<x>.*)`", "\x00", "é", "and", "10y", " | line_format `{{.n}}`",
])  # fmt: skip


@pytest.mark.long
@settings(deadline=None, max_examples=examples(120))
@given(
    parts=st.lists(QUERY_PARTS, max_size=9),
    path=st.sampled_from(["query", "query_range", "series"]),
    step=st.integers(-1, 9**9),
)
def test_random_query_gives_200_or_400(logs: Logs, parts: list[str], path: str, step: int) -> None:
    text = "".join(parts)
    response = logs.loki.get(path, query=text, match=text, **SPAN, time=SPAN["end"], step=step)
    assert response.status in (200, 400), (text, response.body)


@pytest.mark.long
@settings(deadline=None, max_examples=examples(60))
@given(
    name=st.sampled_from(["start", "end", "time", "step", "interval", "limit", "since", "direction"]),
    value=st.text(max_size=20) | st.floats().map(str) | st.integers().map(str),
)
def test_random_parameter_gives_200_or_400(logs: Logs, name: str, value: str) -> None:
    for path in ("query_range", "query", "labels"):
        response = logs.loki.get(path, query="vector(1)", **{name: value.encode("utf-8", "replace")})
        assert response.status in (200, 400), (name, value, response.body)


@pytest.mark.long
def test_api_stays_responsive_during_a_long_query(tmp_path: Path) -> None:
    with running_control(tmp_path) as control:
        function = str(control.create_function(control.create_namespace()["id"], "loud")["id"])
        for part in range(3):
            lines = [
                FunctionLogLine(START + (part * 20_000 + n) * 10**6, f'{{"n":{n},"text":"{"x" * 60}"}}')
                for n in range(20_000)
            ]
            write_log_lines(tmp_path, function, lines)
        loki = LokiClient(f"http://127.0.0.1:{control.settings.api_port}", {"X-Token": control.settings.secret_key})
        results: list[float] = []

        def run_query() -> None:
            query = 'sum(sum_over_time({resource_name="loud"} | json | unwrap n [1h]))'
            response = loki.get("query", query=query, time=START + 60 * SECOND)
            results.append(next(iter(response.samples[()].values())))

        query_thread = threading.Thread(target=run_query)
        query_thread.start()
        responses_during_query = 0
        while query_thread.is_alive():
            assert control.request("GET", "/functions/v1beta1/regions/fr-par/namespaces").status == 200
            responses_during_query += not results
        query_thread.join()

    assert results == [3 * sum(range(20_000))]
    assert responses_during_query > 3
