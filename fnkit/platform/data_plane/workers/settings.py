"""The settings that zygotes and instances receive, and the files that they name.

Those of an instance or a deployment zygote are two documents: what the sandbox needs, then the environment with the
secrets. The fork reads the second one when its sandbox is complete (``fnkit/worker/python/main.py``).
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from fnkit import worker
from fnkit.contract.invocation.environment import (
    CODE_DIRECTORY,
    HOME_DIRECTORY,
    USER_NAME,
    instance_environment,
)
from fnkit.contract.limits import DISK_MAX_BYTES
from fnkit.platform.data_plane.workers.edited_files import read_edited_files
from fnkit.platform.data_plane.workers.forked_process import ForkedProcess, encode_document
from fnkit.platform.data_plane.workers.isolation import Level
from fnkit.platform.data_plane.workers.program import (
    WorkerProgram,
    built_command,
    local_program,
    memory_overhead,
)
from fnkit.platform.model.debugger import Debugger
from fnkit.platform.model.routing import Route

_MAX_PROCESSES: Final = 512
_MIB: Final = 1024 * 1024
_FIRST_OWN_UID: Final = 0x1000_0000  # above the ranges of people, services and containers
_FIRST_AHEAD_UID: Final = 0x2000_0000  # above those
_AHEAD_UIDS: Final = 0x1000_0000
_INSTANCE_VARIABLES: Final = ("HOME", "TMPDIR")
"""Variables that differ between the instances of a deployment if they have no root of their own."""


class StartupConfig:
    """Encodes settings, sets the limits of cgroups and creates the directories that settings name.

    Args:
        level: The isolation level.
        runtime_directory: Holds the working directories of instances without a root of their own.
        disks_directory: Holds the working directories of those with ``sandbox: v1``. On a disk, and private to this
            process.
        code_directory: Contains the code of all functions.
        hard_cpu: Limit functions to their mVCPU, instead of using it as a weight only.
    """

    def __init__(
        self,
        level: Level,
        runtime_directory: Path,
        disks_directory: Path,
        code_directory: Path,
        *,
        hard_cpu: bool,
    ) -> None:
        self._level = level
        self._has_namespaces = level.has_namespaces
        self._runtime_directory = runtime_directory
        self._disks_directory = disks_directory
        self._code_directory = code_directory
        self._hard_cpu = hard_cpu
        self._uids: dict[str, int] = {}
        # Without a root of their own, instances see the machine's accounts, if any, and run as this process's user.
        self._user_name = USER_NAME if level.has_namespaces else _own_user_name()

    def encode_for_interpreter(self, name: str, directories: Sequence[str]) -> bytes:
        """Return the settings of the zygote of an interpreter (``fnkit/worker/python/main.py``).

        Args:
            name: The name of its directories: one for mounts, and one to try whether the disk is suitable.
            directories: What the roots of its forks have besides those of the system and of the interpreter.
        """
        root = self._runtime_directory / name
        root.mkdir(mode=0o700, exist_ok=True)
        directory = str(Path(worker.__file__).parent)
        settings: dict[str, object] = {
            "level": self._level.value,
            "worker": directory,
            "directories": directories,
            "root": "",
            "disk": "",
            "codes": "",
        }
        if self._has_namespaces:
            disk = self._disks_directory / name
            settings |= {"root": str(root), "disk": str(disk), "codes": str(self._code_directory)}
        return encode_document(directory) + encode_document(settings)

    def program_ahead(self, program: WorkerProgram, number: int) -> dict[str, object] | None:
        """Return what a worker executes before it is assigned; ``None`` if it executes nothing.

        Args:
            program: What it runs.
            number: The number of its process, which gets a user of its own.
        """
        if not program.is_ahead or not program.command:
            return None
        sandbox = {
            "level": self._level.value,
            "code": "",
            "home": HOME_DIRECTORY,
            "memory": program.memory,
            "disk": DISK_MAX_BYTES // _MIB,
            "processes": _MAX_PROCESSES,
            "uid": _FIRST_AHEAD_UID + number % _AHEAD_UIDS,
            "hostname": "",
            "filter": True,
            "fresh": False,
            "directories": program.directories,
        }
        return {"command": program.command, "file": program.file, "sandbox": sandbox}

    def encode_for_instance(self, route: Route, process: ForkedProcess, program: WorkerProgram) -> bytes:
        """Return the settings of an instance, secrets included.

        Args:
            route: Its deployment.
            process: Its process.
            program: What it runs.

        Raises:
            OSError: A directory or a limit could not be set up, or an edited file cannot be read.
        """
        values = self._sandbox_settings(route, process)
        values["directories"] = program.directories
        if (own := local_program(route)).edited:
            values["edited"] = read_edited_files(own)
        if route.debugger is not None:
            values["debugger"] = _encode_debugger(route.debugger)
        if not program.is_ahead:
            values["command"] = list(program.command) or built_command(route, str(values["root"]))
            values["file"] = program.file
        return encode_document(values) + encode_document(self._environment(route, str(values["home"])))

    def encode_for_zygote(self, route: Route, process: ForkedProcess, excluded: frozenset[str]) -> bytes:
        """Return the settings of a deployment zygote.

        Of secrets, and of variables that differ between instances, they hold the names only, so that the zygote can
        detect modules that read them.

        Args:
            route: The deployment.
            process: The zygote.
            excluded: The modules that it must not import.

        Raises:
            OSError: A directory or a limit could not be set up.
        """
        values = self._sandbox_settings(route, process)
        home = str(values["home"])
        secrets = frozenset(route.secret_names)
        hidden = secrets if self._has_namespaces else secrets.union(_INSTANCE_VARIABLES)
        values |= {
            "preload": True,
            "secrets": sorted(hidden),
            "excluded": sorted(excluded),
        }
        environment = self._environment(route, home)
        visible = {name: value for name, value in environment.items() if name not in secrets}
        return encode_document(values) + encode_document(visible)

    def target_uid(self, route: Route) -> int:
        """Return the user that an instance changes to; 0 if it stays the user of the data plane."""
        return self._deployment_uid(route) if self._has_namespaces and os.geteuid() == 0 else 0

    def _deployment_uid(self, route: Route) -> int:
        """Return the user of a deployment: the one that control assigned, else one that no other function has."""
        return local_program(route).uid or self._uids.setdefault(
            route.function_id, _FIRST_OWN_UID + len(self._uids)
        )

    def _sandbox_settings(self, route: Route, process: ForkedProcess) -> dict[str, object]:
        on_disk = route.sandbox == "v1"
        home = HOME_DIRECTORY if self._has_namespaces else str(self._create_home(process, on_disk=on_disk))
        if process.groups is not None:
            process.groups.limit(
                memory=route.reserved_memory, cpu=route.cpu, processes=_MAX_PROCESSES, hard_cpu=self._hard_cpu
            )
        return {
            "level": self._level.value,
            "code": self._code(route),
            "root": self._root(route),
            "home": home,
            "handler": route.handler,
            "memory": route.reserved_memory + memory_overhead(route.language),
            "disk": DISK_MAX_BYTES // _MIB,
            "processes": _MAX_PROCESSES,
            "uid": self._deployment_uid(route),
            "hostname": route.name,
            "filter": not on_disk and self._level is not Level.NONE,
            "fresh": on_disk,
            "directories": (),
        }

    def _code(self, route: Route) -> str:
        """Return the path of the function's code, below the directory of all codes if roots are of their own."""
        directory = local_program(route).code_dir
        return os.path.relpath(directory, self._code_directory) if self._has_namespaces else directory

    def _root(self, route: Route) -> str:
        """Return the path of the function's code, as the function sees it."""
        return CODE_DIRECTORY if self._has_namespaces else local_program(route).code_dir

    def _environment(self, route: Route, home: str) -> dict[str, str]:
        environment = instance_environment(
            route.environment_spec, home=home, root=self._root(route), user=self._user_name
        )
        if not self._has_namespaces:
            environment["TMPDIR"] = home
        return environment

    def _create_home(self, process: ForkedProcess, *, on_disk: bool) -> Path:
        """Create the working directory of an instance that has no root of its own."""
        directory = (self._disks_directory if on_disk else self._runtime_directory) / f"home-{process.name}"
        directory.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        directory.mkdir(mode=0o700)
        process.host_directory = str(directory)
        return directory


def _encode_debugger(debugger: Debugger) -> dict[str, object]:
    return {"directory": debugger.directory, "port": debugger.port, "key": debugger.key}


def _own_user_name() -> str:
    """Return the name of this process's user; its number if it has none."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())
