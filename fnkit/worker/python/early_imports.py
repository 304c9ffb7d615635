"""Imports what a handler needs of other packages, in a process that does not have the function's settings yet.

The local ``fnkit invoke`` starts the process before it reads the project, with what it knew of the function the
last time. The imports count only if they cannot have differed: the variables of the function are the same, and no
module has read one that is secret. Standard library only, Python 3.8 and later.
"""

from __future__ import annotations

import contextlib
import os
import sys
import typing

from . import preload, serve
from .handler_imports import handler_imports


class EarlyImports:
    """What was imported.

    Attributes:
        environment: The variables that modules saw.
        included: The directories that were known to have modules of the function.
        names_read: The secret variables that modules have looked for.
    """

    def __init__(self, environment: dict[str, str], included: dict[str, str], names_read: set[str]) -> None:
        self.environment = environment
        self.included = included
        self.names_read = names_read

    def fit(self, environment: dict[str, str], secrets: list[str], included: dict[str, str]) -> bool:
        """Return whether the imports are as they would be with these variables, of which some are secret.

        Args:
            environment: The variables.
            secrets: The names of those that are secret.
            included: The directories that have modules of the function: they stand in for packages of their names.
        """
        visible = {name: value for name, value in environment.items() if name not in secrets}
        return visible == self.environment and included == self.included and not self.names_read


def import_early(known: dict[str, typing.Any]) -> EarlyImports:
    """Import the modules of other packages that a handler imports. Those that fail are left to the handler.

    Args:
        known: ``handler``, ``root``, ``environment`` (the variables that are not secret), ``secrets`` (names) and
            ``included`` (directories outside of ``root`` with modules of the function, by name).
    """
    serve.apply_environment(known["environment"])
    os.chdir(known["environment"]["HOME"])  # where the handler will run
    path = sys.path[:]
    sys.path[:] = serve.module_search_path(known["handler"], known["root"])
    included = known.get("included") or {}
    with preload.EnvironmentAudit(frozenset(known["secrets"])) as audit:
        for statement in handler_imports(known["handler"], known["root"], included):
            with contextlib.suppress(preload.PreloadRejected):
                preload.import_statement(statement)
    sys.path[:] = path
    return EarlyImports(known["environment"], included, audit.names_read)
