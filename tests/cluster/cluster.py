"""Starts a cluster, cuts off, kills and joins its nodes, and removes all traces of it."""

from __future__ import annotations

import fcntl
import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from fnkit.platform.directory_tree import remove_tree
from tests.cluster.certificates import ClusterCertificates
from tests.cluster.network import CONTROL_PLANE, SERVER_ADDRESS, SERVICE_RANGE, Network, node_name
from tests.cluster.node import PAUSE_IMAGE, write_proxy_configuration
from tests.support.ports import is_listening
from tests.support.source_tree import REPOSITORY
from tests.support.waiting import wait_until

__all__ = ["Cluster", "attached_cluster", "running_cluster"]

_START_SECONDS: Final = 100.0
_SERVER_PORT: Final = 6443
_PREFIX: Final = "fnkit-cluster-"
_CGROUPS: Final = Path("/sys/fs/cgroup")
_LOCK: Final = Path(tempfile.gettempdir(), "fnkit-cluster.lock")


@dataclass
class Cluster:
    """A running cluster.

    Attributes:
        directory: Its files and the logs of its programs.
        programs: Kubernetes' programs.
        network: Its network.
        certificates: Its keys and certificates; ``None`` if another process runs it.
    """

    directory: Path
    programs: Path
    network: Network
    certificates: ClusterCertificates | None
    _processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def kubeconfig(self) -> Path:
        """The file with which an administrator connects, from this machine."""
        return self._certificates / "admin.kubeconfig"

    @property
    def _certificates(self) -> Path:
        return self.directory / "certificates"

    def kubectl(self, *arguments: str, document: object = None) -> str:
        """Run kubectl as an administrator and return its output.

        Args:
            *arguments: Its arguments.
            document: What it reads from ``-f -``.
        """
        done = subprocess.run(
            [str(self.programs / "kubectl"), f"--kubeconfig={self.kubeconfig}", *arguments],
            input=json.dumps(document) if document is not None else None,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, (arguments, done.stderr)
        return done.stdout

    def items(self, kind: str, *options: str) -> list[dict[str, object]]:
        """Return objects of a kind."""
        found = json.loads(self.kubectl("get", kind, "--output=json", *options))["items"]
        assert isinstance(found, list)
        return found

    @contextmanager
    def temporary_namespace(self) -> Iterator[str]:
        """Create a namespace that Pods can be created in, and delete it with all that is left in it."""
        name = f"tests-{uuid.uuid4().hex[:8]}"
        self.kubectl("create", "namespace", name)
        try:
            wait_until(lambda: self.items("serviceaccounts", f"--namespace={name}"), what=f"the account of {name}")
            yield name
        finally:
            self.kubectl("delete", "namespace", name, "--wait=false")

    def ready_nodes(self) -> set[str]:
        """Return the names of the nodes that are ready."""
        lines = self.kubectl("get", "nodes", "--no-headers").splitlines()
        return {name for name, status, *_ in map(str.split, lines) if status == "Ready"}

    def trust_registry(self, host: str) -> None:
        """Let nodes pull from a registry without TLS."""
        folder = self.directory / "registries" / host
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "hosts.toml").write_text(
            f'server = "http://{host}"\n[host."http://{host}"]\ncapabilities = ["pull", "resolve"]\n'
        )

    def start_control_plane(self) -> None:
        """Start etcd, the API server, controllers and the scheduler, and wait until the API server answers."""
        files, programs = self._certificates, self.programs
        self._start_control(
            "etcd",
            "etcd",
            f"--data-dir={self.directory / 'etcd'}",
            "--unsafe-no-fsync",
            "--listen-client-urls=http://127.0.0.1:2379",
            "--advertise-client-urls=http://127.0.0.1:2379",
            "--listen-peer-urls=http://127.0.0.1:2380",
        )
        self.start_api_server()
        for name, options in (
            (
                "kube-controller-manager",
                (
                    "--use-service-account-credentials",
                    f"--service-account-private-key-file={files / 'accounts.key'}",
                    f"--root-ca-file={files / 'ca.crt'}",
                    "--cluster-cidr=10.98.0.0/16",
                    "--node-monitor-period=1s",
                    "--node-monitor-grace-period=40s",
                ),
            ),
            ("kube-scheduler", ()),
        ):
            connection = self._certificates / f"{name}.kubeconfig"
            self._start_control(
                name,
                str(programs / name),
                *(f"--{kind}={connection}" for kind in ("kubeconfig", "authentication-kubeconfig")),
                f"--authorization-kubeconfig={connection}",
                "--bind-address=127.0.0.1",
                "--leader-elect=false",
                *options,
            )
        proxy = self.directory / "proxy.json"
        write_proxy_configuration(proxy, CONTROL_PLANE, SERVER_ADDRESS, files)
        self._start_control("kube-proxy", str(programs / "kube-proxy"), f"--config={proxy}")

    def start_api_server(self) -> None:
        """Start the API server and wait until it answers."""
        files = self._certificates
        self._start_control(
            "kube-apiserver",
            str(self.programs / "kube-apiserver"),
            "--etcd-servers=http://127.0.0.1:2379",
            f"--advertise-address={SERVER_ADDRESS}",
            f"--bind-address={SERVER_ADDRESS}",
            f"--secure-port={_SERVER_PORT}",
            f"--service-cluster-ip-range={SERVICE_RANGE}",
            f"--client-ca-file={files / 'ca.crt'}",
            f"--tls-cert-file={files / 'apiserver.crt'}",
            f"--tls-private-key-file={files / 'apiserver.key'}",
            f"--service-account-key-file={files / 'accounts.pub'}",
            f"--service-account-signing-key-file={files / 'accounts.key'}",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--kubelet-client-certificate={files / 'admin.crt'}",
            f"--kubelet-client-key={files / 'admin.key'}",
            "--kubelet-preferred-address-types=InternalIP",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            "--allow-privileged=true",
            "--default-not-ready-toleration-seconds=5",
            "--default-unreachable-toleration-seconds=5",
            f"--audit-policy-file={self._write_audit_policy()}",
            f"--audit-log-path={self.directory / 'audit.log'}",
        )
        wait_until(self._is_api_ready, _START_SECONDS, what="the API server")

    def _write_audit_policy(self) -> Path:
        """Write what the API server records: the requests of accounts of Pods, without their contents."""
        policy = {
            "apiVersion": "audit.k8s.io/v1",
            "kind": "Policy",
            "omitStages": ["RequestReceived"],
            "rules": [
                {"level": "None", "userGroups": ["system:serviceaccounts:kube-system"]},
                {"level": "Metadata", "userGroups": ["system:serviceaccounts"]},
                {"level": "None"},
            ],
        }
        file = self.directory / "audit-policy.json"
        file.write_text(json.dumps(policy))
        return file

    @property
    def has_audit_log(self) -> bool:
        """Whether the API server records requests; one that another version of this module has started may not."""
        return (self.directory / "audit.log").exists()

    def audited_requests(self, namespace: str, account: str) -> list[dict[str, Any]]:
        """Return the requests that Pods with an account have sent, as the API server's audit log has them."""
        user = f"system:serviceaccount:{namespace}:{account}"
        lines = (self.directory / "audit.log").read_text().splitlines()
        events: list[dict[str, Any]] = [json.loads(line) for line in lines]
        return [event for event in events if event["user"]["username"] == user]

    def stop_api_server(self) -> None:
        """Kill the API server."""
        self._stop("kube-apiserver")
        wait_until(lambda: not is_listening(SERVER_ADDRESS, _SERVER_PORT), what="the end of the API server")

    def join_node(self, number: int) -> None:
        """Start a node. It is ready a moment later."""
        name = node_name(number)
        assert self.certificates is not None, "another process runs this cluster"
        self.network.add_node(number)
        self.certificates.add(name, f"system:node:{name}", group="system:nodes")
        self._start(
            name,
            *("nsenter", f"--net=/run/netns/{name}"),
            *("unshare", "--pid", "--mount", "--fork", "--mount-proc", "--uts", "--ipc", "--kill-child"),
            *(sys.executable, "-m", "tests.cluster.node", str(self.directory / name), str(number)),
            *(str(self.programs), str(self._certificates)),
        )

    def kill_node(self, number: int) -> None:
        """Kill a node with everything that runs on it."""
        self._stop(node_name(number))

    def wait_for_nodes(self, *numbers: int) -> None:
        """Wait until these nodes are ready."""
        wanted = set(map(node_name, numbers))
        wait_until(lambda: wanted <= self.ready_nodes(), _START_SECONDS, what=f"ready nodes: {wanted}")
        wait_until(
            lambda: self.items("serviceaccounts"), _START_SECONDS, what="the service account of the namespace"
        )

    def close(self) -> None:
        """Kill everything and remove what is left of it."""
        for name in list(self._processes):
            self._stop(name)
        self.network.close()
        _remove_control_groups()
        remove_tree(self.directory)

    def _start_control(self, name: str, *command: str) -> None:
        namespaces = ("unshare", "--pid", "--mount", "--fork", "--mount-proc", "--kill-child")
        self._start(name, "nsenter", f"--net=/run/netns/{CONTROL_PLANE}", *namespaces, *command)

    def _start(self, name: str, *command: str) -> None:
        with (self.directory / f"{name}.log").open("ab") as log:
            self._processes[name] = subprocess.Popen(
                # Nothing of a cluster outlives the process that started it.
                ["setpriv", "--pdeathsig=KILL", "nice", "-n", "5", *command],
                cwd=REPOSITORY,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def _stop(self, name: str) -> None:
        process = self._processes.pop(name)
        # unshare ignores SIGTERM while it waits for its child.
        process.send_signal(signal.SIGKILL)
        process.wait()

    def _is_api_ready(self) -> bool:
        if self._processes["kube-apiserver"].poll() is not None:
            raise AssertionError((self.directory / "kube-apiserver.log").read_text()[-2000:])
        done = subprocess.run(
            [str(self.programs / "kubectl"), f"--kubeconfig={self.kubeconfig}", "get", "--raw=/readyz"],
            capture_output=True,
            check=False,
        )
        return done.returncode == 0


@contextmanager
def running_cluster(programs: Path, nodes: int = 3) -> Iterator[Cluster]:
    """Run a cluster with this many nodes. There can be one on a machine; others wait for its end."""
    with ExitStack() as stack:
        lock = stack.enter_context(_LOCK.open("w"))
        fcntl.flock(lock, fcntl.LOCK_EX)
        network = Network()
        network.close()
        _remove_control_groups()
        for left in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*/"):  # by a cluster that was killed
            remove_tree(left)
        directory = Path(tempfile.mkdtemp(prefix=_PREFIX))
        directory.chmod(0o755)
        cluster = Cluster(directory, programs, network, ClusterCertificates(directory / "certificates"))
        stack.callback(cluster.close)
        write_pause_image(directory / "pause.tar", programs / "pause")
        network.open()
        cluster.start_control_plane()
        for number in range(1, nodes + 1):
            cluster.join_node(number)
        cluster.wait_for_nodes(*range(1, nodes + 1))
        yield cluster


def attached_cluster(directory: Path, programs: Path) -> Cluster:
    """Return the cluster that ``make cluster`` runs, for tests that end none of its programs."""
    return Cluster(directory, programs, Network(), None)


def _remove_control_groups() -> None:
    for group in sorted(_CGROUPS.glob("*/fnkit-node-*/**/"), key=lambda path: -len(path.parts)):
        with suppress(OSError):
            group.rmdir()


def write_pause_image(file: Path, program: Path) -> None:
    """Write the image of a pod's first process, as an archive in the OCI's layout."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as archive:
        archive.add(program, "pause")
    blobs: dict[str, bytes] = {}

    def add(content: bytes) -> dict[str, object]:
        digest = hashlib.sha256(content).hexdigest()
        blobs[f"blobs/sha256/{digest}"] = content
        return {"digest": f"sha256:{digest}", "size": len(content)}

    oci = "application/vnd.oci.image"
    packed = add(layer.getvalue())
    config = {
        "architecture": {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine),
        "os": "linux",
        "config": {"Entrypoint": ["/pause"]},
        "rootfs": {"type": "layers", "diff_ids": [packed["digest"]]},
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": f"{oci}.manifest.v1+json",
        "config": {"mediaType": f"{oci}.config.v1+json", **add(json.dumps(config).encode())},
        "layers": [{"mediaType": f"{oci}.layer.v1.tar", **packed}],
    }
    described = {"mediaType": manifest["mediaType"], **add(json.dumps(manifest).encode())}
    index = {
        "schemaVersion": 2,
        "manifests": [{**described, "annotations": {"io.containerd.image.name": PAUSE_IMAGE}}],
    }
    with tarfile.open(file, "w") as archive:
        documents = {"oci-layout": {"imageLayoutVersion": "1.0.0"}, "index.json": index}
        for name, content in (
            *((name, json.dumps(one).encode()) for name, one in documents.items()),
            *blobs.items(),
        ):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
