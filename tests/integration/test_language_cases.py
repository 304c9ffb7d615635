"""Each row of the table of languages, through the gateway."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.data_plane import DataPlaneProcess, running_data_plane
from tests.support.language_case import LanguageCase, assert_response
from tests.support.language_cases import CASES, cases_of

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def plane() -> Iterator[DataPlaneProcess]:
    with running_data_plane() as running:
        yield running


def test_names_of_cases_are_unique() -> None:
    assert len({case.name for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", cases_of("python"), ids=lambda case: case.name)
def test_client_gets_the_response_of_the_real_runtime(plane: DataPlaneProcess, case: LanguageCase) -> None:
    name = "".join(character if character.isalnum() else "-" for character in case.name.lower())
    plane.deploy(name, case.sources["python"])
    for _ in range(2):
        reply = plane.call(name, "/", method=case.method, body=case.body)
        assert_response(reply.status, reply.headers.items(), reply.body, case, "python")
