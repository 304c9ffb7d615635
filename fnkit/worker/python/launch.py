"""Starts a module of the worker in the interpreter that runs this file: ``python launch.py MODULE [ARGUMENT ...]``.

The worker is loaded as the private package ``_fnkit_worker``. A handler may have modules of its own called
``serve`` or ``filters``, and ``fnkit`` in a function is the copy in its bundle; neither may meet the
worker's modules. No directory is added to ``sys.path``. Standard library only, Python 3.8 and later.
"""

from __future__ import annotations

import importlib
import os
import sys
import types

PACKAGE = "_fnkit_worker"


def load(module: str) -> types.ModuleType:
    """Return a module of ``worker/python``, loaded as part of the private package."""
    package = types.ModuleType(PACKAGE)
    package.__path__ = [os.path.dirname(os.path.dirname(os.path.abspath(__file__)))]
    sys.modules[PACKAGE] = package
    return importlib.import_module(f"{PACKAGE}.python.{module}")


if __name__ == "__main__":
    load(sys.argv[1]).main(sys.argv[2:])
