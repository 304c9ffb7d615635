"""Status transitions replace only fields that the record has, with values of the right type."""

from __future__ import annotations

from typing import get_type_hints

import pytest

from fnkit.contract.enums import Status
from fnkit.platform.model.records import (
    CronRecord,
    DomainRecord,
    FunctionRecord,
    NamespaceRecord,
    RecordChanges,
    TriggerRecord,
    transition,
)
from tests.support.stored_records import cron_record

# Of a token, nothing changes but the status.
RECORDS = (CronRecord, DomainRecord, FunctionRecord, NamespaceRecord, TriggerRecord)
CHANGES = get_type_hints(RecordChanges)


@pytest.mark.parametrize("name", CHANGES)
def test_record_changes_have_the_types_of_the_record_fields(name: str) -> None:
    types = [hints[name] for record in RECORDS if name in (hints := get_type_hints(record))]
    assert types
    assert set(types) == {CHANGES[name]}


def test_transition_with_a_field_of_another_record_raises_type_error() -> None:
    record = cron_record("c")
    with pytest.raises(TypeError, match="routed"):
        transition(record, Status.READY, routed=True)
