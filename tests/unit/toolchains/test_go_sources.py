"""What is read of a function's Go files before the compiler sees them."""

from __future__ import annotations

from pathlib import Path

import pytest

from fnkit.toolchains.build_step import InvalidSource
from fnkit.toolchains.go import find_module, is_main_package

LARGE = 4_000_000


@pytest.mark.parametrize(
    ("texts", "is_program"),
    [
        (["package main\n"], True),
        (["// package other\n/* package other */ package main; func main() {}"], True),
        (["\ufeff\n\n/* a\n*//**/package main"], True),
        (["package main", "package hello"], False),
        (["package hello", "//go:build ignore\n\npackage main"], False),
        (["package hello", "// +build ignore\n\npackage main"], False),
        (["package mainly"], False),
        (["/* package main"], False),
        ([""], False),
        ([], False),
    ],
)
def test_main_package_is_recognized(tmp_path: Path, texts: list[str], *, is_program: bool) -> None:
    for number, text in enumerate(texts):
        (tmp_path / f"file{number}.go").write_text(text)
    (tmp_path / "file_test.go").write_text("package hello_test")
    assert is_main_package(tmp_path) is is_program


@pytest.mark.slow
@pytest.mark.parametrize("text", ["/*" * (LARGE // 2), "\n" * LARGE, "//" * (LARGE // 2), "/**/" * (LARGE // 4)])
def test_hostile_file_is_read_in_time_that_grows_with_its_size(tmp_path: Path, text: str) -> None:
    (tmp_path / "file.go").write_text(text)
    (tmp_path / "go.mod").write_text(text)
    assert not is_main_package(tmp_path)
    with pytest.raises(InvalidSource) as failure:
        find_module(tmp_path, tmp_path)
    assert "There is no go.mod" in str(failure.value)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("module a.b/c\n", "a.b/c"),
        ('// x\nmodule "a" // y\n', "a"),
        ("go 1.21\n\tmodule `a/b`\n", "a/b"),
    ],
)
def test_module_path_is_read(tmp_path: Path, text: str, path: str) -> None:
    (tmp_path / "go.mod").write_text(text)
    (tmp_path / "inner/deep").mkdir(parents=True)
    module = find_module(tmp_path, tmp_path / "inner/deep")
    assert (module.path, module.package_path) == (path, f"{path}/inner/deep")
