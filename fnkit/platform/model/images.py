"""Images of functions, as control stores them. Pure values."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from fnkit.contract.enums import Status
from fnkit.platform.model.records import ResourceRecord, StatusTransitions


class ImageLayer(msgspec.Struct, frozen=True, kw_only=True):
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
    layers: tuple[ImageLayer, ...]
    environment: dict[str, str] = {}
    architecture: str = "amd64"


class ImageRecord(ResourceRecord, frozen=True, kw_only=True):
    """The image of one deployment of a function. It contains no secret.

    Attributes:
        function_id: The function, which may have been deleted since.
        repository: The name in the registry: ``funcscw<label of the namespace>/<name of the function>``.
        version: The generation of the deployment: the image's tag.
        runtime: The runtime, which decides about the base.
        interpreter: Absolute path of the interpreter on this machine.
        base: What lies below the other layers; ``None`` until the image is first asked for.
        worker: The layer with the core runtime and the worker.
        dependencies: The layer with the function's dependencies, if it has any.
        code: The layer with the function's code.
        dependency_key: Names the content of the dependencies: see ``Deployment``.
        environment: The variables of an instance, without secrets.
        expires_at: When the image is removed, in platform nanoseconds; ``None`` while its function exists.
    """

    transitions: ClassVar[StatusTransitions] = {}

    function_id: str
    repository: str
    version: int
    runtime: str
    interpreter: str
    worker: ImageLayer
    code: ImageLayer
    environment: dict[str, str]
    dependencies: ImageLayer | None = None
    dependency_key: str = ""
    base: BaseImage | None = None
    expires_at: int | None = None
    status: Status = Status.READY

    @property
    def layers(self) -> tuple[ImageLayer, ...]:
        """The layers above the base, the lowest first."""
        return (self.worker, *((self.dependencies,) if self.dependencies is not None else ()), self.code)
