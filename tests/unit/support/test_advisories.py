"""The audit of installed distributions against a directory of OSV advisories."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from tests.support.advisories import DatabaseError, find_affected, installed_versions, main, read_advisories


def advisory(*events: dict[str, str], name: str = "some-package", **more: Any) -> dict[str, Any]:
    ranges = [{"type": "ECOSYSTEM", "events": list(events)}] if events else []
    affected = {"package": {"ecosystem": "PyPI", "name": name}, "ranges": ranges, **more.pop("affected", {})}
    return {"id": "GHSA-1", "aliases": ["CVE-1"], "summary": "It breaks.", "affected": [affected], **more}


def write(folder: Path, *advisories: dict[str, Any]) -> Path:
    (folder / "pypi").mkdir()
    for number, one in enumerate(advisories):
        (folder / "pypi" / f"{number}.json").write_text(json.dumps(one))
    return folder


@pytest.mark.parametrize(
    ("events", "affected"),
    [
        ([{"introduced": "0"}], ["0.1", "1.5rc1", "1.5", "1.5.post1", "2.0"]),
        ([{"introduced": "0"}, {"fixed": "1.5"}], ["0.1", "1.5rc1"]),
        ([{"introduced": "1.0"}, {"last_affected": "1.5"}], ["1.5rc1", "1.5"]),
        ([{"fixed": "1.5"}, {"introduced": "1.0"}, {"introduced": "1.9"}], ["1.5rc1", "2.0"]),
        ([{"introduced": "0"}, {"fixed": "not a version"}], ["0.1", "1.5rc1", "1.5", "1.5.post1", "2.0"]),
    ],
)
def test_range_of_versions(tmp_path: Path, events: list[dict[str, str]], affected: list[str]) -> None:
    advisories = read_advisories(write(tmp_path, advisory(*events)))
    versions = ["0.1", "1.5rc1", "1.5", "1.5.post1", "2.0"]
    found = [one for one in versions if find_affected({"some-package": one}, advisories)]
    assert found == affected


def test_names_are_normalized_and_versions_may_be_listed(tmp_path: Path) -> None:
    listed = advisory(name="Some.Package", affected={"versions": ["1.0", "1.1"]})
    advisories = read_advisories(write(tmp_path, listed))
    [finding] = find_affected({"some-package": "1.1", "other": "1.1"}, advisories)
    assert str(finding) == "some-package 1.1: GHSA-1 CVE-1: It breaks."
    assert find_affected({"some-package": "1.2"}, advisories) == []


@pytest.mark.parametrize(
    "other",
    [
        advisory({"introduced": "0"}, withdrawn="2026-01-01T00:00:00Z"),
        {"id": "X", "affected": [{"package": {"ecosystem": "npm", "name": "some-package"}, "versions": ["1.0"]}]},
        {"id": "X", "affected": [{"ranges": [{"type": "GIT", "events": [{"introduced": "0"}]}]}]},
        {"id": "X"},
    ],
)
def test_advisory_that_concerns_nothing_here(tmp_path: Path, other: dict[str, Any]) -> None:
    assert find_affected({"some-package": "1.0"}, read_advisories(write(tmp_path, other))) == []


def test_command_reports_installed_distributions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert installed_versions()["pyyaml"] == version("PyYAML")
    write(tmp_path, advisory({"introduced": "0"}, name="PyYAML"))
    assert main([str(tmp_path)]) == 1
    assert f"pyyaml {version('PyYAML')}: GHSA-1 CVE-1" in capsys.readouterr().out
    (tmp_path / "pypi" / "0.json").write_text(json.dumps(advisory({"introduced": "0"}, name="not-installed")))
    assert main([str(tmp_path)]) == 0


def test_check_that_did_not_happen_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == main([str(tmp_path / "missing")]) == main([str(tmp_path)]) == 2
    write(tmp_path)
    (tmp_path / "pypi" / "bad.json").write_text("{")
    assert main([str(tmp_path)]) == 2
    assert "bad.json is not an OSV advisory" in capsys.readouterr().err
    with pytest.raises(DatabaseError):
        read_advisories(tmp_path)
