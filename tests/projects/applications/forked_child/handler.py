"""Forks, and reads what its child sends."""

import os


def handle(event, context):
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(writer, b"from the child")
        os._exit(7)
    os.close(writer)
    with os.fdopen(reader) as file:
        return {"body": [file.read(), os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])]}
