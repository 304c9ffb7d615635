"""Builds of functions in Rust by the real compiler, and what their worker answers."""

from __future__ import annotations

import json
import re
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.builds import UID, Builder
from tests.support.worker_process import WorkerProcess, running_worker

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

PROFILE = "[profile.release]\nopt-level = 0\n\n"
"""Without optimization: it takes half the time to compile."""
MANIFEST = f"""{PROFILE}[package]
name = "my-func"
version = "0.1.0"
edition = "2021"

[dependencies]
axum = "0.8"
"""
IMPORTS = "use axum::{body::Body, extract::Request, response::Response};\n\n"
HANDLER = (
    IMPORTS
    + """
pub async fn handler(req: Request<Body>) -> Response<Body> {
    let (head, body) = req.into_parts();
    match head.uri.path() {
        "/echo" => {
            let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
            let text = format!("{} {} {:?} {}", head.method, head.uri, head.headers, bytes.len());
            Response::new(Body::from(text))
        }
        "/headers" => Response::builder()
            .status(201)
            .header("set-cookie", "a=1")
            .header("set-cookie", "b=2")
            .header("connection", "close")
            .header("content-length", "3")
            .header("fnkit-request", "forged")
            .body(Body::from("created"))
            .unwrap(),
        "/empty" => Response::new(Body::empty()),
        "/panic" => panic!("boom"),
        "/task" => {
            let value = tokio_task().await;
            Response::new(Body::from(value))
        }
        "/bytes" => Response::new(Body::from(vec![0xff, 0xd8, 0])),
        _ => Response::builder().status(418).body(Body::empty()).unwrap(),
    }
}

async fn tokio_task() -> String {
    tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    tokio::spawn(async { "spawned".to_string() }).await.unwrap()
}
"""
)
ANSWER = IMPORTS + "pub async fn handler(_: Request) -> Response { Response::new(Body::from(TEXT)) }\n"
TEXT = 'const TEXT: &str = "hi";\n'


@pytest.fixture(scope="module")
def worker(rust_builder: Builder, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WorkerProcess]:
    manifest = MANIFEST + 'tokio = { version = "1", features = ["time", "rt"] }\n'
    program = rust_builder.build("Rust", "handler", {"Cargo.toml": manifest, "src/lib.rs": HANDLER}).program
    with running_worker(program, tmp_path_factory.mktemp("worker")) as running:
        assert running.first_line() == b'{"ready": true}\n'
        yield running


def answer_of(program: Path, folder: Path) -> bytes:
    with running_worker(program, folder) as worker:
        assert worker.first_line() == b'{"ready": true}\n'
        return worker.request().body


def test_handler_sees_the_request(worker: WorkerProcess) -> None:
    headers = "Host: f.localhost\r\nX-One: 1\r\n"
    response = worker.request("PUT", "/echo?q=%20x", b"x" * (6 << 20), headers)
    assert response.body.decode() == 'PUT /echo?q=%20x {"host": "f.localhost", "x-one": "1"} 6291456'
    assert [line.partition(":")[0] for line in response.lines] == ["content-length", "fnkit-request"]


def test_headers_are_those_of_the_handler_in_order(worker: WorkerProcess) -> None:
    response = worker.request(target="/headers")
    assert (response.status, response.body) == (201, b"created")
    assert response.lines[:3] == ["set-cookie: a=1", "set-cookie: b=2", "content-length: 7"]


@pytest.mark.parametrize(
    ("target", "status", "body"),
    [("/empty", 200, b""), ("/other", 418, b""), ("/task", 200, b"spawned"), ("/bytes", 200, b"\xff\xd8\x00")],
)
def test_response_is_that_of_the_handler(worker: WorkerProcess, target: str, status: int, body: bytes) -> None:
    response = worker.request(target=target)
    assert (response.status, response.body) == (status, body)


def test_panic_is_answered_and_the_process_lives(worker: WorkerProcess) -> None:
    response = worker.request(target="/panic")
    assert (response.status, response.body) == (500, b'Post "http://127.0.0.1:8081/": EOF')
    assert response.lines[0] == "fnkit-handler-panicked: 1"
    assert "boom" in worker.log
    assert "src/lib.rs:" in worker.log
    assert worker.request(target="/task").body == b"spawned"


def test_program_is_beside_the_sources_and_nothing_else(rust_builder: Builder, tmp_path: Path) -> None:
    result = rust_builder.build("Rust", "handler", {"Cargo.toml": MANIFEST, "src/lib.rs": ANSWER + TEXT})
    assert (stat.S_IMODE(result.program.stat().st_mode), result.program.stat().st_uid) == (0o755, UID)
    found = sorted(str(path.relative_to(result.directory)) for path in result.directory.rglob("*"))
    assert found == [".fnkit", ".fnkit/handler", "Cargo.toml", "src", "src/lib.rs"]
    with running_worker(result.program, tmp_path) as worker:
        assert worker.first_line() == b'{"ready": true}\n'
        assert worker.request().body == b"hi"
        assert worker.close() == 0


def test_older_axum_and_its_lock_are_kept(rust_builder: Builder, tmp_path: Path) -> None:
    manifest = MANIFEST.replace('axum = "0.8"', 'axum = "0.7"')
    first = rust_builder.build("Rust", "handler", {"Cargo.toml": manifest, "src/lib.rs": ANSWER + TEXT})
    assert answer_of(first.program, tmp_path) == b"hi"
    lock = next(rust_builder.cache.glob("crate-*")) / "Cargo.lock"
    assert 'name = "axum"\nversion = "0.7' in lock.read_text()


def test_versions_are_those_of_the_lock(rust_builder: Builder, tmp_path: Path) -> None:
    manifest = MANIFEST + 'itoa = "1"\n'
    folder = tmp_path / "project"
    (folder / "src").mkdir(parents=True)
    (folder / "Cargo.toml").write_text(manifest)
    (folder / "src/lib.rs").write_text(ANSWER + TEXT)
    for command in (["generate-lockfile"], ["update", "-p", "itoa", "--precise", "1.0.9"]):
        subprocess.run(["cargo", *command], cwd=folder, check=True, capture_output=True)
    lock = (folder / "Cargo.lock").read_text()
    files = {"Cargo.toml": manifest, "Cargo.lock": lock, "src/lib.rs": ANSWER + TEXT}
    result = rust_builder.build("Rust", "handler", files)
    assert answer_of(result.program, tmp_path) == b"hi"
    assert "Compiling itoa v1.0.9" in result.log
    generated = (next(rust_builder.cache.glob("crate-*")) / "Cargo.lock").read_text()
    missing = set(re.findall(r'name = "(.*)"\nversion = "(.*)"', lock)) - set(
        re.findall(r'name = "(.*)"\nversion = "(.*)"', generated)
    )
    assert missing == set()
    assert (result.directory / "Cargo.lock").read_text() == lock


def test_workspace_with_path_dependencies_and_another_program(rust_builder: Builder, tmp_path: Path) -> None:
    files = {
        "Cargo.toml": MANIFEST.replace('axum = "0.8"', "axum.workspace = true").replace(
            PROFILE, f'{PROFILE}panic = "abort"\n'
        )
        + 'words.path = "words"\n\n[workspace]\nmembers = ["words"]\n\n[workspace.dependencies]\naxum = "0.8"\n'
        + '[lib]\npath = "src/handler.rs"\n',
        "src/handler.rs": ANSWER + "use words::TEXT;\n",
        "src/bin/server.rs": "fn main() { does_not_compile }\n",
        "words/Cargo.toml": '[package]\nname = "words"\nversion = "0.0.1"\nedition = "2024"\n',
        "words/src/lib.rs": f"pub {TEXT}",
    }
    first = rust_builder.build("Rust", "handler", files)
    assert answer_of(first.program, tmp_path) == b"hi"
    files["src/handler.rs"] += "// changed\n"
    second = rust_builder.build("Rust", "handler", files)
    assert "Compiling my-func" in second.log
    assert "Compiling words" not in second.log
    member = {
        **files,
        "Cargo.toml": f'{PROFILE}[workspace]\nmembers = ["words", "fn"]\n',
        "fn/Cargo.toml": MANIFEST,
    }
    member["fn/src/lib.rs"] = ANSWER + TEXT
    assert answer_of(rust_builder.build("Rust", "fn/handler", member).program, tmp_path) == b"hi"


def test_package_without_library_is_built_as_a_server_with_a_warning(rust_builder: Builder) -> None:
    manifest = '[package]\nname = "served"\nversion = "0.1.0"\nedition = "2021"\n'
    files = {"Cargo.toml": manifest, "src/main.rs": 'fn main() { print!("started") }\n'}
    result = rust_builder.build("Rust", "handler", files)
    assert subprocess.run([result.program], capture_output=True, check=True).stdout == b"started"
    assert (result.directory / ".fnkit/http-server").exists()
    assert "serves HTTP on $PORT" in result.log


@pytest.mark.parametrize(
    ("changes", "error", "log"),
    [
        ({"Cargo.toml": ""}, "There is no Cargo.toml with a package", ""),
        ({"Cargo.toml": "[package"}, "Cargo.toml is not valid", ""),
        ({"src/lib.rs": ""}, "exit code 101", "hint: The library must have the handler"),
        ({"src/lib.rs": ANSWER.replace("pub ", "") + TEXT}, "exit code 101", "hint: The library must have"),
        ({"src/lib.rs": "pub fn handler() {}"}, "exit code 101", "hint: The library must have the handler"),
        ({"src/lib.rs": ANSWER}, "exit code 101", "--> src/lib.rs:3:"),
        ({"Cargo.toml": MANIFEST + 'fnkit-nothing-like-this = "1"\n'}, "exit code 101", "fnkit-nothing-like-this"),
    ],
    ids=["no-manifest", "invalid-manifest", "no-function", "private", "wrong-type", "undefined", "no-crate"],
)
def test_error_is_explained(rust_builder: Builder, changes: dict[str, str], error: str, log: str) -> None:
    files = {"Cargo.toml": MANIFEST, "src/lib.rs": ANSWER + TEXT, **changes}
    result = rust_builder.build(
        "Rust", "handler", {name: text for name, text in files.items() if text or "lib" in name}
    )
    assert error in result.error
    assert log in result.log
    assert "/build/" not in result.log
    assert not result.directory.exists()


HOSTILE_SCRIPT = """
use std::{env, fs, process::Command};
fn main() {
    let data = "DATA";
    let tries = [fs::read(format!("{data}/platform.json")).is_ok(), fs::read("/etc/shadow").is_ok(),
        fs::write("/usr/fnkit-was-here", "x").is_ok(), fs::read_dir(format!("{data}/logs")).is_ok()];
    let names: Vec<String> = env::vars().map(|(name, _)| name).filter(|name| name.contains("SECRET")).collect();
    println!("cargo::warning=reached {tries:?} {names:?}");
    Command::new("/bin/sh").arg("-c").arg("setsid sleep 97531 >/dev/null 2>&1 &").status().unwrap();
}
"""


def test_build_script_reaches_nothing_of_the_platform(
    rust_builder: Builder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCW_SECRET_KEY", "a secret")
    (rust_builder.folder / "platform.json").write_text("key")
    (rust_builder.folder / "logs").mkdir()
    script = HOSTILE_SCRIPT.replace("DATA", str(rust_builder.folder))
    files = {"Cargo.toml": MANIFEST, "src/lib.rs": ANSWER + TEXT, "build.rs": script}
    result = rust_builder.build("Rust", "handler", files)
    assert "reached [false, false, false, false] []" in result.log
    lines = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    assert not any(b"97531" in line for line in lines)
    assert json.dumps(result.error) == '""'
