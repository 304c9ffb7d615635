"""``logcli``, Grafana's command for Loki, unmodified, against the platform: lists, queries, pagination, tailing."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conformance.clients.packages import loki_program
from tests.support.control_process import ControlProcess, running_control
from tests.support.log_lines import FunctionLogLine, write_log_lines

pytestmark = [pytest.mark.clients, pytest.mark.long, pytest.mark.timeout(1800)]

COUNT = 2500
ORDERS = '{resource_name="orders"}'


@dataclass(frozen=True)
class Logcli:
    program: Path
    control: ControlProcess
    function: str

    def __call__(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.program, *arguments],
            env=self.environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def lines(self, *arguments: str) -> list[str]:
        process = self(*arguments, "--quiet")
        assert process.returncode == 0, process.stderr
        return process.stdout.splitlines()

    @property
    def environment(self) -> dict[str, str]:
        settings = self.control.settings
        address = f"http://127.0.0.1:{settings.api_port}"
        return {**os.environ, "LOKI_ADDR": address, "LOKI_USERNAME": "me", "LOKI_PASSWORD": settings.secret_key}


@pytest.fixture(scope="module")
def logcli(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Logcli]:
    program = loki_program("logcli")
    with running_control(tmp_path_factory.mktemp("c")) as control:
        function = str(control.create_function(control.create_namespace()["id"], "orders")["id"])
        start = time.time_ns() - 300 * 10**9
        lines = [
            FunctionLogLine(start + n * 10**8, json.dumps({"n": n, "level": "error" if n % 10 == 0 else "info"}))
            for n in range(COUNT)
        ]
        write_log_lines(Path(control.settings.data_dir), function, lines)
        yield Logcli(program, control, function)


def test_logcli_lists_labels_values_and_series(logcli: Logcli) -> None:
    assert "resource_name" in logcli.lines("labels")
    assert logcli.lines("labels", "resource_name") == ["orders"]
    (series,) = logcli.lines("series", ORDERS)
    assert f'resource_id="{logcli.function}"' in series


def test_logcli_pages_contain_every_line_once(logcli: Logcli) -> None:
    for direction in ((), ("--forward",)):
        lines = logcli.lines("query", ORDERS, f"--limit={COUNT}", "--batch=300", "-o", "raw", *direction)
        numbers = [json.loads(line)["n"] for line in lines]
        assert numbers == sorted(range(COUNT), reverse=not direction)


def test_logcli_prints_lines_metrics_and_statistics(logcli: Logcli) -> None:
    lines = logcli.lines("query", ORDERS + ' | json | level="error"', "--limit=3", "-o", "jsonl")
    assert [json.loads(line)["labels"]["n"] for line in lines] == ["2490", "2480", "2470"]
    count = json.loads(logcli("instant-query", f"sum by (level) (count_over_time({ORDERS} | json [1h]))").stdout)
    assert {one["metric"]["level"]: one["value"][1] for one in count} == {"error": "250", "info": "2250"}
    rates = json.loads(logcli("query", f"sum(rate({ORDERS}[1m]))", "--step=30s").stdout)
    assert "10" in {value for one in rates for _, value in one["values"]}
    assert "TotalLinesProcessed" in logcli("query", ORDERS, "--stats", "--limit=1").stderr
    assert f"entries: {COUNT}" in logcli("stats", ORDERS).stdout


def test_logcli_shows_a_parse_error_with_its_position(logcli: Logcli) -> None:
    process = logcli("query", ORDERS + " | unpack")
    assert process.returncode == 1
    assert "parse error at line 1, col 28: the stage unpack is not supported here" in process.stderr


def test_logcli_tail_receives_new_lines_in_order(logcli: Logcli) -> None:
    command = [str(logcli.program), "query", ORDERS + ' |= "new"', "--tail", "-o", "raw", "--quiet"]
    with subprocess.Popen(command, env=logcli.environment, stdout=subprocess.PIPE, text=True) as tail:
        assert tail.stdout is not None
        for number in range(3):
            line = FunctionLogLine(time.time_ns(), f"a new line {number}")
            write_log_lines(Path(logcli.control.settings.data_dir), logcli.function, [line])
        # Some lines are written before the tail starts, some after. Each arrives once, in order.
        read = [tail.stdout.readline() for _ in range(3)]
        tail.terminate()
    assert read == [f"a new line {number}\n" for number in range(3)]
