"""Changes a variable, which stays changed in this instance."""

import os
import subprocess


def handle(event, context):
    os.environ["COUNT"] = str(int(os.environ["COUNT"]) + 1)
    shown = subprocess.run(["sh", "-c", "echo $COUNT"], capture_output=True, text=True).stdout
    return {"body": [os.environ["COUNT"], shown]}
