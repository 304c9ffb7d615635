"""Builds of functions in Go by the real compiler."""

from __future__ import annotations

import dataclasses
import shutil
import stat
import subprocess
import threading
from pathlib import Path

import pytest

from fnkit.platform.control.deployments.build import build
from fnkit.platform.control.deployments.build_job import BuildStopped
from tests.support.builds import UID, Builder, stop_later
from tests.support.worker_process import running_worker

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

MODULE = "module example.com/hello\n\ngo 1.21\n"


def handler(text: str, *, package: str = "hello", imports: str = "") -> str:
    return (
        f'package {package}\n\nimport (\n\t"io"\n\t"net/http"\n{imports})\n\n'
        f"func Handle(w http.ResponseWriter, r *http.Request) {{ io.WriteString(w, {text}) }}\n"
    )


def answer_of(program: Path, folder: Path) -> bytes:
    with running_worker(program, folder) as worker:
        assert worker.first_line() == b'{"ready": true}\n'
        return worker.request().body


def test_program_is_beside_the_sources_and_nothing_else(go_builder: Builder) -> None:
    result = go_builder.build("Go", "Handle", {"go.mod": MODULE, "handler.go": handler('"hi"')})
    assert stat.S_IMODE(result.program.stat().st_mode) == 0o755
    assert result.program.stat().st_uid == UID
    found = sorted(str(path.relative_to(result.directory)) for path in result.directory.rglob("*"))
    assert found == [".fnkit", ".fnkit/handler", "go.mod", "handler.go"]
    assert (result.directory / "go.mod").read_text() == MODULE
    assert [path.name for path in result.directory.parent.iterdir() if path.name.startswith(".")] == []
    assert go_builder.steps[-3:][0].startswith("step 1 of 3")


@pytest.mark.parametrize(
    ("name", "files"),
    [
        ("Handle", {"go.mod": 'module "my.func"\n\ngo 1.21\n', "main.go": handler('"hi"', package="anything")}),
        (
            "Handle",
            {
                "go.mod": MODULE,
                "handler.go": handler("internal.Text()", imports='\t"example.com/hello/internal"\n'),
                "internal/text.go": 'package internal\n\nfunc Text() string { return "hi" }\n',
                "cmd/main.go": 'package main\n\nimport _ "github.com/nobody/nothing"\n\nfunc main() {}\n',
                "test/main.go": "package main\n\nfunc main() {}\n",
                "handler_test.go": "package hello_test\n",
                "tool.go": "//go:build ignore\n\npackage main\n\nfunc main() {}\n",
            },
        ),
        ("sub/Handle", {"sub/go.mod": MODULE, "sub/handler.go": handler('"hi"')}),
        ("sub/deep/Handle", {"go.mod": MODULE, "sub/deep/handler.go": handler('"hi"')}),
        (
            "Handle",
            {
                "go.mod": MODULE + "require example.com/lib v0.0.0\nreplace example.com/lib => ./lib\n",
                "lib/go.mod": "module example.com/lib\n",
                "lib/lib.go": 'package lib\n\nconst Text = "hi"\n',
                "handler.go": handler("lib.Text", imports='\t"example.com/lib"\n'),
            },
        ),
        (
            "Handle",
            {
                "go.mod": MODULE + "require example.com/lib v1.0.0\n",
                "vendor/modules.txt": "# example.com/lib v1.0.0\n## explicit\nexample.com/lib\n",
                "vendor/example.com/lib/lib.go": 'package lib\n\nconst Text = "hi"\n',
                "handler.go": handler("lib.Text", imports='\t"example.com/lib"\n'),
            },
        ),
        (
            "fn/Handle",
            {
                "go.work": "go 1.21\n\nuse ./fn\nuse ./lib\n",
                "fn/go.mod": MODULE,
                "lib/go.mod": "module example.com/lib\n\ngo 1.21\n",
                "lib/lib.go": 'package lib\n\nconst Text = "hi"\n',
                "fn/handler.go": handler("lib.Text", imports='\t"example.com/lib"\n'),
            },
        ),
        (
            "Handle",
            {
                "go.mod": MODULE,
                "text.txt": "hi",
                "handler.go": handler("text", imports='\t_ "embed"\n') + "\n//go:embed text.txt\nvar text string\n",
            },
        ),
    ],
    ids=["quoted-module", "other-packages", "sub-module", "sub-package", "replace", "vendor", "workspace", "embed"],
)
def test_project_is_built_as_it_stands(
    go_builder: Builder, tmp_path: Path, name: str, files: dict[str, str]
) -> None:
    assert answer_of(go_builder.build("Go", name, files).program, tmp_path) == b"hi"


def test_c_code_is_compiled(go_builder: Builder, tmp_path: Path) -> None:
    if shutil.which("cc") is None:
        pytest.skip("no C compiler")
    source = (
        'package hello\n\n// static int six() { return 6; }\nimport "C"\n\nimport (\n\t"fmt"\n\t"net/http"\n)\n\n'
    )
    source += "func Handle(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, C.six()) }\n"
    result = go_builder.build("Go", "Handle", {"go.mod": MODULE, "handler.go": source})
    assert answer_of(result.program, tmp_path) == b"6"


def test_main_package_is_built_as_a_server_with_a_warning(go_builder: Builder) -> None:
    source = 'package main\n\nimport "fmt"\n\nfunc main() { fmt.Print("started") }\n'
    result = go_builder.build("Go", "Handle", {"go.mod": MODULE, "main.go": source})
    assert subprocess.run([result.program], capture_output=True, check=True).stdout == b"started"
    assert (result.directory / ".fnkit/http-server").exists()
    assert "serves HTTP on $PORT" in result.log


@pytest.mark.parametrize(
    ("name", "files", "error", "log"),
    [
        ("Handle", {"handler.go": handler('"hi"')}, "There is no go.mod", ""),
        ("handle", {"go.mod": MODULE}, "it must be the name of an exported function", ""),
        ("../Handle", {"go.mod": MODULE}, "is not valid", ""),
        ("sub/Handle", {"go.mod": MODULE}, "The folder sub of the handler is not in the archive.", ""),
        ("Other", {"go.mod": MODULE, "a.go": handler('"hi"')}, "exit code 1", "handler `func Other("),
        (
            "Handle",
            {"go.mod": MODULE, "a.go": "package hello\n\nfunc Handle(name string) {}\n"},
            "exit code 1",
            "hint: The package must have the handler",
        ),
        (
            "Handle",
            {"go.mod": MODULE, "a.go": handler("unknown")},
            "exit code 1",
            "./a.go:8:73: undefined: unknown",
        ),
        ("Handle", {"go.mod": MODULE, "a.go": "package hello\n\nfunc {"}, "exit code 1", "a.go:3:6: syntax error"),
        (
            "Handle",
            {"go.mod": "module hello\n\ngo 1.99\n", "a.go": handler('"hi"')},
            "exit code 1",
            "hint: go.mod asks for a later Go",
        ),
        (
            "Handle",
            {"go.mod": MODULE, "a.go": handler("x.Y", imports='\t"example.invalid/x"\n')},
            "exit code 1",
            "example.invalid/x",
        ),
    ],
    ids=["no-module", "not-exported", "outside", "no-folder", "no-function", "wrong-type", "undefined", "syntax",
         "version", "unreachable"],
)  # fmt: skip
def test_error_is_explained(go_builder: Builder, name: str, files: dict[str, str], error: str, log: str) -> None:
    result = go_builder.build("Go", name, files)
    assert error in result.error
    assert log in result.log
    assert str(go_builder.folder) not in result.log
    assert "/build/" not in result.log
    assert not result.directory.exists()


def test_build_that_is_stopped_leaves_nothing(go_builder: Builder) -> None:
    job = go_builder.job("Go", "Handle", {"go.mod": MODULE, "handler.go": handler('"never"')})
    scratch = job.target.with_name(f".{job.target.name}.scratch")
    job = dataclasses.replace(job, stop=threading.Event())
    thread = stop_later(job, scratch.exists)
    with pytest.raises(BuildStopped):
        build(job)
    thread.join()
    assert not scratch.exists()
    assert not job.target.exists()


def test_rebuild_does_not_download_again(go_builder: Builder, tmp_path: Path) -> None:
    files = {
        "go.mod": MODULE + "require rsc.io/quote v1.5.2\n",
        "handler.go": handler("quote.Glass()", imports='\t"rsc.io/quote"\n'),
    }
    first = go_builder.build("Go", "Handle", files)
    assert b"glass" in answer_of(first.program, tmp_path)
    files["handler.go"] = handler('"again " + quote.Glass()', imports='\t"rsc.io/quote"\n')
    second = go_builder.build("Go", "Handle", files)
    assert b"again" in answer_of(second.program, tmp_path)
    assert "downloading" not in second.log


def test_builds_of_one_function_use_its_cache_one_after_the_other(go_builder: Builder, tmp_path: Path) -> None:
    """A superseded build may not have ended when the next one begins."""
    one = go_builder.job("Go", "Handle", {"go.mod": MODULE, "handler.go": handler('"one"')})
    two = go_builder.job("Go", "Handle", {"go.mod": MODULE, "handler.go": handler('"two"')})
    threads = [threading.Thread(target=build, args=(job,)) for job in (one, two)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answer_of(one.target / ".fnkit/handler", tmp_path) == b"one"
    assert answer_of(two.target / ".fnkit/handler", tmp_path) == b"two"


def test_caches_of_functions_begin_with_the_same_library(go_builder: Builder) -> None:
    files = {"go.mod": MODULE, "handler.go": handler('"hi"')}
    go_builder.build("Go", "Handle", files)  # so that it is there
    other = go_builder.build("Go", "Handle", files, cache=go_builder.cache.with_name("other-function"))
    assert not other.error
    assert "standard library" not in other.log


def test_cache_that_became_a_link_is_replaced(go_builder: Builder, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    link = go_builder.cache.with_name("linked")
    link.symlink_to(outside)
    files = {"Cargo.toml": "", "go.mod": "module hello\n", "handler.go": "package hello\n\nfunc {"}
    result = go_builder.build("Go", "Handle", files, cache=link)
    assert "syntax error" in result.log
    assert not link.is_symlink()
    assert list(outside.iterdir()) == []
