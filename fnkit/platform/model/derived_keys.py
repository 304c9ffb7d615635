"""Keys that control and the data plane derive from the platform's secret key, each for one purpose.

They are in the hands of a cluster: whoever holds one learns nothing about the secret key or about another of them.
"""

from __future__ import annotations

import hashlib
import hmac


def registry_pull_key(secret_key: str) -> str:
    """Return the key that may pull the images of all functions, and nothing else."""
    return _derive(secret_key, "registry pull")


def instance_key(secret_key: str, function_id: str, generation: int) -> str:
    """Return the key that the gateway shows to the instances of a deployment."""
    return _derive(secret_key, f"instances of {function_id}@{generation}")


def _derive(secret_key: str, purpose: str) -> str:
    return hmac.new(secret_key.encode(), f"fnkit {purpose}".encode(), hashlib.sha256).hexdigest()


def platform_id(secret_key: str) -> str:
    """Return the label of what this platform has created in a cluster. It is no key."""
    return _derive(secret_key, "platform id")[:12]
