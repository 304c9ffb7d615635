"""What changes with the status of a record fits the records."""

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

# Of a token, nothing changes but the status.
RECORDS = (CronRecord, DomainRecord, FunctionRecord, NamespaceRecord, TriggerRecord)
CHANGES = get_type_hints(RecordChanges)


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_has_the_type_of_the_field_in_every_record_that_has_it(name: str) -> None:
    types = [hints[name] for record in RECORDS if name in (hints := get_type_hints(record))]
    assert types
    assert set(types) == {CHANGES[name]}


def test_a_field_that_the_record_does_not_have_is_refused() -> None:
    record = CronRecord(
        id="c", region="fr-par", function_id="f", schedule="* * * * *", args={}, name="", created_at=0
    )
    with pytest.raises(TypeError, match="routed"):
        transition(record, Status.READY, routed=True)
