"""TLS to a gateway under a function's name: the name is none that this machine's resolver must know."""

from __future__ import annotations

import ssl

from requests.adapters import HTTPAdapter
from urllib3 import PoolManager

from fnkit.errors import InvokeError

__all__ = ["ByName"]


class ByName(HTTPAdapter):
    """Asks for the certificate of ``name`` and checks it with one authority alone.

    That authority signs for its gateway and nobody else, so any certificate of it is the right one: where no
    function answers for the name, the gateway says so in words under its own.

    ca_certificate: PEM.

    Raises:
        InvokeError: ``bad-ca-certificate``: it is none.
    """

    def __init__(self, name: str, ca_certificate: str) -> None:
        self._name = name
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._context.check_hostname = False
        try:
            self._context.load_verify_locations(cadata=ca_certificate)
        except (ssl.SSLError, ValueError):
            raise InvokeError(
                "The platform gave a certificate of its authority that cannot be read.", code="bad-ca-certificate"
            ) from None
        super().__init__(max_retries=0)

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **more: object) -> None:  # noqa: FBT001, FBT002  (the base class's)
        """See requests."""
        del more
        self.poolmanager = PoolManager(
            num_pools=connections,
            maxsize=maxsize,
            block=block,
            ssl_context=self._context,
            server_hostname=self._name,
            assert_hostname=False,
        )
