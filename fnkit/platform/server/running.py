"""What runs now: the run file, and whether the process it names is still that process."""

from __future__ import annotations

import subprocess
from pathlib import Path

import msgspec

from fnkit.platform.layout import Quotas, Scaling
from fnkit.platform.store.private_file import write_private

__all__ = ["RunFile", "process_started", "read_run_file", "write_run_file"]


class RunFile(msgspec.Struct, frozen=True, kw_only=True):
    """``run.json``. It stays when the platform stops: the next start takes the same ports again.

    pid: the supervisor's. started: what the system says of that process' start, so that a process that got
    the same id later is not mistaken for it. control, data_plane: their pids, 0 while they are not running.
    otlp: the URL that traces go to, without credentials.
    log_push: the URL that logs are sent to, likewise.
    tls_port: 0 without TLS.
    nats_port: of the platform's own NATS broker, 0 without one; nats: its pid. brokers: the file that was named.
    """

    pid: int
    started: str
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
    scaling: Scaling = Scaling()
    otlp: str = ""
    log_push: str = ""
    nats_port: int = 0
    nats: int = 0
    brokers: str = ""


def read_run_file(file: Path) -> RunFile | None:
    """Read it; ``None`` where there is none, or none that can be read."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=RunFile)
    except (OSError, msgspec.MsgspecError):
        return None


def write_run_file(file: Path, run: RunFile) -> None:
    """Replace it at once."""
    write_private(file, msgspec.json.format(msgspec.json.encode(run), indent=2))


def process_started(pid: int) -> str | None:
    """When the process started, in the system's own words; ``None`` where there is none, or a dead one."""
    if pid <= 0:
        return None
    return _started_in_proc(pid) if Path("/proc/self/stat").exists() else _started_in_ps(pid)


def _started_in_proc(pid: int) -> str | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # proc(5): after the name in parentheses come the state (field 3) and, as field 22, the start time.
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in {"Z", "X"} else fields[19]


def _started_in_ps(pid: int) -> str | None:
    listing = subprocess.run(
        ["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    state, _, started = listing.stdout.strip().partition(" ")
    return started.strip() if state and not state.startswith("Z") else None
