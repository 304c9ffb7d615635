"""``python -m fnkit.platform.server.key_making``: makes one RSA key and writes it to standard output.

A process of its own: 4096 bits take a second or two, which nobody should have to wait for at a stop.
"""

from __future__ import annotations

import os
import sys
from typing import Final

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

__all__ = ["main"]

BITS: Final = 4096
_EXPONENT: Final = 65537
_NICE: Final = 5


def main() -> int:
    """Write the private key as PEM; other work goes first."""
    os.nice(_NICE)
    key = rsa.generate_private_key(public_exponent=_EXPONENT, key_size=BITS)
    sys.stdout.buffer.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
