"""The message source of a trigger, validated from a request's configuration."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from fnkit.contract.limits import REGIONS
from fnkit.contract.names import NATS_ACCOUNT_RULE, is_nats_subject, is_queue_name
from fnkit.contract.requests import CreateTrigger, NatsInput, QueueInput, SqsInput
from fnkit.platform.control import validation
from fnkit.platform.control.refusals import Refusal, invalid, required
from fnkit.platform.records.trigger import NatsSource, QueueSource, SqsSource, TriggerSource
from fnkit.platform.store.vault import Vault

__all__ = ["TriggerSources"]

_SEALED: Final = "secret_key"  # authenticated with the ciphertext, so it must not change
_SUBJECT_MAX: Final = 256
_KEY_MAX: Final = 1000


class TriggerSources:
    """Creates message sources and encrypts their secret keys."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    def made(self, trigger_id: str, request: CreateTrigger, region: str, project_id: str) -> TriggerSource:
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
            raise Refusal(400, "exactly one of scw_sqs_config, scw_nats_config and sqs_config is required")
        match given[0]:
            case QueueInput() as queue:
                return _queue(queue, region, project_id)
            case NatsInput() as nats:
                return _nats(nats, region, project_id)
            case SqsInput() as sqs:
                return self._sqs(trigger_id, sqs)

    def rekeyed(self, trigger_id: str, source: TriggerSource, access: str | None, secret: str | None) -> SqsSource:
        """Return the source with new credentials. A key that is ``None`` or empty stays.

        Raises:
            ControlError: 400, the source is of a kind without credentials, or a key is invalid.
        """
        if not isinstance(source, SqsSource):
            raise invalid("sqs_config", "cannot be given to a trigger of another kind")
        return SqsSource(
            endpoint=source.endpoint,
            queue_url=source.queue_url,
            access_key=_key("access_key", access) if access else source.access_key,
            sealed=self._sealed(trigger_id, secret) if secret else source.sealed,
        )

    def secret_key(self, trigger_id: str, source: SqsSource) -> str:
        """Return the decrypted secret key.

        Raises:
            PlatformError: ``secret-unreadable``.
        """
        return self._vault.open(trigger_id, _SEALED, source.sealed)

    def _sqs(self, trigger_id: str, config: SqsInput) -> SqsSource:
        return SqsSource(
            endpoint=_url("endpoint", config.endpoint),
            queue_url=_url("queue_url", config.queue_url),
            access_key=_key("access_key", config.access_key),
            sealed=self._sealed(trigger_id, config.secret_key),
        )

    def _sealed(self, trigger_id: str, secret: str | None) -> bytes:
        return self._vault.seal(trigger_id, _SEALED, _key(_SEALED, secret))


def _queue(config: QueueInput, region: str, project_id: str) -> QueueSource:
    field = "scw_sqs_config"
    if not config.queue:
        raise required(f"{field}.queue")
    if not is_queue_name(config.queue):
        raise invalid(f"{field}.queue", "must be the name of a queue: at most 80 letters, digits, - and _")
    return QueueSource(
        queue=config.queue,
        project_id=_project(field, config.mnq_project_id, project_id),
        region=_region(field, config.mnq_region, region),
    )


def _nats(config: NatsInput, region: str, project_id: str) -> NatsSource:
    field = "scw_nats_config"
    if not config.subject:
        raise required(f"{field}.subject")
    if len(config.subject) > _SUBJECT_MAX or not is_nats_subject(config.subject):
        raise invalid(f"{field}.subject", "must be a NATS subject")
    if not config.mnq_nats_account_id:
        raise required(f"{field}.mnq_nats_account_id")
    if not NATS_ACCOUNT_RULE.fullmatch(config.mnq_nats_account_id):
        raise invalid(f"{field}.mnq_nats_account_id", "must be 56 capital letters and digits")
    return NatsSource(
        subject=config.subject,
        account_id=config.mnq_nats_account_id,
        project_id=_project(field, config.mnq_project_id, project_id),
        region=_region(field, config.mnq_region, region),
    )


def _project(field: str, given: str | None, own: str) -> str:
    return validation.uuid_text(f"{field}.mnq_project_id", given) if given else own


def _region(field: str, given: str | None, own: str) -> str:
    if given and given not in REGIONS:
        raise invalid(f"{field}.mnq_region", f"must be one of {', '.join(REGIONS)}")
    return given or own


def _url(name: str, value: str | None) -> str:
    if not value:
        raise required(f"sqs_config.{name}")
    try:
        split = urlsplit(value)
        fine = split.scheme in ("http", "https") and bool(split.hostname) and split.port != 0
    except ValueError:
        fine = False
    if not fine or not value.isprintable() or " " in value or len(value) > _KEY_MAX:
        raise invalid(f"sqs_config.{name}", "must be an http or https URL")
    return value


def _key(name: str, value: str | None) -> str:
    if not value:
        raise required(f"sqs_config.{name}")
    if not value.isprintable() or not value.isascii() or len(value) > _KEY_MAX:
        raise invalid(f"sqs_config.{name}", f"must be at most {_KEY_MAX} printable characters")
    return value
