"""How the packages of functions in PHP are installed: by Composer, without running anything of the packages."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from fnkit.toolchains.build_step import BuildDirectories, BuildStep, Mirror

_OPTIONS: Final = (
    "install",
    "--no-dev",
    "--no-interaction",
    "--no-progress",
    "--no-scripts",
    "--no-plugins",
    "--prefer-dist",
    "--classmap-authoritative",
)
_READABLE: Final = ("/etc/php", "/etc/composer", "/var/lib/php/modules")


def install_step(build: BuildDirectories, php: str, composer: str, mirrors: tuple[Mirror, ...] = ()) -> BuildStep:
    """Return the run of Composer that installs what ``composer.json`` names in the source directory.

    Args:
        build: The directories of the build.
        php: The path of the interpreter.
        composer: The real path of Composer.
        mirrors: What is copied before.
    """
    return BuildStep(
        arguments=(php, composer, *_OPTIONS),
        directory=build.source,
        environment={"COMPOSER_NO_AUDIT": "1", "NO_COLOR": "1"},
        readable=(str(Path(composer).parent), *_READABLE),
        mirrors=mirrors,
    )
