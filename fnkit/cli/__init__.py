"""The command line. A command parses arguments, calls the library, and passes the result to a view.

To add a command, take ``scan`` as the example:

1. Add a line to ``app.VERBS``: the verb, the path of its function, and the one-line help that ``fnkit --help``
   shows without importing the module. A test checks that this line equals the first line of the docstring.
2. Define a command in ``commands/scan.py``, and examples for its help in ``examples``. ``@common_options`` passes
   ``common`` (``CommonOptions``: directory, stage, output); ``@output_options`` is for commands without a project.
   Commands that call an API add ``@api_options`` and receive ``api`` (``ApiOptions``). Import heavy modules inside
   the function, so that ``fnkit --help`` stays fast. ::

       @command()
       @common_options
       @click.option("--import", "import_modules", is_flag=True, help="…")
       def scan(common: CommonOptions, *, import_modules: bool) -> int | None:
           \"\"\"Show the functions and problems of the project.\"\"\"
           from fnkit.deploy.loading import load_project

           loaded = load_project(common.directory, stage=common.stage, import_modules=import_modules)
           common.output.result(ScanView(loaded))
           return 2 if loaded.problems else None

   The return value is the exit code; ``None`` means 0.
3. Define a frozen view in ``views/scan.py`` with ``to_json()`` (the keys documented in ``docs/cli.md``) and
   ``render(console)`` (a rich console without markup and wrapping). A command calls ``output.result(view)``
   once; ``output.message``, ``warning``, ``detail`` and ``progress`` write to stderr.
4. Raise failures as ``FnkitError``; ``errors`` renders them in one place. Nothing else prints, and nothing
   calls ``sys.exit``.
"""

from __future__ import annotations

import sys
from typing import Final

__all__ = ["main"]

_INTERRUPTED: Final = 130


def main() -> int:
    """Run the command line and return the exit code of the process (``docs/cli.md``, Exit codes)."""
    arguments = sys.argv[1:]
    if arguments == ["--version"]:
        # Handled before click is imported: scripts run `fnkit --version` often, and click takes most of the time.
        from fnkit import __version__

        sys.stdout.write(f"fnkit {__version__}\n")
        return 0
    try:
        from fnkit.cli.app import run
    except KeyboardInterrupt:  # pressed before anything began
        return _INTERRUPTED

    return run(arguments)
