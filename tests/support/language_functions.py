"""Functions that say where they run: one for each language, and one in Go with a ``main`` of its own."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

__all__ = ["ANSWER", "FUNCTIONS", "LanguageFunction"]

_GO_MODULE: Final = "module handler\n\ngo 1.21\n"
_GO_IMPORTS: Final = 'import (\n\t"encoding/json"\n\t"fmt"\n\t"io"\n\t"net/http"\n\t"os"\n)\n\n'
_CARGO: Final = (
    '[package]\nname = "handler"\nversion = "0.1.0"\nedition = "2021"\n\n[dependencies]\naxum = "0.8"\n'
    "\n[profile.release]\nopt-level = 0\n"
)


@dataclass(frozen=True)
class LanguageFunction:
    """A function that answers with its user, its directory, the variable ``GREETING``, and the request's body.

    Attributes:
        language: Its language.
        handler: Its handler.
        files: Its files.
        own_layer: The directory of its code that is a layer of its own; empty for none.
    """

    language: str
    handler: str
    files: dict[str, str] = field(repr=False)
    own_layer: str = ""


FUNCTIONS: Final = {
    "node": LanguageFunction(
        "Node",
        "handler.handle",
        {
            "handler.js": "const { word } = require('dep');\nexports.handle = (event) => { console.log('called');\n"
            "  return {statusCode: 201, body: [process.getuid(), process.cwd(), process.env.GREETING, event.body,\n"
            "    word]}; };\n",
            "node_modules/dep/index.js": "exports.word = 'vendored';\n",
        },
        "node_modules",
    ),
    "php": LanguageFunction(
        "PHP",
        "handler.handle",
        {
            "handler.php": "<?php\nrequire __DIR__ . '/vendor/dep.php';\nfunction handle($event) {\n"
            '  echo "called\\n";\n  return ["statusCode" => 201, "body" => [posix_getuid(), getcwd(),\n'
            '    getenv("GREETING"), mb_substr($event["body"], 0), word()]]; }\n',
            "vendor/dep.php": "<?php\nfunction word() { return 'vendored'; }\n",
        },
        "vendor",
    ),
    "go": LanguageFunction(
        "Go",
        "Handle",
        {
            "go.mod": _GO_MODULE,
            "handler.go": f"package handler\n\n{_GO_IMPORTS}"
            "func Handle(w http.ResponseWriter, r *http.Request) {\n\tbody, _ := io.ReadAll(r.Body)\n"
            '\tfolder, _ := os.Getwd()\n\tfmt.Println("called")\n\tw.WriteHeader(201)\n'
            "\tgreeting := os.Getenv(`GREETING`)\n"
            "\tjson.NewEncoder(w).Encode([]any{os.Getuid(), folder, greeting, string(body), `vendored`})\n}\n",
        },
    ),
    "go-main": LanguageFunction(
        "Go",
        "Handle",
        {
            "go.mod": _GO_MODULE,
            "main.go": f"package main\n\n{_GO_IMPORTS}"
            "func main() {\n\thttp.HandleFunc(`/`, func(w http.ResponseWriter, r *http.Request) {\n"
            "\t\tbody, _ := io.ReadAll(r.Body)\n\t\tfolder, _ := os.Getwd()\n"
            '\t\tfmt.Println("called")\n\t\tw.WriteHeader(201)\n'
            "\t\tjson.NewEncoder(w).Encode([]any{os.Getuid(), folder, os.Getenv(`GREETING`), string(body), "
            "`vendored`})\n\t})\n\thttp.ListenAndServe(`127.0.0.1:`+os.Getenv(`PORT`), nil)\n}\n",
        },
    ),
    "rust": LanguageFunction(
        "Rust",
        "handle",
        {
            "Cargo.toml": _CARGO,
            "src/lib.rs": "use axum::{body::Body, extract::Request, response::Response};\n"
            "use std::os::unix::fs::MetadataExt;\n\n"
            "pub async fn handle(request: Request<Body>) -> Response<Body> {\n"
            "    let body = axum::body::to_bytes(request.into_body(), usize::MAX).await.unwrap();\n"
            '    let user = std::fs::metadata("/proc/self").unwrap().uid();\n'
            '    println!("called");\n'
            "    let folder = std::env::current_dir().unwrap();\n"
            '    let text = format!("[{}, {:?}, {:?}, {:?}, \\"vendored\\"]", user, folder,\n'
            '        std::env::var("GREETING").unwrap(), String::from_utf8_lossy(&body));\n'
            "    Response::builder().status(201).body(Body::from(text)).unwrap()\n}\n",
        },
    ),
}

ANSWER: Final = [1000, "/home/app", "hei", "é", "vendored"]
"""What each of them answers in an image, with the status 201, if ``GREETING`` is ``hei`` and the body ``é``."""
