"""`switchback outcomes import FILE`: later facts about many runs, from CSV or JSON lines. Counterpart: `POST /outcomes`."""

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from proxy.cli.admin_client import AdminClient, Document
from proxy.cli.admin_command import admin_command
from proxy.cli.failures import EXIT_FAILED, EXIT_USAGE, CommandFailed
from proxy.cli.showing import Show
from proxy.cli.version_body import json_or_text, read_text

_AT_ONCE = 1_000
_SHOWN = 20
MEMBERS = ("run", "request_id", "trace_id", "conversation", "agent", "name", "value", "severity", "why")


def register(outcomes: typer.Typer) -> None:
    """Beside the other verbs of outcomes."""
    admin_command(
        outcomes,
        "import",
        "switchback outcomes import escalations.csv",
        'switchback outcomes import judged.jsonl --why "nightly judge"',
        role="operator",
    )(import_outcomes)


def import_outcomes(
    api: AdminClient,
    show: Show,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="CSV with a first line of names (.csv), else JSON lines.")
    ],
    why: Annotated[str, typer.Option(metavar="TEXT", help="Of those that say none themselves.")] = "",
) -> None:
    """Record later facts about many runs. A line names its run by one of run, request_id, trace_id and conversation (the newest run,
    of one agent where `agent` says so), and has name, value, and of an incident severity; why where you like.

    All lines are read before anything is recorded. Exit code 1 where a line names a run that nobody knows.
    """
    facts = list(_csv(file) if file.suffix.lower() == ".csv" else _json_lines(file))
    recorded, unknown = 0, list[str]()
    for start in range(0, len(facts), _AT_ONCE):
        batch = facts[start : start + _AT_ONCE]
        try:
            told = api.post("/outcomes", {"outcomes": batch, "why": why})
        except CommandFailed as failed:
            done = f"; the first {start} of {len(facts)} facts were recorded before" if start else ""
            raise CommandFailed(
                f"{failed.message}{done}", failed.exit_code, failed.code, status=failed.status
            ) from None
        recorded += len(cast("list[Any]", told["items"]))
        unknown += cast("list[str]", told["unknown_runs"])
    named = ", ".join(unknown[:_SHOWN]) + (f" and {len(unknown) - _SHOWN} more" if len(unknown) > _SHOWN else "")
    said = [f"recorded {recorded} of {len(facts)}", *([f"of no run that is known: {named}"] if unknown else [])]
    show.document({"recorded": recorded, "unknown_runs": unknown}, *said)
    if unknown:
        raise typer.Exit(EXIT_FAILED)


def _json_lines(file: Path) -> Iterator[Document]:
    for number, line in enumerate(read_text(file).removeprefix("\ufeff").split("\n"), start=1):
        if not line.strip():
            continue
        try:
            fact = json.loads(line)
        except ValueError:
            fact = None
        if not isinstance(fact, dict):
            raise CommandFailed(f"{file}, line {number}: is no JSON object", EXIT_USAGE)
        yield _checked(cast("Document", fact), f"{file}, line {number}")


def _csv(file: Path) -> Iterator[Document]:
    """Empty cells say nothing; a value that is no JSON is a text, as with `switchback outcome`."""
    rows = csv.DictReader(io.StringIO(read_text(file).removeprefix("\ufeff"), newline=""), strict=True)
    try:
        for row in rows:
            at = f"{file}, line {rows.line_num}"
            if None in row or None in row.values():
                raise CommandFailed(f"{at}: has not as many cells as the first line", EXIT_USAGE)
            fact: Document = {name: cell for name, cell in row.items() if cell != ""}
            if "value" in fact:
                fact["value"] = json_or_text(fact["value"])
            yield _checked(fact, at)
    except csv.Error as error:
        raise CommandFailed(f"{file}, line {rows.line_num}: {error}", EXIT_USAGE) from None


def _checked(fact: Document, at: str) -> Document:
    unknown = [name for name in fact if name not in MEMBERS]
    if unknown:
        raise CommandFailed(f"{at}: has no {unknown[0]!r}; known: {', '.join(MEMBERS)}", EXIT_USAGE)
    if "name" not in fact:
        raise CommandFailed(f"{at}: does not say which fact it is (`name`)", EXIT_USAGE)
    return fact
