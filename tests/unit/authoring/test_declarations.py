"""Declarations behave as frozen, keyword-only dataclasses, although their methods are handwritten."""

from __future__ import annotations

import copy
from dataclasses import FrozenInstanceError, fields, replace

import pytest

from fnkit.authoring.declarations import CronDeclaration, FunctionDeclaration, TriggerDeclaration


def test_omitted_fields_are_none() -> None:
    declaration = FunctionDeclaration(memory=256, tags=("a",))

    assert (declaration.memory, declaration.tags, declaration.name, declaration.preload) == (
        256,
        ("a",),
        None,
        None,
    )


def test_equal_declarations_have_equal_hashes() -> None:
    one, same = CronDeclaration(schedule="* * * * *", name="n"), CronDeclaration(schedule="* * * * *", name="n")

    assert one == same
    assert hash(one) == hash(same)
    assert one != replace(same, name=None)
    assert FunctionDeclaration(name="n") != TriggerDeclaration(name="n")


def test_fields_cannot_be_assigned_or_deleted() -> None:
    one = TriggerDeclaration(nats="orders")

    with pytest.raises(FrozenInstanceError):
        one.nats = "others"  # type: ignore[misc]  # the error under test
    with pytest.raises(FrozenInstanceError):
        del one.nats
    assert one == TriggerDeclaration(nats="orders")


def test_missing_unknown_and_positional_arguments_are_type_errors() -> None:
    with pytest.raises(TypeError, match="schedule"):
        CronDeclaration()  # type: ignore[call-arg]  # the error under test
    with pytest.raises(TypeError, match="memroy"):
        FunctionDeclaration(memroy=1)  # type: ignore[call-arg]  # the error under test
    with pytest.raises(TypeError):
        FunctionDeclaration("name")  # type: ignore[call-arg]  # the error under test


def test_repr_contains_every_field() -> None:
    assert repr(CronDeclaration(schedule="@daily")) == "CronDeclaration(schedule='@daily', args=None, name=None)"


def test_copies_are_equal_and_fields_are_introspectable() -> None:
    one = FunctionDeclaration(memory=128, env={"A": "b"})

    assert copy.deepcopy(one) == one
    assert [field.name for field in fields(one)][:3] == ["name", "runtime", "memory"]
