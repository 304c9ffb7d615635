"""The Node worker from its start to its end: what a handler finds, what it may break, and how the process ends."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from fnkit.contract.invocation.response import HANDLER_MISSING
from tests.support.language_programs import NODE_WORKER, node_command, node_parameters, node_version
from tests.support.language_worker import (
    READY,
    LanguageWorker,
    WorkerEnded,
    WorkerResponse,
    running_worker,
    write_sources,
)

pytestmark = pytest.mark.slow

EVENT = {"path": "/", "httpMethod": "GET", "body": ""}


@pytest.fixture(scope="module", params=node_parameters())
def command(request: pytest.FixtureRequest) -> list[str]:
    return node_command(request.param)


@pytest.fixture(scope="module")
def newest() -> list[str]:
    return node_command()


def json_of(response: WorkerResponse) -> dict[str, object]:
    assert response.status == 200, response.body
    found = json.loads(response.body)
    assert isinstance(found, dict)
    return found


# What a handler finds


def test_handler_finds_the_environment_and_program_of_the_real_platform(command: list[str], tmp_path: Path) -> None:
    source = """
    exports.handle = (event, context) => ({
      environment: {...process.env},
      hour: new Date(0).getHours(),
      directory: process.cwd(),
      program: process.argv[1],
      isMain: require.main === module,
      hasParent: Boolean(module.parent),
      context,
    });
    """
    write_sources(tmp_path, {"handler.js": source})
    environment = {"TZ": "Asia/Tokyo", "SECRET": "é"}
    with running_worker(command, tmp_path, environment=environment) as worker:
        found = json_of(worker.call(EVENT))
    assert found == {
        "environment": {"PATH": os.environ["PATH"], **environment},
        "hour": 9,
        "directory": str(tmp_path),
        "program": str(NODE_WORKER),
        "isMain": False,
        "hasParent": True,
        "context": {"memoryLimitInMb": 256, "functionName": "f", "functionVersion": ""},
    }


def test_branch_for_direct_runs_does_not_run(command: list[str], tmp_path: Path) -> None:
    source = """
    import { fileURLToPath } from "node:url";
    if (process.argv[1] === fileURLToPath(import.meta.url)) process.exit(9);
    export const handle = () => "served";
    """
    write_sources(tmp_path, {"handler.mjs": source})
    with running_worker(command, tmp_path) as worker:
        assert worker.call(EVENT).body == b"served"


def test_rehearsal_leaves_no_trace(command: list[str], tmp_path: Path) -> None:
    source = """
    exports.handle = () => ({ main: Object.keys(require.main.exports), globals: Object.keys(globalThis).sort() });
    """
    write_sources(tmp_path, {"handler.js": source})
    with running_worker(command, tmp_path) as worker:
        found = json_of(worker.call(EVENT))
    assert found["main"] == []
    assert "worker" not in str(found["globals"])


@pytest.mark.parametrize(
    ("files", "handler"),
    [
        ({"a/b.js": "exports.f = () => 'x';"}, "a/b.f"),
        ({"B.mjs": "export const F = () => 'x';"}, "B.F"),
        ({"b.cjs": "exports.f = () => 'x';", "package.json": '{"type": "module"}'}, "b.f"),
        ({"b/index.js": "exports.f = () => 'x';"}, "b.f"),
        ({"b.js": "export const f = () => 'x';", "package.json": '{"type": "module"}'}, "b.f"),
        ({"a/b.js": "await 0; export const f = () => 'x';", "package.json": '{"type": "module"}'}, "a/b.f"),
        ({"b.js": "exports.f = () => 'x';", "package.json": '{"type": "commonjs"}'}, "b.f"),
        ({"b.js": "exports.f = () => 'x';", "b.mjs": "export const f = () => 'y';"}, "b.f"),
        (
            {"b.js": "const x = await 'x';\n" + "//\n" * 50000 + "export { x as y };const f = () => x;export{f}"},
            "b.f",
        ),
        ({"b.js": "exports.f = () => `\nimport x from y\nx`.slice(-1);"}, "b.f"),
        (
            {
                "b.js": "exports.f = () => require('dependency').value;",
                "node_modules/dependency/index.js": "exports.value = 'x';",
            },
            "b.f",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_file_is_loaded_as_what_it_is(
    command: list[str], files: dict[str, str], handler: str, tmp_path: Path
) -> None:
    write_sources(tmp_path, files)
    with running_worker(command, tmp_path, handler) as worker:
        assert worker.call(EVENT).body == b"x"
    assert "Error" not in worker.stderr.decode()


def test_request_without_nonce_gets_response_without_one(newest: list[str], tmp_path: Path) -> None:
    write_sources(tmp_path, {"handler.js": "exports.handle = () => 'x';"})
    with running_worker(newest, tmp_path) as worker:
        response = worker.call(EVENT, nonce="")
        assert response.headers == (("content-type", "text/html; charset=utf-8"), ("content-length", "1"))
        response = worker.call(EVENT, nonce="0123456789abcdef")
        assert response.headers[-1] == ("fnkit-request", "0123456789abcdef")


def test_module_state_outlives_a_request(newest: list[str], tmp_path: Path) -> None:
    write_sources(tmp_path, {"handler.js": "let n = 0;\nexports.handle = () => `${++n}`;"})
    with running_worker(newest, tmp_path) as worker:
        assert [worker.call(EVENT).body for _ in range(3)] == [b"1", b"2", b"3"]


def test_request_that_comes_before_the_start_is_over_waits(newest: list[str], tmp_path: Path) -> None:
    source = "await new Promise((resolve) => setTimeout(resolve, 20));\nexport const handle = () => 'x';"
    write_sources(tmp_path, {"handler.mjs": source})
    worker = LanguageWorker(newest)
    try:
        worker.assign({"handler": "handler.handle", "root": str(tmp_path), "home": str(tmp_path)}, {})
        worker.send_request(EVENT)
        assert worker.read_start_line() == READY
        assert worker.read_response().body == b"x"
    finally:
        worker.close()


def test_child_processes_do_not_inherit_the_socket(command: list[str], tmp_path: Path) -> None:
    source = """
    const { execSync } = require("child_process");
    exports.handle = () => execSync("test -e /dev/fd/3 && echo 3; test -e /dev/fd/4 && echo 4; echo x").toString();
    """
    write_sources(tmp_path, {"handler.js": source})
    with running_worker(command, tmp_path) as worker:
        assert worker.call(EVENT).body == b"x\n"


# Output


def test_output_is_in_the_log_before_the_response(command: list[str], tmp_path: Path) -> None:
    source = """
    exports.handle = () => {
      console.log("one", {a: 1}); console.error("two"); process.stdout.write("three"); return "x";
    };
    """
    write_sources(tmp_path, {"handler.js": source})
    with running_worker(command, tmp_path) as worker:
        for count in (1, 2):
            worker.call(EVENT)
            assert worker.stdout == b"one { a: 1 }\nthree" * count
            assert worker.stderr == b"two\n" * count


def test_output_that_fills_the_pipe_is_complete(command: list[str], tmp_path: Path) -> None:
    source = """
    exports.handle = () => {
      for (let i = 0; i < 20000; i++) console.log(String(i).padStart(99, "-"));
      return "x";
    };
    """
    write_sources(tmp_path, {"handler.js": source})
    with running_worker(command, tmp_path) as worker:
        assert worker.call(EVENT).body == b"x"
        lines = worker.stdout.splitlines()
        assert len(lines) == 20000
        assert lines[-1].endswith(b"-19999")


def test_output_before_exit_is_complete(newest: list[str], tmp_path: Path) -> None:
    source = 'exports.handle = () => { process.stdout.write("y".repeat(1000000)); process.exit(7); };'
    write_sources(tmp_path, {"handler.js": source})
    with running_worker(newest, tmp_path) as worker:
        with pytest.raises(WorkerEnded):
            worker.call(EVENT)
        assert worker.wait() == 7
        assert worker.stdout == b"y" * 1000000


def test_closed_stdout_fails_no_request(newest: list[str], tmp_path: Path) -> None:
    source = """
    const fs = require("fs");
    exports.handle = () => { try { fs.closeSync(1); } catch {} console.log("lost"); return "x"; };
    """
    write_sources(tmp_path, {"handler.js": source})
    with running_worker(newest, tmp_path) as worker:
        assert [worker.call(EVENT).body for _ in range(2)] == [b"x", b"x"]


# Large bodies


def test_huge_answer_is_complete(command: list[str], tmp_path: Path) -> None:
    write_sources(tmp_path, {"handler.js": "exports.handle = (event) => event.path.repeat(64 << 20);"})
    with running_worker(command, tmp_path) as worker:
        assert worker.call({"path": "z"}).body == b"z" * (64 << 20)
        assert worker.call({"path": ""}).body == b""


def test_request_at_the_size_limit_is_complete(command: list[str], tmp_path: Path) -> None:
    write_sources(tmp_path, {"handler.js": "exports.handle = (event) => event.body;"})
    body = "é" * (3 << 20)
    with running_worker(command, tmp_path) as worker:
        assert worker.call({"body": body}).body == body.encode()


# Handlers that fail


def test_load_error_is_logged_once_with_the_frames_of_the_user(command: list[str], tmp_path: Path) -> None:
    source = 'function start() {\n  throw new Error("at load", {cause: new TypeError("inner")});\n}\nstart();\n'
    write_sources(tmp_path, {"handler.js": source})
    with running_worker(command, tmp_path) as worker:
        for _ in range(2):
            response = worker.call(EVENT)
            assert (response.status, response.body.decode()) == (500, HANDLER_MISSING)
        log = worker.stderr.decode()
    assert log.count("Error: at load") == 1
    assert log.startswith(f"Error: at load\n    at start ({tmp_path}/handler.js:2:9)\n")
    assert "[cause]: TypeError: inner" in log
    assert str(NODE_WORKER) not in log
    assert "node:internal" not in log


def test_syntax_error_is_logged_with_its_line(command: list[str], tmp_path: Path) -> None:
    write_sources(tmp_path, {"handler.js": "\nconst a = = 1;\n"})
    with running_worker(command, tmp_path) as worker:
        worker.call(EVENT)
        assert f"{tmp_path}/handler.js:2\nconst a = = 1;" in worker.stderr.decode()


def test_thrown_error_is_logged_with_its_properties(command: list[str], tmp_path: Path) -> None:
    source = """
    exports.handle = async () => {
      await null;
      throw Object.assign(new Error("boom"), {code: "E_CODE"});
    };
    """
    write_sources(tmp_path, {"handler.js": source})
    with running_worker(command, tmp_path) as worker:
        worker.call(EVENT)
        log = worker.stderr.decode()
    assert log.startswith(f"Error: boom\n    at exports.handle ({tmp_path}/handler.js:4:27)")
    assert log.endswith("{\n  code: 'E_CODE'\n}\n")
    assert str(NODE_WORKER) not in log


def test_stack_traces_name_the_lines_of_the_source_map(command: list[str], tmp_path: Path) -> None:
    source_map = {
        "version": 3,
        "sources": ["handler.ts"],
        "sourcesContent": ["\n\n\nexport function handle(): never {\n  throw new Error('mapped');\n}\n"],
        "names": [],
        # Line 1 of the file is line 4 of the source, line 2 is line 5.
        "mappings": "AAGA;AACA",
    }
    write_sources(
        tmp_path,
        {
            "handler.js": "exports.handle = function handle() {\n throw new Error('mapped');\n};\n"
            "//# sourceMappingURL=handler.js.map\n",
            "handler.js.map": json.dumps(source_map),
        },
    )
    with running_worker(command, tmp_path) as worker:
        assert worker.call(EVENT).body == b"mapped"
        assert "handler.ts:5" in worker.stderr.decode()


def test_late_callback_is_logged_and_changes_nothing(command: list[str], tmp_path: Path) -> None:
    source = "exports.handle = (event, context, callback) => { setTimeout(callback, 5, new Error('late one')); };"
    write_sources(tmp_path, {"handler.js": source})
    with running_worker(command, tmp_path) as worker:
        assert worker.call(EVENT).body == b""
        worker.wait_for_output(b"late one")
        assert b"after its response" in worker.stderr
        assert worker.call(EVENT).status == 200


@pytest.mark.parametrize("late", ["null.x", "Promise.reject(new Error('late one'))"])
def test_failure_after_the_response_is_logged_and_changes_nothing(
    command: list[str], late: str, tmp_path: Path
) -> None:
    source = f"exports.handle = () => {{ setTimeout(() => {{ {late}; }}, 5); return 'x'; }};"
    write_sources(tmp_path, {"handler.js": source})
    with running_worker(command, tmp_path) as worker:
        assert worker.call(EVENT).body == b"x"
        worker.wait_for_output(b"Uncaught")
        assert str(NODE_WORKER) not in worker.stderr.decode()
        assert worker.call(EVENT).body == b"x"


def test_rejection_that_the_handler_leaves_behind_comes_after_its_response(
    command: list[str], tmp_path: Path
) -> None:
    write_sources(
        tmp_path, {"handler.js": "exports.handle = () => { Promise.reject(new Error('e')); return 'x'; };"}
    )
    with running_worker(command, tmp_path) as worker:
        assert [worker.call(EVENT).body for _ in range(2)] == [b"x", b"x"]


def test_own_listener_for_uncaught_exceptions_decides(command: list[str], tmp_path: Path) -> None:
    source = """
    process.on("uncaughtException", (error) => console.log(`seen ${error.message}`));
    exports.handle = () => new Promise((resolve) => {
      setTimeout(resolve, 20, "x");
      setTimeout(() => { throw new Error("mine"); }, 1);
    });
    """
    write_sources(tmp_path, {"handler.js": source})
    with running_worker(command, tmp_path) as worker:
        assert worker.call(EVENT).body == b"x"
        assert worker.stdout == b"seen mine\n"
        assert worker.call(EVENT).body == b"x"


def test_value_that_cannot_be_shown_is_a_failure_like_others(newest: list[str], tmp_path: Path) -> None:
    source = """
    exports.handle = () => {
      throw new Proxy({}, {get() { throw new Error("trap"); }, getPrototypeOf() { throw new Error("trap"); }});
    };
    """
    write_sources(tmp_path, {"handler.js": source})
    with running_worker(newest, tmp_path) as worker:
        assert [worker.call(EVENT).status for _ in range(2)] == [500, 500]


# The end


def test_exit_at_load_ends_the_process(command: list[str], tmp_path: Path) -> None:
    write_sources(tmp_path, {"handler.js": "process.exit(5);"})
    worker = LanguageWorker(command)
    try:
        worker.assign({"handler": "handler.handle", "root": str(tmp_path), "home": str(tmp_path)}, {})
        with pytest.raises(WorkerEnded):
            worker.read_start_line()
        assert worker.wait() == 5
    finally:
        worker.close()


def test_load_that_never_ends_sends_nothing(command: list[str], tmp_path: Path) -> None:
    source = 'console.log("loading");\nawait new Promise(() => {});\nexport const handle = () => 1;'
    write_sources(tmp_path, {"handler.mjs": source})
    worker = LanguageWorker(command)
    try:
        worker.assign({"handler": "handler.handle", "root": str(tmp_path), "home": str(tmp_path)}, {})
        worker.wait_for_output(b"loading")
        assert worker.receive_available() == b""
        assert worker.is_running()
        worker.connection.close()
        assert worker.wait() == 0
    finally:
        worker.close()


def test_response_that_nobody_reads_ends_the_process(command: list[str], tmp_path: Path) -> None:
    write_sources(tmp_path, {"handler.js": "exports.handle = () => 'x'.repeat(8 << 20);"})
    with running_worker(command, tmp_path) as worker:
        worker.send_request(EVENT)
        worker.connection.close()
        assert worker.wait() == 0
        assert worker.stderr == b""


def test_pending_timer_does_not_keep_the_process(command: list[str], tmp_path: Path) -> None:
    source = "setInterval(() => {}, 1000);\nexports.handle = () => 'x';"
    write_sources(tmp_path, {"handler.js": source})
    with running_worker(command, tmp_path) as worker:
        worker.call(EVENT)
        worker.connection.close()
        assert worker.wait() == 0


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
    newest: list[str], line: bytes, environment: dict[str, str] | None
) -> None:
    worker = LanguageWorker(newest)
    try:
        worker.send_line(line)
        if environment is not None:
            worker.send_environment(environment)
        assert list(json.loads(worker.read_start_line())) == ["error"]
        assert worker.wait() == 1
    finally:
        worker.close()


def test_compiled_code_is_cached(command: list[str], tmp_path: Path) -> None:
    write_sources(tmp_path / "code", {"handler.js": "exports.handle = () => 'x';"})
    cache = tmp_path / "cache"
    with running_worker(command, tmp_path / "code", settings={"compile_cache": str(cache)}) as worker:
        assert worker.call(EVENT).body == b"x"
        version = worker.call(EVENT)
    assert version.status == 200
    if node_version(command[0]) >= 22:
        assert [path for path in cache.rglob("*") if path.is_file()]
