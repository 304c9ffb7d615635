"""TLS connections to a gateway under the name of a function."""

from __future__ import annotations

import ssl

from requests.adapters import HTTPAdapter
from urllib3 import PoolManager

from fnkit.errors import InvokeError

__all__ = ["HostOverrideAdapter"]


class HostOverrideAdapter(HTTPAdapter):
    """Sends ``name`` as the TLS server name and trusts a single certificate authority.

    The name need not resolve on this machine. The host name in the certificate is not checked: the local authority
    signs for its gateway only, and for an unknown function the gateway responds under its own name with an
    explanation.

    Args:
        name: Server name for TLS.
        ca_certificate: The authority's certificate (PEM).

    Raises:
        InvokeError: ``bad-ca-certificate``: the certificate cannot be read.
    """

    def __init__(self, name: str, ca_certificate: str) -> None:
        self._server_name = name
        self._ssl_context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._ssl_context.check_hostname = False
        try:
            self._ssl_context.load_verify_locations(cadata=ca_certificate)
        except (ssl.SSLError, ValueError):
            raise InvokeError(
                "The CA certificate of the platform cannot be read.", code="bad-ca-certificate"
            ) from None
        super().__init__(max_retries=0)

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **more: object) -> None:  # noqa: FBT001, FBT002  (the base class's)
        """Create the connection pool. Called by the base class; adds the TLS context and the server name."""
        del more
        self.poolmanager = PoolManager(
            num_pools=connections,
            maxsize=maxsize,
            block=block,
            ssl_context=self._ssl_context,
            server_hostname=self._server_name,
            assert_hostname=False,
        )
