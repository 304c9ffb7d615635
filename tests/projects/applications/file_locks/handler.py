"""Locks files between processes."""

import fcntl
import os
import tempfile


def handle(event, context):
    with tempfile.NamedTemporaryFile() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        fcntl.lockf(file, fcntl.LOCK_EX)
        pid = os.fork()
        if pid == 0:
            try:
                fcntl.lockf(os.open(file.name, os.O_RDWR), fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os._exit(11)
            os._exit(0)
        return {"body": os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])}
