"""``fnkit explain``: explain an error code."""

from __future__ import annotations

import click

from fnkit.cli.completion import complete_error_codes
from fnkit.cli.help import command
from fnkit.cli.options import CommonOptions, output_options


@command()
@click.argument("code", required=False, shell_complete=complete_error_codes)
@output_options
def explain(common: CommonOptions, *, code: str | None) -> None:
    """Explain an error code.

    CODE is what an error shows in brackets, as in error[bad-schedule]. Without CODE, list all codes. This works
    offline.
    """
    from fnkit.cli.error_table import error_explanations, explain_error
    from fnkit.cli.views.explain import ErrorCodesView, ErrorExplanationView

    if code is None:
        common.output.result(ErrorCodesView(tuple(error_explanations().values())))
    else:
        common.output.result(ErrorExplanationView(explain_error(code)))
