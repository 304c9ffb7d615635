"""Deploys that are killed after any of their requests; the next deploy completes the work."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import pytest

from tests.support.command import Command
from tests.support.killing_proxy import KillingProxy, killing_proxy
from tests.support.platform import PlatformUnderTest, call_function
from tests.support.waiting import wait_until

_MAX_REQUESTS = 60


def fnkit_with_keys(platform: PlatformUnderTest, **more: str) -> Command:
    """Return ``fnkit`` with the platform's URL and keys in the environment, as for the cloud."""
    return Command({**platform.environment, "TOKEN": "t0ken", **more})


@pytest.fixture
def two_function_project(project: Path) -> Path:
    (project / "fnkit.toml").write_text('name = "killed"\n')
    write_project(project, "one")
    return project


def write_project(project: Path, version: str) -> None:
    (project / "main.py").write_text(
        "import os\nfrom fnkit import cron, function, url_of\nfrom urllib.request import urlopen\n\n"
        f"@cron('0 4 * * *', args={{'version': '{version}'}}, name='nightly')\n"
        "@function(secrets=['TOKEN'], env={'HELLO_URL': url_of('hello')})\n"
        "def clean(event, context):\n    hello = urlopen(os.environ['HELLO_URL']).read().decode()\n"
        f"    return f'clean {version} {{hello}} ' + os.environ['TOKEN']\n\n"
        f"@function\ndef hello(event, context):\n    return 'hello {version}'\n"
    )


def deploy_until_killed(platform: PlatformUnderTest, after: int) -> KillingProxy | None:
    """Deploy through a proxy that kills the deploy after some requests; return ``None`` if it completes."""
    running: list[subprocess.Popen[str]] = []
    with killing_proxy(platform.api_url, after=after, kill=lambda: running[0].send_signal(signal.SIGKILL)) as proxy:
        process = fnkit_with_keys(platform, SCW_API_URL=proxy.url).start("deploy", "--json")
        running.append(process)
        stdout, stderr = process.communicate(timeout=60)
    if process.returncode == -signal.SIGKILL:
        return proxy
    assert process.returncode == 0, stdout + stderr
    return None


@pytest.mark.long
@pytest.mark.timeout(900)
def test_deploy_after_a_kill_at_any_request_converges(
    platform: PlatformUnderTest, two_function_project: Path
) -> None:
    fnkit = fnkit_with_keys(platform)
    completed = 0
    for after in range(1, _MAX_REQUESTS):
        version = f"v{after}"
        write_project(two_function_project, version)
        if after % 2:
            fnkit("destroy", "--yes").ok()  # alternate between first deploys and updates
        proxy = deploy_until_killed(platform, after)
        done = fnkit("deploy", "--json").ok().json()
        functions = {one["name"]: one for one in done["functions"]}
        assert call_function(platform, functions["hello"]["domain"]).text == f"hello {version}"
        assert (
            call_function(platform, functions["clean"]["domain"]).text == f"clean {version} hello {version} t0ken"
        )
        planned = fnkit("plan", "--exit-code", "--refresh", "--json")
        assert planned.code == 0, (after, proxy and proxy.requests, planned.stdout)
        assert planned.json()["foreign"] == []
        completed += proxy is None
        if completed == 2:  # a first deploy and an update need fewer requests: every request was the last once
            break
    else:
        pytest.fail(f"a deploy of two functions makes more than {_MAX_REQUESTS} requests")
    fnkit("destroy", "--yes").ok()


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.usefixtures("two_function_project")
def test_ctrl_c_exits_with_130_and_next_deploy_converges(platform: PlatformUnderTest) -> None:
    running: list[subprocess.Popen[str]] = []
    with killing_proxy(platform.api_url, after=6, kill=lambda: running[0].send_signal(signal.SIGINT)) as proxy:
        process = fnkit_with_keys(platform, SCW_API_URL=proxy.url).start("deploy")
        running.append(process)
        stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stdout + stderr
    assert "Traceback" not in stderr
    fnkit = fnkit_with_keys(platform)
    fnkit("deploy").ok()
    assert fnkit("plan", "--exit-code").code == 0
    fnkit("destroy", "--yes").ok()


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.usefixtures("two_function_project")
def test_concurrent_deploys_both_succeed(platform: PlatformUnderTest) -> None:
    fnkit = fnkit_with_keys(platform)
    first = fnkit.start("deploy", "--json")
    second = fnkit.start("deploy", "--json")
    wait_until(lambda: first.poll() is not None and second.poll() is not None, 60)
    for process in (first, second):
        stdout, stderr = process.communicate()
        assert process.returncode == 0, stdout + stderr
    assert fnkit("plan", "--exit-code").code == 0
    fnkit("destroy", "--yes").ok()
