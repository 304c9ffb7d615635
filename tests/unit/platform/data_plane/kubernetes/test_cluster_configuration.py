"""Files that do not describe a cluster: what is wrong with them, without a word of what they hold."""

from __future__ import annotations

from pathlib import Path

import pytest

from fnkit.errors import PlatformError
from fnkit.platform.data_plane.kubernetes.cluster import open_cluster
from fnkit.platform.data_plane.kubernetes.settings import KubernetesEngineSettings
from tests.support.kubeconfig import write_kubeconfig


def problem(config: Path, context: str = "") -> str:
    """Return what the error says about the file."""
    settings = KubernetesEngineSettings(
        kubeconfig=str(config),
        context=context,
        registry_host="registry.example:5000",
        secret_key="secret",
        holder="here",
        logs_directory=config.parent,
        log_positions_file=config.parent / "positions",
    )
    with pytest.raises(PlatformError) as raised:
        open_cluster(settings)
    assert raised.value.code == "cluster-configuration"
    assert "secret-token" not in raised.value.message
    return raised.value.message.removeprefix(f"The cluster cannot be used: {config}: ")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "it does not describe a cluster."),
        (b"hello", "it does not describe a cluster."),
        (b"[]", "it does not describe a cluster."),
        (b"clusters: 5\ncontexts: []\ncurrent-context: c\n", "it does not describe a cluster."),
        (b"\xff\xfe\x00", "it is not YAML."),
        (b"users:\n- token: 'secret-token\n", "line 3 is not YAML."),
        (b"users: [\ntoken: secret-token\n\x07", "it is not YAML."),
        (b'{"clusters": [{"name": "c"}], "contexts": []}', "it contains no 'cluster'."),
        (b'{"clusters": [], "contexts": [{"name": "c", "context": {"cluster": "x"}}], "current-context": "c"}',
         "it contains no 'x'."),
        (b'{"clusters": [], "contexts": []}', "No current context set and no default provided."),
    ],
    ids=["empty", "text", "list", "number", "binary", "cut", "control", "no-cluster", "other", "no-context"],
)  # fmt: skip
def test_file_that_describes_no_cluster(tmp_path: Path, content: bytes, expected: str) -> None:
    config = tmp_path / "config"
    config.write_bytes(content)
    assert problem(config) == expected


def test_missing_context(tmp_path: Path) -> None:
    config = write_kubeconfig(tmp_path / "config", "https://127.0.0.1:1", token="secret-token")
    assert problem(config, "production") == "Context 'production' not found."


def test_certificate_that_is_none(tmp_path: Path) -> None:
    authority = tmp_path / "ca.crt"
    authority.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    config = write_kubeconfig(
        tmp_path / "config", "https://127.0.0.1:1", certificate_authority=authority, token="secret-token"
    )
    assert problem(config)


def test_user_who_is_none(tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text(
        '{"clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1"}}],'
        ' "contexts": [{"name": "c", "context": {"cluster": "c"}}], "current-context": "c"}'
    )
    assert problem(config) == "it names no user."
