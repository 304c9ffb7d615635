"""What applications answer, by production's rules; and what they answer where an isolation level differs, and why.

The code of each is in ``tests/projects/applications``. An answer without a reason to differ is the same everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

__all__ = ["APPLICATIONS", "Application", "Request"]


@dataclass(frozen=True, slots=True)
class Request:
    """A request to an application, and its answer.

    Attributes:
        answer: The body of the response, decoded if it is JSON.
        path: Path and query.
        body: The body. Without one, it is a GET.
        content_type: The type of the body.
        status: The status of the response.
        headers: Headers that the response has.
    """

    answer: object
    path: str = "/"
    body: str | None = None
    content_type: str = "text/plain"
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Application:
    """An application: a folder with a ``handler.handle``.

    Attributes:
        requests: Are sent to one instance, in order.
        differing: By isolation level, why its first answer differs there, and which it is. An answer of ``None``
            leaves the application out.
        variables: Its environment.
    """

    requests: tuple[Request, ...]
    differing: dict[str, tuple[str, object]] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)


def _answering(answer: object, **differing: tuple[str, object]) -> Application:
    return Application((Request(answer),), differing)


_NO_OWN_ROOT: Final = "the machine's files are seen, and this one would be changed"
_NO_SHARED_MEMORY: Final = (
    "locks and shared memory of multiprocessing are in /dev/shm, which belongs to the machine"
)
_NO_UNIX_SOCKETS: Final = "Unix sockets are refused: they would reach other processes"
_FORM: Final = (
    '--x\r\nContent-Disposition: form-data; name="title"\r\n\r\nA photo\r\n'
    '--x\r\nContent-Disposition: form-data; name="file"; filename="é.txt"\r\n'
    "Content-Type: text/plain\r\n\r\nline 1\r\nline 2\r\n--x--\r\n"
)

APPLICATIONS: Final[dict[str, Application]] = {
    "archives": _answering(["packed", None, ["report.txt"], ["report.txt"]]),
    "async_run": _answering([0, 2, 4]),
    "async_thread": Application((Request(["a"], body="a"), Request(["a", "b"], body="b"))),
    "base64_answer": Application(
        (
            Request(
                b"GIF89a\x01\x00\x01\x00\x80\x00\x00\xff\xff\xff\x00\x00\x00!\xf9\x04\x01\x00\x00\x00\x00,\x00\x00\x00\x00",
                status=201,
                headers={"Content-Type": "image/gif"},
            ),
        )
    ),
    "base64_body": Application((Request([True, "hello"], body="aGVsbG8="),)),
    "certificate_in_etc": _answering(
        ["redis_certificate.crt"],
        landlock=("only the instance's own directory can be written to", "PermissionError"),
        none=(_NO_OWN_ROOT, None),
    ),
    "certificate_store": _answering([True, True, True]),
    "chat_database": Application(
        (Request(["wal", ["hello"]], body="hello"), Request(["wal", ["hello", "again"]], body="again")),
        {
            "landlock": ("the instances of a function share its code", "unable to open database file"),
            "none": ("the instances of a function share its code, and must not write to it", None),
        },
    ),
    "child_python": _answering([0, "hello you\n", ""]),
    "child_timeout": _answering(["sleep", "600"]),
    "context_variables": Application((Request(["none", "1", "none", "none"], body="1"),)),
    "data_files": _answering(["Title", "Title", False]),
    "dataclass_answer": Application(
        (
            Request(
                {
                    "id": "00000000-0000-0000-0000-000000000001",
                    "total": "9.90",
                    "at": "2026-01-02 00:00:00",
                    "tags": ["a", "b"],
                },
                status=202,
                headers={"X-Kind": "order"},
            ),
        )
    ),
    "deleted_directory": _answering("no directory"),
    "environment_changes": Application((Request(["2", "2\n"]), Request(["3", "3\n"])), variables={"COUNT": "1"}),
    "exception": Application(
        (Request("An error occured during handler execution: order 7 is unknown\n", status=500),)
    ),
    "exit": Application(
        (
            Request("An error occured during handler execution: SystemExit: done\n", "/exit", status=500),
            Request("alive"),
        )
    ),
    "exit_functions": _answering(["exited", 4]),
    "file_locks": _answering(11),
    "file_modes": _answering(["0o750", "tool", "ran\n", 2, True]),
    "fixed_tmp": _answering("temporary", landlock=("/tmp belongs to the machine: use TMPDIR", "PermissionError")),
    "forked_child": _answering(["from the child", 7]),
    "generators": Application((Request("row 1\nrow 2\nrow 3", headers={"Content-Type": "text/csv"}),)),
    "home_cache": Application((Request([False, "1", True], body="1"), Request([True, "2", True], body="2"))),
    "host": _answering(
        [True, True, "Linux", True, True],
        landlock=("the host name is the machine's", [False, True, "Linux", True, True]),
        none=("the host name is the machine's", [False, True, "Linux", True, True]),
    ),
    "large_answer": _answering("0123456789abcdef" * 131072),
    "limits": _answering([True, True, 0]),
    "local_server": _answering("/local"),
    "log_configuration": _answering(
        [
            {"level": "INFO", "text": "order 7", "file": "handler.py"},
            {"level": "ERROR", "text": "failed", "file": "handler.py", "error": "ValueError: bad"},
        ]
    ),
    "log_queue": _answering("slow\n"),
    "log_stack": _answering(["INFO stack here", "Stack (most recent call last):", 1, False]),
    "mapped_file": _answering("hello"),
    "module_state": Application((Request([1, 1]), Request([2, 1]))),
    "multipart": Application(
        (
            Request(
                [["title", None, "A photo"], ["file", "é.txt", "line 1\r\nline 2"]],
                body=_FORM,
                content_type="multipart/form-data; boundary=x",
            ),
        )
    ),
    "package_imports": _answering([6, "shop.tax", "dependency", "handler", "shop"]),
    "pickled_objects": _answering([1, 2, 3, "handler"]),
    "prints": _answering(["utf-8", ""]),
    "process_files": _answering([True] * 6),
    "process_manager": _answering({"answer": 42}, landlock=(_NO_UNIX_SOCKETS, "EOFError")),
    "process_pool": _answering([0, 1, 4, 9], landlock=(_NO_SHARED_MEMORY, "PermissionError")),
    "process_spawn": _answering(
        [[1, 2, 0], ["handler", "handler"]],
        landlock=(_NO_SHARED_MEMORY, "PermissionError"),
    ),
    "query": Application((Request(["GET", "/a b", {"x": "2", "é": ""}], "/a%20b?x=1&x=2&%C3%A9="),)),
    "randomness": _answering([4, 4]),
    "reloaded_module": _answering([1, "second"]),
    "shell": _answering(["a\nb\n", 3, "given"]),
    "signals": _answering([15, "slow"]),
    "sqlite_tmp": _answering(["wal", 10]),
    "temporary_files": _answering(["named", [], False, "larger than memory"]),
    "text_encoding": Application((Request(["é", ["naïve ☃.txt"], "utf-8", "utf-8", "☃"], body="☃"),)),
    "thread_pool": _answering([36, True]),
    "time_zone": Application((Request(["14:00 CEST", "08:00", "21:00"]),), variables={"TZ": "Europe/Paris"}),
    "unix_socket": _answering("hello", landlock=(_NO_UNIX_SOCKETS, "PermissionError")),
    "user": _answering(
        [True, "app", "app", "/home/app"],
        landlock=("there are no accounts but those that the C library makes up", None),
        none=("the accounts are those of the machine", None),
    ),
    "wsgi": Application((Request("/form?a=1body", "/form?a=1", "body", status=203, headers={"X-Method": "POST"}),)),
    "written_beside_code": _answering(
        ["x", "x"],
        landlock=("the instances of a function share its code", ["PermissionError", "x"]),
        none=("the instances of a function share its code, and must not write to it", None),
    ),
}
