"""What control tells the data plane, and what it hears back: pure values and their frames.

Control listens on a 0600 Unix socket; the data plane connects, again and again until it succeeds, and keeps
serving what it knows while control is away. On connect control sends one ``Snapshot``; after it only deltas,
each with the next version. The data plane answers every message that carries a version with ``Ack`` and
reports what becomes of instances (decision 18). Frames: four bytes of length, big-endian, then msgpack.

Secrets travel here in clear, in memory, over a socket that only its owner can open; they are never written.
"""

from __future__ import annotations

from typing import Final, TypeAlias
from urllib.parse import unquote

import msgspec

__all__ = [
    "Ack",
    "Clock",
    "ClockChanged",
    "Credentials",
    "CredentialsChanged",
    "Exited",
    "Failed",
    "FromControl",
    "FromDataPlane",
    "Healthy",
    "Hello",
    "Hosts",
    "KeyGrant",
    "Remove",
    "Route",
    "Snapshot",
    "Started",
    "Upsert",
    "decode_from_control",
    "decode_from_data_plane",
    "encode",
    "frame",
]

LENGTH_BYTES: Final = 4


class Clock(msgspec.Struct, frozen=True, kw_only=True):
    """Platform time: ``epoch`` is the virtual time, in Unix seconds, at ``real`` (``time.time()``).

    Virtual now = ``epoch + (time.time() - real) * speed``. ``speed`` 0 is the manual clock, which only moves by
    ``POST /fnkit/v1/clock`` (decision 21).
    """

    epoch: float
    real: float
    speed: float = 1.0


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """One deployment of a function: where it answers and how it runs.

    generation: counts this function's deployments; a higher one replaces a lower one.
    hosts: lower-case names without port, native spellings and custom domains.
    path_prefix: ``/<region>/<namespace>/<function>`` for the path form, as URLs write it.
    code: absolute folder that becomes ``/home/app/function``; interpreter: absolute program that runs it.
    memory: MB. cpu: mVCPU. timeout: seconds, real time. environment: merged, secrets in clear.
    uid: the user that instances run as when the platform is root, else 0.
    secret_names: the variables of ``environment`` that are secrets. preload: whether third-party modules may be
    imported ahead of a start.
    """

    function_id: str
    generation: int
    name: str
    namespace_id: str
    region: str
    project_id: str
    hosts: tuple[str, ...]
    path_prefix: str
    runtime: str
    language: str
    interpreter: str
    code: str
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
    uid: int = 0
    secret_names: tuple[str, ...] = ()
    preload: bool = True

    @property
    def namespace(self) -> str:
        """The namespace's name."""
        return unquote(self.path_prefix.rpartition("/")[0].rpartition("/")[2])

    def __repr__(self) -> str:
        """Name the deployment alone: the environment holds secrets."""
        return f"Route({self.function_id}@{self.generation})"


class KeyGrant(msgspec.Struct, frozen=True, kw_only=True):
    """An API key that may call private functions: the SHA-256 of its secret, and its one project or ``None``."""

    sha256: bytes
    project_id: str | None = None


class Credentials(msgspec.Struct, frozen=True, kw_only=True):
    """What opens private functions, beside the platform's own key.

    public_key: PEM, what tokens are signed with; empty as long as there is none. tokens: ids of those that were
    not deleted; what each is for, and when it ends, it says itself.
    """

    public_key: str = ""
    tokens: tuple[str, ...] = ()
    keys: tuple[KeyGrant, ...] = ()


class Snapshot(msgspec.Struct, frozen=True, kw_only=True, tag="snapshot"):
    """Everything that is in force. Routes it does not name are gone."""

    version: int
    clock: Clock
    routes: tuple[Route, ...]
    credentials: Credentials = Credentials()


class Upsert(msgspec.Struct, frozen=True, kw_only=True, tag="upsert"):
    """Start one instance of this deployment; when it runs, switch to it and say ``Started`` (decision 25)."""

    version: int
    route: Route


class Remove(msgspec.Struct, frozen=True, kw_only=True, tag="remove"):
    """Stop serving this function and end its instances once they have answered what they hold."""

    version: int
    function_id: str


class Hosts(msgspec.Struct, frozen=True, kw_only=True, tag="hosts"):
    """This function answers under exactly these names from now on, whichever of its deployments serves."""

    version: int
    function_id: str
    hosts: tuple[str, ...]


class CredentialsChanged(msgspec.Struct, frozen=True, kw_only=True, tag="credentials"):
    """Tokens were issued or revoked, or the keys are others now. What is ``None`` stays."""

    version: int
    public_key: str | None = None
    issued: tuple[str, ...] = ()
    revoked: tuple[str, ...] = ()
    keys: tuple[KeyGrant, ...] | None = None


class ClockChanged(msgspec.Struct, frozen=True, kw_only=True, tag="clock"):
    """The clock was moved or its speed changed. The ack means: every task that became due has started."""

    version: int
    clock: Clock


FromControl: TypeAlias = Snapshot | Upsert | Remove | Hosts | CredentialsChanged | ClockChanged


class Hello(msgspec.Struct, frozen=True, kw_only=True, tag="hello"):
    """The data plane introduces itself, with its doors and the isolation in force."""

    pid: int
    gateway_port: int
    isolation: str


class Ack(msgspec.Struct, frozen=True, kw_only=True, tag="ack"):
    """The message of this version is in force."""

    version: int


class Started(msgspec.Struct, frozen=True, kw_only=True, tag="started"):
    """A first instance of this deployment runs and its routes are in force."""

    function_id: str
    generation: int


class Failed(msgspec.Struct, frozen=True, kw_only=True, tag="failed"):
    """No instance of this deployment could be started; what served before still serves."""

    function_id: str
    generation: int
    message: str


class Exited(msgspec.Struct, frozen=True, kw_only=True, tag="exited"):
    """An instance ended by itself. ``reason`` is a short sentence: killed, out of memory, timed out, exit 3."""

    function_id: str
    generation: int
    reason: str


class Healthy(msgspec.Struct, frozen=True, kw_only=True, tag="healthy"):
    """Every ``min_scale`` instance of the snapshot is up (decision 25)."""

    version: int


FromDataPlane: TypeAlias = Hello | Ack | Started | Failed | Exited | Healthy

_encoder = msgspec.msgpack.Encoder()
_from_control: msgspec.msgpack.Decoder[FromControl] = msgspec.msgpack.Decoder(FromControl)
_from_data_plane: msgspec.msgpack.Decoder[FromDataPlane] = msgspec.msgpack.Decoder(FromDataPlane)


def encode(message: FromControl | FromDataPlane) -> bytes:
    """Return the message's msgpack bytes."""
    return _encoder.encode(message)


def frame(message: FromControl | FromDataPlane) -> bytes:
    """Return the message as it goes over the socket: length, then msgpack."""
    payload = _encoder.encode(message)
    return len(payload).to_bytes(LENGTH_BYTES, "big") + payload


def decode_from_control(payload: bytes) -> FromControl:
    """Read what control sent; ``msgspec.DecodeError`` when it is not that."""
    return _from_control.decode(payload)


def decode_from_data_plane(payload: bytes) -> FromDataPlane:
    """Read what the data plane sent; ``msgspec.DecodeError`` when it is not that."""
    return _from_data_plane.decode(payload)
