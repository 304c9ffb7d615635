"""The message source of a trigger, validated from a request's configuration."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from fnkit.contract.limits import REGIONS
from fnkit.contract.names import NATS_ACCOUNT_RULE, is_nats_subject, is_queue_name
from fnkit.contract.requests import CreateTrigger, ScwNatsConfigInput, ScwSqsConfigInput, SqsConfigInput
from fnkit.platform.control import validation
from fnkit.platform.control.refusals import ControlError, invalid, required
from fnkit.platform.records.trigger import NatsSource, QueueSource, SqsSource, TriggerSource
from fnkit.platform.store.vault import Vault

__all__ = ["TriggerSourceFactory"]

_SECRET_KEY_FIELD: Final = "secret_key"  # authenticated with the ciphertext, so it must not change
_MAX_SUBJECT_LENGTH: Final = 256
_MAX_TEXT_LENGTH: Final = 1000


class TriggerSourceFactory:
    """Creates message sources and encrypts their secret keys."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    def create(self, trigger_id: str, request: CreateTrigger, region: str, project_id: str) -> TriggerSource:
        """Return the source of a new trigger.

        Args:
            trigger_id: The trigger.
            request: The request, which must have exactly one source.
            region: The source's region if the request has none.
            project_id: The source's project if the request has none.

        Raises:
            ControlError: 400, there is not exactly one source, or a field is invalid.
        """
        given = [
            config
            for config in (request.scw_sqs_config, request.scw_nats_config, request.sqs_config)
            if config is not None
        ]
        if len(given) != 1:
            raise ControlError(400, "exactly one of scw_sqs_config, scw_nats_config and sqs_config is required")
        match given[0]:
            case ScwSqsConfigInput() as queue:
                return _queue_source(queue, region, project_id)
            case ScwNatsConfigInput() as nats:
                return _nats_source(nats, region, project_id)
            case SqsConfigInput() as sqs:
                return self._sqs_source(trigger_id, sqs)

    def with_new_credentials(
        self, trigger_id: str, source: TriggerSource, access_key: str | None, secret_key: str | None
    ) -> SqsSource:
        """Return the source with new credentials. A key that is ``None`` or empty stays.

        Raises:
            ControlError: 400, the source is of a kind without credentials, or a key is invalid.
        """
        if not isinstance(source, SqsSource):
            raise invalid("sqs_config", "cannot be given to a trigger of another kind")
        return SqsSource(
            endpoint=source.endpoint,
            queue_url=source.queue_url,
            access_key=_validate_key("access_key", access_key) if access_key else source.access_key,
            ciphertext=self._encrypt(trigger_id, secret_key) if secret_key else source.ciphertext,
        )

    def decrypt_secret_key(self, trigger_id: str, source: SqsSource) -> str:
        """Return the decrypted secret key.

        Raises:
            PlatformError: ``secret-unreadable``.
        """
        return self._vault.decrypt(trigger_id, _SECRET_KEY_FIELD, source.ciphertext)

    def _sqs_source(self, trigger_id: str, config: SqsConfigInput) -> SqsSource:
        return SqsSource(
            endpoint=_validate_url("endpoint", config.endpoint),
            queue_url=_validate_url("queue_url", config.queue_url),
            access_key=_validate_key("access_key", config.access_key),
            ciphertext=self._encrypt(trigger_id, config.secret_key),
        )

    def _encrypt(self, trigger_id: str, secret: str | None) -> bytes:
        return self._vault.encrypt(trigger_id, _SECRET_KEY_FIELD, _validate_key(_SECRET_KEY_FIELD, secret))


def _queue_source(config: ScwSqsConfigInput, region: str, project_id: str) -> QueueSource:
    field = "scw_sqs_config"
    if not config.queue:
        raise required(f"{field}.queue")
    if not is_queue_name(config.queue):
        raise invalid(f"{field}.queue", "must be the name of a queue: at most 80 letters, digits, - and _")
    return QueueSource(
        queue=config.queue,
        project_id=_resolve_project(field, config.mnq_project_id, project_id),
        region=_resolve_region(field, config.mnq_region, region),
    )


def _nats_source(config: ScwNatsConfigInput, region: str, project_id: str) -> NatsSource:
    field = "scw_nats_config"
    if not config.subject:
        raise required(f"{field}.subject")
    if len(config.subject) > _MAX_SUBJECT_LENGTH or not is_nats_subject(config.subject):
        raise invalid(f"{field}.subject", "must be a NATS subject")
    if not config.mnq_nats_account_id:
        raise required(f"{field}.mnq_nats_account_id")
    if not NATS_ACCOUNT_RULE.fullmatch(config.mnq_nats_account_id):
        raise invalid(f"{field}.mnq_nats_account_id", "must be 56 capital letters and digits")
    return NatsSource(
        subject=config.subject,
        account_id=config.mnq_nats_account_id,
        project_id=_resolve_project(field, config.mnq_project_id, project_id),
        region=_resolve_region(field, config.mnq_region, region),
    )


def _resolve_project(field: str, given: str | None, own: str) -> str:
    return validation.uuid_text(f"{field}.mnq_project_id", given) if given else own


def _resolve_region(field: str, given: str | None, own: str) -> str:
    if given and given not in REGIONS:
        raise invalid(f"{field}.mnq_region", f"must be one of {', '.join(REGIONS)}")
    return given or own


def _validate_url(name: str, value: str | None) -> str:
    if not value:
        raise required(f"sqs_config.{name}")
    try:
        split = urlsplit(value)
        fine = split.scheme in ("http", "https") and bool(split.hostname) and split.port != 0
    except ValueError:
        fine = False
    if not fine or not value.isprintable() or " " in value or len(value) > _MAX_TEXT_LENGTH:
        raise invalid(f"sqs_config.{name}", "must be an http or https URL")
    return value


def _validate_key(name: str, value: str | None) -> str:
    if not value:
        raise required(f"sqs_config.{name}")
    if not value.isprintable() or not value.isascii() or len(value) > _MAX_TEXT_LENGTH:
        raise invalid(f"sqs_config.{name}", f"must be at most {_MAX_TEXT_LENGTH} printable characters")
    return value
