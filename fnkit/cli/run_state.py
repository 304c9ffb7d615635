"""What a run of the command line knows before its command runs: click's ``obj``."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fnkit.cli.output import JsonDocument


@dataclass(slots=True)
class RunState:
    """The state of one run.

    Attributes:
        document: The one JSON document on stdout.
        directory: The folder in which the project is searched, as soon as it is known.
        before_verb: The common options that were given before the verb, by the names of their parameters.
    """

    document: JsonDocument = field(default_factory=JsonDocument)
    directory: Path | None = None
    before_verb: dict[str, Any] = field(default_factory=dict)
