"""The configuration with which an editor attaches to a function, in ``.vscode/launch.json``.

What is in the file stays: a configuration is added, or the port of the one that was added before is changed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from fnkit.contract.invocation.environment import CODE_DIRECTORY
from fnkit.dev.debugging.commented_json import JsonNode, parse_commented_json

HOST: Final = "127.0.0.1"
"""Where debuggers attach: nowhere else, because they can run any code."""

LAUNCH_FILE: Final = ".vscode/launch.json"
_INDENT: Final = "    "
_VERSION: Final = "0.2.0"

Configuration = Mapping[str, object]


def launch_configuration(function: str, language: str, *, folder: str, port: int) -> Configuration:
    """Return the configuration of a function.

    Args:
        function: Its name.
        language: ``Python`` or ``Node``.
        folder: The directory of its code, relative to the project.
        port: The port to attach to.
    """
    local = "/".join(("${workspaceFolder}", *(part for part in folder.split("/") if part not in ("", "."))))
    name = configuration_name(function)
    if language == "Node":
        return {
            "name": name,
            "type": "node",
            "request": "attach",
            "address": HOST,
            "port": port,
            "localRoot": local,
            "remoteRoot": CODE_DIRECTORY,
            "restart": True,
        }
    return {
        "name": name,
        "type": "debugpy",
        "request": "attach",
        "connect": {"host": HOST, "port": port},
        "pathMappings": [{"localRoot": local, "remoteRoot": CODE_DIRECTORY}],
        "justMyCode": True,
        "restart": True,
    }


def configuration_name(function: str) -> str:
    """Return the name of the configuration of a function."""
    return f"fnkit: {function}"


def save_launch_configuration(root: Path, configuration: Configuration, port: int) -> bool:
    """Add a configuration to the launch file of a project, or change its port; return whether the file has it now.

    A file that cannot be changed safely is left alone.
    """
    file = root / LAUNCH_FILE
    try:
        text = file.read_bytes().decode() if file.exists() else ""
        changed = with_configuration(text, configuration, port)
        if changed != text:
            file.parent.mkdir(exist_ok=True)
            target = file.resolve()
            temporary = target.with_name(f"{target.name}.{os.getpid()}.new")
            temporary.write_bytes(changed.encode())
            temporary.replace(target)
    except (OSError, ValueError):
        return False
    return True


def with_configuration(text: str, configuration: Configuration, port: int) -> str:
    """Return the text of a launch file with a configuration. One of the same name keeps all but its port.

    Raises:
        ValueError: It is no launch file.
    """
    if not text.strip():
        document = {"version": _VERSION, "configurations": [configuration]}
        return json.dumps(document, indent=len(_INDENT), ensure_ascii=False) + "\n"
    configurations = parse_commented_json(text).member("configurations")
    if configurations is None or configurations.items is None:
        raise ValueError("it has no configurations")
    for one in configurations.items:
        name = one.member("name")
        if name is not None and name.value == configuration["name"]:
            return _with_port(text, one, port)
    return _inserted(text, configurations, configuration)


def _with_port(text: str, configuration: JsonNode, port: int) -> str:
    node = configuration.member("connect", "port") or configuration.member("port")
    if node is None or not isinstance(node.value, int):
        raise ValueError("its configuration has no port")
    return f"{text[: node.start]}{port}{text[node.end :]}"


def _inserted(text: str, configurations: JsonNode, configuration: Configuration) -> str:
    """Insert a configuration as the first one."""
    newline = "\r\n" if "\r\n" in text else "\n"
    line = text[text.rfind("\n", 0, configurations.start) + 1 : configurations.start]
    outer = line[: len(line) - len(line.lstrip())]
    inner = outer + (outer or _INDENT)
    lines = json.dumps(configuration, indent=len(_INDENT), ensure_ascii=False).split("\n")
    added = newline + newline.join(inner + one for one in lines)
    rest = text[configurations.start + 1 :]
    if configurations.items:
        added += "," if rest[0] in " \r\n" else f",{newline}{inner}"
    elif "\n" not in text[configurations.start : configurations.end]:
        added += newline + outer
    changed = text[: configurations.start + 1] + added + rest
    parse_commented_json(changed)
    return changed
