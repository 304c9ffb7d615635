"""What reads text or bytes that strangers write: for each, what it may raise and what it usually gets."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fnkit.bundler.dependencies.lockfile import read_lock
from fnkit.bundler.files.ignore import parse_patterns
from fnkit.bundler.slices.module_imports import read_module_imports
from fnkit.contract.cron import CronSchedule
from fnkit.contract.invocation.event import parse_query
from fnkit.deploy.loading import load_project
from fnkit.errors import FnkitError
from fnkit.platform.brokers.config_file import read_brokers
from fnkit.platform.control.deployments.archive import unpack
from fnkit.platform.control.deployments.build_job import BuildJob, BuildLog
from fnkit.platform.control.timestamps import parse_expiry
from fnkit.platform.data_plane.gateway.tracing import parse_trace_context
from fnkit.platform.logql.parser import parse_query as parse_logql
from fnkit.project.dotenv import DotenvError, parse_dotenv
from tests.support.control_process import zip_archive

__all__ = ["PARSERS", "Parser"]


@dataclass(frozen=True)
class Parser:
    """A parser under attack.

    Attributes:
        parse: Reads an input. What it returns does not matter.
        allowed: What it may raise.
        seeds: Inputs that it accepts.
    """

    parse: Callable[[bytes], object]
    allowed: tuple[type[Exception], ...]
    seeds: tuple[bytes, ...]


@contextmanager
def _file(name: str, content: bytes) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, name)
        path.write_bytes(content)
        yield path


def _read_lock(content: bytes) -> None:
    with _file("fnkit.python311.linux.lock", content) as path:
        read_lock(path)


def _read_project(name: str) -> Callable[[bytes], None]:
    def read(content: bytes) -> None:
        with _file(name, content) as path:
            path.with_name("other.txt").touch()
            for other, text in _PROJECT.items():
                if other != name:
                    path.with_name(other).write_bytes(text)
            load_project(path.parent)

    return read


def _unpack(content: bytes) -> None:
    """Unpack an archive, and check that nothing was written outside of its directory."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder, "home")
        target = home / "deployment"
        target.mkdir(parents=True)
        job = BuildJob(
            runtime="python311",
            handler="handler.handle",
            archive=io.BytesIO(content),
            target=target,
            uid=0,
            log=BuildLog(home / "logs", 1, lambda: "2026-01-01T00:00:00.000000Z"),
            progress=lambda _step: None,
        )
        try:
            unpack(job, target)
        finally:
            written = {*Path(folder).iterdir(), *home.iterdir()} - {home, home / "logs", target}
            assert not written, f"written outside: {written}"


def _text(parse: Callable[[str], object]) -> Callable[[bytes], object]:
    return lambda content: parse(content.decode("utf-8", "surrogateescape"))


_PROJECT = {
    "pyproject.toml": b'[project]\nname = "shop"\nversion = "1"\n[tool.fnkit]\nnamespace = "shop"\n'
    b'[tool.fnkit.defaults]\nmemory = 256\nruntime = "python311"\nenv = { A = "${B}" }\n'
    b'[[tool.fnkit.function]]\nname = "other"\nhandler = "handler.hello"\nruntime = "python311"\nmin_scale = 1\n',
    "handler.py": b'from fnkit import cron, function, trigger\n\n@function(memory=256, env={"A": "b"})\n'
    b'def hello(event, context):\n    return {"statusCode": 200}\n\n@cron("*/5 * * * *", args={"a": [1, None]})\n'
    b'def tick(event, context):\n    return "x"\n\n@trigger(sqs="jobs")\ndef jobs(event, context): ...\n',
    "requirements.txt": b"requests>=2,<3 ; python_version > '3.8'\n-r other.txt\n"
    b"msgspec==0.18.6 \\\n  --hash=sha256:" + b"0" * 64 + b"\nidna~=3.4; sys_platform == 'linux'\n",
}
_LOCK = (
    b'[tool.fnkit]\nversion = 1\nruntime = "python311"\ntarget = "linux"\nkey = "' + b"0" * 64 + b'"\n'
    b'[[packages]]\nname = "six"\nversion = "1.16.0"\n[[packages.wheels]]\n'
    b'name = "six-1.16.0-py2.py3-none-any.whl"\n'
    b'url = "https://example.com/six-1.16.0-py2.py3-none-any.whl"\nhashes = { sha256 = "' + b"0" * 64 + b'" }\n'
)
_BROKERS = (
    b'[[nats]]\nurl = "nats://127.0.0.1:4222"\nproject = "11111111-1111-1111-1111-111111111111"\n'
    b'[[sqs]]\nendpoint = "http://127.0.0.1:4100"\n'
    b'access_key = "a"\nsecret_key = "${SECRET}"\nregion = "fr-par"\n'
)
_LINKED = zip_archive(
    {"handler.go": b"package x", "a/b/c.txt": b"x" * 1000, "é/ü": b"", "package/x.so": b"\x7fELF"}
)

PARSERS: dict[str, Parser] = {
    "archives": Parser(_unpack, (FnkitError,), (zip_archive(), _LINKED)),
    "locks": Parser(_read_lock, (FnkitError,), (_LOCK,)),
    "settings": Parser(_read_project("pyproject.toml"), (FnkitError,), (_PROJECT["pyproject.toml"],)),
    "handlers": Parser(_read_project("handler.py"), (FnkitError,), (_PROJECT["handler.py"],)),
    "requirements": Parser(_read_project("requirements.txt"), (FnkitError,), (_PROJECT["requirements.txt"],)),
    "imports": Parser(
        read_module_imports, (FnkitError,), (_PROJECT["handler.py"], b"import a.b as c, d\nfrom . import e\n")
    ),
    "ignore files": Parser(
        _text(lambda text: parse_patterns(text.splitlines(), ".fnkitignore")),
        (FnkitError,),
        (b"*.pyc\n!keep/\n/a/**/b\n",),
    ),
    ".env files": Parser(_text(parse_dotenv), (DotenvError,), (b"A=b\nexport C='d e'\nF=\"g\\n${A}\"\n# x\n",)),
    "brokers.toml": Parser(
        _text(lambda text: read_brokers(text, "brokers.toml", {"SECRET": "x"})), (FnkitError,), (_BROKERS,)
    ),
    "LogQL": Parser(
        _text(parse_logql),
        (FnkitError,),
        (
            b'{id="a", stream=~"std.*"} |= `x` | json a="b.c[0]" | line_format "{{.a}}" | a > 1.5KB or b != "c"',
            b'sum by (level) (rate({a="b", c!="d"} | logfmt | unwrap duration(d) [5m] offset 1h)) / 2 > bool 1',
            b'topk(3, quantile_over_time(0.9, {a="b"} | regexp "(?P<x>.)" | unwrap x [1m])) or vector(1)',
        ),
    ),
    "cron schedules": Parser(
        _text(CronSchedule.parse),
        (FnkitError, ValueError),
        (b"*/5 0-23/2 1,15 JAN-DEC MON", b"0 9 * * 1-5", b"0 0 29 2 *"),
    ),
    "query strings": Parser(
        lambda content: parse_query(content.decode("latin-1")), (), (b"a=b&c=%20+d&e&=f&a=%FF", b"x[]=1&x[]=2;y=3")
    ),
    "trace contexts": Parser(
        lambda content: parse_trace_context([(b"traceparent", content), (b"tracestate", content[::-1])]),
        (),
        (b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",),
    ),
    "times": Parser(
        _text(lambda text: parse_expiry("expires_at", text)),
        (FnkitError,),
        (b"2026-01-01T00:00:00.123456789+02:00",),
    ),
}


def check(name: str, content: bytes) -> str:
    """Parse an input and return how that ended.

    Raises:
        AssertionError: It raised what it must not raise.
    """
    parser = PARSERS[name]
    try:
        parser.parse(content)
    except parser.allowed:
        return "refused"
    except Exception as error:
        raise AssertionError(f"{name}: {error!r} for {content[:500]!r}") from error
    return "accepted"
