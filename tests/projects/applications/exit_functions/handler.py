"""Registers functions for the exit of a child process."""

import atexit
import os


def handle(event, context):
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        atexit.register(os.write, writer, b"exited")
        atexit._run_exitfuncs()
        os._exit(4)
    os.close(writer)
    with os.fdopen(reader) as file:
        return {"body": [file.read(), os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])]}
