"""A process that generates one RSA key and writes it to standard output.

Generating 4096 bits takes a second or two. In a thread it could not be interrupted, and would delay a stop.
"""

from __future__ import annotations

import os
import sys
from typing import Final

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

KEY_BITS: Final = 4096
_PUBLIC_EXPONENT: Final = 65537
_NICENESS: Final = 5


def main() -> int:
    """Write the private key as PEM, at low priority."""
    os.nice(_NICENESS)
    key = rsa.generate_private_key(public_exponent=_PUBLIC_EXPONENT, key_size=KEY_BITS)
    sys.stdout.buffer.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
