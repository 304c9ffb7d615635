"""Compares a warm local ``fnkit invoke`` with the same handler called by the environment's interpreter itself."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from benchmarks.measurement import BenchmarkSkipped, Comparison, elapsed_seconds, measure_alternately

__all__ = ["run"]

_GOAL = 1.5
_SETTINGS = """[project]
name = "shelf"
version = "0"
dependencies = ["pydantic>=2", "boto3"]

[tool.fnkit]
name = "shelf"
"""
_HANDLER = """import boto3
from fnkit import function
from pydantic import BaseModel


class Book(BaseModel):
    title: str


@function
def books(event, context):
    return {"statusCode": 200, "body": Book(title="Emma").model_dump_json()}
"""


def run(rounds: int, folder: Path) -> list[Comparison]:
    """Measure both, after an invocation that makes the environment."""
    project = folder / "project"
    project.mkdir()
    (project / "pyproject.toml").write_text(_SETTINGS, encoding="utf-8")
    (project / "main.py").write_text(_HANDLER, encoding="utf-8")
    environment = {**os.environ, "FNKIT_CACHE": str(folder / "cache")}
    fnkit = str(Path(sys.executable).with_name("fnkit"))

    def invoke() -> None:
        subprocess.run([fnkit, "invoke", "books"], cwd=project, env=environment, check=True, capture_output=True)

    try:
        invoke()
    except subprocess.CalledProcessError as error:
        raise BenchmarkSkipped(f"the packages cannot be installed: {error.stderr.decode()[-200:]}") from None
    [python] = (folder / "cache/environments/python").glob("*/bin/python")

    def call() -> None:
        code = "import main; main.books({}, None)"
        subprocess.run([str(python), "-B", "-c", code], cwd=project, check=True, capture_output=True)

    measured = measure_alternately(rounds, lambda: elapsed_seconds(invoke), lambda: elapsed_seconds(call))
    what = "invoke of a handler with pydantic and boto3, warm"
    return [Comparison(what, "the handler called by its interpreter", *measured, goal=_GOAL)]
