"""A containerd of one's own, which pulls images and runs them in the machine's network."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.ports import free_port, is_listening
from tests.support.waiting import wait_until

__all__ = ["Container", "Containerd", "running_containerd"]

_CONFIGURATION = """version = 2
root = "{folder}/root"
state = "{folder}/state"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
address = "{folder}/containerd.sock"
[ttrpc]
address = "{folder}/containerd.sock.ttrpc"
"""


@dataclass
class Container:
    """A running container.

    Attributes:
        port: The port of this machine on which it listens.
        output: The file with what it writes.
        process: The client of containerd that waits for its end, and ends with its exit code.
    """

    port: int
    output: Path
    process: subprocess.Popen[bytes]
    _name: str
    _containerd: Containerd

    def terminate(self) -> int:
        """Send SIGTERM to its first process and return its exit code."""
        self._containerd.call("task", "kill", "--signal", "SIGTERM", self._name)
        return self.wait()

    def wait(self) -> int:
        """Wait until it has ended and return its exit code."""
        return self.process.wait(60)

    def kill(self) -> None:
        """Kill it and wait until it is removed."""
        if self.process.poll() is None:
            self._containerd.call("task", "kill", "--signal", "SIGKILL", self._name)
            self.process.wait(60)


@dataclass(frozen=True)
class Containerd:
    """A running containerd."""

    folder: Path

    def call(self, *arguments: str) -> str:
        """Run ``ctr`` and return its output."""
        done = subprocess.run(
            ["ctr", "--address", str(self.folder / "containerd.sock"), *arguments],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, (arguments, done.stdout, done.stderr)
        return done.stdout

    def pull(self, image: str, login: str) -> None:
        """Pull an image over HTTP.

        Args:
            image: Host, repository and tag.
            login: User and password with a colon between them.
        """
        self.call("images", "pull", "--plain-http", "--user", login, image)

    @contextmanager
    def running(
        self, image: str, environment: Mapping[str, str] | None = None, *options: str
    ) -> Iterator[Container]:
        """Run a pulled image until it listens, and kill it at the end."""
        port = free_port()
        name = f"container-{port}"
        variables = [
            part
            for pair in {**(environment or {}), "PORT": str(port)}.items()
            for part in ("--env", "=".join(pair))
        ]
        (self.folder / name).mkdir()
        output = self.folder / name / "output.log"
        with output.open("wb") as log:
            process = subprocess.Popen(
                [
                    *("ctr", "--address", str(self.folder / "containerd.sock"), "run", "--rm", "--net-host"),
                    *(*variables, *options, image, name),
                ],
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        container = Container(port, output, process, name, self)
        try:
            wait_until(
                lambda: is_listening("127.0.0.1", port) or process.poll() is not None, what="a listening container"
            )
            assert process.poll() is None, output.read_text()
            yield container
        finally:
            container.kill()


@contextmanager
def running_containerd() -> Iterator[Containerd]:
    """Run containerd as root, or skip the test."""
    for program in ("containerd", "ctr", "runc"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    if os.geteuid() != 0:
        pytest.skip("containerd needs root")
    # Not below pytest's folder: the path of a socket has 107 bytes at most.
    folder = Path(tempfile.mkdtemp(prefix="containerd-"))
    configuration = folder / "config.toml"
    configuration.write_text(_CONFIGURATION.format(folder=folder))
    with (folder / "containerd.log").open("wb") as log:
        process = subprocess.Popen(["containerd", "--config", str(configuration)], stdout=log, stderr=log)
    try:
        wait_until(lambda: (folder / "containerd.sock").exists() or process.poll() is not None, what="containerd")
        if process.poll() is not None:
            pytest.skip(f"containerd does not run here: {(folder / 'containerd.log').read_text()[-300:]}")
        containerd = Containerd(folder)
        plugins = containerd.call("plugins", "list").splitlines()
        if not any(line.split()[1:2] == ["overlayfs"] and line.split()[-1] == "ok" for line in plugins):
            pytest.skip("containerd cannot use overlays here")
        yield containerd
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)
        shutil.rmtree(folder, ignore_errors=True)
