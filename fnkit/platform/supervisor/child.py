"""Runs a module as a child process that cannot outlive the supervisor or use the keys of who started it.

``python -P -m <this module> PARENT MODULE`` asks the kernel to kill the process when its parent dies, joins a new
session keyring, then runs ``MODULE`` in the process. On systems without prctl(2), a thread polls the parent.
"""

from __future__ import annotations

import ctypes
import os
import platform
import runpy
import signal
import sys
import threading
import time
from typing import Final

_PR_SET_PDEATHSIG: Final = 1
_SYS_KEYCTL: Final = {"x86_64": 250, "aarch64": 219}
_KEYCTL_JOIN_SESSION_KEYRING: Final = 1


def end_with_parent(parent: int, number: signal.Signals) -> None:
    """Send this process a signal when ``parent`` is no longer its parent, now or later."""
    if sys.platform == "linux":
        # PR_SET_PDEATHSIG fires when the *thread* that created this process ends (prctl(2)). The supervisor creates
        # its processes from its main thread, which lives as long as the supervisor.
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, number)
    else:
        threading.Thread(target=_poll_parent, args=(parent, number), daemon=True).start()
    # The parent may have died before the call above, which then has no effect.
    if os.getppid() != parent:
        os._exit(1)


def leave_session_keyring() -> None:
    """Give this process and its children an empty session keyring (keyrings(7)).

    They inherit that of the login session, with keys of Kerberos or encrypted file systems, and handlers run as
    their children. A kernel without keyrings, or a container that forbids the call, has none to leave.
    """
    if (number := _SYS_KEYCTL.get(platform.machine())) is not None and sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).syscall(number, _KEYCTL_JOIN_SESSION_KEYRING, None)


def _poll_parent(parent: int, number: signal.Signals) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os.kill(os.getpid(), number)


def main() -> None:
    """Read the two arguments and run the module as ``__main__``."""
    parent, module = sys.argv[1:3]
    end_with_parent(int(parent), signal.SIGKILL)
    leave_session_keyring()
    sys.argv = [module]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
