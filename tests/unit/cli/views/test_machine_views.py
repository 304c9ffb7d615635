"""The text of commands whose results depend on the machine, for results that are always the same."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from fnkit.bundler.dependencies.lockfile import Lock, LockedPackage
from fnkit.bundler.model import Bundle, Dependency, Slice
from fnkit.cli.checks.model import Check
from fnkit.cli.output import View
from fnkit.cli.views.bundle import BundleView, LockView
from fnkit.cli.views.doctor import DoctorView
from fnkit.cli.views.login import LoginView
from fnkit.cli.views.platform_backup import RestoredView
from fnkit.cli.views.platform_keys import ApiKeysView
from fnkit.cli.views.platform_trust import TrustView
from fnkit.cli.views.test import TestRunsView
from fnkit.contract.platform import ApiKey, ApiKeyList
from fnkit.environments.project_tests import ProjectTestRun
from fnkit.platform.supervisor.launcher import BackupManifest, CaCertificate, TrustStore
from tests.support.golden import Golden
from tests.support.screens import VARIANTS
from tests.support.views import in_variants

HOME = Path("/home/ada/work/shop")
PLATFORM = Path("/home/ada/.local/share/fnkit")
AUTHORITY = CaCertificate(PLATFORM / "tls/authority.crt", "PEM\n", "0123456789abcdef" * 4)
STORE = TrustStore(
    "/usr/local/share/ca-certificates (Debian, Alpine)",
    Path("/nowhere/fnkit-01234567.crt"),
    (("install", "-m", "0644", str(AUTHORITY.file), "/usr/local/share/ca-certificates/fnkit-01234567.crt"),),
    (),
)
PACKAGES = (
    ("boto3", 16_800_000),
    ("pydantic", 3_145_728),
    ("typing-extensions", 120_000),
    ("a", 9),
    ("b", 8),
    ("c", 7),
)


def run_of(language: str) -> ProjectTestRun:
    return ProjectTestRun(language=language, directory=HOME, arguments=(), variables={})


def slice_of(function: str) -> Slice:
    return Slice(function=function, digest="0123456789abcdef" * 2, files=(), dependencies=())


BUNDLE = Bundle(
    path=HOME / ".fnkit/bundles/python313-scaleway-0123456789abcdef.zip",
    runtime="python313",
    target="musllinux_1_2_x86_64",
    digest="0" * 64,
    size=20_000_000,
    unpacked_size=61_000_000,
    slices=(slice_of("books"), slice_of("on-order")),
    dependencies=tuple(Dependency(name, "2.10.0", size) for name, size in PACKAGES),
    notes=("boto3 is of an older version than the requirements allow: the newest has no wheel for this platform.",),
)
LOCK = Lock(
    path=HOME / "pylock.python313-scaleway.toml",
    runtime="python313",
    target="scaleway",
    key="0" * 64,
    packages=tuple(
        LockedPackage(name=name, version="2.10.0", kind="wheel", filename="x.whl", url=None, size=0, sha256="0")
        for name, _ in PACKAGES[:3]
    ),
)
CHECKS = (
    Check(name="fnkit", ok=True, detail="0.1.0 with Python 3.13.1 (/home/ada/.local/pipx/venvs/fnkit/bin/python)"),
    Check(
        name="secrets",
        ok=False,
        is_needed=True,
        detail="no value for PEPPER",
        hint="`fnkit secret set PEPPER` asks.",
    ),
    Check(name="isolation", ok=False, detail="level none", hint="docs/isolation.md says what each level enforces."),
    Check(name="NATS", ok=True, detail="built-in server"),
)
KEY = ApiKey(
    access_key="SCW00000000000000000",
    secret_key=None,
    read_only=True,
    project_id="11111111-2222-4333-8444-555555555555",
    description="the builds",
    created_at="2026-11-30T14:05:00Z",
)

VIEWS: dict[str, View] = {
    "bundle": BundleView((BUNDLE, BUNDLE)),
    "lock-packages": LockView((LOCK,)),
    "doctor": DoctorView(CHECKS),
    "doctor-ok": DoctorView(CHECKS[:1]),
    "login": LoginView(
        path=Path("/home/ada/.config/scw/config.yaml"),
        profile="work",
        project_id="11111111-2222-4333-8444-555555555555",
        region="fr-par",
        api_url="https://api.scaleway.com",
        verified=True,
    ),
    "platform-trust": TrustView(AUTHORITY, STORE),
    "platform-trust-installed": TrustView(AUTHORITY, STORE, completed_action="installed"),
    "platform-restore": RestoredView(
        PLATFORM, BackupManifest(created_at="2026-11-30T14:05:00Z", functions=3, files=())
    ),
    "platform-api-key-list-some": ApiKeysView(
        ApiKeyList(keys=[KEY], total_count=1), datetime(2026, 12, 2, 14, 5, tzinfo=UTC)
    ),
    "test": TestRunsView(((run_of("python"), 0), (run_of("node"), 3)), HOME),
}


@pytest.mark.parametrize("name", VIEWS)
def test_text_matches_the_golden_files(name: str, golden: Golden) -> None:
    for variant, text in in_variants(VIEWS[name]).items():
        golden.check(f"cli/screens/{name}-{variant}.txt", text)


@pytest.mark.parametrize("name", VIEWS)
def test_no_line_is_wider_than_the_terminal(name: str) -> None:
    widths = {variant.name: variant.columns for variant in VARIANTS if variant.columns and not variant.has_marks}
    texts = in_variants(VIEWS[name])
    wide = [
        line
        for variant, columns in widths.items()
        for line in texts[variant].splitlines()
        if len(line) > columns and " " in line.strip()
    ]
    assert not [line for line in wide if not line.startswith("  ")], "commands to copy are never broken"
