"""Arguments of the resolver are shown step by step, at the requirement that is concerned, however long they are."""

from __future__ import annotations

from pathlib import Path

from fnkit.bundler.dependencies.resolution_failures import explain_failure
from fnkit.bundler.dependencies.resolver import ResolutionRequest
from fnkit.bundler.target import BundleTarget
from fnkit.errors import BundleError
from fnkit.project.model import SourceLocation

_START = "error: No solution found when resolving dependencies\n  cause: Because "
_UNSATISFIABLE = "you require alpha>=2 and beta<1, we can conclude that your requirements are unsatisfiable.\n"
_CONCLUSION = f"         And because {_UNSATISFIABLE}"


def step(number: int) -> str:
    """Return one step of an argument as uv prints it, with a list of versions."""
    listed = "".join(f"             beta=={version}.0\n" for version in range(10, 10 + number))
    return (
        f"alpha=={number}.0 depends on beta=={number + 9}.0, we can conclude that all of:\n{listed}"
        "         are needed.\n\n         And because "
    )


def explained(stderr: str) -> BundleError:
    request = ResolutionRequest(
        root=Path("/project"),
        target=BundleTarget.scaleway("python311"),
        requirements=("alpha>=2", "beta<1"),
        requirement_sources=(
            SourceLocation("pyproject.toml", 5, 3, 13),
            SourceLocation("pyproject.toml", 6, 3, 11),
        ),
        requirements_file="pyproject.toml",
        preferred=(),
        source_builds=(),
        upgrade=False,
    )
    return explain_failure(stderr, request)


def test_short_argument_has_a_line_for_each_step() -> None:
    first = "alpha==2.0 depends on beta==1.0 and you require alpha>=2, we can conclude that you require beta==1.0"
    error = explained(f"{_START}{first}.\n{_CONCLUSION}")
    assert error.code == "requirements-conflict"
    assert error.message.splitlines() == [
        "The requirements conflict for Python 3.11 on musllinux_1_2_x86_64:",
        f"  Because {first}",
        f"  And because {_UNSATISFIABLE.strip()}",
    ]


def test_long_argument_keeps_its_first_step_and_its_conclusion() -> None:
    steps = [step(number) for number in range(1, 400)]
    error = explained(_START + "".join(steps).removesuffix("\n\n         And because ") + "\n" + _CONCLUSION)
    assert error.code == "requirements-conflict"
    lines = error.message.splitlines()
    assert lines[1].startswith("  Because alpha==1.0 depends on beta==10.0")
    assert lines[2] == "  … (398 more steps) …"
    assert lines[3].startswith("  And because you require alpha>=2 and beta<1")
    assert len(error.message) < 1000


def test_error_is_at_the_first_requirement_concerned_and_names_all() -> None:
    error = explained(_START + _UNSATISFIABLE)
    assert (error.file, error.line, error.column, error.end_column) == ("pyproject.toml", 5, 3, 13)
    assert error.hint == "Relax one of them: alpha>=2 (pyproject.toml:5), beta<1 (pyproject.toml:6)."
    assert "\n" not in error.message


def test_long_list_of_versions_keeps_its_ends() -> None:
    versions = "\n".join(f"             beta=={number}.0" for number in range(30))
    error = explained(f"{_START}all of:\n{versions}\n         are missing and {_UNSATISFIABLE}")
    assert "all of: beta==0.0, beta==1.0, … beta==29.0 are missing" in error.message
