"""Makes links and changes modes."""

import os
import stat
import tempfile


def handle(event, context):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "tool")
        with open(path, "w") as file:
            file.write("#!/bin/sh\necho ran\n")
        os.chmod(path, 0o750)
        os.symlink("tool", path + ".link")
        os.link(path, path + ".hard")
        with os.popen(path + ".link") as pipe:
            output = pipe.read()
        return {"body": [oct(stat.S_IMODE(os.stat(path).st_mode)), os.readlink(path + ".link"), output,
                         os.stat(path).st_nlink, os.access(path, os.X_OK)]}
