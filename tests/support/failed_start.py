"""A start of the platform that must fail: with an error for the user, at once, and with nothing left behind."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.command import Command
from tests.support.processes import is_alive

__all__ = ["failed_start"]

_CLUSTER = ("--engine", "kubernetes", "--registry-host", "10.0.0.5:8480")


def failed_start(home: Path, *options: str, kubeconfig: Path) -> dict[str, object]:
    """Start a platform that cannot be started; return the error that the command prints.

    Args:
        home: The data directory, which does not exist yet.
        *options: Options of the start.
        kubeconfig: The file that describes the cluster.
    """
    fnkit = Command({"FNKIT_HOME": str(home)})
    start = ("platform", "start", "--json", "--api-port", "0", "--gateway-port", "0", *_CLUSTER)
    result = fnkit(*start, "--kubeconfig", str(kubeconfig), *options, timeout=25)
    assert result.code == 1, (result.stdout, result.stderr)
    error = result.json()["error"]
    assert isinstance(error, dict)
    assert error["hint"]
    logs = "".join(file.read_text() for file in (home / "logs" / "platform").glob("*.log"))
    assert "Traceback" not in result.stdout + result.stderr + logs
    run = json.loads((home / "run.json").read_text())
    assert not any(is_alive(run[name]) for name in ("pid", "control", "data_plane", "nats") if run.get(name))
    assert not Path(run["socket_folder"]).exists()
    assert not (home / "start-error.json").exists()
    return error
