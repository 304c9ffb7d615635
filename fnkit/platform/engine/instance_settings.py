"""The settings that an instance or a deployment zygote receives after its fork.

``fnkit/worker/sandbox/confine.py`` reads them.
"""

from __future__ import annotations

import os
from typing import Final

import msgspec

from fnkit.contract.limits import DISK_MAX_BYTES
from fnkit.platform.engine.deployment_zygote import DeploymentZygote
from fnkit.platform.engine.environment import CODE_FOLDER, HOME_FOLDER, instance_environment
from fnkit.platform.engine.instance import Instance
from fnkit.platform.engine.isolation import Level
from fnkit.platform.engine.nursery import Nursery
from fnkit.platform.routing import Route

__all__ = ["SettingsWriter"]

_PROCESSES: Final = 512
_MIB: Final = 1024 * 1024
_FIRST_OWN_UID: Final = 0x1000_0000  # above the ranges of people, services and containers
_DISK: Final = ("/tmp", "/dev/shm")  # noqa: S108  (paths inside an instance's own root)
_VARYING: Final = ("HOME", "TMPDIR")
"""Variables that differ between the instances of a deployment if they have no root of their own."""


class SettingsWriter:
    """Encodes settings, sets the limits of cgroups and creates the directories that settings name."""

    def __init__(self, nursery: Nursery, *, hard_cpu: bool) -> None:
        self._nursery = nursery
        self._hard_cpu = hard_cpu
        self._namespaces = nursery.level in (Level.CGROUP, Level.NAMESPACES)
        self._uids: dict[str, int] = {}

    def of_instance(self, route: Route, instance: Instance) -> bytes:
        """Return the settings of an instance as JSON, secrets included.

        Raises:
            OSError: A directory or a limit could not be set up.
        """
        values, environment = self._common(route, instance)
        return msgspec.json.encode({**values, "environment": environment})

    def of_zygote(self, route: Route, zygote: DeploymentZygote, excluded: frozenset[str]) -> bytes:
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
        values, environment = self._common(route, zygote)
        secrets = frozenset(route.secret_names)
        hidden = secrets if self._namespaces else secrets.union(_VARYING)
        home = str(values["home"])
        return msgspec.json.encode(
            {
                **values,
                "preload": True,
                "environment": {name: value for name, value in environment.items() if name not in secrets},
                "secrets": sorted(hidden),
                "excluded": sorted(excluded),
                "writable": [*_DISK, home] if self._namespaces else [home],
            }
        )

    def changes_user(self, route: Route) -> int:
        """Return the user that an instance changes to; 0 if it stays the user of the data plane."""
        return self.user(route) if self._namespaces and os.geteuid() == 0 else 0

    def user(self, route: Route) -> int:
        """Return the user of a deployment: the one that control assigned, else one that no other function has."""
        return route.uid or self._uids.setdefault(route.function_id, _FIRST_OWN_UID + len(self._uids))

    def _common(self, route: Route, child: Instance | DeploymentZygote) -> tuple[dict[str, object], dict[str, str]]:
        root = CODE_FOLDER if self._namespaces else route.code
        on_disk = route.sandbox == "v1"
        disk = ""
        if self._namespaces:
            home = HOME_FOLDER
            disk = str(self._nursery.disk(child)) if on_disk else ""
        else:
            home = str(self._nursery.home(child, on_disk=on_disk))
        if child.groups is not None:
            child.groups.limit(memory=route.memory, cpu=route.cpu, processes=_PROCESSES, hard_cpu=self._hard_cpu)
        environment = instance_environment(route, home=home, root=root)
        if not self._namespaces:
            environment["TMPDIR"] = home
        values: dict[str, object] = {
            "level": self._nursery.level.value,
            "code": route.code,
            "root": root,
            "home": home,
            "handler": route.handler,
            "memory": route.memory,
            "disk": DISK_MAX_BYTES // _MIB,
            "disk_folder": disk,
            "processes": _PROCESSES,
            "uid": self.user(route),
            "hostname": route.name,
            "filter": not on_disk and self._nursery.level is not Level.NONE,
            "fresh": on_disk,
        }
        return values, environment
