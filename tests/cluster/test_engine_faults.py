"""What the engine of a cluster does when the cluster refuses, fails, or is changed by others."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import logging
import uuid
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
import pytest
from lightkube.resources.core_v1 import Pod
from lightkube.resources.networking_v1 import NetworkPolicy

from fnkit.errors import PlatformError
from fnkit.platform.data_plane.interface import FailureKind
from fnkit.platform.data_plane.kubernetes.settings import KubernetesEngineSettings
from fnkit.platform.model.routing import ImageProgram, Route
from tests.cluster.cluster import Cluster
from tests.cluster.engine_harness import (
    FunctionImages,
    KubernetesEngineHarness,
    kubernetes_settings,
    running_kubernetes_engine,
    serving_images,
)
from tests.cluster.killed_engine import EngineProcess
from tests.cluster.network import HOST_ADDRESS
from tests.cluster.node import PAUSE_IMAGE
from tests.support.engine_harness import EngineCall
from tests.support.handler_latch import handler_latch
from tests.support.routes import make_route
from tests.support.tcp_relay import tcp_relay
from tests.support.waiting import wait_until, wait_until_async

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1800)]

HELLO: Final = "def handle(event, context):\n    return 'hello'\n"
WAITING: Final = """
import os, urllib.error, urllib.request

def handle(event, context):
    path = event["path"]
    if path == "/wait":
        print("waiting")
        wait_for_latch()
        print("waited")
    if path == "/die":
        os._exit(3)
    if path == "/memory":
        return str(len(b"x" * 2**30))
    if path == "/disk":
        with open("/home/app/large", "wb") as file:
            for _ in range(1200):
                file.write(bytes(2**20))
            os.fsync(file.fileno())
        wait_for_latch()
    if path.startswith("/call/"):
        request = urllib.request.Request(f"http://{path[6:]}:8080/", headers=%(headers)r)
        try:
            return str(urllib.request.urlopen(request, timeout=10).status)
        except urllib.error.HTTPError as error:
            return str(error.code)
    return "hello"
""".replace("%(headers)r", repr({"Fnkit-Instance-Key": "0" * 64}))
MISSING_DIGEST: Final = "sha256:" + "0" * 64

Behaviour = Callable[[KubernetesEngineHarness], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Faults:
    """Runs engines in a namespace of its own, which a test can spoil."""

    cluster: Cluster
    images: FunctionImages
    settings: KubernetesEngineSettings

    def run(self, behaviour: Behaviour, settings: KubernetesEngineSettings | None = None) -> None:
        """Run a behaviour on an engine, and check that nothing is left of it."""
        settings = settings or self.settings

        async def work() -> None:
            async with asyncio.timeout(170), running_kubernetes_engine(settings, self.images) as harness:
                await behaviour(harness)

        asyncio.run(work())
        own = f"--selector=fnkit.dev/platform={settings.platform_id}"
        assert self.kubectl("get", "pods,secrets,networkpolicies,leases", own, "--output=name") == ""

    def kubectl(self, *arguments: str, document: object = None) -> str:
        """Run kubectl in the namespace."""
        return self.cluster.kubectl("--namespace", self.settings.namespace, *arguments, document=document)

    async def change(self, *arguments: str, document: object = None) -> str:
        """Run kubectl in the namespace while an engine runs."""
        return await asyncio.to_thread(self.kubectl, *arguments, document=document)

    def limit(self, **hard: str) -> None:
        """Limit what the namespace may use, and wait until that is in force."""
        spec = {"hard": hard}
        quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "limit"}, "spec": spec}
        self.kubectl("apply", "-f", "-", document=quota)

        def is_in_force() -> bool:
            return bool(self.kubectl("get", "resourcequota", "limit", "--output=jsonpath={.status.hard}"))

        wait_until(is_in_force)


@pytest.fixture
def faults(cluster: Cluster, function_images: FunctionImages, tmp_path: Path) -> Iterator[Faults]:
    name = f"faults-{uuid.uuid4().hex[:8]}"
    cluster.kubectl("create", "namespace", name)
    wait_until(lambda: cluster.items("serviceaccounts", f"--namespace={name}"))  # or no Pod can be created in it
    yield Faults(cluster, function_images, kubernetes_settings(cluster, name, function_images, tmp_path))
    cluster.kubectl("delete", "namespace", name, "--wait=false")


def waiting(harness: KubernetesEngineHarness) -> str:
    """Return the source of a handler that does on each path something else."""
    return harness.latch.source + WAITING


def pod_of(harness: KubernetesEngineHarness, name: str) -> Pod:
    return next(pod for pod in harness.pods() if pod.metadata is not None and pod.metadata.name == name)


async def failure(call: EngineCall, kind: FailureKind) -> str:
    """Wait for the failure of a request and return its message."""
    assert await call.failure_kind() == kind, call.failure
    assert call.failure is not None
    return call.failure.message


async def logged(harness: KubernetesEngineHarness, route: Route, text: str, stream: str = "system") -> None:
    """Wait for a line of a function's log."""
    await wait_until_async(lambda: text in "\n".join(harness.log_lines(route, stream)), what=f"{text} in the log")


# The namespace's quota


def test_start_ends_the_longest_idle_instance_of_another_function(faults: Faults) -> None:
    faults.limit(pods="2")

    async def behaviour(harness: KubernetesEngineHarness) -> None:
        first = await harness.start("first", HELLO)
        harness.advance(10)
        second = await harness.start("second", HELLO)
        harness.advance(10)
        kept = harness.call(second)
        assert await kept.body() == "hello"
        third = harness.route("third", HELLO)
        harness.engine.resume(third)
        assert await harness.call(third).body() == "hello"
        assert harness.metrics(first).idle == 0
        again = harness.call(second)
        assert await again.body() == "hello"
        assert again.instance_name == kept.instance_name

    faults.run(behaviour)


def test_start_waits_for_the_quota_and_says_so(faults: Faults) -> None:
    faults.limit(pods="1")

    async def behaviour(harness: KubernetesEngineHarness) -> None:
        busy = await harness.start("busy", waiting(harness))
        held = harness.call(busy, "/wait")
        await harness.wait_for_handlers(1)
        next_one = harness.route("next", HELLO)
        harness.engine.resume(next_one)
        call = harness.call(next_one)
        await logged(harness, next_one, "exceeded quota: limit")
        harness.latch.release()
        assert await held.body() == "hello"
        assert await call.body() == "hello"
        [line] = harness.log_lines(next_one)
        assert line.startswith("waiting: ")

    faults.run(behaviour)


def test_quota_that_can_never_fit_fails_the_request(faults: Faults) -> None:
    faults.limit(**{"requests.memory": "400Mi"})

    async def behaviour(harness: KubernetesEngineHarness) -> None:
        small = await harness.start("small", waiting(harness), memory=128)
        held = harness.call(small, "/wait")
        await harness.wait_for_handlers(1)
        large = harness.route("large", HELLO, memory=1024)
        harness.engine.resume(large)
        message = await failure(harness.call(large), FailureKind.NOT_STARTED)
        assert "exceeded quota: limit, requested: requests.memory=1072Mi" in message
        harness.latch.release()
        assert await held.body() == "hello"

    faults.run(behaviour)


def test_quota_that_others_use_up_fails_the_request(faults: Faults) -> None:
    faults.limit(pods="1")
    container = {"name": "c", "image": PAUSE_IMAGE, "imagePullPolicy": "Never"}
    spec = {"containers": [container], "terminationGracePeriodSeconds": 0}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "other"}, "spec": spec}
    faults.kubectl("apply", "-f", "-", document=pod)

    async def behaviour(harness: KubernetesEngineHarness) -> None:
        route = harness.route("f", HELLO)
        harness.engine.resume(route)
        message = await failure(harness.call(route), FailureKind.NOT_STARTED)
        assert "exceeded quota: limit, requested: pods=1, used: pods=1, limited: pods=1" in message
        assert "exceeded quota" in harness.log_lines(route)[0]
        await faults.change("delete", "pod", "other", "--grace-period=0", "--force")
        assert await harness.call(route).body() == "hello"

    faults.run(behaviour)


# The nodes


def test_function_that_fits_on_no_node_fails_within_its_timeout_and_ends_no_other(faults: Faults) -> None:
    async def behaviour(harness: KubernetesEngineHarness) -> None:
        idle = await harness.start("idle", HELLO)
        before = harness.call(idle)
        assert await before.body() == "hello"
        huge = harness.route("huge", HELLO, memory=10_000_000, timeout=6.0)
        harness.engine.resume(huge)
        await failure(harness.call(huge), FailureKind.TIMEOUT)
        [line] = harness.log_lines(huge)
        assert line.startswith("waiting: no node")
        assert "Insufficient memory" in line
        await wait_until_async(lambda: harness.instance_count() == 1, what="the end of the Pod")
        after = harness.call(idle)
        assert await after.body() == "hello"
        assert after.instance_name == before.instance_name

    faults.run(behaviour)


def test_start_waits_for_room_on_the_nodes(faults: Faults) -> None:
    [node, *_] = faults.cluster.items("nodes")
    status = node["status"]
    assert isinstance(status, dict)
    memory = int(str(status["allocatable"]["memory"]).removesuffix("Ki")) * 6 // 10 // 1024
    others = sorted(faults.cluster.ready_nodes())[1:]

    async def behaviour(harness: KubernetesEngineHarness) -> None:
        first = await harness.start("first", waiting(harness), memory=memory)
        held = harness.call(first, "/wait")
        await harness.wait_for_handlers(1)
        second = harness.route("second", HELLO, memory=memory)
        harness.engine.resume(second)
        call = harness.call(second)
        await logged(harness, second, "waiting: no node has room for it: ")
        harness.latch.release()
        assert await held.body() == "hello"
        assert await call.body() == "hello"

    try:
        for name in others:
            faults.cluster.kubectl("cordon", name)
        faults.run(behaviour)
    finally:
        for name in others:
            faults.cluster.kubectl("uncordon", name)


# Images


def test_image_that_does_not_exist_fails_the_request(faults: Faults) -> None:
    async def behaviour(harness: KubernetesEngineHarness) -> None:
        route = harness.route("f", HELLO)
        assert isinstance(route.program, ImageProgram)
        missing = ImageProgram(image=route.program.image.partition("@")[0] + f"@{MISSING_DIGEST}")
        route = msgspec.structs.replace(route, program=missing)
        result = await harness.deploy(route)
        assert result.failure is not None
        assert "its image cannot be pulled: " in result.failure
        assert "not found" in result.failure
        assert "waiting: its image cannot be pulled: " in harness.log_lines(route)[0]
        await wait_until_async(lambda: harness.instance_count() == 0, what="no Pod in ImagePullBackOff")

    faults.run(behaviour, dataclasses.replace(faults.settings, pull_seconds=20.0))


def test_wrong_login_at_the_registry_fails_the_request(faults: Faults) -> None:
    async def behaviour(harness: KubernetesEngineHarness) -> None:
        result = await harness.deploy(harness.route("f", HELLO))
        assert result.failure is not None
        assert "its image cannot be pulled: " in result.failure
        assert "401" in result.failure
        await wait_until_async(lambda: harness.instance_count() == 0, what="no Pod in ImagePullBackOff")

    faults.run(behaviour, dataclasses.replace(faults.settings, pull_seconds=3.0, secret_key=str(uuid.uuid4())))


@pytest.mark.long
def test_start_succeeds_when_the_registry_is_back(faults: Faults) -> None:
    port = faults.images.control.settings.api_port
    with tcp_relay(HOST_ADDRESS, ("127.0.0.1", port)) as relay:
        host = f"{HOST_ADDRESS}:{relay.port}"
        faults.cluster.trust_registry(host)

        async def behaviour(harness: KubernetesEngineHarness) -> None:
            route = harness.route("f", HELLO)
            assert isinstance(route.program, ImageProgram)
            image = route.program.image.replace(f"{HOST_ADDRESS}:{port}", host)
            route = msgspec.structs.replace(route, program=ImageProgram(image=image))
            relay.close()
            harness.engine.resume(route)
            call = harness.call(route)
            await logged(harness, route, "waiting: its image cannot be pulled: ")
            relay.open()
            assert await call.body() == "hello"

        faults.run(behaviour, dataclasses.replace(faults.settings, registry_host=host))


# Other platforms


def test_platforms_with_different_keys_leave_each_other_alone(faults: Faults, tmp_path: Path) -> None:
    async def behaviour(harness: KubernetesEngineHarness) -> None:
        route = await harness.start("f", HELLO)
        before = harness.call(route)
        assert await before.body() == "hello"
        async with running_kubernetes_engine(other_settings, other_images) as other:
            same_name = await other.start("f", HELLO)
            assert await other.call(same_name).body() == "hello"
            assert (harness.instance_count(), other.instance_count()) == (1, 1)
        policies = harness.client.list(NetworkPolicy, namespace=faults.settings.namespace)
        assert len(list(policies)) == 1
        after = harness.call(route)
        assert await after.body() == "hello"
        assert after.instance_name == before.instance_name
        second = await harness.start("second", HELLO)
        assert await harness.call(second).body() == "hello"

    (tmp_path / "other").mkdir()
    with serving_images(faults.cluster, tmp_path / "other", str(uuid.uuid4())) as other_images:
        namespace = faults.settings.namespace
        other_settings = kubernetes_settings(faults.cluster, namespace, other_images, tmp_path / "other")
        faults.run(behaviour)


@pytest.mark.long
def test_second_platform_with_one_key_waits_until_the_first_is_dead(faults: Faults) -> None:
    first = EngineProcess(faults.settings, [])

    async def refused() -> None:
        settings = dataclasses.replace(faults.settings, holder="other")
        with pytest.raises(PlatformError) as raised:
            async with running_kubernetes_engine(settings, faults.images):
                pass
        assert raised.value.code == "cluster-in-use"

    async def behaviour(harness: KubernetesEngineHarness) -> None:
        route = await harness.start("f", HELLO)
        assert await harness.call(route).body() == "hello"

    try:
        asyncio.run(refused())
    finally:
        first.kill()
    faults.run(behaviour, dataclasses.replace(faults.settings, holder="other"))


# The API server


@pytest.mark.long
def test_instances_answer_while_the_api_server_is_away(faults: Faults, caplog: pytest.LogCaptureFixture) -> None:
    cluster = faults.cluster
    if cluster.certificates is None:
        pytest.skip("another process runs this cluster")
    caplog.set_level(logging.INFO, "fnkit.platform.data_plane.kubernetes")

    async def behaviour(harness: KubernetesEngineHarness) -> None:
        route = await harness.start("f", waiting(harness))
        dying = await harness.start("dying", waiting(harness))
        later = harness.route("later", HELLO, timeout=100.0)
        cluster.stop_api_server()
        try:
            harness.engine.resume(later)
            started = harness.call(later)
            for _ in range(15):
                assert await harness.call(route).body() == "hello"
                await asyncio.sleep(1)
            message = await failure(harness.call(dying, "/die"), FailureKind.DIED)
            assert "exit 3" in message
            assert not started.finished.done()
        finally:
            cluster.start_api_server()  # not in another thread: it would end with that
        assert await started.body() == "hello"
        assert await harness.call(route).body() == "hello"
        await wait_until_async(lambda: harness.instance_count() == 2, what="the end of the Pod that died")
        lines = [line for line in caplog.messages if "Instances keep running" in line or "answers again" in line]
        assert len(lines) == 2, lines
        assert lines[1] == "The cluster answers again."

    faults.run(behaviour)


# A killed gateway


@pytest.mark.long
def test_instances_of_a_killed_gateway_are_adopted(faults: Faults) -> None:
    with handler_latch(HOST_ADDRESS) as latch, handler_latch(HOST_ADDRESS) as early_latch:
        program, early_program = (
            faults.images.make({"handler.py": one.source + WAITING}) for one in (latch, early_latch)
        )
        idle, gone, scaling = (make_route(name, program=program) for name in ("idle", "gone", "scaling"))
        busy = make_route("busy", program=program, max_scale=1)
        early = make_route("early", program=early_program)
        calls = [(idle, "/"), (busy, "/wait"), (early, "/wait"), (gone, "/"), (scaling, "/wait")]
        killed = EngineProcess(faults.settings, calls)
        wait_until(lambda: (latch.waiting_count, early_latch.waiting_count) == (2, 1))
        killed.kill()
        early_latch.release()
        wait_until(lambda: "waited" in faults.kubectl("logs", killed.instances[2]))

        async def behaviour(harness: KubernetesEngineHarness) -> None:
            for route in (idle, busy, early, scaling):
                harness.engine.resume(route)
            harness.engine.discard_leftovers()
            for route, name in ((idle, killed.instances[0]), (early, killed.instances[2])):
                call = harness.call(route)
                assert await call.body() == "hello"
                assert call.instance_name == name
            waiting_call = harness.call(busy)
            another = harness.call(scaling)
            assert await another.body() == "hello"
            assert another.instance_name != killed.instances[4]
            assert gone.name not in " ".join(one.metadata.name or "" for one in harness.pods() if one.metadata)
            await asyncio.sleep(10)  # longer than an adopted instance may be unreachable
            assert not waiting_call.instance_name
            latch.release()
            assert await waiting_call.body() == "hello"
            assert waiting_call.instance_name == killed.instances[1]
            for route in (busy, early):
                await logged(harness, route, "waited", "stdout")
                assert harness.log_lines(route, "stdout").count("waited") == 1

        faults.run(behaviour)


# The end of an instance


@pytest.mark.parametrize(
    ("path", "reason"), [("/die", "exit 3"), ("/memory", "out of memory")], ids=["exit", "memory"]
)
def test_end_of_an_instance_is_explained(faults: Faults, path: str, reason: str) -> None:
    async def behaviour(harness: KubernetesEngineHarness) -> None:
        route = await harness.start("f", waiting(harness), memory=128)
        message = await failure(harness.call(route, path), FailureKind.DIED)
        assert message == f"the instance of f ended while it answered: {reason}"
        assert harness.log_lines(route) == [f"instance ended: {reason}"]
        assert await harness.call(route).body() == "hello"

    faults.run(behaviour)


@pytest.mark.long
def test_instance_that_fills_its_disk_is_ended(faults: Faults) -> None:
    async def behaviour(harness: KubernetesEngineHarness) -> None:
        route = await harness.start("f", waiting(harness), timeout=150.0, sandbox="v1")
        message = await failure(harness.call(route, "/disk"), FailureKind.DIED)
        assert "out of disk: more than 1024 MiB" in message
        assert "out of disk" in harness.log_lines(route)[0]

    faults.run(behaviour)


def test_busy_pod_that_is_deleted_fails_its_request(faults: Faults) -> None:
    async def behaviour(harness: KubernetesEngineHarness) -> None:
        route = await harness.start("f", waiting(harness))
        call = harness.call(route, "/wait")
        await harness.wait_for_handlers(1)
        await faults.change("delete", "pod", call.instance_name)
        assert "its Pod was deleted" in await failure(call, FailureKind.DIED)
        await logged(harness, route, "instance ended: its Pod was deleted")
        assert await harness.call(route).body() == "hello"

    faults.run(behaviour)


def test_idle_pod_that_is_evicted_is_replaced(faults: Faults) -> None:
    async def behaviour(harness: KubernetesEngineHarness) -> None:
        route = await harness.start("f", HELLO, min_scale=1)
        call = harness.call(route)
        assert await call.body() == "hello"
        metadata = {"name": call.instance_name, "namespace": faults.settings.namespace}
        eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": metadata}
        url = f"/api/v1/namespaces/{faults.settings.namespace}/pods/{call.instance_name}/eviction"
        await faults.change("create", f"--raw={url}", "-f", "-", document=eviction)
        await logged(harness, route, "instance ended: its Pod was deleted")
        await harness.wait_for_instances(route, idle=1)
        again = harness.call(route)
        assert await again.body() == "hello"
        assert again.instance_name != call.instance_name

    faults.run(behaviour)


# Objects that somebody changes


def test_pod_whose_labels_are_removed_is_ended_and_replaced(faults: Faults) -> None:
    async def behaviour(harness: KubernetesEngineHarness) -> None:
        route = await harness.start("f", HELLO)
        call = harness.call(route)
        assert await call.body() == "hello"
        await faults.change("label", "pod", call.instance_name, "fnkit.dev/function-id=other", "--overwrite")
        again = harness.call(route)
        assert await again.body() == "hello"
        assert again.instance_name == call.instance_name
        await faults.change("label", "pod", call.instance_name, "fnkit.dev/platform-")
        await logged(harness, route, "instance ended: ")
        replaced = harness.call(route)
        assert await replaced.body() == "hello"
        assert replaced.instance_name != call.instance_name
        pods = json.loads(await faults.change("get", "pods", "--output=json"))["items"]
        assert [pod["metadata"]["name"] for pod in pods] == [replaced.instance_name]

    faults.run(behaviour)


@pytest.mark.long
def test_deleted_secrets_are_restored_for_the_next_start(faults: Faults) -> None:
    async def behaviour(harness: KubernetesEngineHarness) -> None:
        route = await harness.start("f", waiting(harness), secret_names=("KEY",), environment={"KEY": "value"})
        await faults.change("delete", "secret,networkpolicy", "--all")
        held = harness.call(route, "/wait")
        await harness.wait_for_handlers(1)
        assert await harness.call(route).body() == "hello"
        harness.latch.release()
        assert await held.body() == "hello"

    faults.run(behaviour)


# The key of an instance


def test_instance_refuses_whoever_does_not_know_its_key(faults: Faults) -> None:
    async def behaviour(harness: KubernetesEngineHarness) -> None:
        called = await harness.start("called", waiting(harness))
        caller = await harness.start("caller", waiting(harness))
        call = harness.call(called)
        assert await call.body() == "hello"
        status = pod_of(harness, call.instance_name).status
        assert status is not None
        before = harness.metrics(called)
        assert await harness.call(caller, f"/call/{status.podIP}").body() == "403"
        assert harness.metrics(called).idle == before.idle
        assert harness.log_lines(called, "stdout") == []

    faults.run(behaviour)
