"""The endpoint of an SQS trigger."""

from __future__ import annotations

from pathlib import Path

import msgspec

from fnkit.platform.control.events.queues.sqs.source import SqsBackend
from fnkit.platform.control.store.vault import Vault
from fnkit.platform.model.records import SqsSource
from tests.support.stored_records import nats_trigger_record


def test_secret_key_that_cannot_be_decrypted_is_the_reason_why_a_trigger_is_idle(tmp_path: Path) -> None:
    vault = Vault(tmp_path / "key")
    source = SqsSource(endpoint="http://h", queue_url="http://h/q", access_key="a", ciphertext=b"x" * 40)
    record = msgspec.structs.replace(nats_trigger_record(), source=source)
    backend = SqsBackend(
        lambda _project, _region: "none", lambda one: vault.decrypt(one.id, "k", source.ciphertext)
    )

    endpoint = backend.endpoint(record)

    assert isinstance(endpoint, str)
    assert "cannot be decrypted" in endpoint
