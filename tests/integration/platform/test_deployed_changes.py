"""A changed project that is deployed over an earlier one is what it would be if it had been deployed alone.

The kit sends the end of the archive where only files of the project changed, and the whole archive otherwise.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.control_process import api_client
from tests.support.platform import PlatformUnderTest, api_get, running_platform
from tests.support.project_tree import write_files
from tests.support.registry import RegistryClient
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.long, pytest.mark.slow]

SETTINGS = 'name = "{}"\n[defaults]\nruntime = "python311"\nchange_detection = "project"\n'
HANDLER = '''
import hashlib
import os

from fnkit import function

ROOT = os.path.dirname(os.path.abspath(__file__))


@function
def files(event, context):
    """List the code."""
    found = {}
    for directory, directories, names in os.walk(ROOT):
        directories[:] = [one for one in directories if one != "__pycache__"]
        for one in names + directories:
            path = os.path.join(directory, one)
            content = open(path, "rb").read() if os.path.isfile(path) else b""
            found[os.path.relpath(path, ROOT)] = [oct(os.stat(path).st_mode), hashlib.sha256(content).hexdigest()]
    return {"word": "first", "files": found}
'''.replace('"""', "'''")
FIRST = {
    "AAA.txt": "kept\n" * 4000,
    "main.py": HANDLER,
    "data/one.txt": "one",
    "data/two.txt": "two",
    "only/file.txt": "only",
    "run.sh": "#!/bin/sh\n",
}


def change_a_word(project: Path) -> None:
    (project / "main.py").write_text(HANDLER.replace("first", "second"))


def add_a_file(project: Path) -> None:
    (project / "data" / "three.txt").write_text("three")


def delete_a_file(project: Path) -> None:
    (project / "data" / "one.txt").unlink()


def break_the_import(project: Path) -> None:
    (project / "main.py").write_text("import nowhere_to_be_found\n" + HANDLER)
    (project / "nowhere_to_be_found.py").write_text("raise RuntimeError('no')")


def delete_a_directory(project: Path) -> None:
    shutil.rmtree(project / "only")


def add_a_directory(project: Path) -> None:
    write_files(project, {"new/file.txt": "new"})


def change_a_mode(project: Path) -> None:
    (project / "run.sh").chmod(0o755)


def replace_a_file_by_a_directory(project: Path) -> None:
    (project / "run.sh").unlink()
    write_files(project, {"run.sh/file.txt": "new"})


def change_a_setting(project: Path) -> None:
    change_a_word(project)
    (project / "main.py").write_text(HANDLER.replace("@function\n", '@function(env={"WORD": "x"})\n'))


def add_a_cron(project: Path) -> None:
    text = HANDLER.replace("import function", "import cron, function").replace(
        "@function\n", '@cron("0 0 1 1 *")\n@function\n'
    )
    (project / "main.py").write_text(text)


EDITS = (change_a_word, add_a_file, delete_a_file, break_the_import)
ARCHIVES = (
    delete_a_directory,
    add_a_directory,
    change_a_mode,
    replace_a_file_by_a_directory,
    change_a_setting,
    add_a_cron,
)


@dataclass(frozen=True)
class Deployed:
    """A function after a deploy."""

    platform: PlatformUnderTest
    project: Path
    stage: str

    def deploy(self) -> dict[str, Any]:
        """Deploy the project; return the function's part of the result."""
        done = self.platform.command("deploy", "--local", "--json", *self._stage(), cwd=self.project)
        (function,) = done.json()["functions"]
        assert isinstance(function, dict)
        return {**function, "uploaded_bytes": done.json()["uploaded_bytes"], "code": done.code}

    def has_nothing_to_deploy(self) -> bool:
        planned = self.platform.command("plan", "--local", "--json", *self._stage(), cwd=self.project).ok().json()
        return [one["action"] for one in planned["changes"] if one["action"] != "keep"] == []

    def view(self) -> dict[str, Any]:
        """Return the function in the API, without what differs between any two functions."""
        found = self._function()
        assert found["status"] == "ready"
        different = {"id", "namespace_id", "domain_name", "created_at", "updated_at", "ready_at"}
        kept = {name: value for name, value in found.items() if name not in different}
        return {**kept, "tags": [one for one in found["tags"] if "stage" not in one and "links" not in one]}

    def archive(self) -> str:
        """Return the SHA-256 of the archive that the API returns."""
        signed = api_get(self.platform, f"functions/{self._function()['id']}/download-url")
        with urllib.request.urlopen(str(signed["url"]), timeout=60) as answer:
            return hashlib.sha256(answer.read()).hexdigest()

    def answer(self) -> tuple[int, str]:
        """Call the function."""
        name = self._function()["name"]
        url = f"{self.platform.gateway_url}/fr-par/{self._namespace()['name']}/{name}/"
        try:
            with urllib.request.urlopen(url, timeout=60) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def image(self, versions: int) -> object:
        """Return the layers of the newest image, once there are as many versions."""
        registry = RegistryClient(api_client(self.platform), self.platform.secret_key)
        repository = f"{self._namespace()['registry_endpoint'].partition('/')[2]}/files"
        wait_until(lambda: len(registry.tags(repository)) > versions, what=f"image {versions} and latest")
        return registry.manifest(repository)["layers"]

    def _stage(self) -> tuple[str, ...]:
        return ("--stage", self.stage) if self.stage else ()

    def _function(self) -> dict[str, Any]:
        found = api_get(self.platform, f"functions?namespace_id={self._namespace()['id']}")["functions"]
        assert isinstance(found, list)
        (function,) = found
        assert isinstance(function, dict)
        return function

    def _namespace(self) -> dict[str, Any]:
        found = api_get(self.platform, "namespaces?page_size=100")["namespaces"]
        assert isinstance(found, list)
        name = (self.project / "fnkit.toml").read_text().split('"')[1]
        wanted = f"{name}-{self.stage}" if self.stage else name
        (namespace,) = [one for one in found if one["name"] == wanted]
        assert isinstance(namespace, dict)
        return namespace


@pytest.fixture(scope="module")
def own_platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PlatformUnderTest]:
    with running_platform(tmp_path_factory.mktemp("changes")) as running:
        yield running


def make_project(tmp_path: Path, name: str) -> Path:
    return write_files(tmp_path / "project", {"fnkit.toml": SETTINGS.format(name), **FIRST})


@pytest.mark.parametrize("change", [*EDITS, *ARCHIVES], ids=lambda one: one.__name__)
def test_deploy_of_a_change_equals_a_deploy_of_the_result(
    own_platform: PlatformUnderTest, tmp_path: Path, change: Callable[[Path], None]
) -> None:
    project = make_project(tmp_path, change.__name__.replace("_", "-"))
    changed, alone = Deployed(own_platform, project, ""), Deployed(own_platform, project, "alone")
    changed.deploy()
    assert json.loads(changed.answer()[1])["word"] == "first"
    change(project)
    over, new = changed.deploy(), alone.deploy()

    is_sent_in_part = over["uploaded_bytes"] < new["uploaded_bytes"] - 8000
    assert is_sent_in_part is (change in EDITS), (over["uploaded_bytes"], new["uploaded_bytes"])
    assert (over["action"], over["code"], over["digest"]) == ("update", new["code"], new["digest"])
    assert changed.answer() == alone.answer()
    assert changed.view() == alone.view()
    assert changed.archive() == alone.archive()
    assert changed.has_nothing_to_deploy()
    assert changed.image(2) == alone.image(1)


def test_change_survives_a_restart_and_the_loss_of_its_files(tmp_path: Path) -> None:
    project = make_project(tmp_path, "restarted")
    home = tmp_path / "home"
    with running_platform(home) as platform:
        deployed = Deployed(platform, project, "")
        deployed.deploy()
        change_a_word(project)
        deployed.deploy()
        delete_a_file(project)
        deployed.deploy()
        expected = deployed.answer()
        assert json.loads(expected[1])["word"] == "second"
    with running_platform(home) as platform:
        again = Deployed(platform, project, "")
        assert again.answer() == expected
        assert again.has_nothing_to_deploy()
        process = platform.command("platform", "status", "--json").ok().json()["processes"]["control"]
        os.kill(process, signal.SIGKILL)
        wait_until(lambda: again.answer() == expected, what="the change answers after control was killed")
    shutil.rmtree(home / "deployments")
    with running_platform(home) as platform:
        rebuilt = Deployed(platform, project, "")
        wait_until(lambda: rebuilt.answer() == expected, what="the archive is built again")
        assert rebuilt.has_nothing_to_deploy()


def test_other_archive_on_the_platform_is_replaced_by_an_upload(
    own_platform: PlatformUnderTest, tmp_path: Path
) -> None:
    project = make_project(tmp_path, "other-archive")
    deployed = Deployed(own_platform, project, "")
    deployed.deploy()
    blobs = own_platform.home / "blobs"
    damaged = blobs / deployed.archive()
    damaged.write_bytes(b"x" * damaged.stat().st_size)
    change_a_word(project)
    assert deployed.deploy()["code"] == 0
    assert json.loads(deployed.answer()[1])["word"] == "second"
