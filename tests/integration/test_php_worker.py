"""The PHP worker answers each row of the table as the real platform does."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.language_case import HANDLERS, LanguageCase, assert_response
from tests.support.language_cases import cases_of
from tests.support.language_programs import php_command
from tests.support.language_worker import WorkerResponse, running_worker, write_sources

pytestmark = pytest.mark.slow


def assert_client_gets(response: WorkerResponse, case: LanguageCase) -> None:
    mapped = response.mapped()
    assert_response(mapped.status, mapped.headers, mapped.body, case, "php")


@pytest.fixture(scope="module")
def command() -> list[str]:
    return php_command()


@pytest.mark.parametrize("case", cases_of("php"), ids=lambda case: case.name)
def test_handler_gets_the_response_of_the_real_runtime(
    command: list[str], case: LanguageCase, tmp_path: Path
) -> None:
    write_sources(tmp_path, case.files("php"))
    with running_worker(command, tmp_path, HANDLERS["php"]) as worker:
        response = worker.call(case.event())
        assert_client_gets(response, case)
        assert response.is_last == ("php" in case.ends_process)
        if response.is_last:
            assert worker.wait() == case.exit_status
        else:
            assert_client_gets(worker.call(case.event()), case)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ('<?php\nthrow new RuntimeException("no key \\xff");\n', "RuntimeException: no key "),
        ("<?php\nfunction other() {}\n", "handler.php does not define a function handle."),
        ("<?php\nfunction handle($e, $c) {\n", "Unclosed '{' on line 2"),
        ("<?php\nfunction handle($e, $c) {}\nfunction handle($e, $c) {}\n", "Cannot redeclare handle()"),
    ],
)
def test_file_that_cannot_be_loaded_is_reported_at_the_start(
    command: list[str], tmp_path: Path, source: str, reason: str
) -> None:
    write_sources(tmp_path, {"handler.php": source})
    with running_worker(command, tmp_path) as worker:
        assert reason in worker.import_error
        assert len(worker.import_error) <= 2000
