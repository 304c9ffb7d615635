"""``import fnkit`` runs in every handler, so it loads only a small part of the standard library."""

import json
import subprocess
import sys

import pytest

from tests.support.source_tree import module_names

LIST_MODULES = """
import json, sys
before = set(sys.modules)
import {name}
print(json.dumps(sorted(set(sys.modules) - before)))
"""


def loaded_by(name: str) -> list[str]:
    """Return the modules that a new interpreter loads to import ``name``."""
    run = subprocess.run(
        [sys.executable, "-I", "-c", LIST_MODULES.format(name=name)], capture_output=True, text=True, check=True
    )
    found: list[str] = json.loads(run.stdout)
    return found


def test_importing_fnkit_loads_only_the_standard_library_and_authoring() -> None:
    loaded = loaded_by("fnkit")
    third_party = {name.split(".")[0] for name in loaded} - set(sys.stdlib_module_names) - {"fnkit"}
    assert third_party == set()
    own = {name for name in loaded if name.startswith("fnkit.")}
    assert {name.split(".")[1] for name in own} <= {"authoring", "errors"}


def test_importing_fnkit_loads_no_slow_part_of_the_standard_library() -> None:
    slow = {"asyncio", "email", "http", "logging", "subprocess", "urllib", "xml", "unittest", "concurrent"}
    assert {name.split(".")[0] for name in loaded_by("fnkit")} & slow == set()


def test_printing_the_version_loads_no_dependency() -> None:
    heavy = {"click", "rich", "requests", "msgspec", "jinja2"}
    assert set(loaded_by("fnkit.cli")) & heavy == set()


def test_help_loads_no_slow_dependency() -> None:
    heavy = {"rich", "requests", "msgspec", "jinja2", "cryptography", "packaging", "asyncio"}
    assert set(loaded_by("fnkit.cli.app")) & heavy == set()


def test_adapters_load_only_the_standard_library_and_asyncio_on_use() -> None:
    loaded = loaded_by("fnkit.adapters.typed")
    assert {name.split(".")[0] for name in loaded} - set(sys.stdlib_module_names) == {"fnkit"}
    assert {name.split(".")[1] for name in loaded if name.startswith("fnkit.")} == {"adapters", "authoring"}
    assert {"asyncio", "decimal", "uuid", "urllib", "base64", "email"} & set(loaded) == set()


IMPORT_EACH = """
import os, sys
# Each name in its own child process, so that no import finds what an earlier one loaded.
failed = 0
for name in {names!r}:
    child = os.fork()
    if not child:
        try:
            __import__(name)
        except BaseException as error:
            sys.stderr.write(f"{{name}}: {{type(error).__name__}}: {{error}}\\n")
            os._exit(1)
        os._exit(0)
    failed |= os.waitpid(child, 0)[1]
sys.exit(bool(failed))
"""


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif(sys.platform == "win32", reason="needs fork")
@pytest.mark.long
def test_every_module_can_be_imported_alone() -> None:
    names = [name for name in module_names() if not name.endswith("__main__") and ".worker." not in name]
    run = subprocess.run(
        [sys.executable, "-I", "-W", "error", "-c", IMPORT_EACH.format(names=names)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
