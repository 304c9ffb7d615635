"""The command line: arguments in, views out.

How to write a verb, with ``scan`` as the worked example:

1. One line in ``application.VERBS``: the verb, its module, and the one-line help that ``fnkit --help`` shows
   without importing the module. The line equals the first line of the command's docstring (a test holds them).
2. ``commands/scan.py`` defines a click command named as the verb. ``@common_options`` gives it ``common``
   (``CommonOptions``: directory, stage, output); verbs that talk to an API add ``@api_options`` and get
   ``api`` (``ApiOptions``). Heavy imports stand inside the function: ``fnkit --help`` must stay light. ::

       @click.command()
       @common_options
       @click.option("--import", "import_modules", is_flag=True, help="…")
       def scan(common: CommonOptions, *, import_modules: bool) -> int | None:
           \"\"\"Show what the project declares, with every problem.\"\"\"
           from fnkit.deploy.loading import load_project

           loaded = load_project(common.directory, stage=common.stage, import_modules=import_modules)
           common.output.result(ScanView(loaded))
           return 2 if loaded.problems else None

   It returns its exit code; ``None`` is 0.
3. ``views/scan.py`` defines a frozen value with ``to_json()`` (the keys of ``docs/cli.md``) and
   ``render(console)`` (a rich console that takes no markup and wraps nothing). A verb calls
   ``output.result(view)`` once; ``output.message``, ``warning``, ``detail`` and ``progress`` go to stderr.
4. What goes wrong is raised as an ``FnkitError`` and rendered once, by ``failures``. Nothing else prints, and
   nothing calls ``sys.exit``.
"""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> int:
    """Run the command line; return the process's exit code (decision 16)."""
    arguments = sys.argv[1:]
    if arguments == ["--version"]:
        # Answered before click is imported: scripts ask for the version and nothing else.
        from fnkit import __version__

        sys.stdout.write(f"fnkit {__version__}\n")
        return 0
    from fnkit.cli.application import run

    return run(arguments)
