"""The environment variables of an instance (pure): those of the function, and those of the platform."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fnkit.contract.limits import PAYLOAD_MAX_BYTES

HOME_DIRECTORY = "/home/app"
CODE_DIRECTORY = "/home/app/function"
USER_NAME = "app"
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class EnvironmentSpec:
    """The facts of a function that its environment contains.

    Attributes:
        handler: Path and name of the handler: ``directory/file.function``.
        memory: Memory limit in MiB.
        variables: The variables and secrets of the namespace and the function.
    """

    name: str
    handler: str
    language: str
    memory: int
    privacy: str
    variables: Mapping[str, str]
    function_id: str = ""
    namespace_id: str = ""


def instance_environment(spec: EnvironmentSpec, *, home: str, root: str, user: str = "") -> dict[str, str]:
    """Return the complete environment of an instance of this function.

    Variables of the function take precedence, except over those that describe the function: ``SCW_*`` names are
    reserved, but users may set others, such as ``SCW_SECRET_KEY``.

    Args:
        spec: The facts of the function.
        home: The working directory, as the instance sees it.
        root: The directory of the code, as the instance sees it.
        user: The name of its user; empty for none.
    """
    path, _, name = spec.handler.rpartition(".")
    return {
        "PATH": _PATH,
        "HOME": home,
        **({"USER": user, "LOGNAME": user} if user else {}),
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
        "PYTHONPATH": f"{root}:{root}/package",
        **spec.variables,
        "PORT": "8080",
        "SCW_UPSTREAM_HOST": "http://127.0.0.1",
        "SCW_UPSTREAM_PORT": "8081",
        "SCW_HANDLER_PATH": f"{root}/{path}" if path else root,
        "SCW_HANDLER_NAME": name,
        "SCW_HANDLER_IS_BINARY": "true" if spec.language in ("Go", "Rust") else "false",
        "SCW_PAYLOAD_MAX_SIZE": str(PAYLOAD_MAX_BYTES),
        "SCW_APPLICATION_ID": spec.function_id,
        "SCW_APPLICATION_NAME": spec.name,
        "SCW_APPLICATION_VERSION": "",
        "SCW_APPLICATION_MEMORY": str(spec.memory),
        "SCW_NAMESPACE_ID": spec.namespace_id,
        "SCW_PUBLIC": "true" if spec.privacy == "public" else "false",
    }
