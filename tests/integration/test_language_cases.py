"""Each row of the table of languages, through the gateway."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.data_plane import DataPlaneProcess, running_data_plane
from tests.support.language_case import LanguageCase, assert_response
from tests.support.language_cases import CASES, cases_of
from tests.support.language_programs import runtime_of

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def plane() -> Iterator[DataPlaneProcess]:
    with running_data_plane() as running:
        yield running


def test_names_of_cases_are_unique() -> None:
    assert len({case.name for case in CASES}) == len(CASES)


def host_name(case: LanguageCase, language: str) -> str:
    """Return the name of a function for a case."""
    return language + "-" + "".join(character if character.isalnum() else "-" for character in case.name.lower())


@pytest.mark.parametrize(
    ("language", "case"),
    [
        pytest.param(language, case, id=f"{language}-{case.name}")
        for language in ("python", "node", "php")
        for case in cases_of(language)
    ],
)
def test_client_gets_the_response_of_the_real_runtime(
    plane: DataPlaneProcess, language: str, case: LanguageCase
) -> None:
    name = host_name(case, language)
    route = plane.deploy(name, case.files(language), **runtime_of(language))
    for number in range(1 if language in case.ends_process else 2):
        reply = plane.call(name, "/", method=case.method, body=case.body)
        assert_response(reply.status, reply.headers.items(), reply.body, case, language)
        assert number or language in case.ends_process or plane.exit_reasons(route.function_id) == []


@pytest.mark.parametrize("language", ["node", "php"])
@pytest.mark.parametrize("isolation", ["auto", pytest.param("none", marks=pytest.mark.long)])
def test_function_has_its_own_variables_at_every_level(isolation: str, language: str) -> None:
    sources = {
        "node": "exports.handle = () => ({body: [process.env.LEVEL, 'FNKIT_WORKER_FD' in process.env]});\n",
        "php": "<?php\nfunction handle() { return ['body' => [getenv('LEVEL'), getenv('FNKIT_WORKER_FD')]]; }\n",
    }
    files = {"handler.js" if language == "node" else "handler.php": sources[language]}
    with running_data_plane(isolation=isolation) as running:
        running.deploy("f", files, environment={"LEVEL": "info"}, **runtime_of(language))
        assert running.call("f").json() == ["info", False]
