"""Runs a pipeline of the shell."""

import subprocess


def handle(event, context):
    done = subprocess.run("printf 'b\\na\\n' | sort && exit 3", shell=True, capture_output=True, text=True)
    given = subprocess.run(["cat"], input="given", capture_output=True, text=True)
    return {"body": [done.stdout, done.returncode, given.stdout]}
