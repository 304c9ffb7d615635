"""All native cases of a language as one program, which is built once: the path of a request names the case."""

from __future__ import annotations

from typing import Final

from tests.support.language_case import HANDLERS, LanguageCase
from tests.support.language_cases import cases_of

__all__ = ["combined_files", "path_of"]

_GO: Final = """package handler

import "net/http"

func Handle(w http.ResponseWriter, r *http.Request) {{
	switch r.URL.Path {{
{branches}	}}
}}
"""
_RUST: Final = """{modules}
use axum::{{body::Body, extract::Request, response::Response}};

pub async fn handle(request: Request<Body>) -> Response<Body> {{
    let path = request.uri().path().to_owned();
    match path.as_str() {{
{branches}        _ => Response::new(Body::empty()),
    }}
}}
"""


def path_of(case: LanguageCase, language: str) -> str:
    """Return the path of requests for a case."""
    return f"/{cases_of(language).index(case)}"


def combined_files(language: str) -> dict[str, str]:
    """Return the files of the program."""
    files: dict[str, str] = {}
    cases = cases_of(language)
    for number, case in enumerate(cases):
        for path, text in case.files(language).items():
            if text != case.sources[language]:
                files[path] = text
            elif language == "go":
                files[f"case{number}.go"] = text.replace(f"func {HANDLERS['go']}(", f"func case{number}(")
            else:
                files[f"src/case{number}.rs"] = text
    numbers = range(len(cases))
    if language == "go":
        branches = "".join(f'\tcase "/{number}":\n\t\tcase{number}(w, r)\n' for number in numbers)
        return {**files, "handler.go": _GO.format(branches=branches)}
    modules = "\n".join(f"mod case{number};" for number in numbers)
    branches = "".join(f'        "/{number}" => case{number}::handle(request).await,\n' for number in numbers)
    return {**files, "src/lib.rs": _RUST.format(modules=modules, branches=branches)}
