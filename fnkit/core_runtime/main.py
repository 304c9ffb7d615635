"""The core runtime: starts the worker, serves requests while it lives, and ends as it ended.

It is started by its path and with ``-I -S``, so that nothing of a user's is on its search path. In a container it
is the first process: it reaps every process that loses its parent.
"""

from __future__ import annotations

import os
import signal
import sys


def main() -> int:
    """Serve the function and return the exit code."""
    # They are handled once the event loop runs. Until then the first process of a container would lose them.
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGINT))
    from fnkit.core_runtime.listener import bind
    from fnkit.core_runtime.settings import InvalidSetting, read_settings
    from fnkit.core_runtime.worker_start import start_worker

    try:
        settings = read_settings(os.environ)
    except InvalidSetting as error:
        return _refuse(str(error))
    try:
        listener = bind(settings.port)
    except OSError as error:
        return _refuse(f"port {settings.port} cannot be used: {error.strerror}")
    try:
        worker = start_worker(settings)
    except OSError as error:
        return _refuse(f"the worker could not be started: {error.strerror}")
    # The event loop is loaded while the worker imports the handler. Without OpenSSL, of which it would be the only
    # user: that saves 4 MB and a third of the time.
    sys.modules["ssl"] = None  # type: ignore[assignment]  # how an import is made to fail
    import asyncio

    from fnkit.core_runtime.life_cycle import run

    return asyncio.run(run(settings, listener, worker))


def _refuse(problem: str) -> int:
    from fnkit.core_runtime.log import report
    from fnkit.core_runtime.settings import INSTANCE_KEY

    report(problem, has_gateway=INSTANCE_KEY in os.environ)
    return 2


if __name__ == "__main__":
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
    raise SystemExit(main())
