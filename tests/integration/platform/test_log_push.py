"""``--loki-url`` pushes every log line once, despite outages and restarts. The receiver validates the format."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from fnkit.platform.model.settings import LokiPushSettings
from tests.support.command import Command
from tests.support.control_process import ControlProcess, api_client, running_control
from tests.support.log_lines import FunctionLogLine, write_log_lines
from tests.support.loki_receiver import LokiReceiver, running_loki_receiver
from tests.support.platform import running_platform
from tests.support.ports import free_port
from tests.support.waiting import wait_until

START = time.time_ns() - 60 * 10**9
SECRET = "cGFzc3dvcmQ"


def settings(url: str) -> LokiPushSettings:
    return LokiPushSettings(url=f"{url}/loki/api/v1/push", headers=(("Authorization", f"Bearer {SECRET}"),))


def numbered(first: int, last: int) -> list[FunctionLogLine]:
    return [FunctionLogLine(START + n * 10**6, f"line {n}", request_id=f"r-{n}") for n in range(first, last)]


def texts(first: int, last: int) -> list[str]:
    return [f"line {n}" for n in range(first, last)]


def wait_for_lines(receiver: LokiReceiver, count: int) -> None:
    wait_until(lambda: len(receiver.lines) >= count, what=f"{count} lines at the receiver")


def progress_file(home: Path) -> Path:
    """Return the file with the saved push progress, which is written some time after the lines arrive."""
    return home / "log-push.json"


def wait_until_progress_is_saved(home: Path, function: str) -> None:
    """Wait until the saved progress covers all lines of the function."""

    def saved() -> bool:
        if not progress_file(home).exists():
            return False
        positions = json.loads(progress_file(home).read_bytes())["functions"]
        return function in positions and positions[function]["offset"] == segment.stat().st_size

    segment = home / "logs" / function / "00000001.jsonl"
    wait_until(saved, what=f"saved progress at the end of {segment}")


def orders(control: ControlProcess) -> str:
    return str(control.create_function(control.create_namespace()["id"], "orders")["id"])


def test_lines_are_pushed_with_stream_labels_and_metadata(tmp_path: Path) -> None:
    with (
        running_loki_receiver() as receiver,
        running_control(tmp_path, loki_push=settings(receiver.url)) as control,
    ):
        function = orders(control)
        write_log_lines(tmp_path, function, numbered(0, 3))
        wait_for_lines(receiver, 3)
        write_log_lines(tmp_path, function, [FunctionLogLine(START + 10**9, "ended", "system")])
        wait_for_lines(receiver, 4)
        labels = {
            "project_id": control.settings.project_id,
            "region": "fr-par",
            "resource_id": function,
            "resource_name": "orders",
            "resource_type": "serverless_function",
        }
        assert [one.line for one in receiver.lines] == [*texts(0, 3), "ended"]
        assert receiver.lines[1].time == numbered(1, 2)[0].time
        assert receiver.lines[1].stream == labels | {"source": "user", "stream": "stdout"}
        assert receiver.lines[1].metadata == {"resource_instance": "i-1", "request_id": "r-1"}
        assert receiver.lines[3].stream == labels | {"source": "core", "stream": "system"}
        assert receiver.headers[0]["authorization"] == f"Bearer {SECRET}"
        assert SECRET not in control.log
        wait_until_progress_is_saved(tmp_path, function)
        assert SECRET not in progress_file(tmp_path).read_text()


@pytest.mark.long
def test_push_resumes_after_restart_without_duplicates(tmp_path: Path) -> None:
    with (
        running_loki_receiver() as receiver,
        running_control(tmp_path, loki_push=settings(receiver.url)) as control,
    ):
        function = orders(control)
        write_log_lines(tmp_path, function, numbered(0, 20))
        wait_for_lines(receiver, 20)
        wait_until_progress_is_saved(tmp_path, function)
        assert control.stop() == 0
        write_log_lines(tmp_path, function, numbered(20, 40))
        control.start()
        wait_for_lines(receiver, 40)
        write_log_lines(tmp_path, function, numbered(40, 41))
        wait_for_lines(receiver, 41)
        assert [one.line for one in receiver.lines] == texts(0, 41)


@pytest.mark.long
def test_outage_loses_no_lines_and_is_logged_once(tmp_path: Path) -> None:
    port = free_port()
    with running_control(tmp_path, loki_push=settings(f"http://127.0.0.1:{port}")) as control:
        function = orders(control)
        write_log_lines(tmp_path, function, numbered(0, 30))
        wait_until(lambda: "Cannot push logs to" in control.log)
        with running_loki_receiver(port) as receiver:
            receiver.responses = [503, 401]
            wait_for_lines(receiver, 30)
            assert [one.line for one in receiver.lines] == texts(0, 30)
            wait_until(lambda: "resumed" in control.log)
        assert control.log.count("Cannot push logs to") == 1


@pytest.mark.long
def test_permanently_rejected_lines_are_dropped_and_counted(tmp_path: Path) -> None:
    with (
        running_loki_receiver() as receiver,
        running_control(tmp_path, loki_push=settings(receiver.url)) as control,
    ):
        receiver.responses = [400]
        function = orders(control)
        write_log_lines(tmp_path, function, numbered(0, 5))
        wait_until(lambda: "rejected 5 log lines, which are dropped (5 in total)" in control.log)
        assert "400 rejected" in control.log
        write_log_lines(tmp_path, function, numbered(5, 6))
        wait_for_lines(receiver, 1)
        assert [one.line for one in receiver.lines] == texts(5, 6)


@pytest.mark.long
def test_oversized_batch_is_split(tmp_path: Path) -> None:
    with (
        running_loki_receiver() as receiver,
        running_control(tmp_path, loki_push=settings(receiver.url)) as control,
    ):
        receiver.lines_max = 7
        write_log_lines(tmp_path, orders(control), numbered(0, 100))
        wait_for_lines(receiver, 100)
        assert [one.line for one in receiver.lines] == texts(0, 100)


@pytest.mark.long
def test_build_logs_are_pushed_and_removed_with_their_function(tmp_path: Path) -> None:
    with (
        running_loki_receiver() as receiver,
        running_control(tmp_path, loki_push=settings(receiver.url)) as control,
    ):
        function = orders(control)
        path = f"/functions/v1beta1/regions/fr-par/functions/{function}"
        control.request("POST", f"{path}/deploy", {}).ok()
        control.wait_until_settled("functions", function)
        wait_for_lines(receiver, 1)
        assert receiver.lines[0].stream["stream"] == "build"
        assert receiver.lines[0].metadata == {"generation": "1"}
        control.request("DELETE", path).ok()
        control.wait_until_deleted("functions", function)
        wait_until(lambda: not (tmp_path / "logs" / function).exists())
        assert control.stop() == 0


@pytest.mark.long
def test_segments_deleted_before_the_push_are_counted(tmp_path: Path) -> None:
    port = free_port()
    with running_control(tmp_path, loki_push=settings(f"http://127.0.0.1:{port}")) as control:
        function = orders(control)
        write_log_lines(tmp_path, function, numbered(0, 10))
        wait_until(lambda: "Cannot push logs to" in control.log)
        segments = tmp_path / "logs" / function
        for number in (4, 5):
            (segments / f"{number:08d}.jsonl").write_bytes((segments / "00000001.jsonl").read_bytes())
        (segments / "00000001.jsonl").unlink()
        with running_loki_receiver(port) as receiver:
            wait_for_lines(receiver, 30)
        assert f"2 log segments of function {function} were deleted" in control.log


@pytest.mark.parametrize("url", ["ftp://a", "nonsense", "http://a?b=c", "http://", "http://a b"])
def test_invalid_url_is_rejected_before_startup(url: str, tmp_path: Path) -> None:
    result = Command()("platform", "start", "--detach", "--data-dir", str(tmp_path / "p"), "--loki-url", url)
    assert result.code == 2
    assert "--loki-url is not a valid URL of Loki" in result.stderr


@pytest.mark.long
def test_password_in_the_url_is_used_but_never_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FNKIT_LOGS_PUSH_TENANT", "team")
    with running_loki_receiver() as receiver:
        url = receiver.url.replace("http://", f"http://me:{SECRET}@")
        with running_platform(tmp_path / "p", "--loki-url", url) as platform:
            write_log_lines(platform.home, orders(api_client(platform)), numbered(0, 2))
            wait_for_lines(receiver, 2)
            again = platform.command("platform", "start", "--detach", "--loki-url", "http://127.0.0.1:1")
            output = again.stderr + platform.command("platform", "logs").stdout
            output += platform.command("platform", "status", "--json").stdout
        assert receiver.headers[0]["authorization"].startswith("Basic ")
        assert receiver.headers[0]["x-scope-orgid"] == "team"
        assert again.code == 1
        assert f"with --loki-url {receiver.url}/loki/api/v1/push instead of" in again.stderr
        assert SECRET not in output + (tmp_path / "p" / "run.json").read_text()
