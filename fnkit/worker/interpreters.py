"""The interpreters of other languages than Python, and how they run the worker's programs.

Standard library only, Python 3.8 and later.
"""

from __future__ import annotations

import typing

from . import node, php

_V8_HEAP_SHARE = 0.75
"""Of the function's memory; the rest is for buffers and V8 itself."""


class WorkerInterpreter(typing.NamedTuple):
    """An interpreter that runs a program of the worker.

    Attributes:
        name: What it is called where programs are looked for.
        source: The program, below the directory of the worker.
        path: Where an instance sees the program, as on the real platform.
        options: Returns its options, for the MB of the function.
    """

    name: str
    source: str
    path: str
    options: typing.Callable[[int], tuple[str, ...]]


def _node_options(memory: int) -> tuple[str, ...]:
    return (*node.NODE_FLAGS, f"--max-old-space-size={int(memory * _V8_HEAP_SHARE)}")


def _php_options(_memory: int) -> tuple[str, ...]:
    return tuple(argument for name, value in php.INI_SETTINGS for argument in ("-d", f"{name}={value}"))


INTERPRETERS = {
    "Node": WorkerInterpreter("node", f"node/{node.PROGRAM_NAME}", node.PROGRAM_PATH, _node_options),
    "PHP": WorkerInterpreter("php", f"php/{php.PROGRAM_NAME}", php.PROGRAM_PATH, _php_options),
}
"""By language."""
