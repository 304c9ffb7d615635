"""The Node worker answers each row of the table as the real platform does, in each Node that is here."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.language_case import HANDLERS, LanguageCase, assert_response
from tests.support.language_cases import cases_of
from tests.support.language_programs import node_command, node_parameters
from tests.support.language_worker import WorkerResponse, running_worker, write_sources

pytestmark = pytest.mark.slow


def assert_client_gets(response: WorkerResponse, case: LanguageCase) -> None:
    mapped = response.mapped()
    assert_response(mapped.status, mapped.headers, mapped.body, case, "node")


@pytest.fixture(scope="module", params=node_parameters())
def command(request: pytest.FixtureRequest) -> list[str]:
    return node_command(request.param)


@pytest.mark.parametrize("case", cases_of("node"), ids=lambda case: case.name)
def test_handler_gets_the_response_of_the_real_runtime(
    command: list[str], case: LanguageCase, tmp_path: Path
) -> None:
    write_sources(tmp_path, case.files("node"))
    with running_worker(command, tmp_path, HANDLERS["node"]) as worker:
        response = worker.call(case.event())
        assert_client_gets(response, case)
        assert response.is_last == ("node" in case.ends_process)
        if response.is_last:
            assert worker.wait() == case.exit_status
        else:
            assert_client_gets(worker.call(case.event()), case)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ('throw new Error("no key \\ud800\\n");\n', "Error: no key "),
        ("exports.other = () => 1;\n", "handler does not export a function handle."),
        ("exports.handle = (\n", "SyntaxError"),
        ("throw undefined;\n", "undefined"),
    ],
)
def test_module_that_cannot_be_loaded_is_reported_at_the_start(
    command: list[str], tmp_path: Path, source: str, reason: str
) -> None:
    write_sources(tmp_path, {"handler.js": source})
    with running_worker(command, tmp_path) as worker:
        assert reason in worker.import_error
        assert len(worker.import_error) <= 2000
