"""``fnkit invoke`` compiles functions in Go and Rust, and calls them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.builds import show_rust_toolchains
from tests.support.command import Command
from tests.support.toolchains import require_program

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

GO = """package shop

import (
	"fmt"
	"net/http"
	"os"
)

func Handle(w http.ResponseWriter, r *http.Request) {
	fmt.Println("called")
	if r.URL.Path == "/panic" {
		panic("no such order")
	}
	w.WriteHeader(201)
	fmt.Fprintf(w, "%s %s %s", r.Method, r.URL.Path, os.Getenv("LEVEL"))
}
"""
GO_MAIN = """package main

import (
	"fmt"
	"net/http"
	"os"
)

func Handle(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "served ", r.URL.Path) }

func main() {
	http.HandleFunc("/", Handle)
	http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), nil)
}
"""
RUST = """use axum::{body::Body, extract::Request, response::Response};

pub async fn handle(req: Request<Body>) -> Response<Body> {
    println!("called");
    let level = std::env::var("LEVEL").unwrap_or_default();
    let text = format!("{} {} {}", req.method(), req.uri().path(), level);
    Response::builder().status(201).body(Body::from(text)).unwrap()
}
"""
CARGO = (
    '[package]\nname = "shop"\nversion = "0.1.0"\nedition = "2021"\n\n[dependencies]\naxum = "0.8"\n'
    "\n[profile.release]\nopt-level = 0\n"
)


@pytest.fixture
def shop(project: Path) -> Path:
    settings = "".join(
        f'\n[[function]]\nname = "{name}"\npath = "{name}"\nruntime = "{runtime}"\nhandler = "{handler}"\n'
        'env = {LEVEL = "info"}\n'
        for name, runtime, handler in (("go", "go126", "Handle"), ("rust", "rust196", "handle"))
    )
    for path, text in {
        "fnkit.toml": f'name = "shop"\n{settings}',
        "go/go.mod": "module example.com/shop\n\ngo 1.21\n",
        "go/handler.go": GO,
        "rust/Cargo.toml": CARGO,
        "rust/src/lib.rs": RUST,
    }.items():
        (project / path).parent.mkdir(parents=True, exist_ok=True)
        (project / path).write_text(text)
    return project


@pytest.fixture
def fnkit(tmp_path: Path, fnkit: Command) -> Command:
    return Command({**fnkit.environment, "FNKIT_CACHE": str(tmp_path / "cache")})


def call(fnkit: Command, name: str, path: str = "/a") -> tuple[object, object, object]:
    """Return status, body and log lines of an invocation."""
    result = fnkit("invoke", name, "--path", path, "--json", timeout=600).json()
    return result["status"], result["body"], result["logs"]


def test_go_function_is_compiled_once_for_each_change(shop: Path, fnkit: Command) -> None:
    require_program("go")
    assert call(fnkit, "go") == (201, "GET /a info", ["called"])
    (shop / "go/handler.go").write_text(GO.replace("called", "changed"))
    assert call(fnkit, "go") == (201, "GET /a info", ["changed"])


@pytest.mark.usefixtures("shop")
def test_invocations_at_the_same_time_build_one_after_the_other(fnkit: Command) -> None:
    require_program("go")
    running = [fnkit.start("invoke", "go", "--json") for _ in range(3)]
    try:
        answers = [process.communicate(timeout=600) for process in running]
    finally:
        for process in running:
            process.kill()
    assert [process.returncode for process in running] == [0, 0, 0], answers


@pytest.mark.usefixtures("shop")
def test_panic_of_a_go_handler_is_its_response(fnkit: Command) -> None:
    require_program("go")
    status, _, logs = call(fnkit, "go", "/panic")
    assert status == 500
    assert isinstance(logs, list)
    assert any("no such order" in line for line in logs)


def test_compile_error_shows_the_place_and_a_hint(shop: Path, fnkit: Command) -> None:
    require_program("go")
    (shop / "go/handler.go").write_text(GO.replace("r *http.Request", "r http.Request"))
    failed = fnkit("invoke", "go", "--json", timeout=600)
    error = failed.json()["error"]
    assert (failed.code, error["code"]) == (1, "build-failed")
    assert "cannot use function.Handle" in error["message"]
    assert "The package must have the handler `func Handle" in error["hint"]


def test_main_package_is_served_over_http(shop: Path, fnkit: Command) -> None:
    require_program("go")
    (shop / "go/handler.go").write_text(GO_MAIN)
    result = fnkit("invoke", "go", "--path", "/b", timeout=600).ok()
    assert result.stdout == "served /b"
    assert "runs as a program that serves HTTP on $PORT" in result.stderr


def test_rust_function_is_compiled_once_for_each_change(shop: Path, fnkit: Command) -> None:
    require_program("cargo")
    show_rust_toolchains()
    assert call(fnkit, "rust") == (201, "GET /a info", ["called"])
    (shop / "rust/src/lib.rs").write_text(RUST.replace("called", "changed"))
    assert call(fnkit, "rust") == (201, "GET /a info", ["changed"])
    (shop / "rust/src/lib.rs").write_text(RUST.replace("Response::builder()", "Response::bilder()"))
    error = fnkit("invoke", "rust", "--json", timeout=600).json()["error"]
    assert error["code"] == "build-failed"
    assert "bilder" in error["message"]
