"""The number of variables and secrets is limited for a function and its namespace together."""

from __future__ import annotations

import msgspec
import pytest

from fnkit.contract.limits import SECRETS_MAX_ENTRIES
from fnkit.platform.control.errors import ControlError
from fnkit.platform.control.resources.function_settings import check_variable_counts
from fnkit.platform.control.secrets import SecretChanges
from fnkit.platform.model.records import StoredSecret
from tests.support.stored_records import function_record, namespace_record


def secrets(count: int) -> tuple[StoredSecret, ...]:
    return tuple(StoredSecret(key=f"S{number}", hashed_value="", ciphertext=b"") for number in range(count))


def test_secrets_of_a_function_and_its_namespace_are_counted_together_by_name() -> None:
    all_secrets = secrets(SECRETS_MAX_ENTRIES + 1)
    namespace = msgspec.structs.replace(namespace_record(), secrets=all_secrets[:100])
    settings = function_record().settings

    full = msgspec.structs.replace(settings, secrets=all_secrets[50:SECRETS_MAX_ENTRIES])
    check_variable_counts(namespace, "hello", full)
    beyond = msgspec.structs.replace(settings, secrets=all_secrets[100:])
    with pytest.raises(ControlError, match="at most 200 entries, those of the function hello and its namespace"):
        check_variable_counts(namespace, "hello", beyond)


def test_number_of_secrets_is_limited_after_the_merge() -> None:
    full = secrets(SECRETS_MAX_ENTRIES)
    last = secrets(SECRETS_MAX_ENTRIES + 1)[-1]

    assert SecretChanges(upserted=full).merge(full) == full
    assert len(SecretChanges(upserted=(last,), removed=frozenset({"S0"})).merge(full)) == SECRETS_MAX_ENTRIES
    with pytest.raises(ControlError, match="at most 200 entries"):
        SecretChanges(upserted=(last,)).merge(full)
