"""Looks itself up."""

import getpass
import os
import pwd
import subprocess


def handle(event, context):
    try:
        name = pwd.getpwuid(os.getuid()).pw_name
    except KeyError as error:
        name = type(error).__name__
    shown = subprocess.run(["id", "-un"], capture_output=True, text=True).stdout.strip()
    return {"body": [getpass.getuser() == os.environ["USER"], name, shown, os.path.expanduser("~app")]}
