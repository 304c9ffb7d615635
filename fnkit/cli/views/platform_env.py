"""View of ``fnkit platform env``: the settings of other tools."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fnkit.cli.views.platform import status_to_json
from fnkit.contract.limits import REGIONS

if TYPE_CHECKING:
    from rich.console import Console

    from fnkit.platform.supervisor.launcher import PlatformStatus


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
