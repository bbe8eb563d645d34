"""`switchback audit` and `switchback status`: who changed what, the proof of it, and how the server is.

Counterparts: `/audit`, `/audit/head`, `/audit/verify`, `/audit/export` and `/status` of the admin API; audit_export.py, which
proves a file without a server.
"""

import os
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from proxy.cli.admin_client import LONG_TIMEOUT_SECONDS, AdminClient, Document, connect
from proxy.cli.admin_command import (
    AdminUrl,
    AsJson,
    Limit,
    PlainCommand,
    TokenFile,
    admin_command,
    example_text,
    failures_explained,
    new_group,
)
from proxy.cli.downloads import Output, save
from proxy.cli.failures import EXIT_FAILED
from proxy.cli.showing import Columns, Show, member, moment

commands = new_group(no_args_is_help=True, help="The audit log: every change by anyone.")
status_commands = new_group()


def _time(entry: Document) -> object:
    return moment("at_microseconds" if "at_microseconds" in entry else "at")(entry)


AUDIT: Columns = {
    "ENTRY": member("number"),
    "TIME": _time,
    "WHO": member("who"),
    "WHAT": member("what"),
    "SUBJECT": member("subject"),
    "WHY": member("why"),
}


@admin_command(commands, "list", "switchback audit list --limit 20")
def list_audit(api: AdminClient, show: Show, limit: Limit = 50) -> None:
    """List changes, newest first. With --json also what was before and after, and the hashes."""
    show.items(api.items("/audit", limit), AUDIT, "nothing was changed yet")


@admin_command(commands, "head", "switchback audit head --json")
def show_head(api: AdminClient, show: Show) -> None:
    """Print number and hash of the newest entry. Kept elsewhere, it proves later that nothing was rewritten."""
    head = api.get("/audit/head")
    show.document(head, f"{head.get('number')}:{head.get('hash')}")


@admin_command(commands, "export", "switchback audit export --output audit.jsonl")
def export_audit(api: AdminClient, show: Show, output: Output = None) -> None:
    """Write every entry as a line of JSON, oldest first. `audit verify --file` proves it anywhere.

    The rule, for a program of your own: `hash` is the SHA-256 in lower-case hex of the entry without `hash`, as JSON in UTF-8
    with sorted names, no spaces, nothing escaped that need not be and numbers as they stand there; `previous` is the hash of the line before, 64 zeros in
    the first; numbers begin at 1 and leave none out.
    """
    with api.download("/audit/export") as download:
        save(download, output, show)


@commands.command(
    "verify",
    cls=PlainCommand,
    epilog=example_text(
        "switchback audit verify --head 812:6b8f0c…", "switchback audit verify --file audit.jsonl --head 812:6b8f0c…"
    ),
)
def verify(
    head: Annotated[
        str | None, typer.Option(metavar="NUMBER:HASH", help="A head kept outside: the log must contain that entry.")
    ] = None,
    file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Prove this export, without a server; only the log itself.")
    ] = None,
    admin_url: AdminUrl = None,
    token_file: TokenFile = None,
    as_json: AsJson = False,
) -> None:
    """Prove the audit log and every row it speaks about: what was released, and rollouts, switches, caps, tokens, agents,
    protections and proposals as they are now. Exit code 1 if not.

    Least role: viewer.
    """
    with failures_explained(as_json):
        proof = _proof(head, file, admin_url, token_file)
        Show(as_json).document(proof, *proof_lines(proof))
    if not proof.get("ok"):
        raise typer.Exit(EXIT_FAILED)


def _proof(head: str | None, file: Path | None, admin_url: str | None, token_file: Path | None) -> Document:
    # Heavy: the rule of the chain, which only this verb needs on this side.
    from proxy.cli.audit_export import parse_head, verify_export  # noqa: PLC0415

    known = None if head is None else parse_head(head)
    if file is not None:
        return verify_export(file, known).document()
    api = connect(admin_url, token_file, os.environ)
    asked = None if known is None else {"head": f"{known.number}:{known.hash}"}
    return api.get("/audit/verify", asked, timeout_seconds=LONG_TIMEOUT_SECONDS)


def proof_lines(proof: Document) -> list[str]:
    """A verdict in words: of an export, or of the whole record, which names the row."""
    head = cast("Document", proof.get("head") or {})
    if proof.get("ok"):
        return [f"ok: {proof.get('entries')} entries hold, the head is {head.get('number')}:{head.get('hash')}"]
    broken: Any = proof.get("first_broken")
    if not isinstance(broken, dict):
        return [f"BROKEN at entry {broken}: {proof.get('reason')}"]
    row = cast("Document", broken)
    key = ", ".join(f"{name} {value}" for name, value in cast("Document", row.get("key") or {}).items())
    told_by = "" if row.get("entry") is None else f" (audit entry {row.get('entry')})"
    return [f"BROKEN: {row.get('table')} {key}: {row.get('reason')}{told_by}"]


@admin_command(status_commands, "status", "switchback status")
def show_status(api: AdminClient, show: Show) -> None:
    """Show how the server is: version, revision, store, queues."""
    show.fields(api.get("/status"))
