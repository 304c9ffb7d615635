"""Run one of the platform's processes so that it cannot outlive the supervisor.

``python -P -m fnkit.platform.server.attached PARENT MODULE`` asks the kernel to kill this process when its
parent dies, then becomes ``MODULE``. Where the kernel has no such call, a thread watches the parent. The pid
is compared because the parent may be gone before the question was asked.
"""

from __future__ import annotations

import ctypes
import os
import runpy
import signal
import sys
import threading
import time
from typing import Final

__all__ = ["main", "tie_to_parent"]

_PR_SET_PDEATHSIG: Final = 1


def tie_to_parent(parent: int) -> None:
    """End this process, now or later, when ``parent`` is not its parent any more."""
    if sys.platform == "linux":
        # prctl(2): the signal also comes when the parent's *thread* ends; the supervisor starts us from its first.
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    else:
        threading.Thread(target=_watch, args=(parent,), daemon=True).start()
    if os.getppid() != parent:
        os._exit(1)


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    """Read the two arguments and become the module."""
    parent, module = sys.argv[1:3]
    tie_to_parent(int(parent))
    sys.argv = [module]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
