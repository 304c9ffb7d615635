"""Triggers: their creation and changes, their message sources, and the triggers whose messages are consumed."""

from __future__ import annotations

import uuid
from typing import Final, assert_never
from urllib.parse import urlsplit

import msgspec

from fnkit.contract import requests as api_requests
from fnkit.contract.enums import Status
from fnkit.contract.limits import MNQ_REGION_MAX, NATS_SUBJECT_MAX, QUEUE_NAME_MAX, REGIONS
from fnkit.contract.names import NATS_ACCOUNT_RULE, is_nats_subject, is_queue_name
from fnkit.contract.resources import ScwNatsConfig, ScwSqsConfig, SqsConfig, Trigger
from fnkit.platform.control.context import ControlContext, retry_until_written
from fnkit.platform.control.errors import ControlError, invalid
from fnkit.platform.control.resources import validation
from fnkit.platform.control.resources.kinds import FUNCTIONS, TRIGGERS, build_view
from fnkit.platform.control.resources.resource import Resource
from fnkit.platform.control.store.vault import Vault
from fnkit.platform.model.records import (
    NatsSource,
    QueueSource,
    RecordChanges,
    SqsSource,
    TriggerRecord,
    TriggerSource,
    transition,
)

# Authenticated with the ciphertext, so it must not change.
_SECRET_KEY_FIELD: Final = "secret_key"  # noqa: S105 - the name of a field
_MAX_TEXT_LENGTH: Final = 1000

_NOT_FOUND: Final = "trigger does not exist"  # recorded for GET; DELETE was recorded to append the id
_ACTIVE_STATUSES: Final = (Status.READY, Status.ERROR)


def _create_source(
    vault: Vault, trigger_id: str, request: api_requests.CreateTrigger, region: str, project_id: str
) -> TriggerSource:
    """Return the source of a new trigger.

    Args:
        vault: Encrypts the secret key.
        trigger_id: The trigger.
        request: The request, which must have exactly one source.
        region: The source's region if the request has none.
        project_id: The source's project if the request has none.

    Raises:
        ControlError: 400, there is not exactly one source, or a field is invalid.
    """
    configs = (request.scw_sqs_config, request.scw_nats_config, request.sqs_config)
    match [config for config in configs if config is not None]:
        case [api_requests.ScwSqsConfigInput() as queue]:
            return _queue_source(queue, region, project_id)
        case [api_requests.ScwNatsConfigInput() as nats]:
            return _nats_source(nats, region, project_id)
        case [api_requests.SqsConfigInput() as sqs]:
            return SqsSource(
                endpoint=_validate_url("endpoint", sqs.endpoint),
                queue_url=_validate_url("queue_url", sqs.queue_url),
                access_key=_validate_key("access_key", sqs.access_key),
                ciphertext=_encrypt(vault, trigger_id, sqs.secret_key),
            )
        case _:
            raise ControlError(400, "exactly one of scw_sqs_config, scw_nats_config and sqs_config is required")


def _with_new_credentials(
    vault: Vault, record: TriggerRecord, config: api_requests.SqsCredentialsInput
) -> SqsSource:
    """Return the source of a trigger with new credentials. A key that is ``None`` or empty stays.

    Raises:
        ControlError: 400, the source is of a kind without credentials, or a key is invalid.
    """
    source = record.source
    if not isinstance(source, SqsSource):
        raise invalid("sqs_config", "cannot be given to a trigger of another kind")
    access_key, secret_key = config.access_key, config.secret_key
    return msgspec.structs.replace(
        source,
        access_key=_validate_key("access_key", access_key) if access_key else source.access_key,
        ciphertext=_encrypt(vault, record.id, secret_key) if secret_key else source.ciphertext,
    )


def _encrypt(vault: Vault, trigger_id: str, secret: str | None) -> bytes:
    return vault.encrypt(trigger_id, _SECRET_KEY_FIELD, _validate_key(_SECRET_KEY_FIELD, secret))


def _queue_source(config: api_requests.ScwSqsConfigInput, region: str, project_id: str) -> QueueSource:
    field = "scw_sqs_config"
    name = validation.required_text(f"{field}.queue", config.queue)
    if not is_queue_name(name):
        raise invalid(
            f"{field}.queue", f"must be the name of a queue: at most {QUEUE_NAME_MAX} letters, digits, - and _"
        )
    return QueueSource(
        queue=name,
        project_id=_resolve_project(field, config.mnq_project_id, project_id),
        region=_resolve_region(field, config.mnq_region, region),
    )


def _nats_source(config: api_requests.ScwNatsConfigInput, region: str, project_id: str) -> NatsSource:
    field = "scw_nats_config"
    subject = validation.required_text(f"{field}.subject", config.subject)
    if not is_nats_subject(subject):
        raise invalid(f"{field}.subject", f"must be a NATS subject of at most {NATS_SUBJECT_MAX} characters")
    account = validation.required_text(f"{field}.mnq_nats_account_id", config.mnq_nats_account_id)
    if not NATS_ACCOUNT_RULE.fullmatch(account):
        raise invalid(f"{field}.mnq_nats_account_id", "must be 56 capital letters and digits")
    return NatsSource(
        subject=subject,
        account_id=account,
        project_id=_resolve_project(field, config.mnq_project_id, project_id),
        region=_resolve_region(field, config.mnq_region, region),
    )


def _resolve_project(field: str, given: str | None, own: str) -> str:
    return validation.uuid_text(f"{field}.mnq_project_id", given) if given else own


def _resolve_region(field: str, given: str | None, own: str) -> str:
    region = validation.text(f"{field}.mnq_region", given or own, MNQ_REGION_MAX)
    if region not in REGIONS:
        raise invalid(f"{field}.mnq_region", f"must be one of {', '.join(REGIONS)}")
    return region


def _validate_url(name: str, value: str | None) -> str:
    value = validation.required_text(f"sqs_config.{name}", value)
    try:
        split = urlsplit(value)
        fine = split.scheme in ("http", "https") and bool(split.hostname) and split.port != 0
    except ValueError:
        fine = False
    if not fine or not value.isprintable() or " " in value or len(value) > _MAX_TEXT_LENGTH:
        raise invalid(f"sqs_config.{name}", "must be an http or https URL")
    return value


def _validate_key(name: str, value: str | None) -> str:
    value = validation.required_text(f"sqs_config.{name}", value)
    if not value.isprintable() or not value.isascii() or len(value) > _MAX_TEXT_LENGTH:
        raise invalid(f"sqs_config.{name}", f"must be at most {_MAX_TEXT_LENGTH} printable characters")
    return value


class Triggers(Resource[TriggerRecord, Trigger, api_requests.CreateTrigger, api_requests.UpdateTrigger]):
    """The operations on triggers."""

    def __init__(self, context: ControlContext, vault: Vault) -> None:
        super().__init__(context, TRIGGERS)
        self._vault = vault

    async def create(self, region: str, request: api_requests.CreateTrigger) -> Trigger:
        """Create a trigger, which is returned as ``creating`` and becomes ready right after.

        The function need not have been deployed, as recorded from the real API.

        Raises:
            ControlError: A field is invalid or the function does not exist.
        """
        store = self._context.store
        name = validation.trigger_name(request.name)
        description = validation.trigger_description(request.description or "")
        function_id = validation.uuid_text("function_id", request.function_id)
        with store.transaction():
            function = FUNCTIONS.require(store, region, function_id)
            trigger_id = str(uuid.uuid4())
            record = TriggerRecord(
                id=trigger_id,
                region=region,
                function_id=function.id,
                namespace_id=function.namespace_id,
                project_id=function.project_id,
                name=name,
                description=description,
                source=_create_source(self._vault, trigger_id, request, region, function.project_id),
                created_at=self._context.clock.now_ns(),
            )
            self._records.insert(record)
        self._make_ready_in_background(record)
        return self._view(record)

    def list_active(self) -> list[TriggerRecord]:
        """Return the triggers whose messages are to be consumed."""
        return [record for record in self._records.all() if record.status in _ACTIVE_STATUSES]

    def get_active(self, trigger_id: str) -> TriggerRecord | None:
        """Return a trigger if its messages are to be consumed, otherwise ``None``."""
        record = self._records.get(trigger_id)
        return record if record is not None and record.status in _ACTIVE_STATUSES else None

    def decrypt_secret_key(self, record: TriggerRecord) -> str:
        """Return the decrypted secret key of a trigger's source, or ``""`` if its source has none.

        Raises:
            PlatformError: ``secret-unreadable``.
        """
        source = record.source
        if not isinstance(source, SqsSource):
            return ""
        return self._vault.decrypt(record.id, _SECRET_KEY_FIELD, source.ciphertext)

    async def store_status(self, trigger_id: str, error: str | None) -> None:
        """Store whether messages can be consumed: status ``ready``, or ``error`` with the broker's message.

        Args:
            trigger_id: The trigger. Ignored if it is not active.
            error: The broker's message, or ``None`` if there is no problem.
        """
        await retry_until_written(lambda: self._write_status(trigger_id, error))

    async def update(self, region: str, trigger_id: str, request: api_requests.UpdateTrigger) -> Trigger:
        """Change the given fields of a trigger.

        New credentials put the trigger into ``pending`` until it is ready again. Name and description do not.

        Raises:
            ControlError: A field is invalid, or the trigger does not exist or is being deleted.
        """
        given = validation.given(
            name=validation.optional(validation.trigger_name, request.name or None),
            description=validation.optional(validation.trigger_description, request.description),
        )
        keys = request.sqs_config
        with self._context.store.transaction():
            current = self.get_writable(region, trigger_id)
            record = msgspec.structs.replace(current, **given)
            if keys is not None:
                source = _with_new_credentials(self._vault, current, keys)
                record = transition(record, Status.PENDING, source=source, error_message=None)
            self._records.update(record)
        if keys is not None:
            self._make_ready_in_background(record)
        return self._view(record)

    def _view(self, record: TriggerRecord) -> Trigger:
        match source := record.source:
            case QueueSource():
                kind = "scw_sqs"
                config: ScwSqsConfig | ScwNatsConfig | SqsConfig = ScwSqsConfig(
                    queue=source.queue,
                    mnq_project_id=source.project_id,
                    mnq_region=source.region,
                    mnq_credential_id=source.credential_id,
                )
            case NatsSource():
                kind = "scw_nats"
                config = ScwNatsConfig(
                    subject=source.subject,
                    mnq_nats_account_id=source.account_id,
                    mnq_project_id=source.project_id,
                    mnq_region=source.region,
                    mnq_credential_id=source.credential_id,
                )
            case SqsSource():
                kind = "sqs"
                config = build_view(SqsConfig, source)
            case _:
                assert_never(source)
        return build_view(Trigger, record, input_type=kind, **{f"{kind}_config": config})

    def _ready_changes(self, record: TriggerRecord) -> RecordChanges:
        # Ready also if no broker is configured for its source: it is idle then.
        return {"source": _with_credential(record.source)}

    def _not_found(self, changed_id: str | None = None) -> ControlError:
        return ControlError(
            404, _NOT_FOUND if changed_id is None else f"{_NOT_FOUND}: could not find trigger with id {changed_id}"
        )

    def _write_status(self, trigger_id: str, error: str | None) -> None:
        current = self.get_active(trigger_id)
        if current is None or current.error_message == error:
            return
        status = Status.READY if error is None else Status.ERROR
        with self._context.store.transaction():
            if current.status is status:
                self._records.update(msgspec.structs.replace(current, error_message=error))
            else:
                self._records.update(transition(current, status, error_message=error))


def _with_credential(source: TriggerSource) -> TriggerSource:
    """Return a Scaleway source with the ``credential_id`` that the API shows once a trigger is ready."""
    if isinstance(source, SqsSource) or source.credential_id is not None:
        return source
    return msgspec.structs.replace(source, credential_id=str(uuid.uuid4()))
