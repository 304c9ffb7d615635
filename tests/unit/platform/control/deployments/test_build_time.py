"""A build has 40 minutes, from its own start."""

from __future__ import annotations

import asyncio
import dataclasses
import io
import sys
from pathlib import Path

import pytest

from fnkit.contract.enums import Status
from fnkit.contract.limits import BUILD_MAX_SECONDS
from fnkit.platform.control.control_plane import ControlPlane
from fnkit.platform.control.deployments.build import build
from fnkit.platform.control.deployments.build_job import BUILD_ERROR, BuildFailed, BuildJob, BuildLog
from fnkit.platform.model.records import FunctionRecord
from tests.support.control_process import control_settings, zip_archive
from tests.support.stored_records import function_record, namespace_record
from tests.support.waiting import wait_until_async


class Clock:
    """A clock that stands still until it is moved: when the build reaches a step, or at its n-th reading."""

    def __init__(self, *, seconds: float, at_reading: int = 0) -> None:
        self._now = 1000.0
        self._seconds = seconds
        self._at_reading = at_reading
        self._readings = 0

    def __call__(self) -> float:
        self._readings += 1
        if self._readings == self._at_reading:
            self.move()
        return self._now

    def move(self) -> None:
        self._now += self._seconds


def job(tmp_path: Path, clock: Clock, *, interpreter: str | None = None) -> BuildJob:
    return BuildJob(
        runtime="python311",
        handler="handler.handle",
        archive=io.BytesIO(zip_archive()),
        target=tmp_path / "deployments" / "f-1",
        uid=0,
        log=BuildLog(tmp_path / "logs", 1, lambda: "2026-01-01T00:00:00.000000Z"),
        progress=lambda _: None,
        interpreter=interpreter,
        now=clock,
    )


def test_build_of_forty_minutes_succeeds_and_a_longer_one_is_ended(tmp_path: Path) -> None:
    one = job(tmp_path, Clock(seconds=BUILD_MAX_SECONDS, at_reading=2))
    build(one)
    assert (one.target / "handler.py").is_file()

    with pytest.raises(BuildFailed) as failure:
        build(job(tmp_path / "second", Clock(seconds=BUILD_MAX_SECONDS + 1, at_reading=2)))
    assert str(failure.value) == BUILD_ERROR
    assert failure.value.detail == "The build was ended: it took longer than 40 minutes."
    assert list((tmp_path / "second" / "deployments").iterdir()) == []


def test_compiler_is_ended_after_forty_minutes(tmp_path: Path) -> None:
    clock = Clock(seconds=BUILD_MAX_SECONDS + 1)
    one = job(tmp_path, clock, interpreter=sys.executable)
    one = dataclasses.replace(one, progress=lambda step: clock.move() if step.startswith("step 2") else None)
    with pytest.raises(BuildFailed, match="an error occurred"):
        build(one)
    assert list((tmp_path / "deployments").iterdir()) == []


def test_time_before_the_build_does_not_count(tmp_path: Path) -> None:
    clock = Clock(seconds=BUILD_MAX_SECONDS + 1)
    one = job(tmp_path, clock)
    clock.move()
    build(one)
    assert one.target.is_dir()


async def deploy(home: Path, **settings: object) -> FunctionRecord:
    """Deploy a function without a data plane, which a build does not need, and return its final record."""
    plane = ControlPlane(control_settings(home, **settings))
    store = plane.context.store
    writer = plane.context.blobs.writer()
    writer.write(zip_archive())
    blob = writer.finish()
    writer.commit()
    with store.transaction():
        store.namespaces.insert(namespace_record(status=Status.READY))
        store.functions.insert(function_record(archive=blob.sha256))
    plane.functions.deploy("fr-par", "f-1")

    def stored() -> FunctionRecord:
        record = store.functions.get("f-1")
        assert record is not None
        return record

    try:
        await wait_until_async(lambda: stored().status is not Status.PENDING)
        return stored()
    finally:
        await plane.close()


@pytest.mark.slow
def test_function_whose_build_takes_too_long_is_in_error_and_its_log_says_why(
    tmp_path: Path,
) -> None:
    record = asyncio.run(deploy(tmp_path, build_timeout=-60.0))
    assert (record.status, record.error_message, record.build_message) == (Status.ERROR, BUILD_ERROR, None)
    log = (tmp_path / "logs" / "f-1" / "build.jsonl").read_text()
    assert "The build was ended: it took longer than -1 minutes." in log
