"""Types of the platform's own API, and the tag that disables preloading.

``GET /fnkit/v1/platform`` describes the platform, ``/fnkit/v1/keys`` manages its API keys. Scaleway's API answers
both paths with 404, which is how clients tell the two apart.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

PRELOAD_DISABLED_TAG: Final = "fnkit.preload=false"

DEFAULT_NATS_ACCOUNT = "AFNKIT".ljust(56, "0")
"""NATS account of triggers that name none. The platform does not require an account to exist."""
MAX_EDITED_BYTES: Final = 4 * 1024 * 1024
"""Bytes of all files of one ``EditCode``."""
MAX_EDITED_FILES: Final = 1000
PLATFORM_PATH = "/fnkit/v1/platform"
API_KEYS_PATH = "/fnkit/v1/keys"


def is_preload_enabled(tags: Iterable[str]) -> bool:
    """Return whether a function with these tags allows preloading.

    >>> is_preload_enabled(["fnkit", "fnkit.preload=false"])
    False
    """
    return PRELOAD_DISABLED_TAG not in tags


CONNECTING: Final = "not connected yet"
"""Details of a trigger whose broker has not answered since the trigger was created or the platform started."""


class TriggerStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Connection state of a trigger.

    Attributes:
        function_id: The function that it invokes.
        state: ``listening``, ``idle`` (no broker is configured for it) or ``trouble``.
        words: Details of the state.
    """

    id: str
    name: str
    function_id: str = ""
    state: str
    words: str

    @property
    def is_connecting(self) -> bool:
        """Whether the trigger is new to the platform, and nothing is known of its broker yet."""
        return self.words == CONNECTING


class FailedImport(msgspec.Struct, frozen=True, kw_only=True):
    """A function whose first instance could not import the handler. The API calls it ``ready``, as Scaleway's does.

    Attributes:
        function_id: The function.
        error: The end of the traceback, at most 2,000 characters.
    """

    function_id: str
    error: str


class PlatformInfo(msgspec.Struct, frozen=True, kw_only=True):
    """Response of ``GET /fnkit/v1/platform``.

    Attributes:
        gateway_url: Base URL of functions over HTTP, without a trailing slash. Like every ``*_url`` field, empty
            if the platform has no such listener.
        gateway_tls_url: Base URL of functions over HTTPS.
        ca_certificate: The certificate authority (PEM) that signs the TLS listener's certificates. Empty without
            such a listener, or if its certificates are publicly trusted.
        targets: What executes each runtime, by runtime name, as ``cpython-3.11-x86_64-linux-gnu``: implementation,
            version, machine, operating system, libc.
        nats_account: Account of NATS triggers that name none.
        private_networks: Whether ``private_network_id`` has an effect.
        now: The platform's clock in Unix seconds. It may run faster than real time, or be stopped.
        triggers: All triggers; only API keys that are not bound to a project receive them.
        failed_imports: The functions whose deployment serves, but cannot import its handler; of the project of the
            API key if it is bound to one.
        broker_variables: Addresses and keys of the built-in brokers, by the names of ``fnkit platform env``. They
            are the values of secrets with these names that have no other. Only the platform's own key gets them.
    """

    version: str
    gateway_url: str
    gateway_tls_url: str = ""
    ca_certificate: str = ""
    console_url: str = ""
    targets: dict[str, str] = {}
    nats_account: str = ""
    private_networks: bool = False
    now: float | None = None
    triggers: list[TriggerStatus] = []
    failed_imports: list[FailedImport] = []
    broker_variables: dict[str, str] = {}

    def __repr__(self) -> str:
        """Omit the variables, which hold credentials."""
        return f"PlatformInfo({self.gateway_url})"


class ResponseLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the stream ``responses``, which a platform with ``--log-responses`` writes as JSON.

    Attributes:
        method: The method of the request; empty for the event of a cron or a trigger.
        path: The path that the handler got, cut off after 300 characters.
        status: The status that the client got; 499 if it did not wait for it.
        duration_ms: From the complete request to the response.
        start_ms: How long the instance took to start if the request had to wait for one, else 0.
    """

    method: str
    path: str
    status: int
    duration_ms: float
    start_ms: float = 0.0


class EditedFile(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A file of a function's code.

    Attributes:
        path: Relative to the code, with ``/``.
        content: The new bytes; ``None`` to remove the file.
        executable: Whether it may be executed.
    """

    path: str
    content: bytes | None = None
    executable: bool = False


class ArchiveEnd(msgspec.Struct, frozen=True, kw_only=True):
    """An archive whose beginning is that of the archive that the function has.

    Attributes:
        sha256: Hex digest of the whole archive.
        kept: How many bytes of the function's archive it begins with.
        content: The bytes that follow, at most ``MAX_EDITED_BYTES``.
    """

    sha256: str
    kept: int
    content: bytes


class EditCode(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Body of ``PUT /fnkit/v1/regions/{region}/functions/{id}/code``: changes of the code that serves.

    Attributes:
        expected_tags: The tags that the function must have; they record the code that the changes belong to.
        tags: Its tags afterwards.
        files: What changes. The function then has no archive.
        archive: The archive that the code is to become, in place of ``files``: the changes are found in it, and the
            function has it afterwards, as after an upload.
    """

    expected_tags: list[str]
    tags: list[str]
    files: list[EditedFile] = []
    archive: ArchiveEnd | None = None


class EditResult(msgspec.Struct, frozen=True, kw_only=True):
    """Response to ``EditCode``, once an instance with the new code serves, or has failed to start.

    Attributes:
        error: Why no instance started; the code is then unchanged. Empty otherwise.
        import_error: The end of the traceback if the instance serves, but could not import the handler.
        milliseconds: How long it took.
    """

    error: str = ""
    import_error: str = ""
    milliseconds: float = 0.0


class CreateApiKey(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Body of ``POST /fnkit/v1/keys``. A key without a project has access to all projects."""

    read_only: bool | None = None
    project_id: str | None = None
    description: str | None = None


class ApiKey(msgspec.Struct, frozen=True, kw_only=True):
    """An additional API key of the platform.

    Only the response that creates the key contains ``secret_key``; afterwards the field is ``None``.
    """

    access_key: str
    secret_key: str | None
    read_only: bool
    project_id: str | None
    description: str
    created_at: str

    def __repr__(self) -> str:
        """Return a representation without the secret key."""
        return f"ApiKey({self.access_key!r})"


class ApiKeyList(msgspec.Struct, frozen=True, kw_only=True):
    """All additional API keys; the list is not paged."""

    keys: list[ApiKey]
    total_count: int
