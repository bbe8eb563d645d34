"""`switchback runs`, `outcome` and `outcomes`: the record of proxied calls, and what is said about them afterwards.

Counterparts: `/runs` and `/outcomes` of the admin API. Runs hold no prompt, no answer and no key.
"""

import contextlib
from typing import Annotated, cast

import typer

from proxy.cli.admin_client import LONG_TIMEOUT_SECONDS, AdminClient, Document, segment
from proxy.cli.admin_command import NO_REASON, Limit, Why, admin_command, new_group
from proxy.cli.downloads import Output, save
from proxy.cli.failures import EXIT_FAILED, EXIT_USAGE, CommandFailed
from proxy.cli.nearest import warn_of_own_name, warn_of_slips
from proxy.cli.run_filters import Quarantined, by_run_filters
from proxy.cli.short_ids import run_by_id, whole_run_id
from proxy.cli.showing import Columns, Show, dollars, member, moment, print_table, shown_value
from proxy.cli.telling import say
from proxy.cli.times import time_ago
from proxy.cli.version_body import json_or_text

commands = new_group(no_args_is_help=True, help="Calls that went through the proxy.")
outcome_commands = new_group()
outcomes_commands = new_group(no_args_is_help=True, help="Later facts about runs: scores, escalations, incidents.")

RunId = Annotated[str, typer.Argument(metavar="RUN", help="Id of the run (header Switchback-Run-Id).")]


def _version(run: Document) -> str:
    version = run.get("version")
    return str(run.get("agent")) if version is None else f"{run.get('agent')}@{version}"


def _cost(run: Document) -> str:
    if run.get("usage_source") == "unmetered":
        return "unmetered"
    cost = dollars(run.get("cost_usd"))
    return f"{cost} (held)" if cost and run.get("usage_source") == "held" else cost


def _milliseconds(run: Document) -> str:
    duration = run.get("duration_ms")
    return f"{duration:.0f}" if isinstance(duration, int | float) else ""


def _outcomes(run: Document) -> str:
    """What was told of a run, the newest word on each name."""
    told = {str(outcome.get("name")): _told(outcome) for outcome in cast("list[Document]", run.get("outcomes") or [])}
    return ", ".join(f"{name} {value}".rstrip() for name, value in told.items())


def _told(outcome: Document) -> str:
    severity, value = outcome.get("severity"), shown_value(outcome.get("value"))
    return " ".join(filter(None, (str(severity or ""), value)))


RUNS: Columns = {
    "RUN": member("id"),
    "TIME": moment("started_at"),
    "VERSION": _version,
    "ARM": member("arm"),
    "USER": member("user"),
    "MODEL": lambda run: run.get("model_answered") or run.get("model_asked"),
    "STATUS": member("status"),
    "RESULT": lambda run: run.get("error_class") or run.get("result"),
    "TOKENS IN": member("tokens.input"),
    "OUT": member("tokens.output"),
    "COST": _cost,
    "MS": _milliseconds,
    "OUTCOMES": _outcomes,
}
#: Shown where there is room, the dearest first.
SPARE = (("TIME",), ("ARM",), ("COST",), ("OUTCOMES",), ("USER",), ("MS",), ("MODEL",), ("TOKENS IN", "OUT"))

OUTCOMES: Columns = {
    "RUN": member("run"),
    "TOLD": moment("recorded_at"),
    "VERSION": _version,
    "ARM": member("arm"),
    "LABEL": member("label"),
    "NAME": member("name"),
    "VALUE": _told,
    "BY": member("recorded_by"),
    "WHY": member("why"),
}
OF_RUN: Columns = {title: OUTCOMES[title] for title in ("TOLD", "NAME", "VALUE", "BY", "WHY")}
SPARE_OF_OUTCOMES = (("TOLD",), ("WHY",), ("ARM",), ("LABEL",), ("BY",))


@admin_command(
    commands,
    "list",
    "switchback runs list --agent support-triage --version 8 --result error",
    "switchback runs list --user u-17 --from 2026-11-20T00:00:00Z --json",
)
@by_run_filters
def list_runs(
    api: AdminClient, show: Show, narrowed: Document, limit: Limit = 50, quarantined: Quarantined = None
) -> None:
    """List runs, newest first."""
    found = api.items("/runs", limit, {**narrowed, "quarantined": quarantined})
    show.items(found, RUNS, "no runs", spare=SPARE, short="id")
    if not found["items"]:
        warn_of_slips(api, narrowed)


@admin_command(
    commands,
    "export",
    "switchback runs export --agent support-triage --release 12 --output affected.jsonl",
    "switchback runs export --from 2026-11-20T00:00:00Z --format csv > runs.csv",
)
@by_run_filters
def export_runs(
    api: AdminClient,
    show: Show,
    narrowed: Document,
    file_format: Annotated[str, typer.Option("--format", metavar="TEXT", help="jsonl or csv.")] = "jsonl",
    output: Output = None,
    quarantined: Quarantined = None,
) -> None:
    """Write all runs that fit, newest first, with user, conversation and tool calls: for repair of what they led to."""
    with api.download("/runs/export", {**narrowed, "quarantined": quarantined, "format": file_format}) as download:
        is_empty = download.count == 0
        save(download, output, show)
    if is_empty:
        api.warnings.append("no runs fit")
        warn_of_slips(api, narrowed)


@admin_command(
    commands,
    "quarantine",
    'switchback runs quarantine --agent support-triage --release 12 --why "wrong refunds"',
    "switchback runs quarantine run_0645e3a1b2c3d --undo",
    role="operator",
)
@by_run_filters
def quarantine_runs(
    api: AdminClient,
    show: Show,
    narrowed: Document,
    run: Annotated[list[str] | None, typer.Argument(metavar="RUN", help="These runs, by id.")] = None,
    undo: Annotated[bool, typer.Option("--undo", help="Take the tag off again.")] = False,
    why: Why = NO_REASON,
) -> None:
    """Tag runs, so that reports and evaluation sets can leave them out."""
    body: Document = {**narrowed, "undo": undo, "why": why}
    if run:
        body["runs"] = run
    try:
        tagged = api.post("/runs/quarantine", body, timeout_seconds=LONG_TIMEOUT_SECONDS)
    except CommandFailed as failed:
        if failed.code != "run_not_found" or not run:
            raise
        body["runs"] = [whole_run_id(api, one) for one in run]
        tagged = api.post("/runs/quarantine", body, timeout_seconds=LONG_TIMEOUT_SECONDS)
    changed = tagged.get("changed")
    runs = "run is" if changed == 1 else "runs are"
    show.document(tagged, f"{changed} {runs} {'in quarantine no more' if undo else 'in quarantine now'}")
    if not changed:
        warn_of_slips(api, narrowed)


@admin_command(commands, "show", "switchback runs show run_06AWX3")
def show_run(api: AdminClient, show: Show, run: RunId) -> None:
    """Show everything that is recorded of a run, its attempts and outcomes included."""
    found = run_by_id(api, run, lambda one: api.get(f"/runs/{segment(one)}"))
    outcomes = cast("list[Document]", found.get("outcomes") or [])
    if show.as_json or not outcomes:
        show.fields(found)
        return
    show.fields({name: value for name, value in found.items() if name != "outcomes"})
    say("")
    print_table(outcomes, OF_RUN)


@admin_command(
    outcomes_commands,
    "list",
    "switchback outcomes list --agent support-triage --version 8 --name score",
    "switchback outcomes list --from 1d --json",
)
def list_outcomes(
    api: AdminClient,
    show: Show,
    run: Annotated[str | None, typer.Option(metavar="RUN", help="Of this run.")] = None,
    name: Annotated[str | None, typer.Option(metavar="TEXT", help="Of this name.")] = None,
    request_id: Annotated[str | None, typer.Option(metavar="TEXT", help="Of runs the provider named so.")] = None,
    trace_id: Annotated[str | None, typer.Option(metavar="TEXT", help="Of runs of this trace.")] = None,
    agent: Annotated[str | None, typer.Option(metavar="AGENT", help="Of runs of this agent.")] = None,
    version: Annotated[int | None, typer.Option(metavar="N", help="Of runs that this version served.")] = None,
    label: Annotated[str | None, typer.Option(metavar="LABEL", help="Of runs under this label.")] = None,
    start: Annotated[
        str | None, typer.Option("--from", metavar="TIME", help="Told since: 15m, 2h or 7d ago, a date, or RFC 3339.")
    ] = None,
    end: Annotated[str | None, typer.Option("--to", metavar="TIME", help="Told until: the same forms.")] = None,
    limit: Limit = 50,
) -> None:
    """List later facts about runs, newest first."""
    asked = {"run": run, "name": name, "agent": agent, "version": version, "label": label}
    asked |= {"request_id": request_id, "trace_id": trace_id}
    times = {"from": start and time_ago(start), "to": end and time_ago(end)}
    found = api.items("/outcomes", limit, {**asked, **times})
    if run is not None and not found["items"]:
        with contextlib.suppress(CommandFailed):
            asked["run"] = whole_run_id(api, run)
    if asked["run"] != run:
        found = api.items("/outcomes", limit, {**asked, **times})
    show.items(found, OUTCOMES, "no outcomes", spare=SPARE_OF_OUTCOMES, short="run")
    if not found["items"]:
        warn_of_slips(api, asked)


@admin_command(
    outcome_commands,
    "outcome",
    "switchback outcome run_0645e3a1b2c3d --name score --value 0.9",
    'switchback outcome run_0645e3a1b2c3d --name incident --severity high --why "refunded twice"',
    "switchback outcome --conversation c-42 --agent support-triage --name escalated --value true",
    role="operator",
)
def record_outcome(
    api: AdminClient,
    show: Show,
    name: Annotated[
        str, typer.Option(metavar="TEXT", help="score, validation, escalated, operator_edited, incident, or your own.")
    ],
    value: Annotated[str | None, typer.Option(metavar="JSON", help="A number, true, false, or a text.")] = None,
    severity: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Of an incident: low, medium, high or critical.")
    ] = None,
    run: Annotated[str | None, typer.Argument(metavar="RUN", help="Id of the run (header Switchback-Run-Id).")] = None,
    request_id: Annotated[
        str | None, typer.Option(metavar="TEXT", help="In place of RUN: what its provider's answer was named.")
    ] = None,
    trace_id: Annotated[
        str | None, typer.Option(metavar="TEXT", help="In place of RUN: the newest run of this trace.")
    ] = None,
    conversation: Annotated[
        str | None, typer.Option(metavar="TEXT", help="In place of RUN: the newest run of this conversation.")
    ] = None,
    agent: Annotated[
        str | None, typer.Option(metavar="AGENT", help="Of a request, trace or conversation: only of this agent.")
    ] = None,
    why: Annotated[str, typer.Option(metavar="TEXT", help="Kept with it.")] = "",
) -> None:
    """Record a later fact about a run. It is added to what was said before, never changed."""
    body: Document = {"name": name, "value": None if value is None else json_or_text(value), "why": why}
    if severity is not None:
        body["severity"] = severity
    others = {"request_id": request_id, "trace_id": trace_id, "conversation": conversation, "agent": agent}
    named = {by: given for by, given in others.items() if given is not None}
    if (run is None) == (len(named.keys() - {"agent"}) == 0) or len(named.keys() - {"agent"}) > 1 or (run and agent):
        raise CommandFailed("say one of RUN, --request-id, --trace-id and --conversation", EXIT_USAGE)
    if run is None:
        told = api.post("/outcomes", {"outcomes": [{**body, **named}]})
        if not told["items"]:
            raise CommandFailed("there is no such run", EXIT_FAILED, "run_not_found")
        made = cast("Document", told["items"][0])
    else:
        made = run_by_id(api, run, lambda one: api.post(f"/runs/{segment(one)}/outcomes", body))
    show.document(made, f"recorded {made.get('name')} of {made.get('run')}")
    warn_of_own_name(api, name)
