"""The environment an archive is built for: Python version, machine and C library."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from packaging.tags import Tag, compatible_tags, cpython_tags

from fnkit.contract.runtimes import find_runtime, python_version
from fnkit.errors import BundleError

_MACHINES = {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "aarch64", "arm64": "aarch64"}
_MUSLLINUX_MINORS = (2, 1)
"""musllinux minors that Scaleway's images load: they are Alpine, which has musl 1.2 since version 3.13."""
_NEWEST_GLIBC_MINOR = 28
"""uv resolves ``*-linux-gnu`` as manylinux_2_28; wheel tags and resolver must agree."""
_LEGACY_MANYLINUX = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}
_NEWEST_MACOS = 13
_DESCRIPTION_PARTS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleTarget:
    """One runtime on one kind of machine.

    Attributes:
        python: (major, minor) of the interpreter that runs the code; ``None`` for other languages.
        platforms: Wheel platform tags, the most specific first.
        uv_platform: The same platform as a ``--python-platform`` value of uv.
    """

    runtime: str
    language: str
    python: tuple[int, int] | None
    platforms: tuple[str, ...]
    uv_platform: str

    @classmethod
    def scaleway(cls, runtime: str) -> BundleTarget:
        """Return the target of Scaleway's image of a runtime: Alpine on x86-64.

        Raises:
            BundleError: ``unknown-runtime``.
        """
        return cls._linux(runtime, python_version(runtime), "x86_64", "musl")

    @classmethod
    def parse(cls, runtime: str, description: str) -> BundleTarget:
        """Parse the description that a local platform gives of a runtime: ``cpython-3.11-x86_64-linux-gnu``.

        Raises:
            BundleError: ``unknown-runtime``, or ``unknown-target`` for a description in another form.
        """
        parts = description.split("-")
        if len(parts) == _DESCRIPTION_PARTS - 1:
            # Systems other than Linux have one C library, and where nothing of the archive is compiled for it, the
            # platform names none.
            parts.append("" if parts[0] == "cpython" else "gnu")
        if len(parts) != _DESCRIPTION_PARTS or (parts[0] == "cpython" and parts[1].count(".") < 1):
            raise _unknown_target_error(runtime, description)
        implementation, version, machine_name, system, libc = parts
        machine = _MACHINES.get(machine_name.lower())
        if machine is None:
            raise _unknown_target_error(runtime, description)
        python: tuple[int, int] | None = None
        if implementation == "cpython":
            major, minor, *_ = version.split(".")
            if not (major.isdecimal() and minor.isdecimal()):
                raise _unknown_target_error(runtime, description)
            python = int(major), int(minor)
        if system in ("darwin", "macos"):
            return cls._darwin(runtime, python, machine)
        if system != "linux" or libc not in ("gnu", "musl"):
            raise _unknown_target_error(runtime, description)
        return cls._linux(runtime, python, machine, libc)

    @classmethod
    def _linux(cls, runtime: str, python: tuple[int, int] | None, machine: str, libc: str) -> BundleTarget:
        platforms = _musllinux_tags(machine) if libc == "musl" else _manylinux_tags(machine)
        return cls(
            runtime=runtime,
            language=_runtime_language(runtime),
            python=python,
            platforms=tuple(platforms),
            uv_platform=f"{machine}-unknown-linux-{libc}",
        )

    @classmethod
    def _darwin(cls, runtime: str, python: tuple[int, int] | None, machine: str) -> BundleTarget:
        name = "arm64" if machine == "aarch64" else "x86_64"
        newest_first = [f"macosx_{major}_0_{name}" for major in range(_NEWEST_MACOS, 10, -1)]
        if name == "x86_64":
            newest_first += [f"macosx_10_{minor}_x86_64" for minor in range(15, 8, -1)]
        universal = [tag.replace(f"_{name}", "_universal2") for tag in newest_first]
        return cls(
            runtime=runtime,
            language=_runtime_language(runtime),
            python=python,
            platforms=(*newest_first, *universal),
            uv_platform=f"{machine}-apple-darwin",
        )

    @property
    def platform(self) -> str:
        """The most specific platform tag, for example ``musllinux_1_2_x86_64``."""
        return self.platforms[0]

    @property
    def glibc_uv_platform(self) -> str | None:
        """The ``uv_platform`` of the same machine with glibc; ``None`` if this target is not musl."""
        return self.uv_platform.replace("-musl", "-gnu") if self.uv_platform.endswith("-musl") else None

    @property
    def python_name(self) -> str:
        """``3.13``; empty for other languages."""
        return "" if self.python is None else f"{self.python[0]}.{self.python[1]}"

    def tags(self) -> Iterator[Tag]:
        """Yield the wheel tags that this target accepts, the best first; none for other languages than Python."""
        if self.python is None:
            return
        interpreter = f"cp{self.python[0]}{self.python[1]}"
        yield from cpython_tags(self.python, platforms=self.platforms)
        yield from compatible_tags(self.python, interpreter, self.platforms)


def _musllinux_tags(machine: str) -> list[str]:
    return [f"musllinux_1_{minor}_{machine}" for minor in _MUSLLINUX_MINORS]


def _manylinux_tags(machine: str) -> list[str]:
    oldest = 5 if machine == "x86_64" else 17  # manylinux1 (PEP 513); manylinux2014 for other machines (PEP 599)
    platforms: list[str] = []
    for minor in range(_NEWEST_GLIBC_MINOR, oldest - 1, -1):
        platforms.append(f"manylinux_2_{minor}_{machine}")
        if minor in _LEGACY_MANYLINUX:
            platforms.append(f"{_LEGACY_MANYLINUX[minor]}_{machine}")
    return [*platforms, f"linux_{machine}"]


def _runtime_language(runtime: str) -> str:
    row = find_runtime(runtime)
    if row is None:
        raise BundleError(
            f"There is no runtime {runtime!r}.",
            code="unknown-runtime",
            hint="Use a runtime that the platform lists, for example python313.",
        )
    return row.language.lower()


def _unknown_target_error(runtime: str, description: str) -> BundleError:
    return BundleError(
        f"The platform describes {runtime} as {description!r}, which this version of fnkit does not support.",
        code="unknown-target",
        hint="Use the same version of fnkit for the platform and for deploying.",
    )
