"""Lifecycle of the platform with real processes: start, restart after a crash, stop, reset and cleanup."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import stat
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.support.command import Command, Completed, interrupt
from tests.support.deep_directories import nest_directories
from tests.support.processes import arguments_of, descendants, environment_of, is_alive, processes_exposing
from tests.support.waiting import DEADLINE, wait_until

pytestmark = pytest.mark.slow

KEYS = [
    *("running", "healthy", "api_url", "gateway_url", "gateway_tls_url", "ca_certificate"),
    *("console_url", "nats_url", "sqs_endpoint", "sqs_access_key", "sqs_secret_key"),
    *("secret_key", "access_key", "project_id", "organization_id", "data_dir", "pid", "processes", "isolation"),
    "triggers",
]
START = ("platform", "start", "--json", "--api-port", "0", "--gateway-port", "0")


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A data directory; a platform that runs in it is stopped after the test."""
    folder = tmp_path / "home"
    yield folder
    Command({"FNKIT_HOME": str(folder)})("platform", "stop").ok()


@pytest.fixture
def fnkit(home: Path) -> Command:
    return Command({"FNKIT_HOME": str(home)})


@pytest.fixture
def started(fnkit: Command) -> dict[str, object]:
    """The document that ``start`` printed for a running platform."""
    return fnkit(*START, "--detach").ok().json()


@pytest.fixture(scope="module")
def shared_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The data directory of the platform that all tests share which do not stop or change it."""
    folder = tmp_path_factory.mktemp("shared") / "home"
    yield folder
    Command({"FNKIT_HOME": str(folder)})("platform", "stop").ok()


@pytest.fixture(scope="module")
def shared_fnkit(shared_home: Path) -> Command:
    return Command({"FNKIT_HOME": str(shared_home)})


@pytest.fixture(scope="module")
def shared_started(shared_fnkit: Command) -> dict[str, object]:
    """The document that ``start`` printed for the shared platform."""
    return shared_fnkit(*START, "--detach").ok().json()


def _status(fnkit: Command) -> dict[str, object]:
    return fnkit("platform", "status", "--json").ok().json()


def _process(document: dict[str, object], name: str) -> int:
    processes = document["processes"]
    assert isinstance(processes, dict)
    return int(processes[name])


def _number(document: dict[str, object], key: str) -> int:
    return int(str(document[key]))


def _error(result: Completed) -> dict[str, object]:
    error = result.json()["error"]
    assert isinstance(error, dict)
    return error


def test_start_returns_when_healthy_and_prints_all_keys(shared_started: dict[str, object]) -> None:
    assert list(shared_started) == KEYS
    assert shared_started["healthy"] is True
    with urllib.request.urlopen(f"{shared_started['api_url']}/healthz", timeout=60) as response:
        assert response.status == 200
    assert shared_started["isolation"] in {"cgroup", "namespaces", "landlock"}
    assert _process(shared_started, "control") != _process(shared_started, "data_plane")


def test_status_prints_the_same_document_as_start(shared_fnkit: Command, shared_started: dict[str, object]) -> None:
    assert _status(shared_fnkit) == shared_started


def test_status_of_stopped_platform_has_the_same_keys(fnkit: Command) -> None:
    document = _status(fnkit)
    assert list(document) == KEYS
    assert document["running"] is False


def test_second_start_returns_the_running_platform(
    shared_fnkit: Command, shared_started: dict[str, object]
) -> None:
    again = shared_fnkit("platform", "start", "--json").ok()
    assert again.json() == shared_started
    assert again.stderr == "The platform was already running.\n"


@pytest.mark.long
def test_concurrent_starts_create_one_platform(fnkit: Command) -> None:
    starts = [fnkit.start(*START, "--detach") for _ in range(4)]
    documents = []
    for start in starts:
        stdout, stderr = start.communicate(timeout=60)
        assert start.returncode == 0, stderr
        documents.append(json.loads(stdout))
    assert len({document["pid"] for document in documents}) == 1
    assert len({document["api_url"] for document in documents}) == 1


@pytest.mark.long
def test_platforms_started_concurrently_get_distinct_ports(tmp_path: Path) -> None:
    users = [Command({"FNKIT_HOME": str(tmp_path / f"home-{number}")}) for number in range(3)]
    try:
        starts = [user.start("platform", "start", "--detach", "--json") for user in users]
        documents = []
        for start in starts:
            stdout, stderr = start.communicate(timeout=100)
            assert start.returncode == 0, stdout + stderr
            documents.append(json.loads(stdout))
        urls = [document[key] for document in documents for key in ("api_url", "gateway_url", "nats_url")]
        assert len({str(url).rpartition(":")[2] for url in urls}) == len(urls)
    finally:
        for user in users:
            user("platform", "stop").ok()


def test_stop_of_stopped_platform_succeeds(fnkit: Command) -> None:
    assert fnkit("platform", "stop", "--json").ok().json()["stopped"] is False


def test_stop_leaves_no_process_and_no_socket(fnkit: Command, home: Path, started: dict[str, object]) -> None:
    pid = _number(started, "pid")
    processes = descendants(pid) | {pid}
    folder = Path(json.loads((home / "run.json").read_text())["socket_folder"])
    assert list(folder.glob("*.sock"))
    assert fnkit("platform", "stop", "--json").ok().json()["stopped"] is True
    assert [process for process in processes if is_alive(process)] == []
    assert not folder.exists()


def test_restart_keeps_credentials_and_ports(fnkit: Command, started: dict[str, object]) -> None:
    fnkit("platform", "stop").ok()
    again = fnkit("platform", "start", "--detach", "--json").ok().json()
    same = ("api_url", "gateway_url", "secret_key", "access_key", "project_id", "organization_id")
    assert {key: again[key] for key in same} == {key: started[key] for key in same}
    assert again["pid"] != started["pid"]


@pytest.mark.long
@pytest.mark.parametrize("name", ["control", "data_plane"])
def test_killed_child_process_is_restarted(name: str, fnkit: Command, started: dict[str, object]) -> None:
    first = _process(started, name)
    os.kill(first, signal.SIGKILL)

    def restarted() -> bool:
        document = _status(fnkit)
        return document["healthy"] is True and _process(document, name) not in {0, first}

    wait_until(restarted, what=f"{name} healthy again")
    assert _number(_status(fnkit), "pid") == _number(started, "pid")


@pytest.mark.long
@pytest.mark.parametrize(("name", "port"), [("control", "api_url"), ("data_plane", "gateway_url")])
def test_port_of_a_killed_process_cannot_be_taken_and_requests_wait_for_its_successor(
    name: str, port: str, started: dict[str, object]
) -> None:
    url = str(started[port])
    number = urlsplit(url).port
    os.kill(_process(started, name), signal.SIGKILL)
    for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET, ""), (socket.AF_INET6, "::1")):
        with pytest.raises(OSError, match="in use"):
            socket.create_server((address, number), family=family)
    path = "/healthz" if name == "control" else "/fr-par/none/none"
    try:
        with urllib.request.urlopen(url + path, timeout=DEADLINE) as response:
            status = response.status
    except urllib.error.HTTPError as error:
        status = error.code
    assert status in ({200, 503} if name == "control" else {404, 503})


@pytest.mark.long
def test_api_and_gateway_answer_at_both_loopback_addresses(shared_started: dict[str, object]) -> None:
    for name in ("api_url", "gateway_url"):
        port = urlsplit(str(shared_started[name])).port
        for address in ("127.0.0.1", "::1"):
            with socket.create_connection((address, port), timeout=DEADLINE) as peer:
                peer.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                assert peer.recv(9) == b"HTTP/1.1 "


@pytest.mark.long
def test_killed_supervisor_leaves_no_children_and_can_be_restarted(
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
    assert not folder.exists(), "stop also removes the socket directory of the killed supervisor"


@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_foreground_process_is_the_platform_and_stops_on_signal(
    number: signal.Signals, fnkit: Command, home: Path
) -> None:
    process = fnkit.start(*START)
    wait_until(lambda: _status(fnkit)["healthy"], what="a healthy platform")
    assert process.pid == _number(_status(fnkit), "pid")
    children = descendants(process.pid)
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 0, stderr
    assert json.loads(stdout)["pid"] == process.pid, "one document, printed when it was healthy"
    assert stderr == "The platform has stopped.\n"
    assert [child for child in children if is_alive(child)] == []
    assert not Path(json.loads((home / "run.json").read_text())["socket_folder"]).exists()


def test_port_in_use_error_names_the_flag(fnkit: Command) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        result = fnkit("platform", "start", "--detach", "--json", "--gateway-port", str(port))
    error = _error(result)
    assert (result.code, error["code"]) == (1, "port-in-use")
    assert str(port) in str(error["message"])
    assert "--gateway-port" in str(error["hint"])
    assert _status(fnkit)["running"] is False


def test_start_with_another_port_is_rejected_while_running(
    shared_fnkit: Command, shared_started: dict[str, object]
) -> None:
    assert _number(shared_started, "pid")
    result = shared_fnkit("platform", "start", "--json", "--api-port", "1")
    assert (result.code, _error(result)["code"]) == (1, "platform-differs")


def test_start_with_another_engine_is_rejected_while_running(
    shared_fnkit: Command, shared_started: dict[str, object], tmp_path: Path
) -> None:
    assert _number(shared_started, "pid")
    (tmp_path / "config").write_text("{}")
    cluster = ("--engine", "kubernetes", "--registry-host", "10.0.0.5:8480")
    result = shared_fnkit("platform", "start", "--json", *cluster, KUBECONFIG=str(tmp_path / "config"))
    assert (result.code, _error(result)["code"]) == (1, "platform-differs")
    assert "with --engine local instead of kubernetes" in str(_error(result)["message"])


@pytest.mark.long
def test_failed_start_reports_the_reason_and_stops(fnkit: Command, home: Path) -> None:
    home.mkdir(mode=0o700)
    (home / "logs").mkdir()
    (home / "platform.db").mkdir()
    result = fnkit(*START, "--detach")
    error = _error(result)
    assert (result.code, error["code"]) == (1, "platform-not-healthy")
    assert "control: " in str(error["message"])
    assert str(home) in str(error["hint"])
    wait_until(lambda: _status(fnkit)["running"] is False)


def test_data_directory_readable_by_others_is_rejected(fnkit: Command, home: Path) -> None:
    home.mkdir()
    (home / "platform.json").write_text("{}")
    home.chmod(0o755)
    result = fnkit(*START, "--detach")
    assert (result.code, _error(result)["code"]) == (1, "data-folder-permissions")
    home.chmod(0o700)


def test_data_directory_is_private(shared_home: Path, shared_started: dict[str, object]) -> None:
    assert shared_started["data_dir"] == str(shared_home)
    assert stat.S_IMODE(shared_home.stat().st_mode) == 0o700
    for name in ("platform.json", "run.json"):
        assert stat.S_IMODE((shared_home / name).stat().st_mode) == 0o600


@pytest.mark.long
def test_processes_and_logs_expose_no_secret(fnkit: Command, home: Path) -> None:
    user_secret = "the-users-own-credential"
    started = fnkit(*START, "--detach", SCW_SECRET_KEY=user_secret, GITHUB_TOKEN=user_secret).ok().json()
    pid = _number(started, "pid")
    processes = descendants(pid) | {pid}
    for secret in (str(started["secret_key"]), user_secret):
        assert processes_exposing(secret, processes) == []
    logs = "".join(file.read_text() for file in (home / "logs" / "platform").iterdir())
    assert str(started["secret_key"]) not in logs
    assert all("fnkit.platform" in arguments_of(pid) for pid in (pid, _process(started, "control")))
    assert "PATH" in environment_of(_process(started, "data_plane"))


def test_only_env_prints_the_secret_key_as_text(shared_fnkit: Command, shared_started: dict[str, object]) -> None:
    secret = str(shared_started["secret_key"])
    for arguments in (("status",), ("start",), ("logs",)):
        result = shared_fnkit("platform", *arguments).ok()
        assert secret not in result.stdout + result.stderr
    assert secret in shared_fnkit("platform", "env").ok().stdout


@pytest.mark.long
def test_start_and_reset_survive_directories_of_any_depth(fnkit: Command, home: Path) -> None:
    fnkit(*START, "--detach").ok()
    fnkit("platform", "stop").ok()
    left = [home / "disks" / "left", home / "deployments" / ".left.building"]
    for folder in left:
        folder.parent.mkdir(exist_ok=True)
        nest_directories(folder, 1500)
    fnkit(*START, "--detach").ok()
    wait_until(lambda: not any(folder.exists() for folder in left), what="what was left is removed")
    fnkit("platform", "stop").ok()
    nest_directories(home / "deployments" / "left", 1500)
    fnkit("platform", "reset", "--yes").ok()
    assert not (home / "deployments").exists()


@pytest.mark.long
def test_reset_needs_confirmation_and_keeps_keys_and_ports(
    fnkit: Command, home: Path, started: dict[str, object]
) -> None:
    unconfirmed = fnkit("platform", "reset", "--json")
    assert (unconfirmed.code, _error(unconfirmed)["code"]) == (2, "confirmation-needed")
    assert (home / "platform.db").exists()
    key = fnkit("platform", "api-key", "create", "--json").ok().json()
    assert fnkit("platform", "reset", "--yes", "--json").ok().json()["removed"] is True
    kept = {"api-keys.json", "nats.json", "sqs.json", "platform.json", "platform.lock", "run.json", "tls"}
    assert {entry.name for entry in home.iterdir()} == kept
    again = fnkit("platform", "start", "--detach", "--json").ok().json()
    assert (again["secret_key"], again["api_url"]) == (started["secret_key"], started["api_url"])
    shown = fnkit("platform", "api-key", "list", "--json").ok()
    assert shown.json() == {"keys": [{name: value for name, value in key.items() if name != "secret_key"}]}


def test_api_key_secret_is_shown_once_and_key_can_be_deleted(
    shared_fnkit: Command, shared_started: dict[str, object]
) -> None:
    assert shared_started["running"]
    assert shared_fnkit("platform", "api-key", "list").ok().stdout == "There are no additional API keys.\n"
    options = ("--read-only", "--project-id", str(shared_started["project_id"]), "--description", "the builds")
    created = shared_fnkit("platform", "api-key", "create", *options).ok().stdout
    name, secret = (line.split()[2] for line in created.splitlines()[:2])
    listed = shared_fnkit("platform", "api-key", "list").ok().stdout

    assert f"Rights      reads project {shared_started['project_id']}\n" in created
    assert (name in listed, "the builds" in listed, secret in listed) == (True, True, False)
    assert shared_fnkit("platform", "api-key", "delete", name).ok().stdout == f"Deleted API key {name}.\n"
    again = shared_fnkit("platform", "api-key", "delete", name, "--json")
    assert (again.code, _error(again)["code"]) == (1, "key-refused")
    wrong = shared_fnkit("platform", "api-key", "create", "--project-id", "shop", "--json")
    message = "The platform rejected the request: project_id must be a UUID."
    assert (wrong.code, _error(wrong)["message"]) == (1, message)


def test_api_key_commands_need_a_running_platform(fnkit: Command) -> None:
    for command in (("create",), ("list",), ("delete", "SCWX")):
        result = fnkit("platform", "api-key", *command, "--json")
        assert (result.code, _error(result)["code"]) == (1, "platform-not-running")


def test_logs_are_shown_and_followed(fnkit: Command, started: dict[str, object]) -> None:
    lines = [json.loads(line) for line in fnkit("platform", "logs", "--json").ok().stdout.splitlines()]
    assert {line["process"] for line in lines} >= {"supervisor", "data-plane"}
    follower = fnkit.start("platform", "logs", "-f", "--process", "supervisor")
    assert follower.stdout is not None
    assert "control started" in follower.stdout.readline()
    os.kill(_process(started, "control"), signal.SIGKILL)
    while "killed by SIGKILL" not in follower.stdout.readline():
        assert follower.poll() is None
    interrupted = interrupt(follower)
    assert (interrupted.code, interrupted.stderr.strip()) == (130, "Interrupted.")


@pytest.mark.parametrize("output_format", ["shell", "dotenv", "github", "json", "terraform"])
def test_env_supports_every_output_format(
    output_format: str, shared_fnkit: Command, shared_started: dict[str, object]
) -> None:
    shown = shared_fnkit("platform", "env", "--format", output_format).ok().stdout
    assert str(shared_started["secret_key"]) in shown
    assert str(shared_started["api_url"]) in shown
    match output_format:
        case "json":
            assert json.loads(shown) == shared_started
        case "terraform":
            assert shown.startswith('provider "scaleway" {\n')
            assert re.search(r'^  secret_key +=\s"', shown, re.MULTILINE)
        case "shell":
            script = shown + 'echo "$SCW_DEFAULT_PROJECT_ID $SCW_API_URL"'
            output = subprocess.run(["sh", "-ec", script], capture_output=True, text=True, check=True).stdout
            assert output == f"{shared_started['project_id']} {shared_started['api_url']}\n"
        case _:
            pairs = dict(line.split("=", 1) for line in shown.splitlines())
            assert pairs["SCW_SECRET_KEY"] == shared_started["secret_key"]


def test_env_of_stopped_platform_is_an_error(fnkit: Command) -> None:
    result = fnkit("platform", "env", "--json")
    assert (result.code, _error(result)["code"]) == (1, "platform-not-running")


@pytest.mark.long
def test_data_dir_option_overrides_the_variable(fnkit: Command, tmp_path: Path) -> None:
    other = tmp_path / "other"
    try:
        started = fnkit(*START, "--detach", "--data-dir", str(other)).ok().json()
        assert started["data_dir"] == str(other)
        assert _status(fnkit)["running"] is False
    finally:
        fnkit("platform", "stop", "--data-dir", str(other)).ok()


def test_full_disk_on_start_is_an_error_and_leaves_no_run_file(tmp_path: Path, fnkit: Command) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16k,mode=0700", "none", str(disk)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("mounting a small file system needs root")
    try:
        (disk / "platform.lock").write_bytes(b"x" * 12288)
        result = fnkit(*START, "--detach", "--data-dir", str(disk))
        assert result.code == 1
        assert "No space left on device" in str(_error(result)["message"])
        assert not (disk / "run.json").exists()
    finally:
        subprocess.run(["umount", str(disk)], check=True)
