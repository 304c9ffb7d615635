"""The settings of the core runtime, from its environment."""

from __future__ import annotations

import pytest

from fnkit.contract.invocation.environment import CODE_DIRECTORY, EnvironmentSpec, instance_environment
from fnkit.core_runtime.settings import read_settings

SPEC = EnvironmentSpec(
    name="f",
    handler="a/b.handle",
    language="Python",
    memory=512,
    privacy="public",
    variables={"SCW_ALLOW_FAVICON": "true"},
)


@pytest.mark.parametrize(
    ("handler", "expected"),
    [("a/b.handle", "a/b.handle"), ("b.handle", "b.handle"), ("handle", ".handle"), ("a.b.handle", "a.b.handle")],
)
def test_environment_of_an_instance_is_a_complete_setting(handler: str, expected: str) -> None:
    spec = EnvironmentSpec("f", handler, "Python", 512, "public", {"SCW_ALLOW_FAVICON": "true"})
    settings = read_settings(instance_environment(spec, home="/home/app", root=CODE_DIRECTORY))
    assert (settings.handler, settings.root, settings.port) == (expected, "/home/app/function", 8080)
    assert (settings.function_name, settings.memory, settings.allow_favicon) == ("f", 512, "true")
    assert (settings.timeout, settings.request_seconds, settings.idle_seconds) == (300, 60, 300)
    assert settings.instance_key == b""


@pytest.mark.parametrize(
    ("language", "expected", "is_native"),
    [
        ("", "Python", False),
        ("Node", "Node", False),
        ("PHP", "PHP", False),
        ("Go", "Go", True),
        ("Rust", "Rust", True),
    ],
)
def test_language_decides_how_requests_are_encoded(language: str, expected: str, *, is_native: bool) -> None:
    environment = instance_environment(SPEC, home="/home/app", root=CODE_DIRECTORY)
    settings = read_settings({**environment, "FNKIT_LANGUAGE": language, "SCW_HANDLER_IS_BINARY": "maybe"})
    assert (settings.language, settings.is_native, settings.home) == (expected, is_native, "/home/app")


def test_instance_key_is_not_shown() -> None:
    environment = instance_environment(SPEC, home="/", root="/code")
    settings = read_settings({**environment, "FNKIT_CODE_DIRECTORY": "/code", "FNKIT_INSTANCE_KEY": "secret"})
    assert settings.instance_key == b"secret"
    assert "secret" not in repr(settings)
    assert (settings.handler, settings.root) == ("a/b.handle", "/code")
