"""Files that describe a cluster, as ``--kubeconfig`` takes them."""

from __future__ import annotations

import json
from pathlib import Path

__all__ = ["write_kubeconfig"]


def write_kubeconfig(
    file: Path, server: str, *, certificate_authority: Path | None = None, namespace: str = "", **user: str
) -> Path:
    """Write a file with one context, and return its path.

    Args:
        file: The file.
        server: The URL of the API server.
        certificate_authority: The certificate to trust; ``None`` for those of the machine.
        namespace: The namespace of the context.
        **user: Fields of the user, with ``_`` for ``-``: ``token``, ``client_certificate``, ``client_key``.
    """
    cluster = {"server": server}
    if certificate_authority is not None:
        cluster["certificate-authority"] = str(certificate_authority)
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": cluster}],
        "users": [{"name": "u", "user": {name.replace("_", "-"): value for name, value in user.items()}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u", "namespace": namespace or "default"}}],
        "current-context": "c",
    }
    file.write_text(json.dumps(document))
    return file
