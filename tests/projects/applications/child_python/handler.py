"""Starts a Python that imports a module beside the code."""

import subprocess
import sys


def handle(event, context):
    program = "import greeting, sys; print(greeting.TEXT, sys.argv[1])"
    done = subprocess.run([sys.executable, "-c", program, "you"], capture_output=True, text=True, timeout=60)
    return {"body": [done.returncode, done.stdout, done.stderr]}
