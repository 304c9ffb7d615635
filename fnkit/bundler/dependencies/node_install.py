"""Installs the packages of a Node project in a copy of it, with the package manager of its lock file.

The copy has no scripts, and of the project's settings of package managers only its registries: other settings can
run code or write elsewhere. No script of a package runs. The packages are those of the lock file, for the C library
and machine of the target.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform as platform_module
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fnkit.bundler.dependencies.node_failures import install_error
from fnkit.bundler.dependencies.node_project import MANIFEST, NodeLock, NodeManifest, PackageManager
from fnkit.bundler.files.content import ContentByPath
from fnkit.contract.distribution import extra_install_hint
from fnkit.errors import BundleError
from fnkit.toolchains.packaged_programs import with_packaged_node

_VERSION: Final = 1
"""Increase when the same lock file must be installed again."""
_TIMEOUT_SECONDS: Final = 900
_VERSION_TIMEOUT_SECONDS: Final = 120
_KEPT_FIELDS: Final = (
    "name", "version", "dependencies", "optionalDependencies", "devDependencies", "peerDependencies",
    "peerDependenciesMeta", "dependenciesMeta", "bundleDependencies", "bundledDependencies", "overrides",
    "resolutions", "pnpm",
)  # fmt: skip
"""The fields of package.json that say which packages are installed."""
_KEPT_PNPM_SETTINGS: Final = frozenset(
    {
        "catalog", "catalogs", "overrides", "packageExtensions", "peerDependencyRules", "autoInstallPeers",
        "excludeLinksFromLockfile", "allowedDeprecatedVersions", "ignoredOptionalDependencies",
        "dedupePeerDependents",
    }
)  # fmt: skip
"""The settings of pnpm-workspace.yaml that a lock file records, so that pnpm compares them."""
_PROGRAMS: Final[Mapping[PackageManager, tuple[str, str]]] = {
    "npm": ("npm", f"Install Node.js, which includes npm, or {extra_install_hint('node')}."),
    "pnpm": ("pnpm", "Install it with `npm install --global pnpm`."),
    "yarn": ("yarn", "Install it with `npm install --global yarn`."),
    "yarn-berry": ("yarn", "Install it with `npm install --global @yarnpkg/cli-dist`, or enable corepack."),
}
_REGISTRY_LINE: Final = re.compile(r"^\s*(?:@[\w.-]+:)?registry\s*=\s*[^\s$]+\s*$")
_BERRY_REGISTRY_LINE: Final = re.compile(r"^npmRegistryServer:\s*[^\s$]+\s*$")
_YAML_KEY: Final = re.compile(r"^[\"']?([A-Za-z]+)[\"']?\s*:")
_MAX_SETTINGS_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class NodePlatform:
    """The machine that packages are installed for, in the terms of package managers.

    Attributes:
        system: ``linux`` or ``darwin``.
        machine: ``x64`` or ``arm64``.
        libc: ``musl``, ``glibc``, or ``""`` for systems other than Linux.
    """

    system: str
    machine: str
    libc: str

    @property
    def is_this_machine(self) -> bool:
        """Whether this machine has the same system and machine; the C library may differ."""
        is_arm = platform_module.machine().lower() in ("arm64", "aarch64")
        return sys.platform == self.system and self.machine == ("arm64" if is_arm else "x64")


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeInstallation:
    """The packages of one lock file for one platform.

    Attributes:
        folder: The folder of ``package.json``.
        platform: What to install for; ``None`` for this machine, with the development packages.
    """

    folder: Path
    manifest: NodeManifest
    lock: NodeLock
    platform: NodePlatform | None

    @property
    def key(self) -> str:
        """64 hex digits over everything that determines the packages."""
        fields = {
            name: self.manifest.document.get(name) for name in _KEPT_FIELDS if name not in ("name", "version")
        }
        chosen = self.platform
        platform = None if chosen is None else [chosen.system, chosen.machine, chosen.libc]
        parts = [_VERSION, fields, self.lock.manager, hashlib.sha256(self.lock.content).hexdigest(), platform]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    def key_with(self, sources: ContentByPath) -> str:
        """Return the key together with the content of directories that packages are installed from."""
        listed = sorted((name, one.sha256) for name, one in sources.items())
        return hashlib.sha256(json.dumps([self.key, listed]).encode()).hexdigest() if listed else self.key


def install_packages(installation: NodeInstallation, staging: Path) -> None:
    """Install the packages into ``node_modules`` of a directory, which may contain files of the project.

    Args:
        installation: What to install.
        staging: The directory. Settings of package managers in it are replaced.

    Raises:
        BundleError: ``node-tool-missing``, ``node-lock-stale``, ``node-registry``, ``node-package``,
            ``hash-mismatch``, ``node-install``, ``disk-full``.
    """
    with with_packaged_node(os.environ) as environ:
        _install(installation, staging, _environment(installation.lock.manager, environ))


def _install(installation: NodeInstallation, staging: Path, environ: Mapping[str, str]) -> None:
    manager = installation.lock.manager
    program = _find_program(manager, environ["PATH"])
    if manager == "yarn-berry":
        _check_berry_lock(installation)
    staging.mkdir(parents=True, exist_ok=True)
    if manager in ("yarn", "yarn-berry"):
        _check_yarn_version(program, installation, staging, environ)
    own_manifest = _own_text(staging / MANIFEST)
    _write_staging(installation, staging)
    result = _run(program, _arguments(installation), staging, environ)
    if result.returncode != 0:
        raise _error_of(installation, result.stdout + "\n" + result.stderr)
    if own_manifest is not None:
        (staging / MANIFEST).write_bytes(own_manifest)


def _own_text(file: Path) -> bytes | None:
    return file.read_bytes() if file.is_file() else None


def _find_program(manager: PackageManager, path: str) -> str:
    name, hint = _PROGRAMS[manager]
    program = shutil.which(name, path=path)
    if program is None:
        raise BundleError(
            f"The lock file needs {name}, which is not installed on this machine.",
            code="node-tool-missing",
            hint=hint,
        )
    return program


def _environment(manager: PackageManager, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a package manager: the user's, whose registries and credentials it needs."""
    variables = {
        **environ,
        "npm_config_ignore_scripts": "true",  # also for the npm that npm starts for a package in a git repository
        "npm_config_update_notifier": "false",
        "npm_config_manage_package_manager_versions": "false",
        "COREPACK_ENABLE_DOWNLOAD_PROMPT": "0",
        "YARN_IGNORE_PATH": "1",
        "GIT_ALLOW_PROTOCOL": "https:ssh:git",
        "GIT_TERMINAL_PROMPT": "0",
        "CI": "1",
    }
    if manager == "yarn-berry":
        variables |= {"YARN_ENABLE_SCRIPTS": "false", "YARN_ENABLE_TELEMETRY": "false", "YARN_HTTP_RETRY": "1"}
        if "YARN_NPM_REGISTRY_SERVER" not in variables and (registry := _npm_registry(variables)) is not None:
            variables["YARN_NPM_REGISTRY_SERVER"] = registry
    return variables


def _npm_registry(environ: Mapping[str, str]) -> str | None:
    """Return the registry of npm on this machine: Yarn reads none of npm's settings."""
    npm = shutil.which("npm", path=environ["PATH"])
    if npm is None:
        return None
    try:
        result = subprocess.run(
            [npm, "config", "get", "registry"],
            cwd=Path.home(),
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_VERSION_TIMEOUT_SECONDS,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    registry = result.stdout.strip()
    return registry if result.returncode == 0 and registry.startswith(("http://", "https://")) else None


def _check_yarn_version(
    program: str, installation: NodeInstallation, staging: Path, environ: Mapping[str, str]
) -> None:
    """Reject a Yarn of the other kind than the one that wrote the lock file: each rewrites the other's."""
    version = _run(program, ("--version",), staging, environ).stdout.strip()
    is_berry = not version.startswith(("0.", "1."))
    if is_berry != (installation.lock.manager == "yarn-berry"):
        wanted = "Yarn 1" if is_berry else "Yarn 2 or later"
        raise BundleError(
            f"{wanted} wrote the yarn.lock beside {installation.manifest.shown}, but yarn on PATH is {version}.",
            code="node-tool-missing",
            hint=_PROGRAMS[installation.lock.manager][1],
        )


def _write_staging(installation: NodeInstallation, staging: Path) -> None:
    """Write the manifest, the lock file and the settings that a package manager finds in its directory."""
    manager, platform = installation.lock.manager, installation.platform
    document = {
        name: installation.manifest.document[name]
        for name in _KEPT_FIELDS
        if name in installation.manifest.document
    }
    if platform is not None and manager == "pnpm":
        own = document.get("pnpm")
        supported = {"os": [platform.system], "cpu": [platform.machine], "libc": [platform.libc or "glibc"]}
        document["pnpm"] = {**(own if isinstance(own, dict) else {}), "supportedArchitectures": supported}
    (staging / MANIFEST).write_text(json.dumps(document, ensure_ascii=False), encoding="utf-8")
    (staging / installation.lock.name).write_bytes(installation.lock.content)
    registries = _lines_of(installation.folder / ".npmrc", _REGISTRY_LINE)
    (staging / ".npmrc").write_text("".join(f"{line}\n" for line in registries), encoding="utf-8")
    if manager == "pnpm":
        text = _pnpm_settings(installation.folder) + "packages: ['.']\nnodeLinker: hoisted\n"
        (staging / "pnpm-workspace.yaml").write_text(text + _yaml_architectures(platform), encoding="utf-8")
    elif manager == "yarn-berry":
        lines = _lines_of(installation.folder / ".yarnrc.yml", _BERRY_REGISTRY_LINE)
        text = "".join(f"{line}\n" for line in lines)
        text += "nodeLinker: node-modules\nenableScripts: false\nenableTelemetry: false\n"
        (staging / ".yarnrc.yml").write_text(text + _yaml_architectures(platform), encoding="utf-8")


def _yaml_architectures(platform: NodePlatform | None) -> str:
    if platform is None:
        return ""
    libc = f"  libc: [{platform.libc}]\n" if platform.libc else ""
    return f"supportedArchitectures:\n  os: [{platform.system}]\n  cpu: [{platform.machine}]\n{libc}"


def _lines_of(file: Path, pattern: re.Pattern[str]) -> list[str]:
    """Return the lines of a settings file that match; none of a file that cannot be read."""
    try:
        if not file.is_file() or file.stat().st_size > _MAX_SETTINGS_BYTES:
            return []
        return [line.rstrip() for line in file.read_text("utf-8", "replace").splitlines() if pattern.match(line)]
    except OSError:
        return []


def _pnpm_settings(folder: Path) -> str:
    """Return the kept settings of ``pnpm-workspace.yaml``: whole blocks that start with their keys."""
    kept: list[str] = []
    keeps = False
    for line in _lines_of(folder / "pnpm-workspace.yaml", re.compile("")):
        if line[:1] not in (" ", "\t", "-", "#", ""):
            key = _YAML_KEY.match(line)
            keeps = key is not None and key.group(1) in _KEPT_PNPM_SETTINGS
        if keeps:
            kept.append(line)
    return "".join(f"{line}\n" for line in kept)


def _arguments(installation: NodeInstallation) -> tuple[str, ...]:
    platform = installation.platform
    match installation.lock.manager:
        case "npm":
            target: tuple[str, ...] = ("--include=dev",)
            if platform is not None:
                target = ("--omit=dev", f"--os={platform.system}", f"--cpu={platform.machine}")
                target += (f"--libc={platform.libc}",) if platform.libc else ()
            return (
                *("ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline", "--no-progress"),
                *("--fetch-retries=1", "--fetch-retry-mintimeout=1000", "--fetch-retry-maxtimeout=5000", *target),
            )
        case "pnpm":
            return (
                *("install", "--frozen-lockfile", "--ignore-scripts", "--ignore-pnpmfile", "--prefer-offline"),
                *("--config.node-linker=hoisted", "--config.fetch-retries=1", "--reporter=append-only"),
                *(("--prod",) if platform is not None else ()),
            )
        case "yarn":
            return (
                *("install", "--frozen-lockfile", "--ignore-scripts", "--non-interactive", "--no-progress"),
                *("--prefer-offline", "--ignore-engines", "--network-timeout", "60000"),
                *(("--production",) if platform is not None else ("--production=false",)),
                *(("--ignore-platform",) if platform is not None and not platform.is_this_machine else ()),
            )
        case "yarn-berry":
            return ("workspaces", "focus", "--production") if platform is not None else ("install", "--immutable")


def _run(
    program: str, arguments: tuple[str, ...], staging: Path, environ: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            [program, *arguments],
            cwd=staging,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_TIMEOUT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise BundleError(
            f"Installing the packages took longer than {_TIMEOUT_SECONDS // 60} minutes.",
            code="node-install",
            hint="Check the connection to the registry, then try again.",
        ) from error
    except OSError as error:
        raise BundleError(
            f"{program} cannot be started: {error.strerror}.", code="node-tool-missing", hint="Install it again."
        ) from error


def _check_berry_lock(installation: NodeInstallation) -> None:
    """Reject a lock file of Yarn 2 or later that lacks a package of the manifest.

    Its command for production packages resolves what the lock file lacks, without an error.
    """
    lock = installation.lock.content.decode("utf-8", "replace")
    resolutions = installation.manifest.document.get("resolutions")
    overridden = set(resolutions) if isinstance(resolutions, dict) else set()
    for name, version in installation.manifest.packages(development=True).items():
        if ":" in version or name in overridden:
            continue
        if f"{name}@npm:{version}" not in lock and f"{name}@{version}" not in lock:
            raise _error_of(installation, f"YN0028: {name}@{version} is not in the lock file")


def _error_of(installation: NodeInstallation, output: str) -> BundleError:
    program = _PROGRAMS[installation.lock.manager][0]
    return install_error(output, program=program, lock=installation.lock.name, manifest=installation.manifest.shown)
