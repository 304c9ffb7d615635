"""Fixtures of tests that need a cluster, which they share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn, Protocol

import pytest

from tests.cluster.cluster import Cluster, attached_cluster, running_cluster
from tests.cluster.programs import build_programs, missing_programs

if TYPE_CHECKING:
    from tests.cluster.engine_harness import FunctionImages, KubernetesEngineHarness

NODES: Final = 3
_RUNNING: Final = os.environ.get("FNKIT_TEST_CLUSTER", "")
"""The directory of a cluster that ``make cluster`` runs; read before tests clear the environment."""


class OpenEngine(Protocol):
    """Opens an engine that writes to an empty folder."""

    def __call__(self, folder: Path) -> AbstractAsyncContextManager[KubernetesEngineHarness]: ...


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """Run a cluster of three nodes."""
    if os.geteuid() != 0:
        _give_up("a cluster needs root")
    if missing := missing_programs():
        _give_up(f"not installed: {' '.join(missing)}")
    if _RUNNING:
        yield attached_cluster(Path(_RUNNING), build_programs())
        return
    with running_cluster(build_programs(), NODES) as running:
        yield running


def _give_up(reason: str) -> NoReturn:
    """Skip the test on a developer's machine; fail in CI, where a cluster is expected."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def kube_namespace(cluster: Cluster) -> Iterator[str]:
    """Create a namespace, and delete it with all that tests have left in it."""
    with cluster.temporary_namespace() as name:
        yield name


@pytest.fixture(scope="session")
def function_images(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FunctionImages]:
    """Serve images of functions to the nodes of the cluster."""
    from tests.cluster.engine_harness import serving_images  # with the client of clusters, which few tests need

    with serving_images(cluster, tmp_path_factory.mktemp("images")) as images:
        yield images


@pytest.fixture
def kubernetes_engine(cluster: Cluster, kube_namespace: str, function_images: FunctionImages) -> OpenEngine:
    """Return what opens an engine of the cluster."""
    from tests.cluster.engine_harness import open_kubernetes_engine

    return partial(open_kubernetes_engine, cluster, kube_namespace, function_images)
