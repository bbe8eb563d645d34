"""`switchback drill`: a rollback rehearsed before it is needed. Counterpart: `/agents/{agent}/drills`."""

from typing import Annotated, cast

import typer

from proxy.cli.admin_client import AdminClient, Document, segment
from proxy.cli.admin_command import NO_REASON, AgentName, Why, admin_command, new_group
from proxy.cli.failures import EXIT_FAILED
from proxy.cli.showing import Show

commands = new_group()
#: A drill that does not end well takes twenty seconds.
_TIMEOUT_SECONDS = 60.0


@admin_command(commands, "drill", "switchback drill support-triage --label prod", role="operator")
def drill(
    api: AdminClient,
    show: Show,
    agent: AgentName,
    label: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Whose rollback is rehearsed [the agent's default label].")
    ] = None,
    why: Why = NO_REASON,
) -> None:
    """Rehearse a rollback: how long, from the order, until no process answers with the candidate any more.

    Synthetic calls follow a label of the drill's own, no user and no provider sees any of it. Exit code 1 if the candidate was not
    gone in the end.
    """
    body: Document = {"why": why}
    if label is not None:
        body["label"] = label
    held = api.post(f"/agents/{segment(agent)}/drills", body, timeout_seconds=_TIMEOUT_SECONDS)
    show.document(held, *drill_lines(held))
    if not held.get("passed"):
        raise typer.Exit(EXIT_FAILED)


def drill_lines(held: Document) -> list[str]:
    """What it came to, in sentences."""
    what = f"{held.get('agent')}: version {held.get('candidate')} beside {held.get('stable')}, which {held.get('label')} serves"
    calls = f"{held.get('calls')} synthetic calls, {held.get('failed_calls')} of them failed"
    if held.get("passed"):
        when = (
            "by the order to roll back"
            if held.get("time_ms") is None
            else f"{drill_time(held)} after the order to roll back"
        )
        head = f"{what}, gone {when} ({calls})"
    else:
        head = f"FAILED: {what}, still answered when the drill ended ({calls})"
    lines = [head]
    for process in cast("list[Document]", held.get("processes") or []):
        failure = "" if process.get("failure") is None else f", first failure {process.get('failure')}"
        said = f"{process.get('calls')} calls, {process.get('candidate_calls')} by the candidate{failure}"
        lines.append(f"  {process.get('process')}: {drill_time(process)} ({said})")
    return lines


def drill_time(held: Document) -> str:
    """How long it took, of a drill or one of its processes; of one that did not end well, that."""
    taken = held.get("time_ms")
    if taken is None:
        return "no answer of the candidate after the order" if held.get("passed") else "not taken back"
    return "less than 1 ms" if taken < 1 else f"{taken:,.1f} ms"
