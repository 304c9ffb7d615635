"""The environment variables of an instance (pure): those of the function, and those of the platform."""

from __future__ import annotations

from fnkit.contract.limits import PAYLOAD_MAX_BYTES
from fnkit.platform.model.routing import Route

__all__ = ["CODE_DIRECTORY", "HOME_DIRECTORY", "instance_environment"]

HOME_DIRECTORY = "/home/app"
CODE_DIRECTORY = "/home/app/function"
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def instance_environment(route: Route, *, home: str, root: str) -> dict[str, str]:
    """Return the complete environment of an instance of this deployment.

    Variables of the function take precedence, except over those that describe the function: ``SCW_*`` names are
    reserved, but users may set others, such as ``SCW_SECRET_KEY``.

    Args:
        route: The deployment.
        home: The working directory, as the instance sees it.
        root: The directory of the code, as the instance sees it.
    """
    path, _, name = route.handler.rpartition(".")
    return {
        "PATH": _PATH,
        "HOME": home,
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
        "PYTHONPATH": f"{root}:{root}/package",
        **route.environment,
        "PORT": "8080",
        "SCW_UPSTREAM_HOST": "http://127.0.0.1",
        "SCW_UPSTREAM_PORT": "8081",
        "SCW_HANDLER_PATH": f"{root}/{path}" if path else root,
        "SCW_HANDLER_NAME": name,
        "SCW_HANDLER_IS_BINARY": "true" if route.language in ("Go", "Rust") else "false",
        "SCW_PAYLOAD_MAX_SIZE": str(PAYLOAD_MAX_BYTES),
        "SCW_APPLICATION_ID": route.function_id,
        "SCW_APPLICATION_NAME": route.name,
        "SCW_APPLICATION_VERSION": "",
        "SCW_APPLICATION_MEMORY": str(route.memory),
        "SCW_NAMESPACE_ID": route.namespace_id,
        "SCW_PUBLIC": "true" if route.privacy == "public" else "false",
    }
