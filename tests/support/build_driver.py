"""A platform that runs one build tool, a program in Python, and prints how the build ended. See ``run_tool``."""

from __future__ import annotations

import io
import json
import os
import sys
import time
from pathlib import Path

import msgspec

from fnkit.platform.control.deployments.build_job import BuildFailed, BuildJob, BuildLimits, BuildLog
from fnkit.platform.control.deployments.build_tool import open_build
from tests.support.builds import UID


def main() -> None:
    settings = json.loads(sys.argv[1])
    folder = Path(settings["folder"])
    (folder / "platform.json").write_text("the key of the platform")
    (folder / "platform.json").chmod(0o600)
    other = folder / "caches/other"
    other.mkdir(parents=True, exist_ok=True)
    (other / "file").write_text("of another function")
    source = folder / "deployments/.f-1.building"
    source.mkdir(parents=True)
    (source / "tool.py").write_text(settings["source"])
    (folder / "deployments/f-1").mkdir()
    if UID:
        os.chown(source, UID, UID)
    job = BuildJob(
        runtime="go126",
        handler="Handle",
        archive=io.BytesIO(),
        target=folder / "deployments/f-1",
        uid=UID,
        cache=folder / "caches/f",
        isolation=settings["level"],
        limits=msgspec.convert(settings["limits"], BuildLimits),
        log=BuildLog(folder / "log", 1, lambda: ""),
        progress=lambda _: None,
    )
    job = job.begin()
    error = ""
    began = time.monotonic()
    try:
        with open_build(job, source) as build:
            build.run(
                [os.path.realpath(sys.executable), "-I", "-S", build.shown(source / "tool.py")],
                directory=build.cache,
                environment={"DATA": str(folder), "PLATFORM": str(os.getpid())},
                readable=[sys.base_prefix],
            )
            build.take_program("program", folder / "deployments/f-1/.fnkit/handler")
    except BuildFailed as failure:
        error = failure.detail
    lines = (folder / "log/build.jsonl").read_text().splitlines() if (folder / "log/build.jsonl").exists() else []
    log = "\n".join(json.loads(line)["message"] for line in lines)
    left = sorted(path.name for path in (folder / "deployments").iterdir())
    sys.stdout.write(json.dumps({"error": error, "log": log, "left": left, "seconds": time.monotonic() - began}))


if __name__ == "__main__":
    main()
