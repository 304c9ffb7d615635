"""The messages between control and the data plane, and their encoding. Pure values.

Control listens on a Unix socket of mode 0600. The data plane connects, retries until it succeeds, and keeps serving
its last routes while control is away. On connect, control sends one ``Snapshot`` and then only changes, each with
the next version. The data plane answers every message with an ``Ack`` of its version and reports the outcome of
deployments. A frame is a length (4 bytes, big-endian) and a msgpack message.

Secrets are sent unencrypted over this socket, which only its owner can open. They are never written to disk.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias
from urllib.parse import unquote

import msgspec

from fnkit.contract.invocation.environment import EnvironmentSpec
from fnkit.platform.model.debugger import DEBUGGER_MB, Debugger

FRAME_LENGTH_BYTES: Final = 4


class ClockState(msgspec.Struct, frozen=True, kw_only=True):
    """State of the platform clock: the time now is ``epoch + (time.time() - real) * speed``.

    Attributes:
        platform_time: Platform time in Unix seconds at the real time ``real_time``.
        real_time: Real time in Unix seconds.
        speed: Platform seconds per real second; 0 for the manual clock, which ``POST /fnkit/v1/clock`` moves.
    """

    platform_time: float
    real_time: float
    speed: float = 1.0


class LocalProgram(msgspec.Struct, frozen=True, kw_only=True, tag="local"):
    """What instances run as processes of this machine.

    Attributes:
        interpreter: Absolute path of the program that runs the function.
        code_dir: Absolute path of the directory that an instance sees as ``/home/app/function``.
        uid: User id of instances if the platform runs as root, else 0.
        edited: Paths below ``code_dir`` of files that an instance replaces before it imports the handler.
        edits_dir: Absolute path of the directory that has them; those that are not in it are removed.
    """

    interpreter: str
    code_dir: str
    uid: int = 0
    edited: tuple[str, ...] = ()
    edits_dir: str = ""


class ImageProgram(msgspec.Struct, frozen=True, kw_only=True, tag="image"):
    """What instances run as containers of a cluster.

    Attributes:
        image: Its complete name with the digest, as the nodes of the cluster pull it.
    """

    image: str


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """One deployment of a function: its addresses and how to run it.

    Attributes:
        generation: Number of the function's deployment; a higher one replaces a lower one.
        hosts: Lower-case host names without port: the native ones and custom domains.
        path_prefix: ``/<region>/<namespace>/<function>``, percent-encoded: the address by path.
        created_at: When the function was created, in platform nanoseconds. Names are unique in a project only, so
            several functions can have one path: it belongs to the oldest.
        program: What its instances run. Only the source of instances looks into it; others compare it.
        memory: MB.
        cpu: mVCPU.
        timeout: Real seconds.
        environment: Merged variables, secrets decrypted.
        secret_names: The variables in ``environment`` that are secrets.
        preload: Whether third-party modules may be imported before an instance is needed.
        private_network_id: The private network that the function is attached to; empty for none.
        debugger: The debugger under which its instances run, if any.
    """

    function_id: str
    generation: int
    name: str
    namespace_id: str
    region: str
    project_id: str
    hosts: tuple[str, ...]
    path_prefix: str
    created_at: int = 0
    runtime: str
    language: str
    program: LocalProgram | ImageProgram
    handler: str
    memory: int
    cpu: int
    timeout: float
    min_scale: int
    max_scale: int
    privacy: str
    http_option: str
    sandbox: str
    environment: dict[str, str]
    secret_names: tuple[str, ...] = ()
    preload: bool = True
    private_network_id: str = ""
    debugger: Debugger | None = None

    @property
    def image(self) -> str:
        """The name of the image, for an engine of a cluster. Raises ``TypeError`` if it is none."""
        if not isinstance(self.program, ImageProgram):
            raise TypeError(f"{self} runs on this machine")
        return self.program.image

    @property
    def reserved_memory(self) -> int:
        """MB that an instance may use."""
        return self.memory if self.debugger is None else self.memory + DEBUGGER_MB

    @property
    def environment_spec(self) -> EnvironmentSpec:
        """The facts of the function that the environment of its instances contains, secrets included."""
        return EnvironmentSpec(
            function_id=self.function_id,
            name=self.name,
            namespace_id=self.namespace_id,
            handler=self.handler,
            language=self.language,
            memory=self.memory,
            privacy=self.privacy,
            variables=self.environment,
        )

    @property
    def namespace(self) -> str:
        """The namespace's name."""
        return unquote(self.path_prefix.rpartition("/")[0].rpartition("/")[2])

    def __repr__(self) -> str:
        """Omit the environment, which holds secrets."""
        return f"Route({self.function_id}@{self.generation})"


class KeyGrant(msgspec.Struct, frozen=True, kw_only=True):
    """An API key that may call private functions.

    Attributes:
        sha256: Digest of the secret.
        project_id: The only project whose functions it may call; ``None`` for all.
    """

    sha256: bytes
    project_id: str | None = None


class AcceptedCredentials(msgspec.Struct, frozen=True, kw_only=True):
    """Credentials that may call private functions, in addition to the platform's own key.

    Attributes:
        public_key: PEM key that verifies tokens; empty before the first token was created.
        tokens: Ids of the tokens that were not deleted. Scope and expiry are claims of the token.
        keys: API keys.
    """

    public_key: str = ""
    tokens: tuple[str, ...] = ()
    keys: tuple[KeyGrant, ...] = ()


class _Versioned(msgspec.Struct, frozen=True, kw_only=True):
    """The fields of every message of control, and of the messages that refer to one.

    Attributes:
        version: Number of the message. Each has the next one.
    """

    version: int


class Snapshot(_Versioned, frozen=True, kw_only=True, tag="snapshot"):
    """The complete state. Functions without a route in it are removed."""

    clock: ClockState
    routes: tuple[Route, ...]
    credentials: AcceptedCredentials = AcceptedCredentials()


class UpsertRoute(_Versioned, frozen=True, kw_only=True, tag="upsert"):
    """Deploy: start one instance, then switch traffic to this deployment and report ``DeploymentStarted``.

    The previous deployment serves until then, and goes on serving if the start fails.
    """

    route: Route


class PrestartInterpreter(_Versioned, frozen=True, kw_only=True, tag="prestart"):
    """Start the zygote and the pre-warmed workers of an interpreter that a deployment in progress will need.

    Attributes:
        language: The language of the function.
        interpreter: The interpreter.
        memory: MB of the function.
    """

    language: str
    interpreter: str
    memory: int


class RemoveFunction(_Versioned, frozen=True, kw_only=True, tag="remove"):
    """Stop routing to this function, and stop its instances after their current requests."""

    function_id: str


class HostsChanged(_Versioned, frozen=True, kw_only=True, tag="hosts"):
    """Replace the host names of a function, whichever of its deployments is current."""

    function_id: str
    hosts: tuple[str, ...]


class CredentialsChanged(_Versioned, frozen=True, kw_only=True, tag="credentials"):
    """Tokens were issued or revoked, or keys changed. ``None`` leaves a value unchanged."""

    public_key: str | None = None
    issued: tuple[str, ...] = ()
    revoked: tuple[str, ...] = ()
    keys: tuple[KeyGrant, ...] | None = None


class ClockChanged(_Versioned, frozen=True, kw_only=True, tag="clock"):
    """The clock was moved. The data plane applies it, with its effects on idle instances, before the ack."""

    clock: ClockState


ControlMessage: TypeAlias = (
    Snapshot | UpsertRoute | PrestartInterpreter | RemoveFunction | HostsChanged | CredentialsChanged | ClockChanged
)


class Handshake(msgspec.Struct, frozen=True, kw_only=True, tag="hello"):
    """The first message of the data plane, with its port and the isolation level in force.

    Attributes:
        secret: The secret of this start of the platform. Control sends nothing before it has seen it.
        can_replace_files: Whether instances in Python can replace files of the code that they see, for themselves.
    """

    secret: str
    pid: int
    gateway_port: int
    isolation: str
    can_replace_files: bool = False


class Ack(_Versioned, frozen=True, kw_only=True, tag="ack"):
    """The message with this version was applied."""


class DeploymentStarted(msgspec.Struct, frozen=True, kw_only=True, tag="started"):
    """The first instance of a deployment is running and its route is in force.

    Attributes:
        import_error: The end of the traceback if the instance could not import its handler, else empty. It then
            answers each request with an error, as on the real platform.
    """

    function_id: str
    generation: int
    import_error: str = ""


class DeploymentFailed(msgspec.Struct, frozen=True, kw_only=True, tag="failed"):
    """No instance of a deployment could be started. The previous deployment keeps serving."""

    function_id: str
    generation: int
    message: str


class InstanceExited(msgspec.Struct, frozen=True, kw_only=True, tag="exited"):
    """An instance ended unexpectedly. ``reason`` is a short text, such as ``out of memory`` or ``exit 3``."""

    function_id: str
    generation: int
    reason: str


class DataPlaneHealthy(_Versioned, frozen=True, kw_only=True, tag="healthy"):
    """Every function of the snapshot has its ``min_scale`` instances."""


DataPlaneMessage: TypeAlias = (
    Handshake | Ack | DeploymentStarted | DeploymentFailed | InstanceExited | DataPlaneHealthy
)

_encoder = msgspec.msgpack.Encoder()

decode_control_message: Callable[[bytes], ControlMessage] = msgspec.msgpack.Decoder(ControlMessage).decode
"""Decode a message of control. Raises ``msgspec.DecodeError`` if the payload is not such a message."""

decode_data_plane_message: Callable[[bytes], DataPlaneMessage] = msgspec.msgpack.Decoder(DataPlaneMessage).decode
"""Decode a message of the data plane. Raises ``msgspec.DecodeError`` if the payload is not such a message."""


def encode_frame(message: ControlMessage | DataPlaneMessage) -> bytes:
    """Encode a message as a frame: its length, then msgpack."""
    payload = _encoder.encode(message)
    return len(payload).to_bytes(FRAME_LENGTH_BYTES, "big") + payload
