"""The run file, and the check whether the process it names is still the same."""

from __future__ import annotations

import subprocess
from pathlib import Path

import msgspec

from fnkit.platform.layout import Quotas, ScalingSettings
from fnkit.platform.store.private_file import write_private_file

__all__ = ["RunFile", "process_start_time", "read_run_file", "write_run_file"]


class RunFile(msgspec.Struct, frozen=True, kw_only=True):
    """``run.json``. It remains when the platform stops, so that the next start reuses the ports.

    Attributes:
        pid: Pid of the supervisor.
        started_at: Start time of the supervisor, as reported by the system. A pid alone may have been reused; both
            together identify the process.
        socket_folder: The socket directory.
        tls_port: 0 if TLS is off.
        control: Pid of control, 0 while it is not running.
        data_plane: Pid of the data plane, 0 while it is not running.
        otlp: URL of the trace export, without credentials; empty if off.
        loki_push: URL of the push of logs, without credentials; empty if off.
        nats_port: Port of the platform's own NATS broker, 0 if it does not run.
        nats: Pid of the NATS broker, 0 while it is not running.
        brokers_file: The brokers file of the command line, if given.
    """

    pid: int
    started_at: str
    host: str
    api_port: int
    gateway_port: int
    domain_suffix: str
    speed: float
    isolation: str
    strict_runtimes: bool
    socket_folder: str
    tls_port: int = 0
    control: int = 0
    data_plane: int = 0
    verify_domains: bool = False
    runtime_table: str = "2026-07-03"
    quotas: Quotas = Quotas()
    scaling: ScalingSettings = ScalingSettings()
    otlp: str = ""
    loki_push: str = ""
    nats_port: int = 0
    nats: int = 0
    brokers_file: str = ""


def read_run_file(file: Path) -> RunFile | None:
    """Read the run file; ``None`` if it does not exist or is invalid."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=RunFile)
    except (OSError, msgspec.MsgspecError):
        return None


def write_run_file(file: Path, run: RunFile) -> None:
    """Replace the run file atomically."""
    write_private_file(file, msgspec.json.format(msgspec.json.encode(run), indent=2))


def process_start_time(pid: int) -> str | None:
    """Return the start time of a process, in the system's format; ``None`` if it does not exist or is a zombie."""
    if pid <= 0:
        return None
    return _start_time_from_proc(pid) if Path("/proc/self/stat").exists() else _start_time_from_ps(pid)


def _start_time_from_proc(pid: int) -> str | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # proc(5): the name in parentheses (field 2) may contain spaces and parentheses, so the fields are counted after
    # its end. Field 3 is the state, field 22 the start time.
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in {"Z", "X"} else fields[19]


def _start_time_from_ps(pid: int) -> str | None:
    listing = subprocess.run(
        ["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    state, _, started = listing.stdout.strip().partition(" ")
    return started.strip() if state and not state.startswith("Z") else None
