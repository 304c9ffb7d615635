"""The settings that an instance or a deployment zygote receives after its fork.

``fnkit/worker/sandbox/confine.py`` reads them.
"""

from __future__ import annotations

import os
from typing import Final

import msgspec

from fnkit.contract.invocation.environment import (
    CODE_DIRECTORY,
    HOME_DIRECTORY,
    EnvironmentSpec,
    instance_environment,
)
from fnkit.contract.limits import DISK_MAX_BYTES
from fnkit.platform.data_plane.workers.deployment_zygote import DeploymentZygoteClient
from fnkit.platform.data_plane.workers.factory import WorkerFactory
from fnkit.platform.data_plane.workers.instance import Instance
from fnkit.platform.data_plane.workers.isolation import Level
from fnkit.platform.model.routing import Route

__all__ = ["StartupConfig"]

_MAX_PROCESSES: Final = 512
_MIB: Final = 1024 * 1024
_FIRST_OWN_UID: Final = 0x1000_0000  # above the ranges of people, services and containers
_DISK_PATHS: Final = ("/tmp", "/dev/shm")  # noqa: S108  (paths inside an instance's own root)
_INSTANCE_VARIABLES: Final = ("HOME", "TMPDIR")
"""Variables that differ between the instances of a deployment if they have no root of their own."""


class StartupConfig:
    """Encodes settings, sets the limits of cgroups and creates the directories that settings name."""

    def __init__(self, workers: WorkerFactory, *, hard_cpu: bool) -> None:
        self._workers = workers
        self._hard_cpu = hard_cpu
        self._has_namespaces = workers.level in (Level.CGROUP, Level.NAMESPACES)
        self._uids: dict[str, int] = {}

    def encode_for_instance(self, route: Route, instance: Instance) -> bytes:
        """Return the settings of an instance as JSON, secrets included.

        Raises:
            OSError: A directory or a limit could not be set up.
        """
        values, environment = self._common_settings(route, instance)
        return msgspec.json.encode({**values, "environment": environment})

    def encode_for_zygote(self, route: Route, zygote: DeploymentZygoteClient, excluded: frozenset[str]) -> bytes:
        """Return the settings of a deployment zygote as JSON.

        Of secrets, and of variables that differ between instances, they hold the names only, so that the zygote can
        detect modules that read them.

        Args:
            route: The deployment.
            zygote: The zygote.
            excluded: The modules that it must not import.

        Raises:
            OSError: A directory or a limit could not be set up.
        """
        values, environment = self._common_settings(route, zygote)
        secrets = frozenset(route.secret_names)
        hidden = secrets if self._has_namespaces else secrets.union(_INSTANCE_VARIABLES)
        home = str(values["home"])
        return msgspec.json.encode(
            {
                **values,
                "preload": True,
                "environment": {name: value for name, value in environment.items() if name not in secrets},
                "secrets": sorted(hidden),
                "excluded": sorted(excluded),
                "writable": [*_DISK_PATHS, home] if self._has_namespaces else [home],
            }
        )

    def target_uid(self, route: Route) -> int:
        """Return the user that an instance changes to; 0 if it stays the user of the data plane."""
        return self.deployment_uid(route) if self._has_namespaces and os.geteuid() == 0 else 0

    def deployment_uid(self, route: Route) -> int:
        """Return the user of a deployment: the one that control assigned, else one that no other function has."""
        return route.uid or self._uids.setdefault(route.function_id, _FIRST_OWN_UID + len(self._uids))

    def _common_settings(
        self, route: Route, child: Instance | DeploymentZygoteClient
    ) -> tuple[dict[str, object], dict[str, str]]:
        root = CODE_DIRECTORY if self._has_namespaces else route.code_dir
        on_disk = route.sandbox == "v1"
        disk = ""
        if self._has_namespaces:
            home = HOME_DIRECTORY
            disk = str(self._workers.create_disk(child)) if on_disk else ""
        else:
            home = str(self._workers.create_home(child, on_disk=on_disk))
        if child.groups is not None:
            child.groups.limit(
                memory=route.memory, cpu=route.cpu, processes=_MAX_PROCESSES, hard_cpu=self._hard_cpu
            )
        environment = instance_environment(_environment_spec(route), home=home, root=root)
        if not self._has_namespaces:
            environment["TMPDIR"] = home
        values: dict[str, object] = {
            "level": self._workers.level.value,
            "code": route.code_dir,
            "root": root,
            "home": home,
            "handler": route.handler,
            "memory": route.memory,
            "disk": DISK_MAX_BYTES // _MIB,
            "disk_folder": disk,
            "processes": _MAX_PROCESSES,
            "uid": self.deployment_uid(route),
            "hostname": route.name,
            "filter": not on_disk and self._workers.level is not Level.NONE,
            "fresh": on_disk,
        }
        return values, environment


def _environment_spec(route: Route) -> EnvironmentSpec:
    return EnvironmentSpec(
        function_id=route.function_id,
        name=route.name,
        namespace_id=route.namespace_id,
        handler=route.handler,
        language=route.language,
        memory=route.memory,
        privacy=route.privacy,
        variables=route.environment,
    )
