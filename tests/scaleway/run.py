"""One function's life: a throw-away namespace, a deploy, calls, an update, a cron, and the end of it all."""

from __future__ import annotations

import io
import secrets
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from fnkit.client import Endpoint, FunctionsApi
from fnkit.contract.enums import Status
from fnkit.contract.requests import CreateCron, CreateFunction, CreateNamespace, Secret, UpdateCron, UpdateFunction
from fnkit.contract.resources import Cron, Function, Namespace
from fnkit.deploy.retries import AdaptiveLimiter, wait_for_deletion, wait_for_function, wait_for_namespace
from fnkit.errors import DeployError, FnkitError, InvokeError
from fnkit.invoke.model import InvocationRequest
from fnkit.invoke.remote import invoke_remote
from tests.scaleway.recording import RecordingTransport

MEMORY: Final = 128  # MB, the smallest size
_HANDLER: Final = """\
import os

def handle(event, context):
    print("version", os.environ["VERSION"], "with the secret" if os.environ.get("SECRET") else "without a secret")
    return {"statusCode": 200, "headers": {"X-Version": os.environ["VERSION"]}, "body": event["httpMethod"]}
"""
_ARGS: Final[dict[str, object]] = {"nested": {"number": 1.5, "list": [True, None]}}
_REQUEST: Final = InvocationRequest(method="POST", target="/a%20b?x=1&x=2", headers=(), body=b"{}")
_ROUTE_SECONDS: Final = 120.0  # clients of Scaleway's own retry calls right after a deploy
_CRON_SECONDS: Final = 60.0


@dataclass(slots=True)
class Usage:
    """What is billed: calls of the function, and their duration, here as the client saw it."""

    calls: int = 0
    seconds: float = 0.0

    @property
    def gigabyte_seconds(self) -> float:
        return self.seconds * MEMORY / 1024


@dataclass(slots=True)
class ScalewayRun:
    """A run and its cleanup.

    Attributes:
        endpoint: The API and the project.
        runtime: The runtime of the function.
        report: Called with a sentence after each step.
        transport: Has the recording.
        namespace: The name of the namespace, which no other one has.
    """

    endpoint: Endpoint
    runtime: str
    report: Callable[[str], None]
    namespace: str = field(default_factory=lambda: f"fnkit-recording-{secrets.token_hex(4)}")
    secret: str = field(default_factory=lambda: secrets.token_hex(16), repr=False)
    usage: Usage = field(default_factory=Usage)
    transport: RecordingTransport = field(init=False)
    _api: FunctionsApi = field(init=False)
    _limiter: AdaptiveLimiter = field(default_factory=AdaptiveLimiter)

    def __post_init__(self) -> None:
        self.transport = RecordingTransport(self.endpoint)
        self._api = FunctionsApi(self.endpoint, self.transport)

    def run(self) -> None:
        """Do all steps but the cleanup.

        Raises:
            FnkitError: A step failed.
        """
        self._api.list_runtimes()
        namespace = self._create_namespace()
        function = self._deploy(namespace)
        self._call(function, "1")
        self._read_log(function)
        self._update(function)
        self._call(function, "2")
        self._try_cron(function)
        for kind in (self._api.domains, self._api.tokens, self._api.triggers):  # whose lists were never recorded
            kind.list(function.id)
        self._api.functions.delete(function.id)
        self._wait_until_gone(lambda: self._api.functions.get(function.id), "The function")
        self.report("The function is deleted.")

    def clean_up(self) -> Iterator[str]:
        """Delete the namespace with everything in it, and yield what could not be deleted.

        It is looked up by its name: an interrupted request may have created it.
        """
        try:
            for namespace in self._limiter.call(self._own_namespaces):
                self._delete(namespace)
        except FnkitError as error:
            yield f"the namespace {self.namespace} in {self.endpoint.region} ({error.message})"

    def _delete(self, namespace: Namespace) -> None:
        if namespace.status != Status.DELETING:
            self._limiter.call(lambda: self._api.namespaces.delete(namespace.id))
        self._wait_until_gone(lambda: self._api.namespaces.get(namespace.id), "The namespace")

    def _own_namespaces(self) -> list[Namespace]:
        found = self._api.namespaces.list(self.endpoint.project_id, name=self.namespace)
        return [namespace for namespace in found if namespace.name == self.namespace]

    def _create_namespace(self) -> Namespace:
        created = self._api.namespaces.create(
            CreateNamespace(
                name=self.namespace,
                project_id=self.endpoint.project_id,
                description="A recording of fnkit. It can be deleted.",
                environment_variables={"VERSION": "0"},
            )
        )
        namespace = wait_for_namespace(self._api, created, self._limiter)
        self.report(f"The namespace {namespace.name} is ready.")
        return namespace

    def _deploy(self, namespace: Namespace) -> Function:
        function = self._api.functions.create(
            CreateFunction(
                name="hello",
                namespace_id=namespace.id,
                runtime=self.runtime,
                handler="handler.handle",
                memory_limit=MEMORY,
                max_scale=1,
                timeout="30s",
                environment_variables={"VERSION": "1"},
                secret_environment_variables=[Secret(key="SECRET", value=self.secret)],
            )
        )
        archive = _archive()
        signed = self._api.functions.upload_url(function.id, len(archive))
        headers = {name: values[0] for name, values in signed.headers.items()}
        self.transport.upload(signed.url, headers, io.BytesIO(archive), len(archive))
        self._api.functions.update(function.id, UpdateFunction(redeploy=True))
        return self._wait_until_deployed(function)

    def _update(self, function: Function) -> None:
        change = UpdateFunction(
            environment_variables={"VERSION": "2"}, secret_environment_variables=[Secret(key="SECRET")]
        )
        self._api.functions.update(function.id, change)
        self._wait_until_deployed(function)

    def _wait_until_deployed(self, function: Function) -> Function:
        deployed = wait_for_function(self._api, function, self._limiter, lambda step: self.report(f"  {step}"))
        if deployed.status != Status.READY:
            raise DeployError(f"The function is {deployed.status}: {deployed.error_message}.", code="not-ready")
        self.report("The function is ready.")
        return deployed

    def _call(self, function: Function, version: str) -> None:
        """Call the function until the given version answers, and record each answer."""
        info = self._api.platform_info()

        def answered() -> bool | None:
            self.usage.calls += 1
            try:
                result = invoke_remote(info, function, _REQUEST)
            except InvokeError:  # the name of a new function may not resolve yet
                return None
            response = result.response
            self.usage.seconds += result.duration_ms / 1000
            self.transport.record(
                op="@call",
                method=_REQUEST.method,
                path=f"@call{_REQUEST.target}",
                query={},
                request_body={},
                status=response.status,
                response_body=response.body.decode(errors="replace"),
                response_headers={name.lower(): value for name, value in response.headers},
            )
            return ("x-version", version) in {(name.lower(), value) for name, value in response.headers} or None

        if self._limiter.poll(answered, timeout_seconds=_ROUTE_SECONDS, max_interval=5.0) is None:
            raise DeployError(f"Version {version} did not answer within two minutes.", code="no-answer")
        self.report(f"Version {version} answers.")

    def _read_log(self, function: Function) -> None:
        """Ask an operation that the API document no longer has; whatever the answer, it is recorded."""
        path = f"/functions/v1beta1/regions/{self.endpoint.region}/functions/{function.id}/logs"
        answer = self.transport.exchange("GET", path, {}, None)
        self.report(f"The log of the function was answered with {answer.status}.")

    def _try_cron(self, function: Function) -> None:
        cron = self._api.crons.create(
            CreateCron(function_id=function.id, schedule="0 0 1 1 *", args=_ARGS, name="yearly")
        )
        self._wait_for_cron(cron)
        self._api.crons.list(function.id)
        self._api.crons.update(cron.id, UpdateCron(schedule="0 1 1 1 *"))
        self._wait_for_cron(cron)
        self._api.crons.delete(cron.id)
        self.report("A cron was created, changed and deleted.")

    def _wait_for_cron(self, cron: Cron) -> None:
        def settled() -> Cron | None:
            current = self._limiter.call(lambda: self._api.crons.get(cron.id))
            return None if current.status == Status.PENDING else current

        if self._limiter.poll(settled, timeout_seconds=_CRON_SECONDS, max_interval=2.0) is None:
            raise DeployError("The cron is still pending after a minute.", code="not-ready")

    def _wait_until_gone(self, get: Callable[[], object], subject: str) -> None:
        wait_for_deletion(self._api, get, subject, self._limiter)


def _archive() -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as target:
        target.writestr(zipfile.ZipInfo("handler.py"), _HANDLER)
    return content.getvalue()
