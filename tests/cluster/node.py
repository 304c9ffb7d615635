"""A node: containerd, kubelet and kube-proxy, in the namespaces and control groups that ``cluster`` made for them.

``python -m tests.cluster.node DIRECTORY NUMBER PROGRAMS CERTIFICATES`` runs until it is killed. It is process 1 of
its process namespace, so that everything ends with it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

from tests.cluster.network import POD_RANGE, node_address, node_name, pod_range
from tests.support.waiting import wait_until

_CONTROLLERS: Final = ("blkio", "cpu", "cpuacct", "cpuset", "devices", "freezer", "memory", "pids", "systemd")
_CGROUPS: Final = Path("/sys/fs/cgroup")
_WANTED_SETTINGS: Final = {
    "vm/overcommit_memory": "1",
    "vm/panic_on_oom": "0",
    "kernel/panic": "10",
    "kernel/panic_on_oops": "1",
    "kernel/keys/root_maxkeys": "1000000",
    "kernel/keys/root_maxbytes": "25000000",
}
"""What the kubelet would write for the whole machine; it finds them here and leaves them alone."""
PAUSE_IMAGE: Final = "fnkit.test/pause:1"


def main(directory: Path, number: int, programs: Path, certificates: Path) -> None:
    """Prepare the node and run its programs."""
    name = node_name(number)
    directory.mkdir(parents=True, exist_ok=True)
    _prepare_mounts(directory, name)
    _write_configurations(directory, number, certificates)
    socket = directory / "containerd.sock"
    containerd = _start(directory, "containerd", "containerd", "--config", str(directory / "containerd.toml"))
    wait_until(socket.exists, what="containerd")
    image = ("ctr", "--address", str(socket), "--namespace", "k8s.io", "images", "import")
    subprocess.run([*image, str(directory.parent / "pause.tar")], check=True, capture_output=True)
    kubelet = _start(
        directory,
        "kubelet",
        str(programs / "kubelet"),
        f"--config={directory / 'kubelet.json'}",
        f"--kubeconfig={certificates / f'{name}.kubeconfig'}",
        f"--root-dir={directory / 'kubelet'}",
        f"--hostname-override={name}",
        f"--node-ip={node_address(number)}",
    )
    proxy = _start(directory, "kube-proxy", str(programs / "kube-proxy"), f"--config={directory / 'proxy.json'}")
    _reap_until_one_ends({containerd, kubelet, proxy})


def _prepare_mounts(directory: Path, name: str) -> None:
    _mount("--make-rprivate", "/")
    for path in ("/run/netns", "/run/containerd"):
        Path(path).mkdir(parents=True, exist_ok=True)
        _mount("-t", "tmpfs", "none", path)
    for controller in _CONTROLLERS:
        if (_CGROUPS / controller).is_dir():
            (_CGROUPS / controller / name).mkdir(exist_ok=True)
    for setting in ("cpuset.cpus", "cpuset.mems"):
        (_CGROUPS / "cpuset" / name / setting).write_text((_CGROUPS / "cpuset" / setting).read_text())
    for path in ("/var/lib/kubelet", "/etc/cni/net.d"):
        own = directory / path.strip("/").replace("/", "-")
        own.mkdir(exist_ok=True)
        Path(path).mkdir(parents=True, exist_ok=True)
        _mount("--bind", str(own), path)
    for setting, value in _WANTED_SETTINGS.items():
        file = directory / setting.replace("/", "-")
        file.write_text(f"{value}\n")
        _mount("--bind", str(file), f"/proc/sys/{setting}")


def _write_configurations(directory: Path, number: int, certificates: Path) -> None:
    name = node_name(number)
    network = {
        "cniVersion": "0.4.0",
        "name": "pods",
        "plugins": [
            {
                "type": "bridge",
                "bridge": "cni0",
                "isGateway": True,
                "ipMasq": False,
                "hairpinMode": True,
                "ipam": {
                    "type": "host-local",
                    "dataDir": str(directory / "addresses"),
                    "ranges": [[{"subnet": pod_range(number)}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                },
            },
            {"type": "portmap", "capabilities": {"portMappings": True}},
        ],
    }
    Path("/etc/cni/net.d/10-pods.conflist").write_text(json.dumps(network))
    (directory / "resolv.conf").touch()
    (directory / "registries").mkdir(exist_ok=True)
    (directory / "containerd.toml").write_text(
        f"""version = 2
root = "{directory}/root"
state = "{directory}/state"
[grpc]
address = "{directory}/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{PAUSE_IMAGE}"
restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/usr/lib/cni"
conf_dir = "/etc/cni/net.d"
[plugins."io.containerd.grpc.v1.cri".registry]
config_path = "{directory.parent}/registries"
[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "overlayfs"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
SystemdCgroup = false
"""
    )
    kubelet = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "x509": {"clientCAFile": str(certificates / "ca.crt")},
            "webhook": {"enabled": True},
            "anonymous": {"enabled": False},
        },
        "authorization": {"mode": "Webhook"},
        "address": node_address(number),
        "clusterDomain": "cluster.local",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{name}",
        "cgroupsPerQOS": True,
        "enforceNodeAllocatable": ["pods"],
        "failSwapOn": False,
        "containerRuntimeEndpoint": f"unix://{directory}/containerd.sock",
        "podLogsDir": str(directory / "pod-logs"),
        "resolvConf": str(directory / "resolv.conf"),
        "nodeStatusUpdateFrequency": "2s",
        "nodeLeaseDurationSeconds": 40,
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "registerNode": True,
        "syncFrequency": "10s",
    }
    (directory / "kubelet.json").write_text(json.dumps(kubelet))
    write_proxy_configuration(directory / "proxy.json", name, node_address(number), certificates)


def write_proxy_configuration(file: Path, name: str, address: str, certificates: Path) -> None:
    """Write the configuration of kube-proxy."""
    proxy = {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "clusterCIDR": POD_RANGE,
        "hostnameOverride": name,
        "bindAddress": address,
        "clientConnection": {"kubeconfig": str(certificates / "kube-proxy.kubeconfig")},
        # These can be written in the machine's own network namespace only.
        "conntrack": {
            "maxPerCore": 0,
            "min": 0,
            "tcpEstablishedTimeout": "0s",
            "tcpCloseWaitTimeout": "0s",
        },
    }
    file.write_text(json.dumps(proxy))


def _start(directory: Path, name: str, *command: str) -> int:
    with (directory / f"{name}.log").open("ab") as log:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log).pid


def _reap_until_one_ends(programs: set[int]) -> None:
    """Reap what pods leave. The node ends with each of its programs, so that a fault shows at once."""
    while os.wait()[0] not in programs:
        pass


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True, capture_output=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]), Path(sys.argv[4]))
