"""Compares scanning 1,000 modules for declarations with importing them, each in a new process."""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from pathlib import Path

from benchmarks.measurement import Comparison, measure_alternately

__all__ = ["run"]

MODULES = 1000

PLAIN = '''"""What resource {number} is."""

import json
import logging
from dataclasses import dataclass

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Resource:
    identifier: int
    name: str

    def to_json(self) -> str:
        return json.dumps({{"id": self.identifier, "name": self.name}})


def find(name):
    resource = Resource({number}, name)
    logger.info("resource %s", resource.name)
    return resource
'''

HANDLERS = """
from fnkit import cron, function

MEMORY = 128


@function(memory=MEMORY * 2, timeout="30s", env={{"RESOURCE": "{number}"}})
def resource_{number}(event, context):
    name = event["queryStringParameters"].get("name", "none")
    return {{"statusCode": 200, "body": find(name).to_json()}}


@cron("{minute} * * * *", args={{"full": False}})
def sweep_{number}(event, context):
    return {{"swept": json.loads(event["body"])}}
"""

SCAN = """
import sys, time
from pathlib import Path
from fnkit.bundler.files.selection import select_files
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
    """Measure the durations that the processes report, without the start of the interpreter."""
    found = []
    for every in (10, 1):
        project = folder / f"one-in-{every}"
        functions = _write_modules(project, every)
        scan = partial(_run_program, SCAN, project, functions)
        what = f"scan of {MODULES:,} modules, {MODULES // every:,} with handlers"
        uncompiled = measure_alternately(rounds, scan, partial(_run_program, IMPORT, project, functions, "-B"))
        found.append(Comparison(what, "importing them", *uncompiled))
        _run_program(IMPORT, project, functions)  # compiles every module
        compiled = measure_alternately(rounds, scan, partial(_run_program, IMPORT, project, functions))
        found.append(Comparison(what, "importing them, already compiled", *compiled))
    return found


def _write_modules(project: Path, every: int) -> int:
    """Write the modules, of which one in ``every`` has handlers; return the number of functions."""
    project.mkdir()
    for number in range(MODULES):
        text = PLAIN + HANDLERS if number % every == 0 else PLAIN
        written = text.format(number=number, minute=number % 60)
        (project / f"resource_{number}.py").write_text(written, encoding="utf-8")
    return 2 * MODULES // every


def _run_program(program: str, project: Path, functions: int, *options: str) -> float:
    command = [sys.executable, "-I", *options, "-c", program, str(project), str(functions)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
