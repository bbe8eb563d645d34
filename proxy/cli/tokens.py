"""`switchback tokens`: who may use the admin API, as what, and until when.

A token's text is shown once and to standard output only, alone on its line, so that it can go straight into a file or a secret
store. Counterpart: `/tokens` of the admin API.
"""

from typing import Annotated

import typer

from proxy.cli.admin_client import AdminClient, segment
from proxy.cli.admin_command import NO_REASON, Limit, Why, admin_command, new_group
from proxy.cli.showing import Columns, Show, member, moment, note

commands = new_group(no_args_is_help=True, help="Tokens of the admin API: create, list, revoke. Needs the role admin.")

TOKENS: Columns = {
    "TOKEN": member("id"),
    "NAME": member("name"),
    "ROLE": member("role"),
    "CREATED": moment("created_at"),
    "BY": member("created_by"),
    "REVOKED": moment("revoked_at"),
}


def register(app: typer.Typer) -> None:
    """Add `tokens` to the command."""
    app.add_typer(commands, name="tokens")


@admin_command(
    commands,
    "create",
    "switchback tokens create ann --role operator > ann.token",
    'switchback tokens create ci --role author --why "sync from the main branch"',
)
def create_token(
    api: AdminClient,
    show: Show,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Whose it is; the audit log calls its owner so.")],
    role: Annotated[str, typer.Option(metavar="ROLE", help="viewer, operator, author or admin.")],
    why: Why = NO_REASON,
) -> None:
    """Make a token and print it. It cannot be shown again; a name may have several, to replace one without a gap.

    viewer reads; operator moves labels and rules rollouts, switches and caps; author makes agents and versions; admin may
    do everything.
    """
    made = api.post("/tokens", {"name": name, "role": role, "why": why})
    show.document(made, str(made.get("token")))
    if not show.as_json:
        note(f"token {made.get('id')} of {made.get('name')}, role {made.get('role')}: keep it, it is not shown again")


@admin_command(commands, "list", "switchback tokens list")
def list_tokens(api: AdminClient, show: Show, limit: Limit = 1000) -> None:
    """List tokens, newest first, with those that are revoked; never what they are."""
    show.items(api.items("/tokens", limit), TOKENS, "no tokens but the first one, in the file the server made")


@admin_command(commands, "revoke", 'switchback tokens revoke tok_06AWX3 --why "left the team"')
def revoke_token(
    api: AdminClient,
    show: Show,
    token: Annotated[str, typer.Argument(metavar="TOKEN", help="Id of the token, as `list` shows it.")],
    why: Why = NO_REASON,
) -> None:
    """End a token: the next request with it is refused."""
    ended = api.delete(f"/tokens/{segment(token)}", why)
    show.document(ended, f"token {token} of {ended.get('name')} is revoked")
