"""The certificates that package indexes are verified with: those of the system, as pip does.

They include those of a company's proxy, which uv's and requests' own collections lack.
"""

from __future__ import annotations

import ssl
from pathlib import Path


def system_certificates() -> str | None:
    """Return the file or folder of the system's certificates; ``None`` without any, as in minimal containers."""
    paths = ssl.get_default_verify_paths()
    file, folder = Path(paths.openssl_cafile), Path(paths.openssl_capath)
    if file.is_file():
        return str(file)
    return str(folder) if folder.is_dir() and any(folder.iterdir()) else None
