"""``fnkit token``: create, list, delete."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

import click

from fnkit.cli.app import LazyGroup
from fnkit.cli.completion import complete_functions
from fnkit.cli.help import command
from fnkit.cli.options import ApiOptions, CommonOptions, api_options, common_options

TOKEN_VERBS: Final[dict[str, tuple[str, str]]] = {
    "create": (f"{__name__}:create", "Create a token, and print it once."),
    "list": (f"{__name__}:list_tokens", "List the tokens of the project."),
    "delete": (f"{__name__}:delete", "Delete a token."),
}
_DAYS: Final = re.compile(r"(\d{1,5})d")


@click.group(cls=LazyGroup, verbs=TOKEN_VERBS)
def token() -> None:
    """Manage tokens, which open private functions."""


def _parse_expiry(_context: click.Context, _option: click.Parameter, text: str | None) -> datetime | None:
    """Parse ``--expires``, as a click callback: a duration from now, or a time.

    Raises:
        click.BadParameter: The text is neither, or the time is past.
    """
    if text is None:
        return None
    from fnkit.contract.durations import parse_duration

    now = datetime.now(UTC)
    days = _DAYS.fullmatch(text.strip())
    seconds = timedelta(days=int(days[1])).total_seconds() if days else parse_duration(text)
    try:
        at = now + timedelta(seconds=seconds) if seconds is not None else datetime.fromisoformat(text.strip())
    except (ValueError, OverflowError):
        raise click.BadParameter(f"{text!r} is neither a duration such as 12h or 30d, nor a time.") from None
    at = at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
    if at <= now:
        raise click.BadParameter(f"{text!r} is in the past.")
    return at


@command()
@click.argument("name", required=False, shell_complete=complete_functions)
@click.option(
    "--expires",
    metavar="WHEN",
    callback=_parse_expiry,
    help="Expiry: a duration such as 12h or 30d, or a time such as 2027-01-31.  [default: never]",
)
@click.option("--description", metavar="TEXT", default="", help="What the token is for.")
@api_options
@common_options
def create(
    common: CommonOptions, api: ApiOptions, *, name: str | None, expires: datetime | None, description: str
) -> None:
    """Create a token, and print it once.

    The token opens the private function NAME; without NAME, all private functions of the project's namespace.
    Callers send it in the header X-Auth-Token. It cannot be shown again.
    """
    from fnkit.cli.endpoints import open_api
    from fnkit.cli.views.token import NewTokenView
    from fnkit.deploy.access_tokens import create_access_token
    from fnkit.deploy.deployed import read_deployed_namespace

    expires_at = expires.strftime("%Y-%m-%dT%H:%M:%SZ") if expires is not None else None
    with open_api(common, api) as (client, identity), common.output.progress("Creating the token"):
        deployed = read_deployed_namespace(client, identity.namespace)
        created = create_access_token(
            client, deployed, function=name, description=description, expires_at=expires_at
        )
    if name is not None and deployed.find_function(name).privacy != "private":
        common.output.warning(f"{name} is public: it answers without a token too.")
    until = f"until {created.token.expires_at}" if created.token.expires_at else "until it is deleted"
    common.output.message(
        f"Token {created.token.id} opens {created.scope} {until}. It is shown only now; "
        "send it in the header X-Auth-Token:"
    )
    common.output.result(NewTokenView(created))


@command()
@api_options
@common_options
def list_tokens(common: CommonOptions, api: ApiOptions) -> None:
    """List the tokens of the project."""
    from fnkit.cli.endpoints import open_api
    from fnkit.cli.views.token import TokensView
    from fnkit.deploy.access_tokens import list_access_tokens
    from fnkit.deploy.deployed import read_deployed_namespace

    with open_api(common, api) as (client, identity):
        found = list_access_tokens(client, read_deployed_namespace(client, identity.namespace))
    common.output.result(TokensView(found, datetime.now(UTC)))


@command()
@click.argument("token_id", metavar="ID")
@api_options
@common_options
def delete(common: CommonOptions, api: ApiOptions, *, token_id: str) -> None:
    """Delete a token.

    ID is the ID that `fnkit token list` shows. Functions reject the token from then on.
    """
    from fnkit.cli.endpoints import open_api
    from fnkit.cli.views.token import DeletedTokenView
    from fnkit.deploy.access_tokens import delete_access_token
    from fnkit.deploy.deployed import read_deployed_namespace

    with open_api(common, api) as (client, identity):
        deleted = delete_access_token(client, read_deployed_namespace(client, identity.namespace), token_id)
    common.output.result(DeletedTokenView(deleted))
