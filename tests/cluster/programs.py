"""The programs of a cluster: those of Debian, and Kubernetes', built once and kept in the user's cache."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

__all__ = ["KUBERNETES_PROGRAMS", "MissingProgram", "build_programs", "missing_programs"]

KUBERNETES_VERSION: Final = "1.34.4"
"""The newest whose kubelet accepts control groups of version 1 without being told."""
KUBERNETES_PROGRAMS: Final = (
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kube-proxy",
    "kubectl",
)
_DEBIAN: Final = {
    "etcd": "etcd-server",
    "containerd": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "nft": "nftables",
    "iptables": "iptables",
    "conntrack": "conntrack",
    "ip": "iproute2",
    **dict.fromkeys(("nsenter", "setpriv", "unshare"), "util-linux"),
}
"""Program → its package."""
_PLUGINS: Final = Path("/usr/lib/cni")
_SOURCES: Final = Path(__file__).parent
# Read now: tests run without the variables and the home directory of the developer.
_ENVIRONMENT: Final = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-buildvcs=false"}
_CACHE: Final = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fnkit-tests" / "cluster"


class MissingProgram(Exception):
    """A program of the cluster cannot be found or built; the message says which."""


def missing_programs() -> list[str]:
    """Return the Debian packages that are missing, and Go if it is."""
    missing = {package for program, package in _DEBIAN.items() if shutil.which(program) is None}
    if not (_PLUGINS / "bridge").exists():
        missing.add("containernetworking-plugins")
    if shutil.which("go") is None:
        missing.add("golang")
    return sorted(missing)


def build_programs() -> Path:
    """Return a directory with Kubernetes' programs and ``pause``, which are built if they are not in the cache.

    The first build takes about eleven minutes of one processor.

    Raises:
        MissingProgram: They cannot be built.
    """
    target = _CACHE / _key()
    if target.is_dir():
        return target
    _CACHE.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=_CACHE))
    try:
        prefix = "k8s.io/component-base/version.git"
        major, minor, _ = KUBERNETES_VERSION.split(".")
        version = f"-X {prefix}Version=v{KUBERNETES_VERSION} -X {prefix}Major={major} -X {prefix}Minor={minor}"
        _build("kubernetes", temporary / "kubernetes", "-tags=providerless", f"-ldflags=-s -w {version}")
        _build("pause", temporary / "pause", "-ldflags=-s -w")
        for name in KUBERNETES_PROGRAMS:
            (temporary / name).symlink_to("kubernetes")
        temporary.chmod(0o755)
        temporary.rename(target)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    return target


def _key() -> str:
    """Return a digest of the sources, the module versions and the compiler."""
    digest = hashlib.sha256(_go("version", cwd=_SOURCES).encode())
    for path in sorted(_SOURCES.glob("*/*")):
        if path.suffix in (".go", ".mod", ".sum"):
            digest.update(f"{path.parent.name}/{path.name}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def _build(source: str, output: Path, *options: str) -> None:
    _go("build", "-trimpath", *options, "-o", str(output), ".", cwd=_SOURCES / source)


def _go(*arguments: str, cwd: Path) -> str:
    try:
        done = subprocess.run(
            ["go", *arguments], cwd=cwd, env=_ENVIRONMENT, capture_output=True, text=True, check=False
        )
    except OSError as error:
        raise MissingProgram(f"go: {error.strerror}") from None
    if done.returncode:
        raise MissingProgram(f"go {arguments[0]} failed: {done.stderr[-2000:]}")
    return done.stdout
