"""Every template, every example and the demo work without changes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.support.platform import PlatformUnderTest
from tests.support.source_tree import REPOSITORY
from tests.support.waiting import wait_until

pytestmark = [
    pytest.mark.long,
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="the platform needs WSL 2"),
]


def deploy(platform: PlatformUnderTest, project: Path) -> dict[str, str]:
    """Deploy a project and return the URL of each function."""
    answer = platform.command("deploy", "--local", "--yes", "--json", cwd=project).ok().json()
    return {one["name"]: one["url"] for one in answer["functions"]}


def call(url: str, body: object = None) -> Any:
    """GET, or POST a JSON document; return the body as JSON, or as text if it has another type."""
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data=data), timeout=60) as answer:
        text = answer.read().decode()
        return json.loads(text) if answer.headers.get_content_type() == "application/json" else text


def deploy_template(platform: PlatformUnderTest, folder: Path, template: str) -> dict[str, str]:
    platform.command("new", template, "--template", template, cwd=folder).ok()
    return deploy(platform, folder / template)


def copy_example(example: str, folder: Path) -> Path:
    ignored = shutil.ignore_patterns("__pycache__", ".*_cache", ".fnkit", ".venv", ".env", "*.lock")
    return Path(shutil.copytree(REPOSITORY / "examples" / example, folder / example, ignore=ignored))


def test_http_template_responds(platform: PlatformUnderTest, tmp_path: Path) -> None:
    urls = deploy_template(platform, tmp_path, "http")
    assert call(f"{urls['hello']}?name=Ada") == {"message": "Hello, Ada!"}


def test_cron_template_responds_to_a_cron_call(platform: PlatformUnderTest, tmp_path: Path) -> None:
    urls = deploy_template(platform, tmp_path, "cron")
    assert call(urls["stand-up"], {"people": ["Ada"]})["on_duty"] == "Ada"


def test_api_template_returns_a_quote_that_can_be_retrieved(platform: PlatformUnderTest, tmp_path: Path) -> None:
    urls = deploy_template(platform, tmp_path, "api")
    quoted = call(urls["quotes"], {"lines": [{"sku": "TEA", "quantity": 2}]})
    assert call(f"{urls['quotes']}{quoted['token']}") == {"quote": quoted["quote"]}
    assert call(f"{urls['products']}TEA")["sku"] == "TEA"


def test_queue_template_handles_published_messages(platform: PlatformUnderTest, tmp_path: Path) -> None:
    deploy_template(platform, tmp_path, "queue")
    project = tmp_path / "queue"
    (url,) = [
        line.removeprefix("NATS_URL=")
        for line in platform.command("platform", "env", "--format", "dotenv").ok().stdout.splitlines()
        if line.startswith("NATS_URL=")
    ]
    for name in ("Ada", "Grace"):  # the second run finds the stream
        command = [sys.executable, "publish.py", json.dumps({"name": name})]
        subprocess.run(command, cwd=project, env={**os.environ, "NATS_URL": url}, check=True)
    shown = ("trigger", "deliveries", "on-signup", "--local", "--json")

    def handled() -> list[tuple[str, str]]:
        found = platform.command(*shown, cwd=project).ok().json()["deliveries"]
        return sorted((one["body"], one["status"]) for one in found)

    expected = [('{"name": "Ada"}', "succeeded"), ('{"name": "Grace"}', "succeeded")]
    wait_until(lambda: handled() == expected, what="both messages are handled once")


@pytest.mark.parametrize("template", ["http", "cron", "api", "queue", "sqs"])
def test_template_is_bundled_for_scaleway(platform: PlatformUnderTest, tmp_path: Path, template: str) -> None:
    platform.command("new", "shop", "--template", template, cwd=tmp_path).ok()
    answer = platform.command("bundle", "--json", cwd=tmp_path / "shop").ok().json()
    assert [bundle["dependencies"] for bundle in answer["bundles"]] == [[]]


def test_hello_example_uses_its_compiled_wheel(platform: PlatformUnderTest, tmp_path: Path) -> None:
    urls = deploy(platform, copy_example("hello", tmp_path))
    answer = call(f"{urls['hello']}?name=Ada")
    assert answer["message"] == "Hello, Ada!"
    assert answer["orjson"]


def test_invoices_example_returns_a_link_to_the_invoice(platform: PlatformUnderTest, tmp_path: Path) -> None:
    project = copy_example("invoices", tmp_path)
    (project / ".env.example").rename(project / ".env")
    urls = deploy(platform, project)
    invoice = {
        "number": "2026-005",
        "customer": "Hopper Compilers",
        "due": "2026-04-30",
        "lines": [{"text": "Review", "quantity": 1.5, "price": 80}, {"text": "Travel", "price": "12.35"}],
    }
    answer = call(urls["invoices"], invoice)
    assert answer["total"] == "158.82"
    assert "158.82 €" in call(urls["invoices"].rstrip("/") + answer["link"])
    assert call(urls["reminders"], {"today": "2026-03-01", "grace_days": 14}) == {"overdue": ["2026-002"]}


def test_invoices_example_reports_its_missing_secret(platform: PlatformUnderTest, tmp_path: Path) -> None:
    result = platform.command("plan", "--local", "--json", cwd=copy_example("invoices", tmp_path))
    assert result.code == 2
    assert [problem["code"] for problem in result.json()["problems"]] == ["missing-secret"]


@pytest.mark.long
@pytest.mark.parametrize("example", ["bookshop", "hello", "invoices", "orders"])
def test_example_passes_its_own_tests(tmp_path: Path, example: str) -> None:
    project = copy_example(example, tmp_path)
    uv = Path(sys.executable).with_name("uv")
    environment = tmp_path / "env"
    subprocess.run([uv, "venv", "-q", "--python", sys.executable, environment], check=True)
    python = environment / "bin" / "python"
    packages = ["--editable", str(REPOSITORY), "--requirements", str(project / "pyproject.toml"), "pytest"]
    subprocess.run([uv, "pip", "install", "-q", "--python", python, *packages], check=True)
    run = subprocess.run([python, "-m", "pytest", "-q"], cwd=project, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout


@pytest.mark.long
def test_new_project_passes_its_tests_as_its_readme_describes(platform: PlatformUnderTest, tmp_path: Path) -> None:
    platform.command("new", "shop", cwd=tmp_path).ok()
    project = tmp_path / "shop"
    assert "fnkit test  " in (project / "README.md").read_text(encoding="utf-8")
    assert "2 passed" in platform.command("test", cwd=project).ok().stdout


def start_demo(**variables: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(REPOSITORY / "examples" / "demo.py")],
        cwd=REPOSITORY,
        env={**os.environ, "CI": "true", **variables},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def processes_using(folder: Path) -> list[str]:
    """Return the command lines, environments and mounts of processes that mention the directory."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            text = b"".join((process / name).read_bytes() for name in ("cmdline", "environ", "mounts"))
        except OSError:
            continue
        if os.fsencode(folder) in text:
            found.append(text.replace(b"\0", b" ").decode(errors="replace")[:200])
    return found


@pytest.mark.long
@pytest.mark.timeout(600)  # of the first builds in Go and Rust
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks for processes in /proc")
def test_demo_shows_a_response_and_a_cron_run_and_cleans_up(tmp_path: Path) -> None:
    process = start_demo(TMPDIR=str(tmp_path))
    shown, _ = process.communicate(timeout=400)
    assert process.returncode == 0, shown
    assert '"message": "Hello, Ada!"' in shown
    assert 'POST {"say":"tick"}' in shown
    assert processes_using(tmp_path) == []
    assert list(tmp_path.glob("fnkit-demo-*")) == []


def test_bookshop_example_takes_orders(platform: PlatformUnderTest, tmp_path: Path) -> None:
    urls = deploy(platform, copy_example("bookshop", tmp_path))
    assert call(f"{urls['books']}?search=emma") == [{"number": 1, "title": "Emma", "cents": 990}]
    assert call(f"{urls['book']}books/2")["title"] == "Persuasion"
    assert call(urls["order"], {"customer": "Ada", "lines": [{"number": 1}]}) == {"customer": "Ada", "cents": 1290}
    assert call(urls["forget-orders"], {"days": 90}) == "forgot orders older than 90 days"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks for processes in /proc")
def test_demo_stops_its_processes_on_ctrl_c(tmp_path: Path) -> None:
    process = start_demo(TMPDIR=str(tmp_path))
    wait_until(lambda: list(tmp_path.glob("fnkit-demo-*/platform/run.json")), what="the demo's platform")
    os.killpg(process.pid, signal.SIGINT)
    shown, _ = process.communicate(timeout=60)
    assert process.returncode == 130, shown
    assert processes_using(tmp_path) == []
    assert list(tmp_path.glob("fnkit-demo-*")) == []
