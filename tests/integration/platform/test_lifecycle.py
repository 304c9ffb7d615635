"""The platform's life, with real processes: starting, healing, stopping, and what it leaves behind."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import stat
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command import Command, Completed, interrupt
from tests.support.processes import arguments_of, descendants, environment_of, is_alive, processes_exposing
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow

KEYS = [
    *("running", "healthy", "api_url", "gateway_url", "gateway_tls_url", "ca_certificate"),
    *("console_url", "nats_url"),
    *("secret_key", "access_key", "project_id", "organization_id", "data_dir", "pid", "processes", "isolation"),
    "triggers",
]
START = ("platform", "start", "--json", "--api-port", "0", "--gateway-port", "0")


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A data folder; whatever runs in it at the end is stopped."""
    folder = tmp_path / "home"
    yield folder
    Command({"FNKIT_HOME": str(folder)})("platform", "stop").ok()


@pytest.fixture
def fnkit(home: Path) -> Command:
    return Command({"FNKIT_HOME": str(home)})


@pytest.fixture
def started(fnkit: Command) -> dict[str, object]:
    """A running platform, as ``start`` described it."""
    return fnkit(*START, "--detach").ok().json()


def _status(fnkit: Command) -> dict[str, object]:
    return fnkit("platform", "status", "--json").ok().json()


def _process(document: dict[str, object], name: str) -> int:
    processes = document["processes"]
    assert isinstance(processes, dict)
    return int(processes[name])


def _number(document: dict[str, object], key: str) -> int:
    return int(str(document[key]))


def _error(done: Completed) -> dict[str, object]:
    error = done.json()["error"]
    assert isinstance(error, dict)
    return error


def test_a_start_returns_when_the_platform_answers_and_says_all_of_it(started: dict[str, object]) -> None:
    assert list(started) == KEYS
    assert started["healthy"] is True
    with urllib.request.urlopen(f"{started['api_url']}/healthz", timeout=60) as answer:
        assert answer.status == 200
    assert started["isolation"] in {"cgroup", "namespaces", "landlock"}
    assert _process(started, "control") != _process(started, "data_plane")


def test_status_says_the_same(fnkit: Command, started: dict[str, object]) -> None:
    assert _status(fnkit) == started


def test_status_of_a_stopped_platform_has_the_same_keys(fnkit: Command) -> None:
    document = _status(fnkit)
    assert list(document) == KEYS
    assert document["running"] is False


def test_a_second_start_finds_the_first(fnkit: Command, started: dict[str, object]) -> None:
    again = fnkit("platform", "start", "--json").ok()
    assert again.json() == started
    assert again.stderr == "The platform was already running.\n"


def test_starts_at_once_make_one_platform(fnkit: Command) -> None:
    starts = [fnkit.start(*START, "--detach") for _ in range(4)]
    documents = []
    for start in starts:
        stdout, stderr = start.communicate(timeout=60)
        assert start.returncode == 0, stderr
        documents.append(json.loads(stdout))
    assert len({document["pid"] for document in documents}) == 1
    assert len({document["api_url"] for document in documents}) == 1


def test_platforms_that_start_at_once_do_not_fight_over_the_usual_ports(tmp_path: Path) -> None:
    users = [Command({"FNKIT_HOME": str(tmp_path / f"home-{number}")}) for number in range(3)]
    try:
        starts = [user.start("platform", "start", "--detach", "--json") for user in users]
        documents = []
        for start in starts:
            stdout, stderr = start.communicate(timeout=100)
            assert start.returncode == 0, stdout + stderr
            documents.append(json.loads(stdout))
        doors = [document[door] for document in documents for door in ("api_url", "gateway_url", "nats_url")]
        assert len({str(door).rpartition(":")[2] for door in doors}) == len(doors)
    finally:
        for user in users:
            user("platform", "stop").ok()


def test_stopping_a_stopped_platform_is_no_failure(fnkit: Command) -> None:
    assert fnkit("platform", "stop", "--json").ok().json()["stopped"] is False


def test_stop_leaves_no_process_and_no_socket(fnkit: Command, home: Path, started: dict[str, object]) -> None:
    pid = _number(started, "pid")
    processes = descendants(pid) | {pid}
    folder = Path(json.loads((home / "run.json").read_text())["socket_folder"])
    assert list(folder.glob("*.sock"))
    assert fnkit("platform", "stop", "--json").ok().json()["stopped"] is True
    assert [process for process in processes if is_alive(process)] == []
    assert not folder.exists()


def test_a_restart_keeps_identity_and_ports(fnkit: Command, started: dict[str, object]) -> None:
    fnkit("platform", "stop").ok()
    again = fnkit("platform", "start", "--detach", "--json").ok().json()
    same = ("api_url", "gateway_url", "secret_key", "access_key", "project_id", "organization_id")
    assert {key: again[key] for key in same} == {key: started[key] for key in same}
    assert again["pid"] != started["pid"]


@pytest.mark.parametrize("name", ["control", "data_plane"])
def test_a_killed_process_comes_back(name: str, fnkit: Command, started: dict[str, object]) -> None:
    first = _process(started, name)
    os.kill(first, signal.SIGKILL)

    def healed() -> bool:
        document = _status(fnkit)
        return document["healthy"] is True and _process(document, name) not in {0, first}

    wait_until(healed, what=f"{name} healthy again")
    assert _number(_status(fnkit), "pid") == _number(started, "pid")


def test_a_killed_supervisor_leaves_nothing_and_can_be_started_again(
    fnkit: Command, home: Path, started: dict[str, object]
) -> None:
    pid = _number(started, "pid")
    folder = Path(json.loads((home / "run.json").read_text())["socket_folder"])
    children = descendants(pid)
    assert {_process(started, "control"), _process(started, "data_plane")} <= children
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not any(is_alive(child) for child in children), what="no child alive")
    assert _status(fnkit)["running"] is False
    again = fnkit("platform", "start", "--detach", "--json").ok().json()
    assert again["api_url"] == started["api_url"]
    assert again["secret_key"] == started["secret_key"]
    fnkit("platform", "stop").ok()
    assert not folder.exists(), "what the killed one left there is gone too"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_in_the_foreground_its_pid_is_the_platforms_and_a_signal_ends_it(
    number: signal.Signals, fnkit: Command, home: Path
) -> None:
    process = fnkit.start(*START)
    wait_until(lambda: _status(fnkit)["healthy"], what="healthy")
    assert process.pid == _number(_status(fnkit), "pid")
    children = descendants(process.pid)
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 0, stderr
    assert json.loads(stdout)["pid"] == process.pid, "one document, printed when it was healthy"
    assert stderr == "The platform has stopped.\n"
    assert [child for child in children if is_alive(child)] == []
    assert not Path(json.loads((home / "run.json").read_text())["socket_folder"]).exists()


def test_a_port_in_use_is_named_with_its_flag(fnkit: Command) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = fnkit("platform", "start", "--detach", "--json", "--gateway-port", str(port))
    error = _error(done)
    assert (done.code, error["code"]) == (1, "port-in-use")
    assert str(port) in str(error["message"])
    assert "--gateway-port" in str(error["hint"])
    assert _status(fnkit)["running"] is False


def test_a_start_that_asks_for_another_port_is_refused_while_it_runs(
    fnkit: Command, started: dict[str, object]
) -> None:
    assert _number(started, "pid")
    done = fnkit("platform", "start", "--json", "--api-port", "1")
    assert (done.code, _error(done)["code"]) == (1, "platform-differs")


def test_a_platform_that_cannot_run_says_why_and_is_gone(fnkit: Command, home: Path) -> None:
    home.mkdir(mode=0o700)
    (home / "logs").mkdir()
    (home / "platform.db").mkdir()
    done = fnkit(*START, "--detach")
    error = _error(done)
    assert (done.code, error["code"]) == (1, "platform-not-healthy")
    assert "control: " in str(error["message"])
    assert str(home) in str(error["hint"])
    wait_until(lambda: _status(fnkit)["running"] is False)


def test_a_data_folder_that_others_can_read_is_refused(fnkit: Command, home: Path) -> None:
    home.mkdir()
    (home / "platform.json").write_text("{}")
    home.chmod(0o755)
    done = fnkit(*START, "--detach")
    assert (done.code, _error(done)["code"]) == (1, "data-folder-permissions")
    home.chmod(0o700)


def test_the_data_folder_is_private(home: Path, started: dict[str, object]) -> None:
    assert started["data_dir"] == str(home)
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    for name in ("platform.json", "run.json"):
        assert stat.S_IMODE((home / name).stat().st_mode) == 0o600


def test_no_process_shows_a_secret(fnkit: Command, home: Path) -> None:
    mine = "the-users-own-credential"
    started = fnkit(*START, "--detach", SCW_SECRET_KEY=mine, GITHUB_TOKEN=mine).ok().json()
    pid = _number(started, "pid")
    processes = descendants(pid) | {pid}
    for secret in (str(started["secret_key"]), mine):
        assert processes_exposing(secret, processes) == []
    logs = "".join(file.read_text() for file in (home / "logs" / "platform").iterdir())
    assert str(started["secret_key"]) not in logs
    assert all("fnkit.platform" in arguments_of(pid) for pid in (pid, _process(started, "control")))
    assert "PATH" in environment_of(_process(started, "data_plane"))


def test_texts_keep_the_secret_key_to_themselves(fnkit: Command, started: dict[str, object]) -> None:
    secret = str(started["secret_key"])
    for arguments in (("status",), ("start",), ("logs",)):
        done = fnkit("platform", *arguments).ok()
        assert secret not in done.stdout + done.stderr
    assert secret in fnkit("platform", "env").ok().stdout


def test_reset_needs_a_yes_and_keeps_keys_and_ports(fnkit: Command, home: Path, started: dict[str, object]) -> None:
    refused = fnkit("platform", "reset", "--json")
    assert (refused.code, _error(refused)["code"]) == (2, "confirmation-needed")
    assert (home / "platform.db").exists()
    key = fnkit("platform", "api-key", "create", "--json").ok().json()
    assert fnkit("platform", "reset", "--yes", "--json").ok().json()["removed"] is True
    kept = {"api-keys.json", "nats.json", "platform.json", "platform.lock", "run.json", "tls"}
    assert {entry.name for entry in home.iterdir()} == kept
    again = fnkit("platform", "start", "--detach", "--json").ok().json()
    assert (again["secret_key"], again["api_url"]) == (started["secret_key"], started["api_url"])
    shown = fnkit("platform", "api-key", "list", "--json").ok()
    assert shown.json() == {"keys": [{name: value for name, value in key.items() if name != "secret_key"}]}


def test_a_key_is_shown_once_and_deleted_by_its_name(fnkit: Command, started: dict[str, object]) -> None:
    assert started["running"]
    assert fnkit("platform", "api-key", "list").ok().stdout == "There are no additional API keys.\n"
    bound = ("--read-only", "--project-id", str(started["project_id"]), "--description", "the builds")
    created = fnkit("platform", "api-key", "create", *bound).ok().stdout
    name, secret = (line.split()[2] for line in created.splitlines()[:2])
    listed = fnkit("platform", "api-key", "list").ok().stdout

    assert created.endswith(f"It reads project {started['project_id']}.\n")
    assert (name in listed, "the builds" in listed, secret in listed) == (True, True, False)
    assert fnkit("platform", "api-key", "delete", name).ok().stdout == f"Deleted API key {name}.\n"
    again = fnkit("platform", "api-key", "delete", name, "--json")
    assert (again.code, _error(again)["code"]) == (1, "key-refused")
    wrong = fnkit("platform", "api-key", "create", "--project-id", "shop", "--json")
    message = "The platform rejected the request: project_id must be a UUID."
    assert (wrong.code, _error(wrong)["message"]) == (1, message)


def test_keys_need_a_running_platform(fnkit: Command) -> None:
    for verb in (("create",), ("list",), ("delete", "SCWX")):
        done = fnkit("platform", "api-key", *verb, "--json")
        assert (done.code, _error(done)["code"]) == (1, "platform-not-running")


def test_logs_are_shown_and_followed(fnkit: Command, started: dict[str, object]) -> None:
    lines = [json.loads(line) for line in fnkit("platform", "logs", "--json").ok().stdout.splitlines()]
    assert {line["process"] for line in lines} >= {"supervisor", "data-plane"}
    follower = fnkit.start("platform", "logs", "-f", "--process", "supervisor")
    assert follower.stdout is not None
    assert "control started" in follower.stdout.readline()
    os.kill(_process(started, "control"), signal.SIGKILL)
    while "killed by SIGKILL" not in follower.stdout.readline():
        assert follower.poll() is None
    ended = interrupt(follower)
    assert (ended.code, ended.stderr.strip()) == (130, "Interrupted.")


@pytest.mark.parametrize("form", ["shell", "dotenv", "github", "json", "terraform"])
def test_env_has_a_form_for_each_tool(form: str, fnkit: Command, started: dict[str, object]) -> None:
    shown = fnkit("platform", "env", "--format", form).ok().stdout
    assert str(started["secret_key"]) in shown
    assert str(started["api_url"]) in shown
    match form:
        case "json":
            assert json.loads(shown) == started
        case "terraform":
            assert shown.startswith('provider "scaleway" {\n')
            assert re.search(r'^  secret_key +=\s"', shown, re.MULTILINE)
        case "shell":
            script = shown + 'echo "$SCW_DEFAULT_PROJECT_ID $SCW_API_URL"'
            said = subprocess.run(["sh", "-ec", script], capture_output=True, text=True, check=True).stdout
            assert said == f"{started['project_id']} {started['api_url']}\n"
        case _:
            pairs = dict(line.split("=", 1) for line in shown.splitlines())
            assert pairs["SCW_SECRET_KEY"] == started["secret_key"]


def test_env_of_a_stopped_platform_is_a_failure(fnkit: Command) -> None:
    done = fnkit("platform", "env", "--json")
    assert (done.code, _error(done)["code"]) == (1, "platform-not-running")


def test_the_data_option_wins_over_the_variable(fnkit: Command, tmp_path: Path) -> None:
    other = tmp_path / "other"
    try:
        started = fnkit(*START, "--detach", "--data-dir", str(other)).ok().json()
        assert started["data_dir"] == str(other)
        assert _status(fnkit)["running"] is False
    finally:
        fnkit("platform", "stop", "--data-dir", str(other)).ok()


def test_a_full_disk_is_an_error_and_leaves_nothing_half_written(tmp_path: Path, fnkit: Command) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16k,mode=0700", "none", str(disk)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("only root can make a small disk")
    try:
        (disk / "platform.lock").write_bytes(b"x" * 12288)
        done = fnkit(*START, "--detach", "--data-dir", str(disk))
        assert done.code == 1
        assert "No space left on device" in str(_error(done)["message"])
        assert not (disk / "run.json").exists()
    finally:
        subprocess.run(["umount", str(disk)], check=True)
