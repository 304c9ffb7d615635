"""The PHP worker from its start to its end: what a handler finds, what it may break, and how the process ends."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path

import pytest

from fnkit.contract.invocation.response import HANDLER_MISSING
from tests.support.language_programs import PHP_WORKER, php_command
from tests.support.language_worker import (
    LanguageWorker,
    WorkerEnded,
    WorkerResponse,
    running_worker,
    write_sources,
)
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow

EVENT = {"path": "/", "httpMethod": "GET", "body": ""}


@pytest.fixture(scope="module")
def command() -> list[str]:
    return php_command()


def json_of(response: WorkerResponse) -> dict[str, object]:
    assert response.status == 200, response.body
    found = json.loads(response.body)
    assert isinstance(found, dict)
    return found


def require_extension(command: list[str], name: str) -> None:
    found = subprocess.run([command[0], "-m"], check=True, capture_output=True, text=True, timeout=60).stdout
    if name not in found.split("\n"):
        pytest.skip(f"this PHP has no {name}")


# What a handler finds


def test_handler_finds_the_environment_and_program_of_the_real_platform(command: list[str], tmp_path: Path) -> None:
    source = """<?php
    function handle($event, $context) {
        return [
            'environment' => getenv(), 'superglobal' => $_ENV, 'server' => $_SERVER['SECRET'] ?? null,
            'inherited' => $_SERVER['HOME'] ?? null, 'hour' => date('G', 0), 'directory' => getcwd(),
            'program' => $_SERVER['argv'], 'variables' => array_keys($GLOBALS), 'context' => $context,
        ];
    }
    """
    write_sources(tmp_path, {"handler.php": source})
    environment = {"TZ": "Asia/Tokyo", "SECRET": "é"}
    with running_worker(command, tmp_path, environment=environment) as worker:
        found = json_of(worker.call(EVENT))
    whole = {"PATH": os.environ["PATH"], **environment}
    variables = found.pop("variables")
    assert isinstance(variables, list)
    assert {name for name in variables if not name.startswith("_")} == {"argv", "argc"}
    assert found == {
        "environment": whole,
        "superglobal": whole,
        "server": "é",
        "inherited": None,
        "hour": "9",
        "directory": str(tmp_path),
        "program": [str(PHP_WORKER)],
        "context": {"memoryLimitInMb": 256, "functionName": "f", "functionVersion": ""},
    }


def test_variables_of_the_file_are_global_and_outlive_a_request(command: list[str], tmp_path: Path) -> None:
    source = """<?php
    $count = 10;
    function handle($event, $context) {
        global $count;
        static $calls = 0;
        return ++$count . ' ' . ++$calls . ' ' . basename(__FILE__);
    }
    """
    write_sources(tmp_path, {"sub/Code.php": source})
    with running_worker(command, tmp_path, "sub/Code.handle") as worker:
        assert [worker.call(EVENT).body for _ in range(2)] == [b"11 1 Code.php", b"12 2 Code.php"]


def test_file_can_require_others(command: list[str], tmp_path: Path) -> None:
    files = {
        "handler.php": '<?php\nrequire __DIR__ . "/vendor/autoload.php";\n'
        "function handle() { return Shop\\Greeting::text(); }\n",
        "vendor/autoload.php": "<?php\nspl_autoload_register(function ($class) {\n"
        '    require __DIR__ . "/" . strtr($class, "\\\\", "/") . ".php";\n});\n',
        "vendor/Shop/Greeting.php": "<?php\nnamespace Shop;\n"
        "class Greeting { public static function text() { return 'hello'; } }\n",
    }
    write_sources(tmp_path, files)
    with running_worker(command, tmp_path) as worker:
        assert worker.call(EVENT).body == b"hello"


def test_handler_may_take_references_or_nothing(command: list[str], tmp_path: Path) -> None:
    write_sources(tmp_path, {"handler.php": "<?php\nfunction handle(&$event) { return $event['path']; }\n"})
    with running_worker(command, tmp_path) as worker:
        assert worker.call(EVENT).body == b"/"
    assert worker.stderr == b""


def test_request_without_nonce_gets_response_without_one(command: list[str], tmp_path: Path) -> None:
    write_sources(tmp_path, {"handler.php": "<?php\nfunction handle() { return 'x'; }\n"})
    with running_worker(command, tmp_path) as worker:
        response = worker.call(EVENT, nonce="")
        assert response.headers == (("content-type", "text/html; charset=UTF-8"), ("content-length", "1"))
        response = worker.call(EVENT, nonce="0123456789abcdef")
        assert response.headers[-1] == ("fnkit-request", "0123456789abcdef")


# Output


def test_output_is_in_the_log_before_the_response(command: list[str], tmp_path: Path) -> None:
    source = """<?php
    function handle($event, $context) {
        echo "echoed\\n";
        print_r([1]);
        ob_start();
        echo "buffered\\n";
        error_log("logged");
        $x = $undefined;
        return "x";
    }
    """
    write_sources(tmp_path, {"handler.php": source})
    warning = f"PHP Warning:  Undefined variable $undefined in {tmp_path}/handler.php on line 8\n"
    with running_worker(command, tmp_path) as worker:
        for count in (1, 2):
            assert worker.call(EVENT).body == b"x"
            assert worker.stdout.decode() == "echoed\nArray\n(\n    [0] => 1\n)\nbuffered\n" * count
            assert worker.stderr.decode() == f"logged\n{warning}" * count


def test_output_that_fills_the_pipe_is_complete(command: list[str], tmp_path: Path) -> None:
    source = """<?php
    function handle() {
        for ($i = 0; $i < 20000; $i++) echo str_repeat('-', 99), "$i\n";
        return 'x';
    }
    """
    write_sources(tmp_path, {"handler.php": source})
    with running_worker(command, tmp_path) as worker:
        assert worker.call(EVENT).body == b"x"
        lines = worker.stdout.splitlines()
        assert len(lines) == 20000
        assert lines[-1].endswith(b"-19999")


def test_closed_streams_fail_no_request(command: list[str], tmp_path: Path) -> None:
    source = """<?php
    function handle() {
        if (is_resource(STDOUT)) { fclose(STDOUT); fclose(STDERR); }
        echo "lost";
        throw new Exception("boom");
    }
    """
    write_sources(tmp_path, {"handler.php": source})
    with running_worker(command, tmp_path) as worker:
        assert [worker.call(EVENT).body for _ in range(2)] == [b"boom", b"boom"]


# Large bodies


def test_huge_answer_is_complete(command: list[str], tmp_path: Path) -> None:
    source = "<?php\nfunction handle($event) { return str_repeat($event['path'], 64 << 20); }\n"
    write_sources(tmp_path, {"handler.php": source})
    with running_worker(command, tmp_path) as worker:
        assert worker.call({"path": "z"}).body == b"z" * (64 << 20)
        assert worker.call({"path": ""}).body == b""


def test_request_at_the_size_limit_is_complete(command: list[str], tmp_path: Path) -> None:
    write_sources(tmp_path, {"handler.php": "<?php\nfunction handle($event) { return $event['body']; }\n"})
    body = "é" * (3 << 20)
    with running_worker(command, tmp_path) as worker:
        assert worker.call({"body": body}).body == body.encode()


# Handlers that fail


def test_exception_is_logged_with_the_calls_of_the_user(command: list[str], tmp_path: Path) -> None:
    source = """<?php
    function fail($code) { throw new RuntimeException("boom", 0, new Exception("inner")); }
    function handle($event, $context) { array_map('fail', [1]); }
    """
    write_sources(tmp_path, {"handler.php": source})
    with running_worker(command, tmp_path) as worker:
        assert worker.call(EVENT).body == b"boom"
        path = f"{tmp_path}/handler.php"
        assert worker.stderr.decode().splitlines() == [
            f"RuntimeException: boom in {path}:2",
            "#0 [internal function]: fail()",
            f"#1 {path}(3): array_map()",
            f"previous: Exception: inner in {path}:2",
            "#0 [internal function]: fail()",
            f"#1 {path}(3): array_map()",
        ]


def test_load_error_is_logged_once(command: list[str], tmp_path: Path) -> None:
    write_sources(tmp_path, {"handler.php": "<?php\n\nthrow new Exception('at load');\n"})
    with running_worker(command, tmp_path) as worker:
        for _ in range(2):
            response = worker.call(EVENT)
            assert (response.status, response.body.decode()) == (500, HANDLER_MISSING)
        assert worker.stderr.decode() == f"Exception: at load in {tmp_path}/handler.php:3\n"


def test_missing_file_is_logged(command: list[str], tmp_path: Path) -> None:
    with running_worker(command, tmp_path) as worker:
        assert worker.call(EVENT).body.decode() == HANDLER_MISSING
        assert worker.stderr.decode() == f"{tmp_path}/handler.php is missing.\n"


def test_function_of_a_namespace_is_none_of_the_global_one(command: list[str], tmp_path: Path) -> None:
    write_sources(tmp_path, {"handler.php": "<?php\nnamespace Shop;\nfunction handle() { return 'x'; }\n"})
    with running_worker(command, tmp_path) as worker:
        assert worker.call(EVENT).body.decode() == HANDLER_MISSING


def test_response_names_the_limit_that_the_handler_has_exhausted(command: list[str], tmp_path: Path) -> None:
    source = """<?php
    ini_set('memory_limit', '8M');
    function handle() { for ($all = []; ; ) $all[] = str_repeat('x', 100); }
    """
    write_sources(tmp_path, {"handler.php": source})
    with running_worker(command, tmp_path) as worker:
        response = worker.call(EVENT)
        assert (response.status, response.is_last) == (500, True)
        assert response.body.startswith(b"Allowed memory size of 8388608 bytes exhausted")
        assert worker.wait() == 255


def test_warning_of_an_earlier_request_is_no_fatal_error(command: list[str], tmp_path: Path) -> None:
    source = """<?php
    function handle($event) { if ($event['path'] === '/exit') exit(0); trigger_error('own', E_USER_WARNING); }
    """
    write_sources(tmp_path, {"handler.php": source})
    with running_worker(command, tmp_path) as worker:
        assert worker.call(EVENT).status == 200
        response = worker.call({"path": "/exit"})
        assert (response.status, response.is_last) == (500, True)
        assert b"exit" in response.body
        assert worker.wait() == 0


def test_shutdown_function_of_the_handler_runs_at_exit(command: list[str], tmp_path: Path) -> None:
    source = """<?php
    register_shutdown_function(function () { echo "shut down"; });
    function handle() { exit("bye"); }
    """
    write_sources(tmp_path, {"handler.php": source})
    with running_worker(command, tmp_path) as worker:
        assert worker.call(EVENT).is_last
        assert worker.wait() == 0
        assert worker.stdout == b"byeshut down"


@pytest.mark.parametrize("child", ["exit(3);", "return 'child';", "throw new Exception('child');"])
def test_forked_child_does_not_answer(command: list[str], child: str, tmp_path: Path) -> None:
    source = f"""<?php
    function handle() {{
        if (pcntl_fork() === 0) {{ {child} }}
        pcntl_wait($status);
        return 'parent';
    }}
    """
    write_sources(tmp_path, {"handler.php": source})
    require_extension(command, "pcntl")
    with running_worker(command, tmp_path) as worker:
        assert [worker.call(EVENT).body for _ in range(2)] == [b"parent", b"parent"]


# The end


def test_exit_at_load_ends_the_process(command: list[str], tmp_path: Path) -> None:
    write_sources(tmp_path, {"handler.php": "<?php\nexit(5);\n"})
    worker = LanguageWorker(command)
    try:
        worker.assign({"handler": "handler.handle", "root": str(tmp_path), "home": str(tmp_path)}, {})
        with pytest.raises(WorkerEnded):
            worker.read_start_line()
        assert worker.wait() == 5
    finally:
        worker.close()


def test_response_that_nobody_reads_ends_the_process(command: list[str], tmp_path: Path) -> None:
    write_sources(tmp_path, {"handler.php": "<?php\nfunction handle() { return str_repeat('x', 8 << 20); }\n"})
    with running_worker(command, tmp_path) as worker:
        worker.send_request(EVENT)
        worker.connection.close()
        assert worker.wait() == 0
        assert worker.stderr == b""


def test_closed_connection_ends_the_process(command: list[str], tmp_path: Path) -> None:
    write_sources(tmp_path, {"handler.php": "<?php\nfunction handle() { return 'x'; }\n"})
    with running_worker(command, tmp_path) as worker:
        worker.call(EVENT)
        worker.connection.close()
        assert worker.wait() == 0
        assert worker.stderr == b""


def test_process_outlives_the_timeout_of_sockets_while_it_is_idle(command: list[str], tmp_path: Path) -> None:
    write_sources(tmp_path, {"handler.php": "<?php\nfunction handle($event, $context) { return 'still here'; }\n"})
    impatient = [command[0], "-d", "default_socket_timeout=1", *command[1:]]
    with running_worker(impatient, tmp_path) as worker:
        ready_at = time.monotonic()
        wait_until(lambda: time.monotonic() > ready_at + 1.5 or not worker.is_running(), what="the timeout is over")
        assert worker.call(EVENT).body == b"still here"


def test_process_without_a_function_ends_silently(command: list[str]) -> None:
    worker = LanguageWorker(command)
    try:
        worker.close_line()
        assert worker.wait() == 0
        assert (worker.receive_available(), worker.stdout, worker.stderr) == (b"", b"", b"")
    finally:
        worker.close()


@pytest.mark.parametrize(
    ("line", "environment"),
    [
        (b"{not json\n", None),
        (b'{"handler": "a.b", "root": "/", "home": "/no/such/directory"}\n', {}),
    ],
)
def test_failure_before_loading_is_reported(
    command: list[str], line: bytes, environment: dict[str, str] | None
) -> None:
    worker = LanguageWorker(command)
    try:
        worker.send_line(line)
        if environment is not None:
            worker.send_environment(environment)
        assert list(json.loads(worker.read_start_line())) == ["error"]
        assert worker.wait() == 1
    finally:
        worker.close()


def test_child_processes_do_not_inherit_the_socket(command: list[str], tmp_path: Path) -> None:
    require_extension(command, "FFI")
    command_line = "test -e /dev/fd/3 && echo open; test -e /dev/fd/4 && echo open"
    source = f"<?php\nfunction handle() {{ return shell_exec('{command_line}'); }}\n"
    write_sources(tmp_path, {"handler.php": source})
    with running_worker(command, tmp_path) as worker:
        assert worker.call(EVENT).body == b"null"
