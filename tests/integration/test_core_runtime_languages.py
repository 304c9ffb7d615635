"""The core runtime of an image serves functions in every language, with the responses of the platform's gateway."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from http.client import HTTPMessage, parse_headers
from io import BytesIO
from pathlib import Path

import pytest

from tests.support.builds import RUNTIMES, UID, Builder, shared_cache, toolchain
from tests.support.core_runtime import CoreRuntimeProcess, running_core_runtime, starting_core_runtime
from tests.support.data_plane import DataPlaneProcess, running_data_plane
from tests.support.instance_client import InstanceClient, running_instance
from tests.support.language_case import HANDLERS, LanguageCase, assert_response
from tests.support.language_cases import cases_of
from tests.support.language_programs import runtime_of
from tests.support.native_programs import combined_files, path_of
from tests.support.waiting import wait_until

NAMES = {"node": "Node", "php": "PHP", "go": "Go", "rust": "Rust"}
ALWAYS = ("text", "structure", "thrown", "exit", "uncaught exception", "no such function", "callback", "ES module")
"""Cases that also run without the long ones: each is a deployment and a container's worth of processes."""


@pytest.fixture(scope="module")
def plane() -> Iterator[DataPlaneProcess]:
    with running_data_plane() as running:
        yield running


def raw_request(case: LanguageCase, host: str, path: str = "/") -> bytes:
    lines = f"{case.method} {path} HTTP/1.1\r\nHost: {host}.test\r\nX-Request-Id: 1\r\nConnection: close\r\n"
    return f"{lines}Content-Length: {len(case.body)}\r\n\r\n".encode() + case.body


def without_date(raw: bytes) -> bytes:
    return re.sub(rb"\r\ndate: [^\r]*", b"", raw)


def assert_raw_response(raw: bytes, case: LanguageCase, language: str) -> None:
    head, _, body = raw.partition(b"\r\n\r\n")
    status, _, lines = head.partition(b"\r\n")
    headers: HTTPMessage = parse_headers(BytesIO(lines + b"\r\n\r\n"))
    assert_response(int(status.split()[1]), headers.items(), body, case, language)


def interpreter_of(language: str) -> str:
    return str(runtime_of(language)["interpreter"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("language", "case"),
    [
        pytest.param(
            language, case, id=f"{language}-{case.name}", marks=() if case.name in ALWAYS else pytest.mark.long
        )
        for language in ("node", "php")
        for case in cases_of(language)
    ],
)
def test_client_gets_the_response_of_the_gateway(
    plane: DataPlaneProcess, language: str, case: LanguageCase
) -> None:
    name = language + "-" + re.sub(r"\W", "-", case.name.lower())
    files = case.files(language)
    plane.deploy(name, files, **runtime_of(language))
    request = raw_request(case, name)
    settings = {"FNKIT_INTERPRETER": interpreter_of(language)}
    with running_core_runtime(files, name=name, language=NAMES[language], settings=settings) as runtime:
        raw = without_date(runtime.send_raw(request))
        assert raw == without_date(plane.send_raw(request))
        assert_raw_response(raw, case, language)
        if language in case.ends_process:
            assert runtime.wait() == case.exit_status
        else:
            assert without_date(runtime.send_raw(request)) == raw
            assert runtime.stop() == 0


@pytest.fixture(scope="module", params=["go", "rust"])
def native(
    request: pytest.FixtureRequest, plane: DataPlaneProcess, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, CoreRuntimeProcess]]:
    """Yield a language and a core runtime for its function, which the gateway serves too."""
    language: str = request.param
    name = NAMES[language]
    with shared_cache(tmp_path_factory, language) as cache:
        # In the folder of the data plane, which runs nothing that is elsewhere.
        built = Builder(plane.folder, cache).build(name, HANDLERS[language], combined_files(language))
    directory = built.program.parent.parent
    fields = {"language": name, "runtime": RUNTIMES[name], "interpreter": toolchain(name)}
    plane.deploy(language, {"unused": ""}, code_dir=str(directory), uid=UID, handler=HANDLERS[language], **fields)
    with running_core_runtime(directory, name=language, language=name, handler=HANDLERS[language]) as runtime:
        yield language, runtime


@pytest.mark.long
@pytest.mark.timeout(900)
def test_client_of_a_native_function_gets_the_response_of_the_gateway(
    native: tuple[str, CoreRuntimeProcess], plane: DataPlaneProcess
) -> None:
    language, runtime = native
    cases = cases_of(language)
    assert len(cases) > 20
    for case in cases:
        request = raw_request(case, language, path_of(case, language))
        raw = without_date(runtime.send_raw(request))
        assert raw == without_date(plane.send_raw(request)), case.name
        assert_raw_response(raw, case, language)


# The process of a function


@pytest.mark.parametrize("language", ["node", "php"])
def test_function_has_its_program_directory_and_variables(language: str) -> None:
    sources = {
        "node": {
            "lib/handler.mjs": "export const handle = () => ({body: [process.argv[1], process.cwd(),\n"
            "  process.env.LEVEL, Object.keys(process.env).filter((name) => name.startsWith('FNKIT_')).join()]});\n"
        },
        "php": {
            "lib/handler.php": "<?php\nfunction handle() { return ['body' => [$_SERVER['argv'][0], getcwd(),\n"
            "    getenv('LEVEL'), implode(',', array_filter(array_keys(getenv()),\n"
            "    fn ($name) => str_starts_with($name, 'FNKIT_')))]]; }\n"
        },
    }
    settings = {"LEVEL": "info", "FNKIT_INTERPRETER": interpreter_of(language)}
    with running_core_runtime(
        sources[language], language=NAMES[language], handler="lib/handler.handle", settings=settings
    ) as runtime:
        home = str(runtime.folder)
        program = f"{home}/index.{'js' if language == 'node' else 'php'}"
        assert runtime.call().json() == [program, home, "info", ""]


@pytest.mark.parametrize("language", ["node", "php"])
def test_output_is_logged_with_its_request_before_the_response(language: str) -> None:
    sources = {
        "node": {"handler.js": "console.log('loading');\nexports.handle = (e) => { console.log(`got ${e}`); };\n"},
        "php": {"handler.php": '<?php\necho "loading\\n";\nfunction handle($e) { echo "got $e\\n"; }\n'},
    }
    with (
        running_instance(
            sources[language], language=NAMES[language], FNKIT_INTERPRETER=interpreter_of(language)
        ) as runtime,
        InstanceClient(runtime) as client,
    ):
        for number in ("1", "2"):
            assert client.call(f"event {number}", request_id=f"id-{number}").status == 200
            assert f"stdout id-{number} got event {number}" in runtime.lines
        assert "stdout - loading" in runtime.lines


def test_interpreter_that_is_missing_is_named() -> None:
    with starting_core_runtime({}, language="Node", settings={"PATH": "/nowhere"}) as runtime:
        assert runtime.wait() == 2
        assert runtime.lines == ["fnkit: the worker could not be started: there is no node on PATH"]
    with starting_core_runtime({}, language="PHP", settings={"FNKIT_INTERPRETER": "/nowhere/php"}) as runtime:
        assert runtime.wait() == 2
        assert runtime.lines == ["fnkit: the worker could not be started: there is no /nowhere/php"]


def test_unknown_language_is_refused() -> None:
    with starting_core_runtime("", settings={"FNKIT_LANGUAGE": "Cobol"}) as runtime:
        assert runtime.wait() == 2
        assert runtime.lines == ["fnkit: FNKIT_LANGUAGE='Cobol' is none of Go, Node, PHP, Python, Rust"]


# Programs that serve HTTP themselves

SERVER = """#!/usr/bin/env python3
import http.server, os

class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        if self.path == "/exit":
            os._exit(7)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(201)
        self.send_header("X-Path", self.path)
        self.end_headers()
        self.wfile.write(body + os.environ["LEVEL"].encode())

http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""


def write_server(folder: Path, source: str) -> Path:
    code = folder / "code"
    (code / ".fnkit").mkdir(parents=True)
    (code / ".fnkit/handler").write_text(source)
    (code / ".fnkit/handler").chmod(0o755)
    (code / ".fnkit/http-server").touch()
    return code


def test_requests_are_relayed_to_a_program_that_serves_http(tmp_path: Path) -> None:
    code = write_server(tmp_path, SERVER)
    with running_core_runtime(code, language="Go", handler="Handle", settings={"LEVEL": "info"}) as runtime:
        for number in range(2):
            reply = runtime.call(f"/a{number}", method="POST", body=b"x")
            assert (reply.status, reply.headers["X-Path"], reply.body) == (201, f"/a{number}", b"xinfo")
        assert runtime.call("/exit", method="POST", body=b"").status >= 500
        assert runtime.wait() == 7


def test_signal_ends_the_program_that_serves_http_too(tmp_path: Path) -> None:
    code = write_server(tmp_path, SERVER)
    with running_core_runtime(code, language="Go", handler="Handle", settings={"LEVEL": "info"}) as runtime:
        assert runtime.call("/", method="POST", body=b"x").status == 201
        relay = runtime.worker
        assert runtime.stop(signal.SIGTERM) == 0
        wait_until(lambda: not Path(f"/proc/{relay}").exists())


def test_program_that_ends_before_it_listens_is_reported(tmp_path: Path) -> None:
    code = write_server(tmp_path, "#!/bin/sh\nexit 3\n")
    with starting_core_runtime(code, language="Go", handler="Handle") as runtime:
        runtime.wait()
        assert (
            "the worker ended before it was ready: the program ended before it listened on port" in runtime.output
        )
