"""Recognises files that usually contain secrets, by their names. They ship only if an ignore file names them."""

from __future__ import annotations

import re
from fnmatch import translate
from typing import Final

DOTENV_PREFIX: Final = ".env"
"""Files whose names start with this never ship, even if they are named: fnkit reads secrets from them."""

_FILES: Final = re.compile(
    "|".join(
        map(
            translate,
            (
                ".netrc", "_netrc", ".npmrc", ".yarnrc*", ".pypirc", ".pgpass", ".my.cnf", ".htpasswd",
                ".git-credentials", ".dockercfg", ".boto", ".s3cfg", ".vault-token",
                "id_rsa*", "id_dsa*", "id_ecdsa*", "id_ed25519*",
                "*.pem", "*.key", "*.ppk", "*.p8", "*.p12", "*.pfx", "*.jks", "*.keystore", "*.kdbx",
                "*.tfstate", "*.tfstate.*", "*.tfvars", "*.tfvars.json",
            ),
        )
    )
)  # fmt: skip
_HARMLESS_SUFFIXES: Final = (".py", ".pub")
_DIRECTORIES: Final = frozenset(
    {".aws", ".azure", ".docker", ".gcloud", ".gnupg", ".kube", ".password-store", ".ssh", ".terraform"}
)


def is_secret_directory(name: str) -> bool:
    """Return whether everything in a directory of this name usually is secret."""
    return name.lower() in _DIRECTORIES


def is_secret_file(name: str) -> bool:
    """Return whether a file of this name usually contains a secret. The case of letters does not matter."""
    lower = name.lower()
    return _FILES.match(lower) is not None and not lower.endswith(_HARMLESS_SUFFIXES)
