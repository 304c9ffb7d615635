"""Views of ``fnkit platform``: its status, environment, CA certificate and API keys."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fnkit.cli.output import json_fields
from fnkit.contract.limits import REGIONS

if TYPE_CHECKING:
    from rich.console import Console

    from fnkit.contract.platform import ApiKey, ApiKeyList
    from fnkit.platform.supervisor.launcher import BackupManifest, CaCertificate, PlatformStatus, TrustStore


def _key_to_json(key: ApiKey) -> dict[str, object]:
    return json_fields(key, "access_key", "read_only", "project_id", "description", "created_at")


def _format_rights(key: ApiKey) -> str:
    verb = "reads" if key.read_only else "reads and writes"
    return f"{verb} {f'project {key.project_id}' if key.project_id else 'everything'}"


@dataclass(frozen=True, slots=True)
class CreatedApiKeyView:
    """A new key with its secret, which is shown only this once."""

    key: ApiKey

    def to_json(self) -> dict[str, object]:
        """Return the key with its secret."""
        return {**_key_to_json(self.key), "secret_key": self.key.secret_key}

    def render(self, console: Console) -> None:
        """Print both halves of the key and its rights."""
        console.print(f"access key  {self.key.access_key}")
        console.print(f"secret key  {self.key.secret_key}", style="bold", end="")
        console.print("   shown only once")
        console.print(f"It {_format_rights(self.key)}.")


@dataclass(frozen=True, slots=True)
class ApiKeysView:
    """All additional keys."""

    api_keys: ApiKeyList

    def to_json(self) -> dict[str, object]:
        """Return ``keys[…]``, without secrets."""
        return {"keys": [_key_to_json(key) for key in self.api_keys.keys]}

    def render(self, console: Console) -> None:
        """Print a line for each key."""
        for key in self.api_keys.keys:
            note = f"   {key.description}" if key.description else ""
            console.print(f"{key.access_key}  {key.created_at[:19]}Z  {_format_rights(key)}{note}")
        if not self.api_keys.keys:
            console.print("There are no additional API keys.")


@dataclass(frozen=True, slots=True)
class DeletedApiKeyView:
    """A key that was deleted."""

    key: ApiKey

    def to_json(self) -> dict[str, object]:
        """Return the deleted key."""
        return _key_to_json(self.key)

    def render(self, console: Console) -> None:
        """Print one line."""
        console.print(f"Deleted API key {self.key.access_key}.")


@dataclass(frozen=True, slots=True)
class TrustView:
    """The local CA and its state in the system's trust store.

    Args:
        authority: The certificate of the CA.
        store: The system's trust store; ``None`` if none is supported.
        completed_action: ``installed`` or ``removed`` if the command just did that, else empty.
        certificate_only: Whether the text is the PEM certificate alone.
    """

    authority: CaCertificate
    store: TrustStore | None
    completed_action: str = ""
    certificate_only: bool = False

    def to_json(self) -> dict[str, object]:
        """Return ``certificate, fingerprint, pem, store, trusted, install, remove``.

        ``trusted`` is null if it cannot be determined. ``install`` and ``remove`` are commands to run as root.
        """
        store = self.store
        return {
            "certificate": str(self.authority.file),
            "fingerprint": self.authority.fingerprint,
            "pem": self.authority.pem,
            "store": store.name if store is not None else "",
            "trusted": store.contains(self.authority) if store is not None else None,
            "install": [shlex.join(command) for command in store.install_commands] if store is not None else [],
            "remove": [shlex.join(command) for command in store.remove_commands] if store is not None else [],
        }

    def render(self, console: Console) -> None:
        """Print what was done, or the instructions."""
        if self.certificate_only:
            console.print(self.authority.pem.rstrip())
        elif self.completed_action == "installed":
            console.print(
                "Installed the CA certificate in the system's trust store. Restart running programs to use it."
            )
            console.print("Undo with: fnkit platform trust --remove")
        elif self.completed_action == "removed":
            console.print("Removed the CA certificate from the system's trust store.")
        else:
            self._render_instructions(console)

    def _render_instructions(self, console: Console) -> None:
        file = shlex.quote(str(self.authority.file))
        console.print(f"Certificate  {self.authority.file}")
        console.print(f"SHA-256      {self.authority.fingerprint}")
        if self.store is not None:
            self._render_trust_store(console, self.store)
        console.print("\nTo trust it in single programs:")
        console.print(f"  curl --cacert {file}", style="bold")
        console.print(f"  NODE_EXTRA_CA_CERTS={file}", style="bold", end="")
        console.print("   Node; in addition to its own CAs")
        console.print(f"  REQUESTS_CA_BUNDLE={file}", style="bold", end="")
        console.print("   Python's requests; replaces its CAs")
        console.print(f"  SSL_CERT_FILE={file}", style="bold", end="")
        console.print("   Go, Ruby, OpenSSL, Python's ssl; replaces their CAs")

    def _render_trust_store(self, console: Console, store: TrustStore) -> None:
        trusted = store.contains(self.authority)
        commands, verb = (
            (store.remove_commands, "remove it from") if trusted else (store.install_commands, "install it in")
        )
        if trusted is not None:
            console.print(f"Trusted      {'yes' if trusted else 'no'}, by {store.name}")
        console.print(f"\nTo {verb} the system's trust store:")
        for command in commands:
            console.print(f"  sudo {shlex.join(command)}", style="bold")


def status_to_json(status: PlatformStatus) -> dict[str, object]:
    """Return the keys documented in ``docs/cli.md``, which are the same whether the platform runs or not."""
    return {
        "running": status.is_running,
        "healthy": status.is_healthy,
        **json_fields(status, "api_url", "gateway_url", "gateway_tls_url"),
        "ca_certificate": status.ca_certificate_file,
        **json_fields(status, "console_url", "nats_url", "sqs_endpoint", "sqs_access_key", "sqs_secret_key"),
        **json_fields(status, "secret_key", "access_key", "project_id", "organization_id"),
        "data_dir": str(status.data_dir),
        "pid": status.supervisor_pid,
        "processes": {
            "control": status.control_pid,
            "data_plane": status.data_plane_pid,
            "nats": status.nats_pid,
            "sqs": status.sqs_pid,
        },
        "isolation": status.isolation,
        "triggers": [json_fields(one, "id", "name", "state", "words") for one in status.triggers],
    }


@dataclass(frozen=True, slots=True)
class PlatformView:
    """The status of the platform, for ``start`` and ``status``. The text does not contain the secret key.

    Args:
        status: The status.
        started: Whether the platform was just started, so that the text suggests the next commands.
        foreground: Whether it runs in this process.
    """

    status: PlatformStatus
    started: bool = False
    foreground: bool = False

    def to_json(self) -> dict[str, object]:
        """Return the keys documented in ``docs/cli.md``."""
        return status_to_json(self.status)

    def render(self, console: Console) -> None:
        """Print addresses and processes, and after a start the next commands."""
        found = self.status
        if not found.is_running:
            console.print(f"The platform in {found.data_dir} is not running.")
            console.print("Start it with: fnkit platform start")
            return
        state = "is running" if found.is_healthy else "is starting or unhealthy"
        console.print(f"The platform {state} (pid {found.supervisor_pid}).\n")
        rows = (
            ("API", found.api_url),
            ("Functions", found.gateway_url),
            ("TLS", found.gateway_tls_url),
            ("Console", found.console_url),
            ("NATS", _without_password(found.nats_url) or found.nats_unavailable_reason),
            ("SQS", found.sqs_endpoint or found.sqs_unavailable_reason),
            ("Data", str(found.data_dir)),
            ("Project", found.project_id),
            ("Isolation", found.isolation),
            ("Processes", _format_processes(found)),
        )
        for name, value in rows:
            if value:
                console.print(f"  {name:<10} {value}")
        for trigger in found.triggers:
            if trigger.state != "listening" or "at most once" in trigger.words:
                console.print(f"  Trigger    {trigger.name}: {trigger.words}", markup=False)
        if self.started:
            console.print("\nNext:")
            console.print("  fnkit deploy --local", style="bold")
            console.print('  eval "$(fnkit platform env)"', style="bold", end="")
            console.print("   for scw, Terraform and the SDKs")
            console.print("Press Ctrl-C to stop it." if self.foreground else "Stop it with: fnkit platform stop")


def _without_password(url: str) -> str:
    """Return the URL of a broker without its credentials, which only `fnkit platform env` prints."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}" if url else ""


def _format_processes(status: PlatformStatus) -> str:
    own = f"control {status.control_pid or 'down'}, data plane {status.data_plane_pid or 'down'}"
    nats = f", nats {status.nats_pid or 'down'}" if status.nats_url else ""
    return own + nats + (f", sqs {status.sqs_pid}" if status.sqs_pid else "")


@dataclass(frozen=True, slots=True)
class StoppedView:
    """The result of ``stop`` and ``reset``.

    Args:
        was_running: Whether the platform was running.
        data_dir: Its data directory.
        removed: Whether the resources in it were deleted.
    """

    was_running: bool
    data_dir: Path
    removed: bool = False

    def to_json(self) -> dict[str, object]:
        """Return ``stopped, removed, data_dir``; ``stopped``: whether the platform was running."""
        return {"stopped": self.was_running, "removed": self.removed, "data_dir": str(self.data_dir)}

    def render(self, console: Console) -> None:
        """Print one line."""
        if self.removed:
            console.print(f"Deleted everything that was deployed in {self.data_dir}. Keys and ports are kept.")
        elif self.was_running:
            console.print("The platform has stopped.")
        else:
            console.print("The platform was not running.")


def _backup_to_json(manifest: BackupManifest) -> dict[str, object]:
    return json_fields(manifest, "created_at", "functions", "archives", "missing")


def _functions(manifest: BackupManifest) -> str:
    return f"{manifest.functions} function{'s' if manifest.functions != 1 else ''}"


@dataclass(frozen=True, slots=True)
class BackupView:
    """The result of ``backup``."""

    file: Path
    manifest: BackupManifest

    def to_json(self) -> dict[str, object]:
        """Return ``file, size, created_at, functions, archives, missing``."""
        return {"file": str(self.file), "size": self.file.stat().st_size, **_backup_to_json(self.manifest)}

    def render(self, console: Console) -> None:
        """Print one line, and one for each archive that was lost before."""
        console.print(f"Wrote {_functions(self.manifest)} and the platform's keys to {self.file}.")
        for sha256 in self.manifest.missing:
            console.print(f"warning: the archive {sha256} is lost or damaged; deploy its function again.")


@dataclass(frozen=True, slots=True)
class RestoredView:
    """The result of ``restore``."""

    data_dir: Path
    manifest: BackupManifest

    def to_json(self) -> dict[str, object]:
        """Return ``data_dir, created_at, functions, archives, missing``."""
        return {"data_dir": str(self.data_dir), **_backup_to_json(self.manifest)}

    def render(self, console: Console) -> None:
        """Print what was restored, and what to do next."""
        console.print(f"Restored {_functions(self.manifest)} of {self.manifest.created_at}.")
        console.print("The next `fnkit platform start` deploys them.")


@dataclass(frozen=True, slots=True)
class PlatformEnvView:
    """The settings that other tools need to use the platform.

    Args:
        status: The status of the platform.
        output_format: ``shell``, ``dotenv``, ``github``, ``json`` or ``terraform``.
        node_ca_configured: Whether ``NODE_EXTRA_CA_CERTS`` already names a certificate of the user.
    """

    status: PlatformStatus
    output_format: str
    node_ca_configured: bool = False

    def to_json(self) -> dict[str, object]:
        """Return the keys documented in ``docs/cli.md``, in every format."""
        return status_to_json(self.status)

    def render(self, console: Console) -> None:
        """Print the settings in the chosen format."""
        console.print(self.text())

    def text(self) -> str:
        """Return the settings in the chosen format; ``github`` is ``dotenv`` without comments."""
        if self.output_format == "json":
            return json.dumps(self.to_json(), indent=2)
        if self.output_format == "terraform":
            return self._terraform_provider()
        prefix, quote = ("export ", shlex.quote) if self.output_format == "shell" else ("", str)
        lines = [f"{prefix}{name}={quote(value)}" for name, value in self._variables()]
        if self.output_format != "github":
            lines += [f"# {prefix}{name}={quote(value)}" for name, value in self._commented_variables()]
        return "\n".join(lines)

    def _variables(self) -> tuple[tuple[str, str], ...]:
        """Return the variables that the SDKs, ``scw`` and Terraform read.

        ``SCW_FUNCTION_URL`` is the variable of the Serverless Framework's plugin.
        """
        found = self.status
        return (
            ("SCW_API_URL", found.api_url),
            ("SCW_ACCESS_KEY", found.access_key),
            ("SCW_SECRET_KEY", found.secret_key),
            ("SCW_DEFAULT_PROJECT_ID", found.project_id),
            ("SCW_DEFAULT_ORGANIZATION_ID", found.organization_id),
            ("SCW_DEFAULT_REGION", REGIONS[0]),
            ("SCW_DEFAULT_ZONE", f"{REGIONS[0]}-1"),
            ("SCW_FUNCTION_URL", f"{found.api_url}/functions/v1beta1/regions/{REGIONS[0]}"),
            ("FNKIT_GATEWAY_URL", found.gateway_url),
            *self._tls_variables(),
            *((("NATS_URL", found.nats_url),) if found.nats_url else ()),
            *self._sqs_variables(),
        )

    def _sqs_variables(self) -> tuple[tuple[str, str], ...]:
        found = self.status
        if not found.sqs_endpoint:
            return ()
        keys = ("SQS_ACCESS_KEY", found.sqs_access_key), ("SQS_SECRET_KEY", found.sqs_secret_key)
        return (("SQS_ENDPOINT", found.sqs_endpoint), *keys)

    def _tls_variables(self) -> tuple[tuple[str, str], ...]:
        """Return the variables for HTTPS.

        ``NODE_EXTRA_CA_CERTS`` adds to the CAs that Node trusts, so it is safe to set, unless the user has set it.
        """
        found = self.status
        if not found.gateway_tls_url:
            return ()
        tls = (
            ("FNKIT_GATEWAY_TLS_URL", found.gateway_tls_url),
            ("FNKIT_CA_CERTIFICATE", found.ca_certificate_file),
        )
        return tls if self.node_ca_configured else (*tls, ("NODE_EXTRA_CA_CERTS", found.ca_certificate_file))

    def _commented_variables(self) -> tuple[tuple[str, str], ...]:
        """Return variables to print as comments only.

        They replace all CAs that a program trusts, which suits only programs that connect to nothing but the
        platform.
        """
        if not self.status.gateway_tls_url:
            return ()
        names = ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "CURL_CA_BUNDLE")
        return tuple((name, self.status.ca_certificate_file) for name in names)

    def _terraform_provider(self) -> str:
        found = self.status
        settings = (
            ("api_url", found.api_url),
            ("access_key", found.access_key),
            ("secret_key", found.secret_key),
            ("project_id", found.project_id),
            ("organization_id", found.organization_id),
            ("region", REGIONS[0]),
            ("zone", f"{REGIONS[0]}-1"),
        )
        width = max(len(name) for name, _ in settings)
        lines = "\n".join(f"  {name:<{width}} = {json.dumps(value)}" for name, value in settings)
        return f'provider "scaleway" {{\n{lines}\n}}'
