"""Compares functions on a Kubernetes cluster with bare Pods of the same images on the same cluster.

The cluster is that of ``make cluster``: three nodes on this machine. A bare Pod is created by one request to the
API server and asked until it answers, which is the least that a start can take. The platform and the bare Pods run
by turns, with one instance at a time, then with twelve at once.
"""

from __future__ import annotations

import http.client
import os
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

from lightkube import Client, KubeConfig
from lightkube.models.core_v1 import Container, PodSpec
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.core_v1 import Pod

from benchmarks.load import generate_load, timed_request
from benchmarks.local_platform import (
    LocalPlatform,
    build_request,
    local_platform,
    measure_cold_start,
    write_project,
)
from benchmarks.measurement import BenchmarkSkipped, Comparison, elapsed_seconds, measure_alternately
from tests.cluster.cluster import Cluster, running_cluster
from tests.cluster.network import HOST_ADDRESS
from tests.cluster.programs import build_programs, missing_programs
from tests.support.ports import free_port

__all__ = ["run"]

_HANDLER: Final = """import time

from fnkit import function


@function(memory=128, max_scale=12)
def hello(event, context):
    time.sleep(float(event["queryStringParameters"].get("seconds", "0")))
    return "hello"
"""
_BURST: Final = 12
_BURST_SECONDS: Final = 0.5  # long enough that no instance answers two requests of a burst
_WARM_SECONDS: Final = 1.0
_DEADLINE: Final = 60.0
_PAUSE: Final = 0.01
_SETTLE_SECONDS: Final = 2.0  # for the containers that were killed a moment ago


def run(rounds: int, folder: Path) -> list[Comparison]:
    """Measure cold starts, a burst and warm requests."""
    if os.geteuid() != 0:
        raise BenchmarkSkipped("a cluster needs root")
    if missing := missing_programs():
        raise BenchmarkSkipped(f"not installed: {' '.join(missing)}")
    with running_cluster(build_programs()) as cluster, _platform_on(cluster, folder) as platform:
        domain = platform.deploy(write_project(folder / "project", _HANDLER))[0]
        platform.call(domain)
        bare = _BarePods(cluster)
        for _ in range(2):  # each node pulls the image once
            _measure_burst(platform, domain)
            bare.measure_burst()
        cold = measure_alternately(
            rounds, partial(measure_cold_start, platform, domain, _SETTLE_SECONDS), bare.measure_start
        )
        burst = measure_alternately(rounds, partial(_measure_burst, platform, domain), bare.measure_burst)
        platform.call(domain)
        with bare.running() as address:
            warm = measure_alternately(
                rounds,
                lambda: _median_request(platform.gateway, build_request(domain)),
                lambda: _median_request((address, 8080), build_request(domain)),
            )
    return [
        Comparison("cold start on a cluster", "a bare Pod, from its creation to its answer", *cold, goal=1.2),
        Comparison(
            f"{_BURST} requests at once, from zero", f"{_BURST} bare Pods created at once", *burst, goal=1.2
        ),
        Comparison("warm request to a Pod, p50", "the same Pod called directly", *warm, goal=1.5),
    ]


@contextmanager
def _platform_on(cluster: Cluster, folder: Path) -> Iterator[LocalPlatform]:
    port = free_port()
    host = f"{HOST_ADDRESS}:{port}"
    cluster.trust_registry(host)
    options = (
        *("--engine=kubernetes", f"--kubeconfig={cluster.kubeconfig}", f"--registry-host={host}"),
        *("--host=0.0.0.0", f"--api-port={port}", "--manual-clock"),
    )
    with local_platform(folder / "platform", *options) as platform:
        yield platform


def _measure_burst(platform: LocalPlatform, domain: str) -> float:
    """Scale to zero, and return the seconds until twelve requests at once are answered."""
    platform.advance(1000)
    time.sleep(_SETTLE_SECONDS)
    request = f"GET /?seconds={_BURST_SECONDS} HTTP/1.1\r\nHost: {domain}\r\n\r\n".encode()
    with ThreadPoolExecutor(_BURST) as pool:
        return elapsed_seconds(
            lambda: list(pool.map(lambda _: timed_request(platform.gateway, request), range(_BURST)))
        )


class _BarePods:
    """Pods of a function's image that nothing but this benchmark knows."""

    def __init__(self, cluster: Cluster) -> None:
        self._client = Client(KubeConfig.from_file(cluster.kubeconfig), namespace="default")
        instance = next(iter(self._client.list(Pod, namespace="default", labels={"fnkit.dev/platform": None})))
        if instance.spec is None:
            raise RuntimeError("no function runs")
        [container] = instance.spec.containers
        self._image = container.image
        self._secrets = instance.spec.imagePullSecrets
        self._resources = container.resources

    def measure_start(self) -> float:
        """Return the seconds from the creation of a Pod to its answer, and delete it."""
        name = f"bare-{uuid.uuid4().hex[:8]}"
        try:
            return elapsed_seconds(lambda: self._start(name))
        finally:
            self._client.delete(Pod, name, grace_period=0)

    def measure_burst(self) -> float:
        """Return the seconds until as many Pods, created at once, have answered."""
        time.sleep(_SETTLE_SECONDS)
        names = [f"bare-{uuid.uuid4().hex[:8]}" for _ in range(_BURST)]
        try:
            with ThreadPoolExecutor(_BURST) as pool:
                return elapsed_seconds(
                    lambda: list(pool.map(lambda name: self._start(name, _BURST_SECONDS), names))
                )
        finally:
            for name in names:
                self._client.delete(Pod, name, grace_period=0)

    @contextmanager
    def running(self) -> Iterator[str]:
        """Run a Pod and yield its address."""
        name = f"bare-{uuid.uuid4().hex[:8]}"
        try:
            yield self._start(name)
        finally:
            self._client.delete(Pod, name, grace_period=0)

    def _start(self, name: str, seconds: float = 0.0) -> str:
        """Create a Pod, wait until it answers a request, and return its address."""
        self._client.create(
            Pod(
                metadata=ObjectMeta(name=name),
                spec=PodSpec(
                    automountServiceAccountToken=False,
                    enableServiceLinks=False,
                    imagePullSecrets=self._secrets,
                    restartPolicy="Never",
                    containers=[Container(name="bare", image=self._image, resources=self._resources)],
                ),
            )
        )
        address = self._address(name)
        deadline = time.monotonic() + _DEADLINE
        while time.monotonic() < deadline:
            connection = http.client.HTTPConnection(address, 8080, timeout=_DEADLINE)
            try:
                connection.request("GET", f"/?seconds={seconds}")
                connection.getresponse().read()
            except OSError:
                time.sleep(_PAUSE)
            else:
                return address
            finally:
                connection.close()
        raise RuntimeError(f"{name} did not answer")

    def _address(self, name: str) -> str:
        for _, pod in self._client.watch(Pod, namespace="default", fields={"metadata.name": name}):
            if pod.status is not None and pod.status.podIP:
                return pod.status.podIP
        raise RuntimeError(f"{name} got no address")


def _median_request(address: tuple[str, int], request: bytes) -> float:
    return generate_load(address, request, connections=1, seconds=_WARM_SECONDS).percentile(0.5)
