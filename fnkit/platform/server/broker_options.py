"""Options of queue brokers: their configuration file, its variables, and the platform's own NATS broker."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from fnkit.platform.brokers.model import Brokers
from fnkit.platform.brokers.reading import referenced_variables, read_brokers_file
from fnkit.platform.layout import DataLayout, QueueSettings
from fnkit.platform.server.nats_server import load_or_create_nats_credentials, find_nats_server, nats_url
from fnkit.platform.server.options import StartOptions

__all__ = ["runs_own_nats", "queue_settings", "with_broker_environment"]

_NATS_OFF: Final = "no NATS broker is configured, and the platform's own is off (--nats-port none)"
_NATS_NOT_INSTALLED: Final = (
    "no NATS broker is configured, and the platform's own is not installed: "
    "pip install 'fnkit[queues]', then start the platform again"
)


def with_broker_environment(options: StartOptions, environ: Mapping[str, str]) -> StartOptions:
    """Validate the brokers file, and add the environment variables that it refers to.

    They are passed as options because the platform's processes do not inherit the user's environment.

    Raises:
        BrokersInvalid: The file has errors.
        PlatformError: ``brokers-unreadable``.
    """
    file = _brokers_file(options)
    if not options.brokers_file and not file.is_file():
        return options
    try:
        named = referenced_variables(file.read_text(encoding="utf-8", errors="replace"))
    except OSError:
        named = set()
    variables = {name: environ[name] for name in named if name in environ}
    read_brokers_file(file, variables)
    return msgspec.structs.replace(options, broker_environment=variables)


def runs_own_nats(options: StartOptions) -> bool:
    """Return whether to run a NATS broker: it is not off, no other one is configured, and nats-server is installed.

    Raises:
        BrokersInvalid: The brokers file has errors.
        PlatformError: ``brokers-unreadable``.
    """
    return options.nats_port != "none" and not _configured_brokers(options).nats and find_nats_server() is not None


def queue_settings(options: StartOptions, layout: DataLayout, nats_port: int) -> QueueSettings:
    """Return the broker settings of control and of the NATS process.

    Args:
        options: The options of the start.
        layout: The data directory, which keeps the credentials of the platform's own broker.
        nats_port: Port of the platform's own broker; 0 if it does not run.

    Raises:
        PlatformError: ``identity-unreadable``.
    """
    url = nats_url(load_or_create_nats_credentials(layout.nats_credentials_file), nats_port) if nats_port else ""
    return QueueSettings(
        nats_url=url,
        nats_unavailable_reason="" if url else _NATS_OFF if options.nats_port == "none" else _NATS_NOT_INSTALLED,
        brokers_file=str(_brokers_file(options)),
        environment=options.broker_environment,
    )


def _configured_brokers(options: StartOptions) -> Brokers:
    file = _brokers_file(options)
    if not options.brokers_file and not file.is_file():
        return Brokers()
    return read_brokers_file(file, options.broker_environment)


def _brokers_file(options: StartOptions) -> Path:
    return Path(options.brokers_file) if options.brokers_file else DataLayout(Path(options.data_dir)).brokers_file
