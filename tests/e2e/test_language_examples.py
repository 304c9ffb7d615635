"""The examples in several languages work without changes, with the packages that their lock files name."""

from __future__ import annotations

import json
import re
import shutil
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.builds import RUNTIMES, show_rust_toolchains, toolchain
from tests.support.platform import PlatformUnderTest, running_platform
from tests.support.source_tree import REPOSITORY
from tests.support.toolchains import require_program

IGNORED = ("__pycache__", ".*_cache", ".fnkit", ".env", "fnkit.*.lock", "node_modules", "vendor", "target")
LOCATION = re.compile(r"https?://([^/\"]+)/")


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PlatformUnderTest]:
    require_program("composer")
    for language in RUNTIMES:
        toolchain(language)
    show_rust_toolchains()
    with running_platform(tmp_path_factory.mktemp("platform")) as running:
        yield running


def deploy(platform: PlatformUnderTest, folder: Path, example: str) -> dict[str, str]:
    """Deploy an example and return the URL of each function."""
    ignored = shutil.ignore_patterns(*IGNORED)
    project = Path(shutil.copytree(REPOSITORY / "examples" / example, folder / example, ignore=ignored))
    if (project / ".env.example").is_file():
        (project / ".env.example").rename(project / ".env")
    answer = platform.command("deploy", "--local", "--yes", "--json", cwd=project, timeout=800).ok().json()
    return {one["name"]: one["url"] for one in answer["functions"]}


def call(url: str, body: object = None) -> Any:
    """GET, or POST a JSON document; return the body as JSON, or as text if it has another type."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, headers={"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        text = answer.read().decode()
        return json.loads(text) if answer.headers.get_content_type() == "application/json" else text


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.timeout(900)  # of the first build in Rust
def test_polyglot_example_answers_in_each_language(platform: PlatformUnderTest, tmp_path: Path) -> None:
    urls = deploy(platform, tmp_path, "polyglot")
    total = call(urls["total"], {"lines": [{"price": "9.90", "count": 2, "tax": "20"}]})
    assert total == {"net": "19.80", "tax": "3.96", "total": "23.76"}
    assert "<td>Coffee<td>2.40" in call(f"{urls['receipt']}?shop=Caf%C3%A9&item=Coffee:2.40")
    assert call(f"{urls['price']}?amount=1234.5&country=fr") == "1\u202f234,50 €"
    assert call(f"{urls['iban']}?number=FR7630006000011234567890189")["valid"] is True
    assert call(f"{urls['barcode']}?digits=401234567890").startswith("<svg ")


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.timeout(900)  # of the first build in Rust
def test_conference_example_answers_in_each_language(platform: PlatformUnderTest, tmp_path: Path) -> None:
    urls = deploy(platform, tmp_path, "conference")
    guest = {"name": " Ada Lovelace ", "email": "ada@example.com", "talks": ["opening"]}
    assert call(urls["signup"], guest) == {**guest, "name": "Ada Lovelace"}
    with pytest.raises(urllib.error.HTTPError, match="422"):
        call(urls["signup"], {**guest, "email": "ada"})
    assert ">AL<h1>Ada Lovelace</h1>" in call(f"{urls['badge']}?name=Ada%20%20Lovelace&role=speaker")
    ticket = call(urls["tickets"], guest)["ticket"]
    assert call(urls["tickets"] + ticket)["valid"] is True
    with pytest.raises(urllib.error.HTTPError, match="404"):
        call(f"{urls['tickets']}{ticket[:-1]}")
    talk = {"title": "Opening, really", "start": "2026-05-04T09:00:00+02:00", "minutes": 45}
    assert "DTEND:20260504T074500Z\r\nSUMMARY:Opening\\, really\r\n" in call(urls["calendar"], talk)
    assert "<svg " in call(f"{urls['code']}?ticket={ticket}")


def test_lock_files_name_no_registry_of_a_machine() -> None:
    folder = REPOSITORY / "examples/conference"
    found = {
        name: set(LOCATION.findall((folder / name).read_text(encoding="utf-8")))
        for name in ("signup/package-lock.json", "badge/composer.lock", "calendar/Cargo.lock")
    }
    assert found == {
        "signup/package-lock.json": {"github.com"},
        "badge/composer.lock": {"getcomposer.org"},
        "calendar/Cargo.lock": {"github.com"},
    }
