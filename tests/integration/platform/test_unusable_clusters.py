"""``fnkit platform start --engine kubernetes`` where no cluster can be used: what the user is told."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tests.support.failed_start import failed_start
from tests.support.kubeconfig import write_kubeconfig
from tests.support.ports import free_port

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("mode", [("--detach",), ()], ids=["background", "foreground"])
def test_start_fails_if_no_cluster_listens(tmp_path: Path, mode: tuple[str, ...]) -> None:
    server = f"https://127.0.0.1:{free_port()}"
    config = write_kubeconfig(tmp_path / "config", server, token="secret-token")
    error = failed_start(tmp_path / "home", *mode, kubeconfig=config)
    assert error["code"] == "cluster-unreachable"
    assert f"cannot use the cluster at {server}: " in str(error["message"])
    assert "kubectl" in str(error["hint"])
    assert "secret-token" not in str(error)


@pytest.mark.long
def test_start_fails_if_the_cluster_is_silent(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:  # accepts, and says nothing
        server = f"https://127.0.0.1:{listener.getsockname()[1]}"
        config = write_kubeconfig(tmp_path / "config", server, token="t")
        error = failed_start(tmp_path / "home", "--detach", kubeconfig=config)
    assert error["code"] == "cluster-unreachable"


def test_start_fails_without_the_context(tmp_path: Path) -> None:
    config = write_kubeconfig(tmp_path / "config", "https://127.0.0.1:1", token="t")
    error = failed_start(tmp_path / "home", "--kube-context", "production", "--detach", kubeconfig=config)
    assert error["code"] == "cluster-configuration"
    assert str(config) in str(error["message"])
    assert "Context 'production' not found" in str(error["message"])


def test_start_fails_with_a_damaged_kubeconfig(tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text("token: 'secret-token\n")
    error = failed_start(tmp_path / "home", "--detach", kubeconfig=config)
    assert error["code"] == "cluster-configuration"
    assert error["message"] == f"The cluster cannot be used: {config}: line 2 is not YAML."


def test_start_fails_with_a_missing_client_certificate(tmp_path: Path) -> None:
    missing = str(tmp_path / "missing.crt")
    config = write_kubeconfig(
        tmp_path / "config", "https://127.0.0.1:1", client_certificate=missing, client_key=missing
    )
    error = failed_start(tmp_path / "home", "--detach", kubeconfig=config)
    assert error["code"] == "cluster-configuration"
