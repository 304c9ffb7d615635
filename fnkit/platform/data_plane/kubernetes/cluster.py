"""The API of a cluster, limited to what the engine needs of it: one namespace, and what this platform labelled.

Errors of the API, of its certificates and of the network become ``ClusterError``, whose text a user can act on.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Final, TypeVar

import httpx2
import yaml
from lightkube import ApiError, AsyncClient, ConfigError, KubeConfig, SingleConfig
from lightkube.config import client_adapter
from lightkube.core.client import LabelSelector
from lightkube.core.resource import NamespacedResource
from lightkube.resources.core_v1 import Pod

from fnkit.errors import PlatformError
from fnkit.platform.data_plane.kubernetes.settings import PLATFORM_LABEL, KubernetesEngineSettings

_TIMEOUT: Final = 10.0
_CONNECT_TIMEOUT: Final = 5.0
_WATCH_SECONDS: Final = 60  # the server ends a watch after this time; a silent one that is older is dead
_NO_LIMITS: Final = httpx2.Limits(max_connections=None, max_keepalive_connections=20)
_FIRST_RETRY: Final = 0.1
_LAST_RETRY: Final = 3.0
_FORBIDDEN: Final = 403
_TRANSIENT: Final = frozenset({408, 409, 429, 500, 502, 503, 504})

ObjectT = TypeVar("ObjectT", bound=NamespacedResource)
ResultT = TypeVar("ResultT")


class ClusterError(OSError):
    """The cluster refused a request. The text states which one and why."""


class ClusterUnavailable(ClusterError):
    """The cluster did not answer, or could not at this moment."""


class QuotaExceeded(ClusterError):
    """A quota of the namespace does not allow another object."""


class Cluster:
    """The API server of a cluster, for one namespace.

    Args:
        config: The cluster and the account.
        namespace: The namespace.
        platform_id: The label of what belongs to this platform.

    Raises:
        ConfigError: The configuration is incomplete.
        OSError: A certificate cannot be read.
    """

    def __init__(self, config: SingleConfig, namespace: str, platform_id: str) -> None:
        if config.user is None:
            raise ConfigError("it names no user")
        verify = client_adapter.verify_cluster(config.cluster, config.user, config.abs_file)
        transport = httpx2.AsyncHTTPTransport(verify=verify, limits=_NO_LIMITS)
        self.server = config.cluster.server
        self.namespace = namespace
        self._labels: LabelSelector = {PLATFORM_LABEL: platform_id}
        self._client = AsyncClient(
            config,
            namespace=namespace,
            timeout=httpx2.Timeout(_TIMEOUT, connect=_CONNECT_TIMEOUT),
            transport=transport,
            lazy=True,
        )
        self._streams = httpx2.AsyncClient(
            base_url=config.cluster.server,
            auth=client_adapter.user_auth(config.user),
            timeout=httpx2.Timeout(_TIMEOUT, connect=_CONNECT_TIMEOUT, read=None),
            transport=transport,
        )

    # Objects

    async def create(self, item: NamespacedResource) -> None:
        """Create an object. It is no error if it exists: an earlier attempt may have created it.

        Raises:
            ClusterError: It was not created.
        """
        await self._call_unless("AlreadyExists", f"create {_describe(item)}", lambda: self._client.create(item))

    async def put(self, item: NamespacedResource) -> None:
        """Create an object, or replace the one with its name. Raises ``ClusterError``."""
        created = await self._call_unless(
            "AlreadyExists", f"create {_describe(item)}", lambda: self._client.create(item)
        )
        if created is None:
            await self.replace(item)

    async def replace(self, item: NamespacedResource) -> None:
        """Replace an object; if it has a resource version, only that version of it. Raises ``ClusterError``."""
        await self._call(f"replace {_describe(item)}", lambda: self._client.replace(item))

    async def get(self, kind: type[ObjectT], name: str) -> ObjectT | None:
        """Return an object, or ``None``. Raises ``ClusterError``."""
        what = f"read {kind.__name__} {name}"
        return await self._call_unless("NotFound", what, lambda: self._client.get(kind, name))

    async def delete(self, kind: type[NamespacedResource], name: str) -> None:
        """Delete an object at once. It is no error if there is none. Raises ``ClusterError``."""
        what = f"delete {kind.__name__} {name}"
        await self._call_unless("NotFound", what, lambda: self._client.delete(kind, name, grace_period=0))

    async def list(self, kind: type[ObjectT]) -> tuple[list[ObjectT], str]:
        """Return the objects of this platform, and the version of the list. Raises ``ClusterError``."""

        async def read() -> tuple[list[ObjectT], str]:
            found = self._client.list(kind, labels=self._labels, chunk_size=500)
            items = [item async for item in found]
            return items, found.resourceVersion

        return await self._call(f"list {kind.__name__}s", read)

    async def retry(self, work: Callable[[], Awaitable[ResultT]], seconds: float) -> ResultT:
        """Do something, again and again while the cluster is not available.

        Args:
            work: What to do.
            seconds: For how long.

        Raises:
            ClusterError: It was refused, or the time is over.
        """
        loop = asyncio.get_running_loop()
        deadline, pause = loop.time() + seconds, _FIRST_RETRY
        while True:
            try:
                return await work()
            except ClusterUnavailable:
                if loop.time() + pause > deadline:
                    raise
            await asyncio.sleep(pause)
            pause = min(_LAST_RETRY, pause * 2)

    # Streams

    async def watch_pods(self, version: str) -> AsyncIterator[tuple[str, Pod]]:
        """Yield the changes of this platform's Pods after a version of the list, with what happened.

        It ends after a minute without a change, because the connection may be dead: list again.

        Raises:
            ClusterError: The connection was lost, or the version is too old: list again.
        """
        changes = aiter(
            self._client.watch(
                Pod,
                namespace=self.namespace,
                labels=self._labels,
                resource_version=version,
                server_timeout=_WATCH_SECONDS,
            )
        )
        while True:
            with _translated(f"watch Pods in namespace {self.namespace}"):
                try:
                    async with asyncio.timeout(_WATCH_SECONDS):
                        change = await anext(changes)
                except TimeoutError:
                    return
            yield change

    @contextlib.asynccontextmanager
    async def open_log(self, pod: str, since: str) -> AsyncIterator[AsyncIterator[bytes]]:
        """Follow the log of a Pod's container: lines with their times.

        Args:
            pod: The name of the Pod.
            since: A time of the log in RFC 3339; empty for its beginning.

        Raises:
            ClusterError: It cannot be read, or the connection was lost.
        """
        parameters = {"follow": "true", "timestamps": "true", **({"sinceTime": since} if since else {})}
        url = f"/api/v1/namespaces/{self.namespace}/pods/{pod}/log"
        with _translated(f"read the log of Pod {pod}"):
            async with self._streams.stream("GET", url, params=parameters) as response:
                if response.is_error:
                    await response.aread()
                    response.raise_for_status()
                yield response.aiter_raw()

    async def close(self) -> None:
        """Close all connections."""
        await self._client.close()
        await self._streams.aclose()

    async def _call(self, what: str, work: Callable[[], Awaitable[ResultT]]) -> ResultT:
        with _translated(f"{what} in namespace {self.namespace}"):
            return await work()

    async def _call_unless(self, reason: str, what: str, work: Callable[[], Awaitable[ResultT]]) -> ResultT | None:
        """Return the result, or ``None`` if the cluster refuses it for this reason."""
        with _translated(f"{what} in namespace {self.namespace}"):
            try:
                return await work()
            except ApiError as error:
                if error.status.reason != reason:
                    raise
                return None


@contextlib.contextmanager
def _translated(what: str) -> Iterator[None]:
    """Raise errors of the client as ``ClusterError``."""
    try:
        yield
    except ApiError as error:
        raise _from_status(what, error) from None
    except (httpx2.HTTPStatusError, ValueError) as error:  # an answer of something in between
        raise ClusterUnavailable(f"the cluster did not {what}: {error}") from None
    except (httpx2.HTTPError, ssl.SSLError, TimeoutError, StopAsyncIteration) as error:
        raise ClusterUnavailable(f"the cluster did not {what}: {str(error) or type(error).__name__}") from None
    except ConfigError as error:
        raise ClusterError(f"the account of the cluster cannot be used: {error}") from None


def _from_status(what: str, error: ApiError) -> ClusterError:
    code, message = error.status.code, error.status.message or ""
    text = f"the cluster did not {what}: {message}"
    if code == _FORBIDDEN and "exceeded quota" in message:
        return QuotaExceeded(text)
    return ClusterUnavailable(text) if code in _TRANSIENT else ClusterError(text)


def _describe(item: NamespacedResource) -> str:
    metadata = getattr(item, "metadata", None)
    return f"{type(item).__name__} {metadata.name if metadata is not None else ''}".strip()


def open_cluster(settings: KubernetesEngineSettings) -> Cluster:
    """Return the cluster that the settings name. Nothing is sent to it yet.

    Raises:
        PlatformError: ``cluster-configuration``.
    """
    try:
        config = _read_config(settings)
        namespace = settings.namespace or config.namespace or "default"
        return Cluster(config, namespace, settings.platform_id)
    except (ConfigError, OSError, ValueError, KeyError, TypeError, AttributeError, yaml.YAMLError) as error:
        source = settings.kubeconfig or "the service account of this Pod"
        raise PlatformError(
            f"The cluster cannot be used: {source}: {_configuration_problem(error)}.",
            code="cluster-configuration",
            hint="Name a file that kubectl can use with --kubeconfig, and one of its contexts with --kube-context.",
        ) from None


def _configuration_problem(error: Exception) -> str:
    """Return what is wrong with a file that describes a cluster, without a line of it: it holds secrets."""
    match error:
        case yaml.MarkedYAMLError():
            line = error.problem_mark.line + 1 if error.problem_mark is not None else 1
            return f"line {line} is not YAML"
        case yaml.YAMLError() | UnicodeDecodeError():
            return "it is not YAML"
        case KeyError():
            return f"it contains no {error}"
        case AttributeError() | TypeError():
            return "it does not describe a cluster"
        case _:
            return str(error).rstrip(".")


def _read_config(settings: KubernetesEngineSettings) -> SingleConfig:
    if settings.kubeconfig:
        found = KubeConfig.from_file(Path(settings.kubeconfig)).get(settings.context or None)
    else:
        found = KubeConfig.from_service_account().get()
    if found is None:
        raise ConfigError("it names no context")
    return found
