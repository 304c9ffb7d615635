"""A deploy that dies after any of its requests is finished by the next one."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import pytest

from tests.support.calling import call_function
from tests.support.command import Command
from tests.support.deadly_proxy import DeadlyProxy, deadly_proxy
from tests.support.platform import PlatformUnderTest
from tests.support.waiting import wait_until

_MOST_REQUESTS = 60


def user(platform: PlatformUnderTest, **more: str) -> Command:
    """``fnkit`` with the platform's keys in the environment, as for any API."""
    return Command({**platform.environment, "TOKEN": "t0ken", **more})


@pytest.fixture
def pair(project: Path) -> Path:
    (project / "fnkit.toml").write_text('name = "killed"\n')
    write(project, "one")
    return project


def write(project: Path, version: str) -> None:
    (project / "main.py").write_text(
        "import os\nfrom fnkit import cron, function\n\n"
        f"@cron('0 4 * * *', args={{'version': '{version}'}}, name='nightly')\n"
        "@function(secrets=['TOKEN'])\n"
        f"def clean(event, context):\n    return 'clean {version} ' + os.environ['TOKEN']\n\n"
        f"@function\ndef hello(event, context):\n    return 'hello {version}'\n"
    )


def deploy_and_die(platform: PlatformUnderTest, after: int) -> DeadlyProxy | None:
    """Deploy through a proxy that kills the deploy; ``None`` when it finished before."""
    running: list[subprocess.Popen[str]] = []
    with deadly_proxy(platform.api_url, after=after, kill=lambda: running[0].send_signal(signal.SIGKILL)) as proxy:
        process = user(platform, SCW_API_URL=proxy.url).start("deploy", "--json")
        running.append(process)
        stdout, stderr = process.communicate(timeout=60)
    if process.returncode == -signal.SIGKILL:
        return proxy
    assert process.returncode == 0, stdout + stderr
    return None


@pytest.mark.long
@pytest.mark.timeout(900)
def test_killed_after_every_request_in_turn_the_next_run_converges(platform: PlatformUnderTest, pair: Path) -> None:
    fnkit = user(platform)
    survived = 0
    for after in range(1, _MOST_REQUESTS):
        version = f"v{after}"
        write(pair, version)
        if after % 2:
            fnkit("destroy", "--yes").ok()  # die in a first deploy, and in an update, by turns
        proxy = deploy_and_die(platform, after)
        done = fnkit("deploy", "--json").ok().json()
        functions = {one["name"]: one for one in done["functions"]}
        assert call_function(platform, functions["hello"]["domain"]).text == f"hello {version}"
        assert call_function(platform, functions["clean"]["domain"]).text == f"clean {version} t0ken"
        planned = fnkit("plan", "--exit-code", "--refresh", "--json")
        assert planned.code == 0, (after, proxy and proxy.requests, planned.stdout)
        assert planned.json()["foreign"] == []
        survived += proxy is None
        if survived == 2:  # both kinds of deploy outlived the proxy: every request was somebody's last
            break
    else:
        pytest.fail(f"a deploy of two functions makes more than {_MOST_REQUESTS} requests")
    fnkit("destroy", "--yes").ok()


@pytest.mark.slow
@pytest.mark.usefixtures("pair")
def test_ctrl_c_ends_with_130_and_the_next_deploy_finishes(platform: PlatformUnderTest) -> None:
    running: list[subprocess.Popen[str]] = []
    with deadly_proxy(platform.api_url, after=6, kill=lambda: running[0].send_signal(signal.SIGINT)) as proxy:
        process = user(platform, SCW_API_URL=proxy.url).start("deploy")
        running.append(process)
        stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stdout + stderr
    assert "Traceback" not in stderr
    fnkit = user(platform)
    fnkit("deploy").ok()
    assert fnkit("plan", "--exit-code").code == 0
    fnkit("destroy", "--yes").ok()


@pytest.mark.slow
@pytest.mark.usefixtures("pair")
def test_two_deploys_at_once_take_turns(platform: PlatformUnderTest) -> None:
    fnkit = user(platform)
    first = fnkit.start("deploy", "--json")
    second = fnkit.start("deploy", "--json")
    wait_until(lambda: first.poll() is not None and second.poll() is not None, 60)
    for process in (first, second):
        stdout, stderr = process.communicate()
        assert process.returncode == 0, stdout + stderr
    assert fnkit("plan", "--exit-code").code == 0
    fnkit("destroy", "--yes").ok()
