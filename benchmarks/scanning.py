"""Reading 1,000 modules' declarations against importing the modules, each in a fresh process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from benchmarks.measuring import Comparison, in_turns

__all__ = ["run"]

MODULES = 1000

MODULE = '''"""Handlers for resource {number}."""

import json
import logging
from dataclasses import dataclass

from fnkit import cron, function

logger = logging.getLogger(__name__)
MEMORY = 128


@dataclass(frozen=True)
class Resource:
    identifier: int
    name: str

    def to_json(self) -> str:
        return json.dumps({{"id": self.identifier, "name": self.name}})


@function(memory=MEMORY * 2, timeout="30s", env={{"RESOURCE": "{number}"}})
def resource_{number}(event, context):
    resource = Resource({number}, event["queryStringParameters"].get("name", "none"))
    logger.info("resource %s", resource.name)
    return {{"statusCode": 200, "body": resource.to_json()}}


@cron("{minute} * * * *", args={{"full": False}})
def sweep_{number}(event, context):
    return {{"swept": json.loads(event["body"])}}
'''

SCAN = """
import sys, time
from pathlib import Path
from fnkit.bundler import select_files
from fnkit.scanner import scan
root = Path(sys.argv[1])
started = time.perf_counter()
report = scan(root, [root / file for file in select_files(root)])
assert len(report.functions) == int(sys.argv[2]), len(report.functions)
print(time.perf_counter() - started)
"""

IMPORT = """
import importlib, sys, time
from pathlib import Path
names = [path.stem for path in Path(sys.argv[1]).glob("*.py")]
sys.path.insert(0, sys.argv[1])
started = time.perf_counter()
found = [vars(importlib.import_module(name)) for name in names]
functions = [value for module in found for value in module.values() if hasattr(value, "__fnkit__")]
assert len(functions) == int(sys.argv[2]), len(functions)
print(time.perf_counter() - started)
"""


def run(rounds: int, folder: Path) -> list[Comparison]:
    """Time what the processes themselves report, without the interpreter's own start."""
    project = folder / "project"
    project.mkdir()
    for number in range(MODULES):
        text = MODULE.format(number=number, minute=number % 60)
        (project / f"resource_{number}.py").write_text(text, encoding="utf-8")

    def scan() -> float:
        return _reported(SCAN, project)

    def first_import() -> float:
        return _reported(IMPORT, project, "-B")

    ours, reference = in_turns(rounds, scan, first_import)
    _reported(IMPORT, project)  # compiles every module, once
    ours_again, compiled = in_turns(rounds, scan, lambda: _reported(IMPORT, project))
    return [
        Comparison(f"scan of {MODULES:,} modules", "importing them", ours, reference),
        Comparison(f"scan of {MODULES:,} modules", "importing them, already compiled", ours_again, compiled),
    ]


def _reported(program: str, project: Path, *options: str) -> float:
    command = [sys.executable, "-I", *options, "-c", program, str(project), str(2 * MODULES)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
