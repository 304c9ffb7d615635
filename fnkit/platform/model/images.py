"""Images of functions, as control stores them. Pure values."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from fnkit.contract.enums import Status
from fnkit.platform.model.records import ResourceRecord, StatusTransitions


class Layer(msgspec.Struct, frozen=True, kw_only=True):
    """A gzip-compressed tar archive.

    Attributes:
        diff_id: SHA-256 of the archive, in hex: what the layer contains.
        digest: SHA-256 of the compressed bytes, in hex: how it is stored and sent.
        size: Number of compressed bytes.
    """

    diff_id: str
    digest: str
    size: int


class BaseImage(msgspec.Struct, frozen=True, kw_only=True):
    """What lies below the layers of a function: an interpreter and the libraries that it needs.

    Attributes:
        interpreter: Absolute path of the interpreter in the image, or its name if the image's ``PATH`` finds it.
        layers: The lowest first.
        environment: The variables that the image sets.
        architecture: As Go names it, for example ``amd64``.
    """

    interpreter: str
    layers: tuple[Layer, ...]
    environment: dict[str, str] = {}
    architecture: str = "amd64"


class ImageRecord(ResourceRecord, frozen=True, kw_only=True):
    """The image of one deployment of a function. It contains no secret.

    Attributes:
        function_id: The function, which may have been deleted since.
        repository: The name in the registry: ``funcscw<label of the namespace>/<name of the function>``.
        version: The generation of the deployment: the image's tag.
        interpreter: Absolute path of the interpreter on this machine.
        base: What lies below ``layers``; ``None`` until the image is first asked for.
        layers: The layers above the base, the lowest first.
        environment: The variables of an instance, without secrets.
        expires_at: When the image is removed, in platform nanoseconds; ``None`` while its function exists.
    """

    transitions: ClassVar[StatusTransitions] = {}

    function_id: str
    repository: str
    version: int
    interpreter: str
    layers: tuple[Layer, ...]
    environment: dict[str, str]
    base: BaseImage | None = None
    expires_at: int | None = None
    status: Status = Status.READY
