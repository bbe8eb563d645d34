"""`switchback outcomes import FILE`: later facts about many runs, from CSV or JSON lines. Counterpart: `POST /outcomes`."""

import csv
import io
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from proxy.cli.admin_client import AdminClient, Document
from proxy.cli.admin_command import admin_command
from proxy.cli.failures import EXIT_FAILED, EXIT_USAGE, CommandFailed
from proxy.cli.showing import Show
from proxy.cli.strict_json import strict_json
from proxy.cli.version_body import json_or_text, read_text

_AT_ONCE = 1_000
_SHOWN = 20
_NAMINGS = ("run", "request_id", "trace_id", "conversation")
#: What the server takes of the members that are texts.
_LONGEST = {
    "run": 100,
    "request_id": 128,
    "trace_id": 32,
    "conversation": 512,
    "agent": 64,
    "name": 64,
    "severity": 64,
    "why": 2000,
}
MEMBERS = (*_NAMINGS, "agent", "name", "value", "severity", "why")


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

    All lines are read before anything is recorded. Facts are appended, so that a file imported again is recorded again: of one that
    broke off, import the rest. Exit code 1 where a line names a run that nobody knows.
    """
    facts = list(_csv(file) if file.suffix.lower() == ".csv" else _json_lines(file))
    recorded, unknown = 0, list[str]()
    for start in range(0, len(facts), _AT_ONCE):
        batch = facts[start : start + _AT_ONCE]
        try:
            told = api.post("/outcomes", {"outcomes": batch, "why": why})
        except CommandFailed as failed:
            done = (
                f"; the first {start} of {len(facts)} facts were recorded before: import only the rest" if start else ""
            )
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
        at = f"{file}, line {number}"
        try:
            fact = strict_json(line)
        except ValueError as error:
            # Each line is a document of its own: the place in it is all that its reader can tell.
            raise CommandFailed(f"{at}: is no JSON object: {error}", EXIT_USAGE) from None
        if not isinstance(fact, dict):
            raise CommandFailed(f"{at}: is no JSON object", EXIT_USAGE)
        _check_names(cast("Document", fact), at)
        yield _checked(cast("Document", fact), at)


def _csv(file: Path) -> Iterator[Document]:
    """Empty cells say nothing; a value that is no JSON is a text, as with `switchback outcome`."""
    rows = csv.reader(io.StringIO(read_text(file).removeprefix("\ufeff"), newline=""), strict=True)
    names: list[str] | None = None
    try:
        for row in rows:
            at = f"{file}, line {rows.line_num}"
            if names is None:
                names = row
                # What ends in a comma, as spreadsheets write it, has a column without a name, and nothing in it.
                _check_names(list(filter(None, names)), at)
            elif row:
                yield _checked(_fact(names, row, at), at)
    except csv.Error as error:
        raise CommandFailed(f"{file}, line {rows.line_num}: {error}", EXIT_USAGE) from None
    if names is None:
        raise CommandFailed(f"{file}: is empty; its first line must say the names of its columns", EXIT_USAGE)


def _fact(names: Sequence[str], row: Sequence[str], at: str) -> Document:
    if len(row) != len(names):
        raise CommandFailed(f"{at}: has not as many cells as the first line", EXIT_USAGE)
    fact: Document = {name: cell for name, cell in zip(names, row, strict=True) if cell != ""}
    if "" in fact:
        raise CommandFailed(f"{at}: has a cell in a column without a name", EXIT_USAGE)
    if "value" in fact:
        fact["value"] = json_or_text(fact["value"])
    return fact


def _check_names(names: Collection[str], at: str) -> None:
    seen: set[str] = set()
    for name in names:
        if name not in MEMBERS:
            raise CommandFailed(f"{at}: has no {name!r}; known: {', '.join(MEMBERS)}", EXIT_USAGE)
        if name in seen:
            raise CommandFailed(f"{at}: {name!r} occurs twice", EXIT_USAGE)
        seen.add(name)
    if "name" not in seen:
        raise CommandFailed(f"{at}: does not say which fact it is (`name`)", EXIT_USAGE)


def _checked(fact: Document, at: str) -> Document:
    """What the server would refuse is refused here, before anything is sent."""
    # Heavy: only this verb checks facts on this side.
    from proxy.core.calls.outcomes import check_outcome  # noqa: PLC0415
    from proxy.core.errors import BadInput  # noqa: PLC0415

    if "name" not in fact:
        raise CommandFailed(f"{at}: does not say which fact it is (`name`)", EXIT_USAGE)
    for member, most in _LONGEST.items():
        text = fact.get(member)
        if text is not None and not (isinstance(text, str) and len(text) <= most and (text or member == "why")):
            raise CommandFailed(f"{at}: {member} must be a text of at most {most} characters", EXIT_USAGE)
    if sum(fact.get(naming) is not None for naming in _NAMINGS) != 1:
        raise CommandFailed(f"{at}: must name its run by one of {', '.join(_NAMINGS)}", EXIT_USAGE)
    try:
        check_outcome(fact["name"], fact.get("value"), fact.get("severity"))
    except BadInput as bad:
        raise CommandFailed(f"{at}: {bad.message}", EXIT_USAGE) from None
    return fact
