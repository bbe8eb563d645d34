"""`switchback tokens`: who may use the admin API, as what, and until when.

A token's text is told once: in a new file that only its owner can read, or on standard output, alone on its line, so that it can
go straight into a secret store. Counterpart: `/tokens` of the admin API.
"""

import os
from pathlib import Path
from typing import IO, Annotated

import typer

from proxy.cli.admin_client import AdminClient, segment
from proxy.cli.admin_command import NO_REASON, Limit, Why, admin_command, new_group
from proxy.cli.failures import EXIT_CHANGED, EXIT_USAGE, CommandFailed
from proxy.cli.short_ids import by_id
from proxy.cli.showing import Columns, Show, member, moment, shown_value
from proxy.cli.telling import note
from proxy.cli.times import time_from_now

commands = new_group(no_args_is_help=True, help="Tokens of the admin API: create, list, revoke.")

TOKENS: Columns = {
    "TOKEN": member("id"),
    "NAME": member("name"),
    "ROLE": member("role"),
    "CREATED": moment("created_at"),
    "BY": member("created_by"),
    "LAST USED": moment("last_used_at"),
    "EXPIRES": moment("expires_at"),
    "REVOKED": moment("revoked_at"),
}


def register(app: typer.Typer) -> None:
    """Add `tokens` to the command."""
    app.add_typer(commands, name="tokens")


@admin_command(
    commands,
    "create",
    "switchback tokens create ann --role operator --expires 90d --output ann.token",
    'switchback tokens create ci --role author --why "sync from the main branch"',
    role="admin",
)
def create_token(
    api: AdminClient,
    show: Show,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Whose it is; the audit log calls its owner so.")],
    role: Annotated[str, typer.Option(metavar="ROLE", help="viewer, operator, author or admin.")],
    expires: Annotated[
        str | None,
        typer.Option(metavar="90d|TIME", help="Refused after this span, or from this RFC 3339 time on [never]."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A new file for it, which only you can read [printed].")
    ] = None,
    why: Why = NO_REASON,
) -> None:
    """Make a token and print it, or keep it in a file. It cannot be shown again; a name may have several, to replace one
    without a gap.

    viewer reads; operator moves labels and rules rollouts, switches and caps; author makes agents and versions, and proposes moves;
    admin may do everything.
    """
    kept = None if output is None else _private_file(output)
    try:
        until = {} if expires is None else {"expires": time_from_now(expires)}
        made = api.post("/tokens", {"name": name, "role": role, "why": why, **until})
    except CommandFailed as failed:
        if kept is not None and output is not None:
            kept.close()
            output.unlink()
        if failed.exit_code != EXIT_CHANGED:
            raise
        problem = f"{failed.message}; its text is lost: revoke it, and create another"
        raise CommandFailed(problem, EXIT_CHANGED, status=failed.status) from None
    if kept is None:
        show.document(made, str(made.get("token")))
    else:
        with kept:
            kept.write(f"{made.pop('token', '')}\n")
        show.document(made, f"the token is in {output}")
    if not show.as_json:
        until = f", until {shown_value(moment('expires_at')(made))}" if made.get("expires_at") else ""
        note(
            f"token {made.get('id')} of {made.get('name')}, role {made.get('role')}{until}: keep it, it is not shown again"
        )


def _private_file(path: Path) -> IO[str]:
    """A new file that only its owner may read, made before there is a secret that could be lost. Raises CommandFailed."""
    try:
        return os.fdopen(
            os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "w", encoding="ascii"
        )
    except OSError as error:
        raise CommandFailed(f"{path} cannot be made: {(error.strerror or 'not a file').lower()}", EXIT_USAGE) from None


@admin_command(commands, "list", "switchback tokens list", role="admin")
def list_tokens(api: AdminClient, show: Show, limit: Limit = 1000) -> None:
    """List tokens, newest first, with those that are revoked; never what they are. When each was last used is known to the
    minute."""
    none = "no tokens but the first one, in the file the server made"
    show.items(api.items("/tokens", limit), TOKENS, none, spare=(("BY",), ("CREATED",)), short="id")


@admin_command(commands, "revoke", 'switchback tokens revoke tok_06AWX3 --why "left the team"', role="admin")
def revoke_token(
    api: AdminClient,
    show: Show,
    token: Annotated[str, typer.Argument(metavar="TOKEN", help="Id of the token, as `list` shows it.")],
    why: Why = NO_REASON,
) -> None:
    """End a token: the next request with it is refused."""
    ended = by_id(api, "/tokens", token, lambda one: api.delete(f"/tokens/{segment(one)}", why))
    show.document(ended, f"token {token} of {ended.get('name')} is revoked")
