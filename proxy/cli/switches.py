"""`switchback kill` and `switchback restore`: stop traffic now, and let it flow again.

Without a scope everything is meant, which is asked for once more unless `--yes` says so. Counterpart: `/switches`.
"""

import sys
from typing import Annotated, Any, cast

import typer

from proxy.cli.admin_client import AdminClient, Document, segment
from proxy.cli.admin_command import NO_REASON, Why, admin_command, new_group
from proxy.cli.confirming import agreed
from proxy.cli.protected_moves import Force
from proxy.cli.scope_options import (
    ScopeAgent,
    ScopeLabel,
    ScopeModel,
    ScopeProvider,
    ScopeTag,
    ScopeVersion,
    scope_of,
    scope_text,
)
from proxy.cli.short_ids import by_id
from proxy.cli.showing import Columns, Show, member, moment
from proxy.cli.times import time_from_now

commands = new_group()

_ALL = 10_000

SWITCHES: Columns = {
    "SWITCH": member("id"),
    "MODE": member("mode"),
    "SCOPE": scope_text,
    "SINCE": moment("created_at"),
    "EXPIRES": moment("expires"),
    "BY": member("created_by"),
    "WHY": member("why"),
}


@admin_command(
    commands,
    "kill",
    'switchback kill --agent support-triage --why "sends wrong refunds" --expires 15m',
    'switchback kill --agent support-triage --mode reply --reply "We are back soon." --why "incident 12"',
    "switchback kill --list",
    role="operator",
)
def kill(
    api: AdminClient,
    show: Show,
    why: Annotated[
        str | None, typer.Option(metavar="TEXT", help="The reason; callers and the audit log see it.")
    ] = None,
    agent: ScopeAgent = None,
    version: ScopeVersion = None,
    label: ScopeLabel = None,
    model: ScopeModel = None,
    provider: ScopeProvider = None,
    tag: ScopeTag = None,
    tool: Annotated[str | None, typer.Option(metavar="TEXT", help="That offer the model this tool.")] = None,
    mode: Annotated[
        str,
        typer.Option(
            metavar="TEXT",
            help="block: refuse; reply: answer --reply; fallback: serve another version; observe: only count.",
        ),
    ] = "block",
    reply: Annotated[str | None, typer.Option(metavar="TEXT", help="What mode reply answers.")] = None,
    fallback_version: Annotated[int | None, typer.Option(metavar="N", min=1, help="What mode fallback serves.")] = None,
    expires: Annotated[
        str | None,
        typer.Option(
            "--expires",
            "--for",
            metavar="15m|TIME",
            help="Goes off by itself after this span, or at this RFC 3339 time.",
        ),
    ] = None,
    cut_streams: Annotated[bool, typer.Option("--cut-streams", help="Also cut streams in flight.")] = False,
    force: Force = False,
    listing: Annotated[bool, typer.Option("--list", help="List the switches that are on.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before stopping everything.")] = False,
) -> None:
    """Stop traffic: the next matching call is refused. Without a scope, everything stops. With --list any token will do."""
    if listing:
        show.items(api.items("/switches", _ALL), SWITCHES, "no switch is on: all traffic flows", short="id")
        return
    if why is None or not why.strip():
        raise typer.BadParameter("say --why")
    scope = scope_of(agent=agent, version=version, label=label, model=model, provider=provider, tag=tag, tool=tool)
    if not scope and not yes:
        _confirm_everything()
    body: Document = {"scope": scope, "mode": mode, "why": why, "cut_streams": cut_streams}
    if force:
        body["force"] = True
    said = {"reply": reply, "fallback_version": fallback_version, "expires": expires and time_from_now(expires)}
    made = api.post("/switches", {**body, **{name: value for name, value in said.items() if value is not None}})
    show.document(
        made,
        f"switch {made.get('id')} is on: {mode} for {scope_text(made)}",
        f"take it off with: switchback restore {made.get('id')}",
    )


@admin_command(
    commands,
    "restore",
    "switchback restore sw_06AWX3",
    'switchback restore --all --why "incident 12 is over"',
    role="operator",
)
def restore(
    api: AdminClient,
    show: Show,
    switch: Annotated[str | None, typer.Argument(metavar="SWITCH", help="Id of the switch.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Take off every switch.")] = False,
    why: Why = NO_REASON,
) -> None:
    """Take a switch off: its traffic flows again, unless another switch, which is then named, still stops it."""
    if (switch is None) != everything:
        raise typer.BadParameter("name one SWITCH (switchback kill --list shows them), or say --all")
    asked = [switch] if switch is not None else _switches_on(api)
    removed = [
        by_id(api, "/switches", name, lambda one: api.delete(f"/switches/{segment(one)}", why)) for name in asked
    ]
    ends = [(name, str(gone.get("id"))) for name, gone in zip(asked, removed, strict=True)]
    wanted = [whole if whole.startswith(name) else name for name, whole in ends]
    lines = [f"switch {name} is off" for name in wanted] or ["nothing changed: no switch was on"]
    # Of several that went, only the last answer knows what is left.
    still_on = cast("list[Document]", removed[-1].get("still_on") or []) if removed else []
    lines += [f"still on: switch {other.get('id')}: {other.get('mode')} for {scope_text(other)}" for other in still_on]
    show.document({"items": [{"id": name} for name in wanted], "next": None}, *lines)


def _switches_on(api: AdminClient) -> list[str]:
    listed = cast("list[dict[str, Any]]", api.items("/switches", _ALL)["items"])
    return [str(item.get("id")) for item in listed]


def _confirm_everything() -> None:
    if not sys.stdin.isatty():
        raise typer.BadParameter("this stops everything: narrow it (--agent, --model, …) or say --yes")
    agreed("This stops ALL traffic through the proxy. Go on?")
