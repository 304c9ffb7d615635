"""Decorators attach declarations to a handler and leave it otherwise unchanged."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import get_args

import pytest

from fnkit import cron, function, trigger
from fnkit.authoring.declarations import (
    DECLARATIONS_ATTRIBUTE,
    CronDeclaration,
    Declaration,
    FunctionDeclaration,
    TriggerDeclaration,
)
from fnkit.authoring.decorators import KnownRuntime, Memory, Region
from fnkit.contract.limits import CPU_BY_MEMORY, REGIONS
from fnkit.project.runtimes import creatable_runtimes


def declared(handler: object) -> tuple[Declaration, ...]:
    declarations: tuple[Declaration, ...] = getattr(handler, DECLARATIONS_ATTRIBUTE)
    return declarations


def plain(event: object, context: object) -> str:
    return f"{event}{context}"


def untyped(decorator: Callable[..., object]) -> Callable[..., object]:
    """Return the decorator without its type, as in code that is not type-checked."""
    return decorator


def make_handler() -> Callable[[object, object], str]:
    def handler(event: object, context: object) -> str:
        return plain(event, context)

    return handler


def test_bare_decorator_returns_the_same_function() -> None:
    handler = make_handler()
    assert function(handler) is handler
    assert declared(handler) == (FunctionDeclaration(),)
    assert handler("a", "b") == "ab"


def test_called_decorator_returns_the_same_function() -> None:
    handler = make_handler()
    assert function(memory=512, secrets=["KEY"])(handler) is handler
    assert declared(handler) == (FunctionDeclaration(memory=512, secrets=("KEY",)),)


def test_stacked_decorators_are_kept_in_source_order() -> None:
    @cron("0 * * * *", args={"full": True})
    @trigger(sqs="jobs")
    @function(memory=128)
    @cron("5 * * * *")
    def handler(event: object, context: object) -> None: ...

    assert declared(handler) == (
        CronDeclaration(schedule="0 * * * *", args={"full": True}),
        TriggerDeclaration(sqs="jobs"),
        FunctionDeclaration(memory=128),
        CronDeclaration(schedule="5 * * * *"),
    )


def test_arguments_are_copied_and_read_only() -> None:
    env, args = {"A": "1"}, {"n": 1}
    handler = cron("* * * * *", args=args)(function(env=env)(make_handler()))
    env["A"] = args["n"] = "changed"  # type: ignore[assignment]  # the point of the test
    first, second = declared(handler)
    assert isinstance(first, CronDeclaration)
    assert isinstance(second, FunctionDeclaration)
    assert first.args == {"n": 1}
    assert second.env == {"A": "1"}
    with pytest.raises(TypeError):
        second.env["B"] = "2"  # type: ignore[index]  # read-only on purpose


def test_functools_wrapper_does_not_share_later_declarations() -> None:
    inner = function(make_handler())

    @functools.wraps(inner)
    def outer(event: object, context: object) -> object:
        return inner(event, context)

    cron("* * * * *")(outer)
    assert len(declared(inner)) == 1
    assert len(declared(outer)) == 2


def test_types_name_the_platform_s_tiers_regions_and_runtimes() -> None:
    assert get_args(Memory) == tuple(CPU_BY_MEMORY)
    assert get_args(Region) == REGIONS
    python = {one for one in creatable_runtimes() if one.startswith("python")}
    assert set(get_args(KnownRuntime)) == python - {"python39"}  # deprecated


def test_object_that_cannot_be_marked_is_named() -> None:
    class Slotted:
        __slots__ = ()

        def __call__(self, event: object, context: object) -> None: ...

    with pytest.raises(TypeError, match="a Slotted cannot be marked"):
        function(Slotted())


@pytest.mark.parametrize(
    "misuse",
    [
        lambda: untyped(cron)(plain),
        lambda: untyped(function)("orders"),
        lambda: untyped(function)(secrets="KEY"),
        lambda: untyped(function(memory=128))("text"),
    ],
    ids=["cron without a schedule", "positional name", "string instead of list", "not a handler"],
)
def test_decorator_misuse_is_a_type_error(misuse: Callable[[], object]) -> None:
    with pytest.raises(TypeError, match=r"schedule|by name|list of strings"):
        misuse()
