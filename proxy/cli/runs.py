"""`switchback runs`: the record of proxied calls, by version and whatever else narrows them.

Counterpart: `/runs` of the admin API. Runs hold no prompt, no answer and no key.
"""

from typing import Annotated

import typer

from proxy.cli.admin_client import AdminClient, Document, segment
from proxy.cli.admin_command import Limit, admin_command, new_group
from proxy.cli.showing import Columns, Show, dollars, member, moment

commands = new_group(no_args_is_help=True, help="Calls that went through the proxy.")


def _version(run: Document) -> str:
    version = run.get("version")
    return str(run.get("agent")) if version is None else f"{run.get('agent')}@{version}"


def _cost(run: Document) -> str:
    cost = dollars(run.get("cost_usd"))
    return f"{cost} (held)" if cost and run.get("usage_source") == "held" else cost


def _milliseconds(run: Document) -> str:
    duration = run.get("duration_ms")
    return f"{duration:.0f}" if isinstance(duration, int | float) else ""


RUNS: Columns = {
    "RUN": member("id"),
    "TIME": moment("started_at"),
    "VERSION": _version,
    "ARM": member("arm"),
    "USER": member("user"),
    "MODEL": lambda run: run.get("model_answered") or run.get("model_asked"),
    "STATUS": member("status"),
    "OUTCOME": lambda run: run.get("error_class") or run.get("outcome"),
    "TOKENS IN": member("tokens.input"),
    "OUT": member("tokens.output"),
    "COST": _cost,
    "MS": _milliseconds,
}


@admin_command(
    commands,
    "list",
    "switchback runs list --agent support-triage --version 8 --outcome error",
    "switchback runs list --user u-17 --from 2026-11-20T00:00:00Z --json",
)
def list_runs(
    api: AdminClient,
    show: Show,
    agent: Annotated[str | None, typer.Option(metavar="TEXT", help="Of this agent.")] = None,
    version: Annotated[int | None, typer.Option(metavar="N", min=1, help="Served by this version.")] = None,
    release: Annotated[int | None, typer.Option(metavar="N", min=1, help="Under this release.")] = None,
    rollout: Annotated[str | None, typer.Option(metavar="TEXT", help="In this rollout.")] = None,
    arm: Annotated[str | None, typer.Option(metavar="TEXT", help="stable or candidate.")] = None,
    user: Annotated[str | None, typer.Option(metavar="TEXT", help="Of this user.")] = None,
    conversation: Annotated[str | None, typer.Option(metavar="TEXT", help="Of this conversation.")] = None,
    outcome: Annotated[str | None, typer.Option(metavar="TEXT", help="ok, error, refused or client_left.")] = None,
    since: Annotated[str | None, typer.Option("--from", metavar="TIME", help="Started at or after (RFC 3339).")] = None,
    until: Annotated[str | None, typer.Option("--to", metavar="TIME", help="Started before (RFC 3339).")] = None,
    limit: Limit = 50,
) -> None:
    """List runs, newest first."""
    narrowed = {
        "agent": agent,
        "version": version,
        "release": release,
        "rollout": rollout,
        "arm": arm,
        "user": user,
        "conversation": conversation,
        "outcome": outcome,
        "from": since,
        "to": until,
    }
    show.items(api.items("/runs", limit, narrowed), RUNS, "no runs")


@admin_command(commands, "show", "switchback runs show run_06AWX3")
def show_run(
    api: AdminClient,
    show: Show,
    run: Annotated[str, typer.Argument(metavar="RUN", help="Id of the run (header Switchback-Run-Id).")],
) -> None:
    """Show everything that is recorded of a run, its attempts included."""
    show.fields(api.get(f"/runs/{segment(run)}"))
