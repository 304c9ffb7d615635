"""Handlers of functions in settings, by language: layouts that work are accepted, mistakes are reported."""

from __future__ import annotations

from pathlib import Path

import pytest

from fnkit.project.languages.node import may_export
from tests.support.project_tree import build_files, problems_of

GO = 'package app\n\nimport "net/http"\n\nfunc Handle(w http.ResponseWriter, r *http.Request) {}\n'
GO_PROGRAM = "package main\n\nfunc main() {}\n"
RUST = "pub async fn handle(request: Request<Body>) -> Response<Body> { todo!() }\n"


def settings(runtime: str, handler: str = "", **more: str) -> str:
    lines = ['name = "shop"', "[[function]]", 'name = "web"', f'runtime = "{runtime}"']
    lines += [f'handler = "{handler}"'] if handler else []
    lines += [f'{key} = "{value}"' for key, value in more.items()]
    return "\n".join(lines)


@pytest.mark.parametrize(
    "source",
    [
        "exports.handle = async (event) => 1",
        "module.exports.handle = handle",
        "module.exports = { other, handle }",
        "module.exports = { handle: main }",
        "module.exports = { ...require('./a') }",
        "module.exports = require('./a')",
        "const api = module.exports = {}; api.handle = () => 1",
        "exports['handle'] = 1",
        "exports[name] = 1",
        "export async function handle(event, context) {}",
        "export function* handle() {}",
        "export const a = 1,\n  handle = () => 2",
        "const handle = 1\nexport { a, handle }",
        "export { main as handle }",
        "export * from './a.js'",
        "export { handle } from './a.js'",
        "export default { handle }",
        "var c = {}\n__export(c, { handle: () => handle })\nmodule.exports = __toCommonJS(c)",
        'Object.defineProperty(exports, "handle", { get: function () { return a.handle } })',
        '"use strict";\n__exportStar(require("./a"), exports)',
        "(function (factory) { factory(exports) })(function (e) { e.handle = 1 })",
        "Object.assign(module.exports, require('./a'))",
        f"exports.a=1;{'x' * 6000}",
        "this.handle = 1",
    ],
)
def test_node_file_that_may_export_the_handler_is_accepted(tmp_path: Path, source: str) -> None:
    assert problems_of(tmp_path, {"fnkit.toml": settings("node24"), "handler.js": source}) == ()


@pytest.mark.parametrize(
    "source",
    [
        "",
        "function handle(event) {}",
        "function handle() {}\nexports.handler = handle",
        "export function handler() {}",
        "export { handle as handler } from 'x'; export { run }".replace("handle as", "main as"),
        '"use strict";\nObject.defineProperty(exports, "__esModule", { value: true });\nexports.run = run;',
        "module.exports = { handler }",
    ],
)
def test_node_file_without_the_export_is_reported(tmp_path: Path, source: str) -> None:
    (problem,) = problems_of(tmp_path, {"fnkit.toml": settings("node24"), "handler.js": source})
    assert problem.message == "web: handler.js does not export handle."
    assert problem.hint is not None


@pytest.mark.parametrize(
    ("handler", "file"),
    [
        ("ImageTransform.handle", "ImageTransform.js"),
        ("src/A.handle", "src/A.mjs"),
        ("src.handle", "src/index.js"),
        ("src/a.handle", "src/a.ts"),
        ("a.handle", "a.cjs"),
    ],
)
def test_node_files_are_found_by_every_suffix(tmp_path: Path, handler: str, file: str) -> None:
    files = {"fnkit.toml": settings("node22", handler), file: "export const handle = () => 1"}
    assert problems_of(tmp_path, files) == ()


def test_hostile_source_is_searched_in_linear_time() -> None:
    # In quadratic time each of these would take hours, and the test its whole timeout.
    for piece in ("export {", "exports = {", "export const ", "\n", "(", "exports", "/*", "export default "):
        may_export(piece * (200_000 // len(piece)), "handle")


@pytest.mark.parametrize(
    ("source", "accepted"),
    [
        ("<?php\nfunction handle($event, $context) {}", True),
        ("<?php\nfunction &Handle ($event) {}", True),
        ("<?php\nrequire 'more.php';", True),
        ("<?php\nnamespace A { class B {} }\nnamespace { function handle($e, $c) {} }", True),
        ("<?php\nnamespace App;\nrequire __DIR__ . '/vendor/autoload.php';\nfunction handle($e) {}", True),
        ("<?php\nfunction other($event) {}", False),
        ("<?php\nnamespace App;\nfunction handle($event) {}", False),
    ],
)
def test_php_function_must_be_global(tmp_path: Path, source: str, *, accepted: bool) -> None:
    found = problems_of(tmp_path, {"fnkit.toml": settings("php85"), "handler.php": source})
    assert [one.code for one in found] == ([] if accepted else ["handler-missing"])


@pytest.mark.parametrize(
    ("handler", "files", "notes"),
    [
        ("Handle", {"go.mod": "", "a.go": GO}, 0),
        ("Handle", {"go.mod": "", "a.go": GO, "test/main.go": GO_PROGRAM, "cmd/main.go": GO_PROGRAM}, 0),
        ("Handle", {"go.mod": "", "main.go": GO}, 0),
        ("Handle", {"go.mod": "", "a.go": GO, "tool.go": f"//go:build ignore\n{GO_PROGRAM}"}, 0),
        ("Handle", {"go.mod": "", "a.go": "package a\nvar Handle = wrap(handle)\n"}, 0),
        ("Handle", {"go.mod": "", "a.go": "/*\npackage main\n*/\npackage a\nfunc Handle[T any]() {}\n"}, 0),
        ("api/Handle", {"api/go.mod": "", "api/a.go": GO}, 0),
        ("Handle", {"go.mod": "", "a.go": GO_PROGRAM + "func Handle() {}\n"}, 1),
        (".", {"go.mod": "", "main.go": GO_PROGRAM}, 1),
        ("cmd/server", {"go.mod": "", "cmd/server/main.go": GO_PROGRAM}, 1),
    ],
)
def test_go_layouts_are_accepted(tmp_path: Path, handler: str, files: dict[str, str], notes: int) -> None:
    project = build_files(tmp_path, {"fnkit.toml": settings("go126", handler), **files})
    assert len(project.functions[0].notes) == notes
    assert all("Scaleway's builder was seen to refuse" in note for note in project.functions[0].notes)


@pytest.mark.parametrize(
    ("handler", "files", "message"),
    [
        ("Handle", {"a.go": GO}, "web: there is no file go.mod."),
        (
            "Handle",
            {"go.mod": "", "a.go": "package a\nfunc handle() {}\n"},
            "web: no .go file in . declares Handle.",
        ),
        ("Handle", {"go.mod": "", "a_test.go": GO}, "web: no .go file in . declares Handle."),
        (
            "Handle",
            {"go.mod": "", "a.go": "package main\nfunc Handle() {}\n"},
            "web: Handle in . is in the package main, whose functions cannot be imported.",
        ),
        ("handle", {"go.mod": "", "a.go": GO}, "web: handle is not a valid Go handler."),
        (".", {"go.mod": "", "a.go": GO}, "web: . has no go.mod and package main."),
        ("../x/Handle", {"go.mod": "", "a.go": GO}, "web: '../x/Handle' is not a valid Go handler."),
    ],
)
def test_go_mistakes_are_reported(tmp_path: Path, handler: str, files: dict[str, str], message: str) -> None:
    (problem,) = problems_of(tmp_path, {"fnkit.toml": settings("go126", handler), **files})
    assert problem.message == message


@pytest.mark.parametrize(
    ("handler", "files", "notes"),
    [
        ("handle", {"Cargo.toml": "", "src/lib.rs": RUST}, 0),
        ("handle", {"Cargo.toml": "", "src/lib.rs": RUST, "src/main.rs": "fn main() {}"}, 0),
        ("handle", {"Cargo.toml": "", "src/lib.rs": "mod api;\npub use api::{handle, other};\n"}, 0),
        ("handle", {"Cargo.toml": "", "src/lib.rs": "mod api;\npub use api::*;\n"}, 0),
        ("handle", {"Cargo.toml": "", "src/lib.rs": "pub fn handle() -> impl Future<Output = R> {}\n"}, 0),
        ("handle", {"Cargo.toml": "", "src/lib.rs": "handlers! {\n  handle\n}\n"}, 0),
        (
            "api/handle",
            {"Cargo.toml": '[workspace]\nmembers = ["api"]', "api/Cargo.toml": "", "api/src/lib.rs": RUST},
            0,
        ),
        (".", {"Cargo.toml": "", "src/main.rs": "fn main() {}"}, 1),
        ("handle", {"Cargo.toml": "", "src/main.rs": "fn main() {}"}, 1),
        ("server", {"server/Cargo.toml": "[[bin]]\nname = 'a'\npath = 'a.rs'", "server/a.rs": ""}, 1),
    ],
)
def test_rust_layouts_are_accepted(tmp_path: Path, handler: str, files: dict[str, str], notes: int) -> None:
    project = build_files(tmp_path, {"fnkit.toml": settings("rust196", handler), **files})
    assert len(project.functions[0].notes) == notes


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            {"Cargo.toml": "", "src/lib.rs": "async fn handle() {}"},
            "the function handle in src/lib.rs is not public",
        ),
        (
            {"Cargo.toml": "", "src/lib.rs": "pub(crate) async fn handle() {}"},
            "the function handle in src/lib.rs is not public",
        ),
        ({"Cargo.toml": "", "src/lib.rs": "pub fn handle() {}"}, "the function handle in src/lib.rs is not async"),
        (
            {"Cargo.toml": "", "src/lib.rs": "pub async fn other() {}"},
            "src/lib.rs neither declares nor re-exports a function handle",
        ),
        ({"Cargo.toml": ""}, "there is no file src/lib.rs"),
        ({"src/lib.rs": RUST}, "there is no file Cargo.toml"),
    ],
)
def test_rust_mistakes_are_reported(tmp_path: Path, files: dict[str, str], message: str) -> None:
    (problem,) = problems_of(tmp_path, {"fnkit.toml": settings("rust196"), **files})
    assert problem.message == f"web: {message}."


@pytest.mark.parametrize("path", ["web", "./web", "web/", "web//.", "./web/./"])
def test_path_has_one_form(tmp_path: Path, path: str) -> None:
    files = {"fnkit.toml": settings("node24", path=path), "web/handler.js": "exports.handle = 1"}
    assert [one.root for one in build_files(tmp_path, files).functions] == ["web"]


def test_files_that_a_build_makes_need_not_exist(tmp_path: Path) -> None:
    table = settings("node24", "dist/app.handle", build="npm run build", build_output="dist")
    (function,) = build_files(tmp_path, {"fnkit.toml": table}).functions
    assert function.build is not None
    assert (function.build.command, function.build.inputs, function.build.output) == ("npm run build", (), "dist")
    (problem,) = problems_of(tmp_path, {"fnkit.toml": table.replace("dist/app", "other/app")})
    assert problem.code == "handler-missing"


@pytest.mark.parametrize(
    "defaults",
    ['[defaults]\nruntime = "node24"\n', '[stages.prod.defaults]\nruntime = "node24"\n'],
)
def test_default_runtime_may_be_of_another_language_without_decorated_handlers(
    tmp_path: Path, defaults: str
) -> None:
    table = f'name = "shop"\n{defaults}[[function]]\nname = "web"\n'
    files = {"fnkit.toml": table, "handler.js": "exports.handle = 1"}
    assert [one.runtime for one in build_files(tmp_path, files, stage="prod").functions] == ["node24"]
    assert problems_of(tmp_path, {**files, "fnkit.toml": table.replace("node24", "python313")}, stage="prod")


def test_settings_file_alone_is_a_project_of_another_language(tmp_path: Path) -> None:
    files = {
        "fnkit.toml": settings("node24"),
        "handler.js": "export const handle = () => 1",
        "requirements.txt": "-e ./no-python-requirement",
    }
    project = build_files(tmp_path, files, available=frozenset({"node24"}))
    assert (project.requirements, project.requirements_file) == ((), None)
