"""Edits of deployed code through the platform's own API: what is refused, and what becomes of the function."""

from __future__ import annotations

import os
import signal
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from fnkit.client import Endpoint, FunctionsApi
from fnkit.contract.platform import EditCode, EditedFile
from fnkit.contract.requests import UpdateFunction
from fnkit.contract.resources import Function
from fnkit.errors import ApiError, ConflictError
from tests.support.platform import PlatformUnderTest, running_platform
from tests.support.project_tree import write_files
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.long, pytest.mark.slow]

HANDLER = """
import os

from fnkit import function


@function(memory=128)
def edited(event, context):
    return "built " + os.environ.get("WORD", "")
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return write_files(
        tmp_path / "project", {"fnkit.toml": f'name = "edits-{tmp_path.name[-20:]}"\n', "main.py": HANDLER}
    )


@pytest.fixture
def api(platform: PlatformUnderTest) -> Iterator[FunctionsApi]:
    with FunctionsApi(endpoint_of(platform)) as client:
        yield client


def endpoint_of(platform: PlatformUnderTest) -> Endpoint:
    return Endpoint(
        api_url=platform.api_url,
        secret_key=platform.secret_key,
        project_id=platform.project_id,
        region="fr-par",
        key_origin="the test",
    )


@pytest.fixture
def url(platform: PlatformUnderTest, project: Path) -> str:
    """Deploy the project, and return the URL of its function by path."""
    deployed = platform.command("deploy", "--local", "--json", cwd=project).ok().json()
    return f"{platform.gateway_url}/fr-par/{deployed['namespace']['name']}/edited/"


def function_of(api: FunctionsApi, project: Path) -> Function:
    [function] = [one for one in api.functions.list() if one.name == "edited" and is_of(one, project)]
    return function


def is_of(function: Function, project: Path) -> bool:
    name = (project / "fnkit.toml").read_text().split('"')[1]
    return f"fnkit.project={name}" in function.tags


def get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=60) as answer:
        return str(answer.read().decode())


def edit(function: Function, path: str, text: str | None) -> EditCode:
    content = None if text is None else text.encode()
    return EditCode(
        expected_tags=function.tags,
        tags=[*function.tags, "edited"],
        files=[EditedFile(path=path, content=content)],
    )


def test_edit_replaces_a_file_and_the_tags(api: FunctionsApi, project: Path, url: str) -> None:
    function = function_of(api, project)
    assert (
        api.functions.edit_code(function.id, edit(function, "main.py", HANDLER.replace("built", "changed"))).error
        == ""
    )
    assert get(url) == "changed "
    after = api.functions.get(function.id)
    assert (after.status, after.tags[-1]) == ("ready", "edited")


def test_edit_of_other_code_is_refused(api: FunctionsApi, project: Path, url: str) -> None:
    function = function_of(api, project)
    code = EditCode(expected_tags=["other"], tags=[], files=[EditedFile(path="main.py", content=b"")])
    with pytest.raises(ConflictError):
        api.functions.edit_code(function.id, code)
    assert get(url) == "built "


@pytest.mark.parametrize("path", ["../outside", "/etc/passwd", "package/fnkit/__init__.py", "a//b", ""])
def test_edit_outside_the_own_code_is_refused(api: FunctionsApi, project: Path, url: str, path: str) -> None:
    function = function_of(api, project)
    with pytest.raises(ApiError) as refused:
        api.functions.edit_code(function.id, edit(function, path, "text"))
    assert refused.value.status == 400
    assert get(url) == "built "


def test_file_below_a_file_leaves_the_function_as_it_was(api: FunctionsApi, project: Path, url: str) -> None:
    function = function_of(api, project)
    api.functions.edit_code(function.id, edit(function, "main.py/below.py", "text"))
    assert api.functions.get(function.id).status == "ready"
    assert get(url) == "built "


def test_changed_settings_keep_the_edited_code(api: FunctionsApi, project: Path, url: str) -> None:
    function = function_of(api, project)
    api.functions.edit_code(function.id, edit(function, "main.py", HANDLER.replace("built", "changed")))
    api.functions.update(function.id, UpdateFunction(environment_variables={"WORD": "word"}))
    wait_until(lambda: get(url) == "changed word", what="the new setting is in force")


def test_deployed_archive_replaces_edits(
    platform: PlatformUnderTest, api: FunctionsApi, project: Path, url: str
) -> None:
    function = function_of(api, project)
    api.functions.edit_code(
        function.id,
        EditCode(
            expected_tags=function.tags,
            tags=[one for one in function.tags if not one.startswith("fnkit.code=")],
            files=[EditedFile(path="main.py", content=HANDLER.replace("built", "changed").encode())],
        ),
    )
    assert get(url) == "changed "
    platform.command("deploy", "--local", cwd=project).ok()
    assert get(url) == "built ", "the archive is the same as before, but the code was not"


def test_edited_code_survives_the_end_of_the_processes(tmp_path: Path, project: Path) -> None:
    with running_platform(tmp_path / "home") as platform, FunctionsApi(endpoint_of(platform)) as api:
        deployed = platform.command("deploy", "--local", "--json", cwd=project).ok().json()
        url = f"{platform.gateway_url}/fr-par/{deployed['namespace']['name']}/edited/"
        function = function_of(api, project)
        api.functions.edit_code(function.id, edit(function, "main.py", HANDLER.replace("built", "changed")))
        status = platform.command("platform", "status", "--json").ok().json()
        for name in ("control", "data_plane"):
            os.kill(status["processes"][name], signal.SIGKILL)
        wait_until(lambda: answers(url, "changed "), what="the edited code answers again")


def answers(url: str, text: str) -> bool:
    try:
        return get(url) == text
    except OSError:
        return False
