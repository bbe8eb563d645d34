"""`switchback report`: what an agent's runs come to, by version and arm. Counterpart: `/reports/…` of the admin API."""

from typing import Annotated

import typer

from proxy.cli.admin_client import AdminClient, Document
from proxy.cli.admin_command import AgentName, admin_command, new_group
from proxy.cli.drills import drill_time
from proxy.cli.failures import EXIT_USAGE, CommandFailed
from proxy.cli.report_view import REPORT, comparison_lines, report_csv, report_lines
from proxy.cli.showing import Show, moment, print_table
from proxy.cli.telling import say, say_exactly
from proxy.cli.times import time_ago
from proxy.cli.version_names import version_number

commands = new_group(no_args_is_help=True, help="What an agent's runs come to: errors, latency, cost, outcomes.")

Since = Annotated[str | None, typer.Option(metavar="TIME", help="Runs begun since: RFC 3339, or 15m, 2h, 7d ago [7d].")]
Until = Annotated[str | None, typer.Option(metavar="TIME", help="Runs begun before: the same forms [now].")]
AsCsv = Annotated[bool, typer.Option("--csv", help="Print the rows as CSV, for spreadsheets.")]
VersionName = Annotated[str, typer.Argument(metavar="VERSION", help="Its number, a label, or `latest`.")]


@admin_command(commands, "versions", "switchback report versions support-triage --since 24h")
def report_versions(
    api: AdminClient, show: Show, agent: AgentName, since: Since = None, until: Until = None, csv: AsCsv = False
) -> None:
    """Show what the runs of each version and arm come to, with intervals, and how candidates differ from stable."""
    _report(show, api.get("/reports/versions", _asked(agent, since, until)), csv=csv)


@admin_command(commands, "rollout", "switchback report rollout support-triage r3")
def report_rollout(
    api: AdminClient,
    show: Show,
    agent: AgentName,
    rollout: Annotated[str, typer.Argument(metavar="ROLLOUT", help="Its id.")],
    since: Since = None,
    until: Until = None,
    csv: AsCsv = False,
) -> None:
    """Show what the arms of a rollout come to, since it began. What its guards say of it: `rollout show`."""
    _report(show, api.get("/reports/rollout", {**_asked(agent, since, until), "rollout": rollout}), csv=csv)


@admin_command(commands, "label", "switchback report label support-triage prod --since 7d")
def report_label(
    api: AdminClient,
    show: Show,
    agent: AgentName,
    label: Annotated[str, typer.Argument(metavar="LABEL", help="The label that decided the runs.")] = "prod",
    since: Since = None,
    until: Until = None,
    csv: AsCsv = False,
) -> None:
    """Show what the runs that a label decided come to, by the versions it served."""
    _report(show, api.get("/reports/label", {**_asked(agent, since, until), "label": label}), csv=csv)


def compare(
    api: AdminClient,
    show: Show,
    agent: AgentName,
    stable: VersionName,
    candidate: VersionName,
    since: Since = None,
    until: Until = None,
) -> None:
    """Compare two versions by their runs: the second against the first, with what their contents differ in beside it."""
    numbers = [version_number(api, agent, name) for name in (stable, candidate)]
    if numbers[0] == numbers[1]:
        raise CommandFailed(f"{stable} and {candidate} are the same version", EXIT_USAGE)
    asked = {**_asked(agent, since, until), "stable": numbers[0], "candidate": numbers[1]}
    found = api.get("/reports/comparison", asked)
    diff = api.get(f"/agents/{agent}/versions/{numbers[0]}/diff/{numbers[1]}")
    if show.as_json:
        show.document({**found, "diff": diff})
        return
    sides: list[Document] = [found["stable"], found["candidate"]]
    print_table(sides, {title: read for title, read in REPORT.items() if title != "ARM"})
    for line in comparison_lines(found, diff):
        say(line)


def register(versions: typer.Typer) -> None:
    """`versions compare` beside the other verbs of versions."""
    admin_command(versions, "compare", "switchback versions compare support-triage 7 8 --since 7d")(compare)


def _asked(agent: str, since: str | None, until: str | None) -> dict[str, str | int]:
    times = {"since": since, "until": until}
    return {"agent": agent, **{name: time_ago(value) for name, value in times.items() if value is not None}}


def _report(show: Show, found: Document, *, csv: bool) -> None:
    if csv and not show.as_json:
        say_exactly(report_csv(found))
        return
    if show.as_json:
        show.document(found)
        return
    rows: list[Document] = found["rows"]
    if rows:
        print_table(rows, REPORT)
    for line in report_lines(found):
        say(line)
    drill = found.get("last_drill")
    if drill is None:
        say(f"no rollback was rehearsed yet: switchback drill {found.get('agent')}")
    else:
        say(f"last drill {moment('drilled_at')(drill)}: {drill_time(drill)}")
