"""What a deploy says: failed imports, idle triggers, changed resources, substituted runtimes, no functions."""

from __future__ import annotations

import json
import os
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fnkit.contract.runtimes import RUNTIMES, substitute_for
from tests.support.command import Command
from tests.support.platform import PlatformUnderTest, api_get, call_function
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.long, pytest.mark.slow]

BROKEN = {
    "python": ("main.py", 'import os\nKEY = os.environ["NOT_SET"]\ndef handle(event, context): ...\n', "KeyError"),
    "node": ("main.js", 'exports.handle = () => 1;\nthrow new Error("no key");\n', "Error: no key"),
    "php": (
        "main.php",
        '<?php\nfunction handle($event, $context) {}\nthrow new RuntimeException("no key");\n',
        "RuntimeException: no key",
    ),
}


@pytest.fixture
def deployed_project(platform: PlatformUnderTest, project: Path) -> Iterator[Command]:
    """``fnkit`` in a project whose resources are deleted at the end."""
    yield platform.command
    platform.command("destroy", "--local", "--yes", cwd=project)


def targets(platform: PlatformUnderTest) -> dict[str, str]:
    """Return what runs each runtime."""
    request = urllib.request.Request(
        f"{platform.api_url}/fnkit/v1/platform", headers={"X-Auth-Token": platform.secret_key}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        found = json.load(answer)["targets"]
    assert isinstance(found, dict)
    return found


def runtime_of(platform: PlatformUnderTest, language: str) -> str:
    """Return a runtime of the language that the platform runs."""
    here = targets(platform)
    found = [one.name for one in RUNTIMES if one.name in here and one.language.lower() == language]
    if not found:
        pytest.skip(f"no {language} here")
    return found[0]


@pytest.mark.parametrize("language", BROKEN)
def test_function_that_cannot_be_imported_fails_the_deploy_and_the_status(
    platform: PlatformUnderTest, deployed_project: Command, project: Path, language: str
) -> None:
    fnkit, runtime = deployed_project, runtime_of(platform, language)
    file, source, reason = BROKEN[language]
    (project / file).write_text(source)
    (project / "fnkit.toml").write_text(
        f'name = "{language}"\n[[function]]\nname = "hello"\nhandler = "main.handle"\nruntime = "{runtime}"\n'
    )
    failed = fnkit("deploy", "--local", "--json")
    assert failed.code == 1
    (function,) = failed.json()["functions"]
    assert function["status"] == "ready"  # as in production
    assert function["error"]["code"] == "import-failed"
    assert function["error"]["message"].startswith("hello was deployed, but its handler cannot be imported:\n    ")
    assert reason in function["error"]["message"]
    assert call_function(platform, str(function["domain"])).status == 500

    again = fnkit("deploy", "--local")
    assert again.code == 1
    assert "\nhello     failed\n" in again.stdout
    status = fnkit("status", "--local", "--json")
    assert status.code == 1
    assert reason in status.json()["functions"][0]["import_error"]


def test_functions_of_one_module_that_cannot_be_imported_are_reported_together(
    deployed_project: Command, project: Path
) -> None:
    (project / "fnkit.toml").write_text('name = "together"\n')
    (project / "main.py").write_text(
        "from fnkit import function\n"
        "@function\ndef first(event, context): ...\n@function\ndef second(event, context): ...\n"
        "import os\nos.environ['NOT_SET']\n"
    )
    failed = deployed_project("deploy", "--local").stdout
    assert "first, second were deployed, but their handlers cannot be imported:\n" in failed
    assert failed.count("KeyError: 'NOT_SET'") == 1


def test_corrected_import_is_reported_no_more(deployed_project: Command, project: Path) -> None:
    fnkit = deployed_project
    (project / "fnkit.toml").write_text('name = "corrected"\n')
    main = project / "main.py"
    main.write_text(
        "from fnkit import function\nimport os\nos.environ['NOT_SET']\n@function\ndef hello(e, c): ...\n"
    )
    failed = fnkit("deploy", "--local")
    assert failed.code == 1
    assert "    KeyError: 'NOT_SET'\n" in failed.stdout
    main.write_text(main.read_text().replace("os.environ['NOT_SET']\n", ""))
    fnkit("deploy", "--local").ok()
    assert fnkit("status", "--local", "--json").ok().json()["functions"][0]["import_error"] is None


@contextmanager
def queues_of_another_region(platform: PlatformUnderTest) -> Iterator[None]:
    """Name an SQS service of a region that no trigger of a test names."""
    brokers = platform.home / "brokers.toml"
    brokers.touch(0o600)
    entry = 'region = "nl-ams"\nendpoint = "http://127.0.0.1:1"\naccess_key = "a"\nsecret_key = "b"\n'
    with _file_is_read(platform):
        brokers.write_text(f"[[sqs]]\n{entry}")
    yield
    with _file_is_read(platform):
        brokers.unlink()


@contextmanager
def _file_is_read(platform: PlatformUnderTest) -> Iterator[None]:
    """Wait at the end until the platform has read the brokers file again."""

    def times_read() -> int:
        return platform.command("platform", "logs", "--lines", "100000").ok().stdout.count("Brokers: ")

    before = times_read()
    yield
    wait_until(lambda: times_read() > before, what="the file is read")


def test_nothing_is_suggested_for_a_trigger_that_is_idle(
    platform: PlatformUnderTest, deployed_project: Command, project: Path
) -> None:
    (project / "fnkit.toml").write_text('name = "unsuggested"\n')
    (project / "main.py").write_text(
        'from fnkit import function, trigger\n@trigger(sqs="jobs")\n@function\ndef work(event, context): ...\n'
    )
    with queues_of_another_region(platform):
        idle = deployed_project("deploy", "--local").ok().stdout
    assert "is idle and receives nothing" in idle
    assert "Try:" not in idle


def test_deploy_says_which_triggers_are_idle_and_what_else_it_changed(
    platform: PlatformUnderTest, deployed_project: Command, project: Path
) -> None:
    fnkit = deployed_project
    (project / "fnkit.toml").write_text('name = "idle"\n')
    main = project / "main.py"
    main.write_text(
        "from fnkit import cron, function, trigger\n"
        '@cron("5 * * * *", name="hourly")\n@trigger(sqs="jobs")\n@function\ndef work(event, context): ...\n'
    )
    with queues_of_another_region(platform):
        first = fnkit("deploy", "--local").ok()
    assert "\n  + cron hourly  5 * * * *\n" in first.stdout
    assert "\n  + trigger sqs-jobs  sqs jobs\n" in first.stdout
    assert "note: The trigger sqs-jobs of work is idle and receives nothing: no [[sqs]] entry in " in first.stdout
    main.write_text(main.read_text().replace("5 * * * *", "6 * * * *").replace('@trigger(sqs="jobs")\n', ""))
    changed = fnkit("deploy", "--local", "--json", "--yes").ok().json()
    (function,) = changed["functions"]
    assert [(one["action"], one["kind"], one["name"]) for one in function["resources"]] == [
        ("update", "cron", "hourly"),
        ("delete", "trigger", "sqs-jobs"),
    ]
    assert not [note for note in changed["notes"] if "idle" in note]


def test_runtime_of_another_version_and_settings_without_effect_are_said(
    platform: PlatformUnderTest, deployed_project: Command, project: Path
) -> None:
    fnkit, here = deployed_project, targets(platform)
    substituted = [
        (one.name, substitute)
        for one in RUNTIMES
        if one.language == "Python" and one.status == "available"
        if (substitute := substitute_for(one.name, here.get(one.name, "")))
    ]
    if not substituted:
        pytest.skip("every Python is here")
    runtime, substitute = substituted[0]
    (project / "fnkit.toml").write_text('name = "substituted"\n')
    (project / "main.py").write_text(
        f'from fnkit import function\n@function(runtime="{runtime}", private_network_id="{os.urandom(4).hex()}'
        '-6a4b-4e5e-9a54-0e5d8e5d8e5d")\ndef hello(event, context): ...\n'
    )
    notes = [
        f"{runtime}, run by {substitute} here: hello.",
        "private_network_id has no effect on the local platform: hello.",
    ]
    planned = fnkit("plan", "--local", "--json").ok().json()
    deployed = fnkit("deploy", "--local", "--json").ok().json()
    assert (planned["notes"], deployed["notes"]) == (notes, notes)
    (function,) = fnkit("status", "--local", "--json").ok().json()["functions"]
    assert (function["runtime"], function["run_by"]) == (runtime, substitute)
    assert function["notes"] == ["private_network_id has no effect on the local platform."]
    for verb in ("plan", "deploy"):
        assert f"note: {notes[0]}\n" in fnkit(verb, "--local").ok().stdout
    assert f"  {runtime}, run by {substitute} here\n" in fnkit("status", "--local").ok().stdout


def test_project_without_functions_is_no_success_and_creates_nothing(
    platform: PlatformUnderTest, project: Path
) -> None:
    fnkit = platform.command
    (project / "fnkit.toml").write_text('name = "nothing-at-all"\n')
    failed = fnkit("deploy", "--local")
    assert failed.code == 2
    assert failed.stderr.startswith("error[no-handler]: No handler found. Mark one with @function")
    assert api_get(platform, "namespaces?name=nothing-at-all")["total_count"] == 0
    assert "note: No handler found. " in fnkit("plan", "--local").ok().stdout


def test_default_does_not_change_the_runtime_of_a_deployed_function(
    platform: PlatformUnderTest, deployed_project: Command, project: Path
) -> None:
    fnkit, here = deployed_project, targets(platform)
    names = [one.name for one in RUNTIMES if one.language == "Python" and one.status == "available"]
    default = fnkit_default(fnkit, project)
    other = next(name for name in names if name in here and name != default)
    (project / "fnkit.toml").write_text('name = "keeping"\n')
    main = project / "main.py"
    source = "from fnkit import function\n@function{}\ndef hello(event, context): ...\n"
    main.write_text(source.format(f'(runtime="{other}")'))
    fnkit("deploy", "--local").ok()
    main.write_text(source.format(""))
    changes = fnkit("plan", "--local", "--json").ok().json()["changes"]
    assert [one["reasons"] for one in changes if one["kind"] == "function"] == [["code: main.py changed"]]
    fnkit("deploy", "--local").ok()
    (function,) = fnkit("status", "--local", "--json").ok().json()["functions"]
    assert function["runtime"] == other


def fnkit_default(fnkit: Command, project: Path) -> str:
    """Return the runtime of a new function that names none."""
    (project / "fnkit.toml").write_text('name = "x"\n')
    (project / "main.py").write_text("from fnkit import function\n@function\ndef hello(event, context): ...\n")
    return str(fnkit("scan", "--json").ok().json()["functions"][0]["runtime"])


def test_status_fails_when_the_project_cannot_be_compared(deployed_project: Command, project: Path) -> None:
    fnkit = deployed_project
    (project / "fnkit.toml").write_text('name = "incomparable"\n')
    main = project / "main.py"
    main.write_text("from fnkit import function\n@function\ndef hello(event, context): ...\n")
    fnkit("deploy", "--local").ok()
    main.write_text(main.read_text().replace("@function", "@function(memory=3)"))
    status = fnkit("status", "--local")
    assert status.code == 1
    assert "hello     ready " in status.stdout
    assert "The project could not be compared:\n" in status.stdout
    assert "--> main.py:2:18" in status.stdout
    assert fnkit("status", "--local", "--json").json()["obstacle"]["code"] == "bad-memory"
