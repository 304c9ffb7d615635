"""References to images mean what they mean to docker."""

from __future__ import annotations

import pytest

from fnkit.errors import PlatformError
from fnkit.platform.control.images.image_reference import parse_reference

DIGEST = "sha256:" + "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("text", "full", "server"),
    [
        ("python", "docker.io/library/python:latest", "https://registry-1.docker.io"),
        ("python:3.12-slim", "docker.io/library/python:3.12-slim", "https://registry-1.docker.io"),
        ("team/base", "docker.io/team/base:latest", "https://registry-1.docker.io"),
        ("docker.io/python:3", "docker.io/library/python:3", "https://registry-1.docker.io"),
        ("index.docker.io/team/base", "docker.io/team/base:latest", "https://registry-1.docker.io"),
        ("localhost:5000", "docker.io/library/localhost:5000", "https://registry-1.docker.io"),
        ("localhost/base", "localhost/base:latest", "http://localhost"),
        ("localhost:5000/team/base:1", "localhost:5000/team/base:1", "http://localhost:5000"),
        ("127.0.0.1:5000/base", "127.0.0.1:5000/base:latest", "http://127.0.0.1:5000"),
        ("[::1]:5000/base", "[::1]:5000/base:latest", "http://[::1]:5000"),
        ("[::1]/base", "[::1]/base:latest", "http://[::1]"),
        ("registry.example.com/a/b__c/d--e:x", "registry.example.com/a/b__c/d--e:x", "https://registry.example.com"),
        (f"registry.example.com:444/x@{DIGEST}", f"registry.example.com:444/x@{DIGEST}",
         "https://registry.example.com:444"),
        (f"x:ignored@{DIGEST}", f"docker.io/library/x@{DIGEST}", "https://registry-1.docker.io"),
        ("127.0.0.1.example.com/x", "127.0.0.1.example.com/x:latest", "https://127.0.0.1.example.com"),
        ("[::2]/x", "[::2]/x:latest", "https://[::2]"),
    ],
)  # fmt: skip
def test_reference_names_registry_repository_and_version(text: str, full: str, server: str) -> None:
    reference = parse_reference(text)
    assert (str(reference), reference.server) == (full, server)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/",
        "Python",
        "a//b",
        "../../etc",
        "localhost:5000/../x",
        "localhost:5000/a/../b",
        "localhost:99999/x",
        "localhost:/x",
        "https://alice:wonderland@registry.example.com/x",
        "alice:wonderland@registry.example.com/x",
        "registry.example.com/x:",
        "registry.example.com/x:-1",
        "registry.example.com/x:" + "a" * 129,
        "registry.example.com/" + "a" * 256,
        "x@sha256:abc",
        "x@sha512:" + "a" * 128,
        f"x@{DIGEST}/../y",
        f"x@{DIGEST.upper()}",
        "x@",
        "x:1\n",
        "registry.example.com/x?y",
        "registry_.example.com/x",
        "[::1/x",
    ],
)
def test_invalid_reference_is_rejected_without_being_repeated(text: str) -> None:
    with pytest.raises(PlatformError) as raised:
        parse_reference(text)
    assert raised.value.code == "base-image-invalid"
    assert raised.value.message == "The base image is not named by a valid reference."
