"""Seconds for ``fnkit deploy --local`` of one changed word in a project with boto3 and pydantic: the whole command.

Each round changes one word, and then one word together with a variable, for which the whole archive is uploaded and
built. The floor is a new interpreter that imports the packages, which any way to start the changed code anew takes.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import urllib.request
from pathlib import Path

from benchmarks.environments import create_environment
from benchmarks.local_platform import LocalPlatform, local_platform
from benchmarks.measurement import BenchmarkSkipped, Comparison, Figure, Missing, Result, elapsed_seconds

__all__ = ["run"]

_DEPLOYS = 10
_GOAL_SECONDS = 1.0
_PACKAGES = ("boto3", "pydantic")
_WORD = re.compile(r"word\d+")
_VARIABLE = re.compile(r'"VALUE": "\d*"')
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))

_HANDLER = """import boto3
from fnkit import function
from pydantic import BaseModel


class Answer(BaseModel):
    text: str


@function(memory=256, env={"VALUE": ""})
def hello(event, context):
    return Answer(text="word0").model_dump_json()
"""


def run(rounds: int, folder: Path) -> list[Result]:
    """Measure at least ten deploys of each kind."""
    project = folder / "project"
    _write_project(project)
    with local_platform(folder / "platform") as platform:
        changes = _Changes(platform, project)
        try:
            changes.deploy()
        except subprocess.CalledProcessError as error:
            raise BenchmarkSkipped(f"the packages cannot be deployed: {error}") from None
        changes.change_word()
        words, archives, floor = [], [], []
        imports = _import_command()
        for _ in range(max(_DEPLOYS, rounds)):
            words.append(changes.change_word())
            archives.append(changes.change_word_and_variable())
            if imports is not None:
                floor.append(elapsed_seconds(lambda: subprocess.run(imports, check=True)))
    ours = "deploy --local of one changed word"
    results: list[Result] = [
        Comparison(ours, "the same with a changed variable", tuple(words), tuple(archives), None, _GOAL_SECONDS),
        Figure(f"{ours}: sent", changes.sent_for_word / 1e6, "MB"),
        Figure("the same with a changed variable: sent", changes.sent_for_archive / 1e6, "MB"),
    ]
    if not floor:
        return [*results, Missing("python -c 'import boto3, pydantic'", "the packages cannot be installed")]
    floor_name = "python -c 'import boto3, pydantic'"
    return [*results, Comparison(ours, floor_name, tuple(words), tuple(floor))]


class _Changes:
    """Changes of the project, each deployed and checked.

    Attributes:
        sent_for_word: Bytes that the last deploy of a changed word sent.
        sent_for_archive: Bytes that the last deploy of a changed word and variable sent.
    """

    def __init__(self, platform: LocalPlatform, project: Path) -> None:
        self.sent_for_word = 0
        self.sent_for_archive = 0
        self._platform = platform
        self._project = project
        self._number = 0

    def deploy(self) -> int:
        answer = self._platform.fnkit("deploy", "--local", "--yes", folder=self._project)
        self._url = str(answer["functions"][0]["url"])
        return int(answer["uploaded_bytes"])

    def change_word(self) -> float:
        """Deploy another word; return the seconds of the command."""
        self._number += 1
        return self._measure("sent_for_word")

    def change_word_and_variable(self) -> float:
        """Deploy another word with another variable; return the seconds of the command."""
        self._number += 1
        file = self._project / "main.py"
        file.write_text(_VARIABLE.sub(f'"VALUE": "{self._number}"', file.read_text()))
        return self._measure("sent_for_archive")

    def _measure(self, sent: str) -> float:
        file, word = self._project / "main.py", f"word{self._number}"
        file.write_text(_WORD.sub(word, file.read_text()))
        seconds = elapsed_seconds(lambda: setattr(self, sent, self.deploy()))
        with _direct.open(self._url, timeout=60) as answer:
            if json.load(answer)["text"] != word:
                raise AssertionError(f"{word} is not deployed")
        return seconds


def _import_command() -> list[str] | None:
    try:
        programs = create_environment(*_PACKAGES)
    except BenchmarkSkipped:
        return None
    return [str(programs / "python"), "-c", f"import {', '.join(_PACKAGES)}"]


def _write_project(project: Path) -> None:
    project.mkdir(parents=True)
    runtime = f"python{sys.version_info[0]}{sys.version_info[1]}"
    (project / "pyproject.toml").write_text(
        '[project]\nname = "redeploy"\nversion = "1"\nrequires-python = ">=3.11"\n'
        f"dependencies = {json.dumps(_PACKAGES)}\n"
        f'[tool.fnkit.defaults]\nruntime = "{runtime}"\n'
    )
    (project / "main.py").write_text(_HANDLER)
