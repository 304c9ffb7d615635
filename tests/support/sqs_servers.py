"""Runs third-party SQS servers as processes: moto in server mode, and fauxqs.

Both keep their data in memory. fauxqs is installed from npm once, into a cache directory outside the repository; if
that fails, tests with it are skipped with the reason.
"""

from __future__ import annotations

import contextlib
import functools
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from tests.support.ports import free_port
from tests.support.waiting import wait_until

__all__ = ["SERVERS", "SqsServer", "queue_client", "running_sqs", "start_sqs_server"]

SERVERS: Final = (pytest.param("moto"), pytest.param("fauxqs", marks=pytest.mark.long))
REGION: Final = "fr-par"
_FAUXQS_VERSION: Final = "1.9.2"  # 2.x needs Node 22.5


@dataclass(slots=True)
class SqsServer:
    """A running server; after ``kill``, ``start`` restarts it on the same port, without data."""

    kind: str
    port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        arguments, environment = _launch_command(self.kind, self.port)
        self.process = subprocess.Popen(
            arguments,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_until(self._is_ready, what=f"{self.kind} at {self.endpoint}")

    def kill(self) -> None:
        """``kill -9``."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def client(self, endpoint: str = "") -> Any:
        """Return a boto3 client, by default without a proxy."""
        return queue_client(endpoint or self.endpoint)

    def _is_ready(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, f"{self.kind} exited"
        try:
            with urllib.request.urlopen(f"{self.endpoint}/health", timeout=5):
                return True
        except urllib.error.HTTPError:
            return True
        except OSError:
            return False


def _launch_command(kind: str, port: int) -> tuple[list[str], Mapping[str, str]]:
    plain = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    if kind == "moto":
        arguments = [sys.executable, "-c", _MOTO_PROGRAM, str(port)]
        return arguments, {**plain, "MOTO_ALLOW_NONEXISTENT_REGION": "true"}
    script = _fauxqs_directory() / "node_modules" / "fauxqs" / "dist" / "app.js"
    program = (
        f"import {{ startFauxqs }} from {str(script)!r}; await startFauxqs({{ port: {port}, logger: false }});"
    )
    environment = {"FAUXQS_HOST": "127.0.0.1", "FAUXQS_DEFAULT_REGION": REGION}
    return ["node", "--input-type=module", "-e", program], {**plain, **environment}


_MOTO_PROGRAM: Final = """
import sys, threading
from moto.server import ThreadedMotoServer
from fnkit.platform.supervisor.sqs_server import serialize_receives

serialize_receives()
ThreadedMotoServer(ip_address="127.0.0.1", port=int(sys.argv[1]), verbose=False).start()
threading.Event().wait()
"""


def _fauxqs_directory() -> Path:
    """Return the directory with fauxqs, or skip the test."""
    found = _install_fauxqs()
    if isinstance(found, str):
        pytest.skip(found)
    return found


@functools.cache
def _install_fauxqs() -> Path | str:
    """Install fauxqs unless it is cached; return its directory, or why it cannot be installed."""
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            return f"fauxqs needs {program}, which is not installed"
    cache = Path(
        os.environ.get("FNKIT_TEST_CACHE") or Path(pwd.getpwuid(os.getuid()).pw_dir, ".cache", "fnkit-tests")
    )
    folder = cache / f"fauxqs-{_FAUXQS_VERSION}"
    if (folder / "node_modules" / "fauxqs").is_dir():
        return folder
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as fresh:
        command = ["npm", "install", "--no-package-lock", "--no-fund", "--no-audit", "--ignore-scripts"]
        try:
            done = subprocess.run(
                [*command, "--prefix", fresh, f"fauxqs@{_FAUXQS_VERSION}"],
                capture_output=True,
                text=True,
                timeout=90,
                check=False,
                env={**os.environ, "HOME": pwd.getpwuid(os.getuid()).pw_dir},
            )
        except subprocess.TimeoutExpired:
            return f"npm did not install fauxqs {_FAUXQS_VERSION} within 90 s"
        if done.returncode != 0:
            return f"npm cannot install fauxqs {_FAUXQS_VERSION}: {done.stderr.strip()[-300:]}"
        with contextlib.suppress(OSError):  # another process has installed it meanwhile
            Path(fresh).rename(folder)
            Path(fresh).mkdir()
    return folder


def queue_client(endpoint: str, region: str = REGION) -> Any:
    """Return a client with credentials that the servers do not check."""
    import boto3
    from botocore.config import Config

    return boto3.session.Session().client(
        "sqs",
        endpoint_url=endpoint,
        region_name=region,
        aws_access_key_id="AKIDTESTS",
        aws_secret_access_key="tests",
        config=Config(retries={"total_max_attempts": 1}, max_pool_connections=32),
    )


def start_sqs_server(kind: str) -> SqsServer:
    """Start a server, which the caller must kill."""
    server = SqsServer(kind, free_port())
    server.start()
    return server


@contextmanager
def running_sqs(kind: str) -> Iterator[SqsServer]:
    """Run a server."""
    server = start_sqs_server(kind)
    try:
        yield server
    finally:
        server.kill()
