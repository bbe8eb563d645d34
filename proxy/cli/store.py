"""`switchback store`: backups of the database, looking through one, putting one in place.

`backup` asks a running server (`GET /store/backup`); `check` and `restore` work on files while no server has them
(proxy/store_files.py).
"""

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from proxy.cli.admin_client import LONG_TIMEOUT_SECONDS, AdminClient
from proxy.cli.admin_command import (
    NO_REASON,
    AsJson,
    PlainCommand,
    Why,
    admin_command,
    example_text,
    failures_explained,
    new_group,
)
from proxy.cli.audit import proof_lines
from proxy.cli.failures import EXIT_CONFLICT, EXIT_FAILED, EXIT_USAGE, CommandFailed
from proxy.cli.showing import Show
from proxy.cli.telling import note

commands = new_group(no_args_is_help=True, help="The database: backup, check, restore, compact.")

Config = Annotated[
    Path | None,
    typer.Option("--config", "-c", metavar="FILE", help="Settings of the server whose store it is (YAML)."),
]


@admin_command(commands, "backup", "switchback store backup /backups/switchback-monday.db", role="admin")
def backup(
    api: AdminClient,
    show: Show,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to; must not exist yet.")],
) -> None:
    """Write one moment of the whole database into FILE while the server runs, and print the audit head it has.

    Kept apart from the backup, the head proves later that nothing in it was rewritten: `switchback store check FILE`.
    """
    if file.exists():
        raise CommandFailed(f"{file} is there already; name another file", EXIT_USAGE)
    unfinished = file.with_name(f"{file.name}.part")
    try:
        with api.download("/store/backup", timeout_seconds=LONG_TIMEOUT_SECONDS) as download:
            descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
            with os.fdopen(descriptor, "wb") as target:
                size = sum(target.write(piece) for piece in download.pieces)
                target.flush()
                os.fsync(target.fileno())
        if size != download.count:
            raise CommandFailed(f"{size} of {download.count} bytes arrived; what there is, is in {unfinished}")
        unfinished.rename(file)
    except OSError as error:
        raise CommandFailed(f"{file}: cannot be written: {error.strerror}") from None
    head = download.audit_head
    show.document(
        {"file": str(file), "size_bytes": size, "audit_head": head},
        f"wrote {size} bytes to {file}; the audit head is {head}",
    )


@admin_command(commands, "compact", 'switchback store compact --why "the disk is full"', role="admin")
def compact(api: AdminClient, show: Show, why: Why = NO_REASON) -> None:
    """Do now what retention does in its own time, beside traffic: old runs go and leave their sums, holds that ended long ago become
    sums; then give what is free in the file back to the disk. Takes minutes for millions of runs."""
    done = api.post("/store/compact", {"why": why}, timeout_seconds=LONG_TIMEOUT_SECONDS)
    lines = [
        f"pruned {done['runs_pruned']} runs, made sums of {done['holds_carried']} holds",
        f"gave {done['bytes_given_back']} bytes back to the disk; {done['bytes_free']} are free in the file and will be used again",
    ]
    if done["bytes_free"] and not done["bytes_given_back"]:
        lines.append(
            "a file that an earlier release made gives nothing back while it is open: stop the server, then `switchback store restore "
            "switchback.db` writes it anew, beside the old one, and remove that when all is well"
        )
    if done["unproven_rows"]:
        lines.append(
            f"KEPT: {done['unproven_rows']} rows of the spend ledger that do not add up; see `switchback store check`"
        )
    show.document(done, *lines)


@commands.command(
    "check",
    cls=PlainCommand,
    epilog=example_text("switchback store check", "switchback store check /backups/switchback-monday.db"),
)
def check(
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="A database file; without, the one of this home.")
    ] = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Look through a database that no server has open: its pages, its indexes, its audit log and every row that speaks of. Nothing
    is changed. Exit code 1 where something is wrong."""
    with failures_explained(as_json):
        # Heavy: settings and the store, which only these verbs need on this side.
        from proxy.store_files import check_store  # noqa: PLC0415

        found = _explained(lambda: check_store(_settings(config), file))
        Show(as_json).document(found, *_lines(found))
    if not found["ok"]:
        raise typer.Exit(EXIT_FAILED)


@commands.command(
    "restore",
    cls=PlainCommand,
    epilog=example_text("switchback store restore /backups/switchback-monday.db"),
)
def restore(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A whole database; a bare name is looked for in the home too.")
    ],
    with_log: Annotated[
        bool | None,
        typer.Option("--with-log/--without-log", help="Whether the log beside FILE (-wal) is a part of it."),
    ] = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Put FILE in the place of this home's database while no server runs; it is looked through first. What was there is set aside,
    not removed. Orders in the journal stay in force and enter the restored database."""
    with failures_explained(as_json):
        # Heavy: settings and the store, which only these verbs need on this side.
        from proxy.store_files import restore_store  # noqa: PLC0415

        found = _explained(lambda: restore_store(_settings(config), file, with_log))
        aside = [f"set aside: {name}" for name in found["set_aside"]]
        Show(as_json).document(found, f"restored {found['database']} from {file}", *_lines(found), *aside)
        if not found["ok"]:
            note("warning: the audit log of what was restored does not prove; see `switchback audit verify`")


def _settings(config: Path | None) -> Any:
    from proxy.settings import SettingsError, load_settings  # noqa: PLC0415

    try:
        return load_settings(config, os.environ)
    except SettingsError as wrong:
        raise CommandFailed(wrong.problems[-1], EXIT_USAGE, problems=wrong.problems) from None


def _explained(work: Any) -> dict[str, Any]:
    from proxy.core.errors import BadInput, Refusal  # noqa: PLC0415

    try:
        return work()
    except BadInput as refusal:
        raise CommandFailed(refusal.message, EXIT_USAGE, refusal.code) from None
    except Refusal as refusal:
        exit_code = EXIT_CONFLICT if refusal.code == "store_in_use" else EXIT_FAILED
        raise CommandFailed(refusal.message, exit_code, refusal.code) from None


def _lines(found: dict[str, Any]) -> list[str]:
    head, audit = found["audit_head"], found["audit"]
    if found["revision"] is None and not found["findings"]:
        return ["EMPTY: nothing was ever made in it"]
    about = (
        f"schema {found['schema_version']}, revision {found['revision']}, audit head {head['number']}:{head['hash']}"
    )
    if found["ok"]:
        return [f"ok: {about}"]
    lines = [f"DAMAGED: {finding}" for finding in found["findings"]]
    return [*lines, *([] if audit is None or audit["ok"] else proof_lines(audit)), about]
