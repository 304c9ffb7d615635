"""``fnkit logs`` with a real platform, and with a Loki server whose lines are known."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command import Command, interrupt
from tests.support.golden import Golden
from tests.support.log_lines import FunctionLogLine, write_log_lines
from tests.support.loki_store import LokiStore, StoredLine, loki_store
from tests.support.platform import PlatformUnderTest, running_platform
from tests.support.project_tree import write_files
from tests.support.terminal import terminal
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow

HANDLERS = """
import sys
from fnkit import function


@function(memory=128)
def orders(event, context):
    print("order", event["path"])
    print("low stock", file=sys.stderr)
    return "ok"


@function(memory=128)
def failing(event, context):
    print("about to fail")
    return {}["missing"]
"""
SECOND = 10**9
NOON = 1_764_417_600 * SECOND  # 2025-11-29T12:00:00Z, so that lines show their date


@pytest.fixture(scope="module")
def deployed(
    platform: PlatformUnderTest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[PlatformUnderTest, Path]:
    """The shared platform with two functions that were called once, and the project's directory."""
    project = write_files(
        tmp_path_factory.mktemp("logs"), {"fnkit.toml": 'name = "logs"\n', "handlers.py": HANDLERS}
    )
    fnkit = platform.command
    fnkit("deploy", "--local", cwd=project).ok()
    fnkit("invoke", "orders", "--remote", "--local", "--path", "/17", cwd=project).ok()
    assert fnkit("invoke", "failing", "--remote", "--local", cwd=project).code == 1
    return platform, project


@pytest.fixture
def known_lines() -> Iterator[LokiStore]:
    texts = [
        ("stdout", "order 4711 accepted: three lines of it, paid by card, to be sent on Monday to Łódź"),
        ("stderr", "WARNING:shop:low stock of product TEA"),
        ("stderr", "Traceback (most recent call last):"),
        ("stderr", '  File "/home/app/function/main.py", line 7, in orders'),
        ("stderr", '    return {"b": 1}["a"]'),
        ("stderr", "KeyError: 'a'"),
        ("stdout", "\x1b[32mgreen\x1b[0m and \x1b[2Jcleared"),
        ("stdout", "x" * 130),
        ("system", "instance ended: exit 1"),
    ]
    with loki_store() as store:
        store.lines += [
            StoredLine(NOON + number * SECOND, text, (("stream", stream), ("resource_instance", "1")))
            for number, (stream, text) in enumerate(texts)
        ]
        yield store


def test_lines_are_shown_oldest_first_with_time_and_function(deployed: tuple[PlatformUnderTest, Path]) -> None:
    platform, project = deployed
    shown = platform.command("logs", "--local", cwd=project).ok().stdout.splitlines()
    assert [line.split(maxsplit=1)[1] for line in shown[:4]] == [
        "orders   order /17",
        "orders   low stock",
        "failing  about to fail",
        "failing  Traceback (most recent call last):",
    ]
    assert shown[-1].endswith("failing  KeyError: 'missing'")


@pytest.mark.long
def test_level_limit_and_names_select_lines(deployed: tuple[PlatformUnderTest, Path]) -> None:
    platform, project = deployed

    def messages(*arguments: str) -> list[str]:
        lines = platform.command("logs", "--local", "--json", *arguments, cwd=project).ok().stdout.splitlines()
        return [str(json.loads(line)["message"]) for line in lines]

    assert messages("orders") == ["order /17", "low stock"]
    assert messages("orders", "--level", "debug") == ["Function Triggered: /17", "order /17", "low stock"]
    assert messages("--level", "error")[0] == "Traceback (most recent call last):"
    assert messages("--level", "error")[-1] == "KeyError: 'missing'"
    assert messages("orders", "--limit", "1") == ["low stock"]
    assert messages("orders", "--since", "1h") == ["order /17", "low stock"]
    assert messages("orders", "--since", "1h", "--limit", "1") == ["low stock"]
    assert messages("orders", "--build") == [one for one in messages("orders", "--build") if "bytes" in one] != []


def test_json_lines_have_the_documented_keys(deployed: tuple[PlatformUnderTest, Path]) -> None:
    platform, project = deployed
    arguments = ("logs", "orders", "--local", "--json")
    line = json.loads(platform.command(*arguments, "--limit", "1", cwd=project).ok().stdout)
    assert set(line) == {
        *("time", "function", "function_id", "stream", "level", "instance", "request_id", "message"),
    }
    assert (line["function"], line["stream"], line["level"]) == ("orders", "stderr", "info")
    build = platform.command(*arguments, "--build", cwd=project).ok().stdout
    assert json.loads(build.splitlines()[0])["generation"] == 1


@pytest.mark.parametrize(
    ("arguments", "code", "part"),
    [
        (("ordres",), "not-deployed", "Did you mean orders?"),
        (("--since", "yesterday"), "bad-since", "--since 10m"),
        (("--stage", "never"), "not-deployed", "--stage"),
        (("--build", "--level", "info"), "usage", ""),
        (("--loki-url", "loki"), "bad-loki-url", "https://"),
        (("--loki-url", "http://127.0.0.1:9"), "logs-unavailable", ""),
    ],
)
def test_mistakes_are_explained(
    deployed: tuple[PlatformUnderTest, Path], arguments: tuple[str, ...], code: str, part: str
) -> None:
    platform, project = deployed
    failed = platform.command("logs", "--local", "--json", *arguments, cwd=project)
    error = json.loads(failed.stdout)["error"]
    assert failed.code in (1, 2)
    assert error["code"] == code
    assert part in (error["hint"] or "")
    assert "Traceback" not in failed.stderr


def test_stopped_platform_is_named(deployed: tuple[PlatformUnderTest, Path]) -> None:
    _, project = deployed
    variables = {
        "SCW_API_URL": "http://127.0.0.1:9",
        "SCW_SECRET_KEY": "11111111-2222-4333-8444-555555555555",
        "SCW_DEFAULT_PROJECT_ID": "11111111-2222-4333-8444-555555555555",
    }
    failed = Command(variables)("logs", cwd=project)
    assert failed.code == 1
    assert "http://127.0.0.1:9 could not be reached" in failed.stderr
    assert "fnkit platform start" in failed.stderr


@pytest.mark.parametrize("columns", [100, 60])
def test_text_on_a_terminal_matches_the_golden_file(
    deployed: tuple[PlatformUnderTest, Path], known_lines: LokiStore, golden: Golden, columns: int
) -> None:
    platform, project = deployed
    arguments = ("logs", "orders", "--local", "--loki-url", known_lines.url, "--since", "2025-11-29T00:00:00Z")
    environment = {"FNKIT_HOME": str(platform.home), "TZ": "UTC", "NO_COLOR": "1"}
    with terminal(*arguments, directory=project, columns=columns, variables=environment) as shown:
        assert shown.wait() == 0
    lines = [line.rstrip() for line in shown.plain.splitlines()]
    text = "\n".join(line for line in lines if line.startswith(("2025-", "   "))) + "\n"
    assert max(map(len, text.splitlines())) <= columns
    golden.check(f"cli/logs-{columns}.txt", text)


def test_piped_text_is_never_wrapped_and_has_no_escape_sequences(
    deployed: tuple[PlatformUnderTest, Path], known_lines: LokiStore
) -> None:
    platform, project = deployed
    arguments = ("logs", "orders", "--local", "--loki-url", known_lines.url, "--since", "2025-11-29T00:00:00Z")
    shown = platform.command(*arguments, cwd=project, COLUMNS="40").ok().stdout
    assert len(shown.splitlines()) == len(known_lines.lines)
    assert "\x1b" not in shown
    assert "green and \\x1b[2Jcleared" in shown


def test_follow_prints_each_line_once_while_others_write(
    deployed: tuple[PlatformUnderTest, Path], tmp_path: Path
) -> None:
    """Two functions' lines are appended concurrently, with times that interleave."""
    platform, _ = deployed
    project = write_files(tmp_path, {"fnkit.toml": 'name = "logs-follow"\n', "handlers.py": HANDLERS})
    fnkit = platform.command
    fnkit("deploy", "--local", cwd=project).ok()
    ids = {
        json.loads(line)["function"]: str(json.loads(line)["function_id"])
        for line in fnkit("logs", "--local", "--json", "--build", cwd=project).ok().stdout.splitlines()
    }
    assert set(ids) == {"orders", "failing"}
    count = 4000
    follower = fnkit.start("logs", "--follow", "--local", "--json", "--limit", "0", cwd=project)
    seen: list[str] = []
    reading = threading.Thread(
        target=lambda: seen.extend(str(json.loads(line)["message"]) for line in follower.stdout or ()), daemon=True
    )
    reading.start()
    now = wait_until(lambda: platform_time(platform))

    def write(name: str) -> None:
        for part in range(0, count, 100):
            lines = [
                FunctionLogLine(now + (part + number) * 1000, f"{name} {part + number}") for number in range(100)
            ]
            write_log_lines(platform.home, ids[name], lines)

    writers = [threading.Thread(target=write, args=(name,)) for name in ids]
    for one in writers:
        one.start()
    for one in writers:
        one.join()
    try:
        wait_until(lambda: len(seen) >= 2 * count, what=f"all lines; {len(seen)} so far")
    finally:
        done = interrupt(follower)
        reading.join(10)
    assert done.code == 130
    assert Counter(seen) == Counter(f"{name} {number}" for name in ids for number in range(count))
    for name in ids:
        assert [one for one in seen if one.startswith(name)] == [f"{name} {number}" for number in range(count)]


def platform_time(platform: PlatformUnderTest) -> int:
    """Return the platform's time in Unix nanoseconds, a minute ahead: later than the start of the follower."""
    from tests.support.control_process import api_client

    now = api_client(platform).request("GET", "/fnkit/v1/platform").ok()["now"]
    assert isinstance(now, float)
    return int(now * SECOND) + 60 * SECOND


@pytest.mark.long
def test_follow_on_a_terminal_survives_a_restart_and_ends_on_ctrl_c(tmp_path: Path) -> None:
    project = write_files(tmp_path / "project", {"fnkit.toml": 'name = "restarted"\n', "handlers.py": HANDLERS})
    with running_platform(tmp_path / "home") as platform:
        fnkit = platform.command
        fnkit("deploy", "--local", cwd=project).ok()
        environment = {"FNKIT_HOME": str(platform.home), "NO_COLOR": "1"}

        def call(path: str) -> None:
            fnkit("invoke", "orders", "--remote", "--local", "--path", path, cwd=project).ok()

        call("/before")
        arguments = ("logs", "orders", "--follow", "--local")
        with terminal(*arguments, directory=project, variables=environment) as shown:
            shown.wait_for("orders  order /before")
            call("/during")
            shown.wait_for("orders  order /during")
            fnkit("platform", "stop").ok()
            shown.wait_for("could not be reached. Waiting for it")
            port = platform.api_url.rpartition(":")[2]
            gateway = platform.gateway_url.rpartition(":")[2]
            fnkit("platform", "start", "--detach", "--api-port", port, "--gateway-port", gateway).ok()
            shown.wait_for("can be read again")
            call("/after")
            shown.wait_for("orders  order /after")
            shown.type("\x03")
            assert shown.wait() == 130
        assert [shown.plain.count(f"order /{one}\n") for one in ("before", "during", "after")] == [1, 1, 1]
        assert shown.plain.count("could not be reached") == 1
        assert "Traceback" not in shown.plain
