"""References to images, as docker writes them: ``python:3.12-slim``, ``localhost:5000/team/base@sha256:…``.

https://github.com/distribution/reference/blob/main/reference.go has the grammar.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from fnkit.errors import PlatformError

DIGEST: Final = re.compile("sha256:[0-9a-f]{64}")
_DOMAIN_PART: Final = "[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"
_HOST: Final = re.compile(rf"{_DOMAIN_PART}(?:\.{_DOMAIN_PART})*|\[[0-9a-f:]{{2,39}}\]")
_PORT: Final = re.compile("[0-9]{1,5}")
_NAME: Final = re.compile("[a-z0-9]+(?:(?:[.]|_{1,2}|-+)[a-z0-9]+)*")
_TAG: Final = re.compile("[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,127}")
_MAX_LENGTH: Final = 255
_MAX_PORT: Final = 65535

DOCKER_HUB: Final = "docker.io"
_DOCKER_HUB_NAMES: Final = frozenset({DOCKER_HUB, "index.docker.io", "registry-1.docker.io"})
_DOCKER_HUB_SERVER: Final = "registry-1.docker.io"
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})


@dataclass(frozen=True, slots=True)
class ImageReference:
    """An image in a registry.

    Attributes:
        registry: Host and port.
        repository: Its name there.
        tag: Its tag; empty if the digest says which one it is.
        digest: ``sha256:`` and 64 digits; empty if it has a tag.
    """

    registry: str
    repository: str
    tag: str = ""
    digest: str = ""

    def __str__(self) -> str:
        """Return the reference in full."""
        return f"{self.registry}/{self.repository}" + (f"@{self.digest}" if self.digest else f":{self.tag}")

    @property
    def is_local(self) -> bool:
        """Whether the registry is on this machine, where it needs no TLS."""
        return _split_port(self.registry)[0] in _LOOPBACK

    @property
    def server(self) -> str:
        """The URL of the registry, without a slash at the end."""
        host = _DOCKER_HUB_SERVER if self.registry == DOCKER_HUB else self.registry
        return f"{'http' if self.is_local else 'https'}://{host}"


def parse_reference(text: str) -> ImageReference:
    """Parse a reference. Docker Hub is the default registry, and ``latest`` the default tag.

    Raises:
        PlatformError: ``base-image-invalid``.
    """
    name, has_digest, digest = text.partition("@")
    first, slash, rest = name.partition("/")
    # As docker decides: "team/base" is a repository of Docker Hub, "team.example/base" is on another registry.
    if slash and (first.lower() == "localhost" or any(sign in first for sign in ".:[") or first != first.lower()):
        registry, path = first.lower(), rest
    else:
        registry, path = DOCKER_HUB, name
    repository, has_tag, tag = path.partition(":")
    if registry in _DOCKER_HUB_NAMES:
        registry = DOCKER_HUB
        repository = repository if "/" in repository else f"library/{repository}"
    is_valid = (
        _is_registry(registry)
        and len(repository) <= _MAX_LENGTH
        and all(map(_NAME.fullmatch, repository.split("/")))
        and (not has_tag or _TAG.fullmatch(tag))
        and (not has_digest or DIGEST.fullmatch(digest))
    )
    if not is_valid:
        # The text is not repeated: a URL with a password may have been meant.
        raise PlatformError(
            "The base image is not named by a valid reference.",
            code="base-image-invalid",
            hint="Examples: python:3.12-slim, localhost:5000/team/base:1, registry.example.com/base@sha256:….",
        )
    # A digest says all; docker ignores a tag beside it.
    return ImageReference(registry, repository, "" if digest else tag or "latest", digest)


def _is_registry(text: str) -> bool:
    host, port = _split_port(text)
    has_valid_port = _PORT.fullmatch(port) is not None and int(port) <= _MAX_PORT
    return _HOST.fullmatch(host) is not None and (has_valid_port or text == host)


def _split_port(registry: str) -> tuple[str, str]:
    """Return host and port; the port is empty if there is none. An IPv6 address stands in brackets."""
    host, colon, port = registry.rpartition(":")
    return (host, port) if colon and not registry.endswith("]") else (registry, "")


def invalid_image(reference: ImageReference, reason: str, *, hint: str = "") -> PlatformError:
    """Return the error for an image that cannot be used.

    Args:
        reference: The image.
        reason: What follows its name in the sentence.
        hint: What to do about it.
    """
    return PlatformError(
        f"The base image {reference} cannot be used: {reason}.",
        code="base-image-invalid",
        hint=hint or "Push the image again, or use another one.",
    )
