"""`switchback caps`: spend limits, and how much of each is spent, held and left.

Counterpart: `/caps` of the admin API; a cap counts from the moment it is set.
"""

import math
from typing import Annotated, cast

import typer

from proxy.cli.admin_client import AdminClient, Document, segment
from proxy.cli.admin_command import NO_REASON, Limit, Why, admin_command, new_group
from proxy.cli.failures import CommandFailed
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
from proxy.cli.showing import Columns, Show, dollars, member, shown_value

commands = new_group(no_args_is_help=True, help="Spend limits: set, list with what is left, change, end.")

_ALL = 10_000


def _amount(name: str, cap: Document) -> str:
    value = cap.get(name)
    if value is None and name in cap:
        return "unknown"
    return dollars(value) if cap.get("unit") == "usd" else shown_value(value)


def _unmetered(cap: Document) -> str:
    """Calls whose spending no sum has; nothing where there are none, or an older server does not say."""
    calls = cap.get("unmetered", 0)
    return "unknown" if calls is None else f"{calls} calls" if calls else ""


def _by_crashes(cap: Document) -> str:
    """What crashes charged, and what they can; nothing where they charged nothing. An older server does not say how much it can be."""
    if not cap.get("charged_by_crashes"):
        return ""
    charged = _amount("charged_by_crashes", cap)
    return (
        f"{charged} of at most {_amount('charged_by_crashes_at_most', cap)}"
        if "charged_by_crashes_at_most" in cap
        else charged
    )


CAPS: Columns = {
    "CAP": member("id"),
    "SCOPE": scope_text,
    "WINDOW": member("window"),
    "UNIT": member("unit"),
    "LIMIT": lambda cap: _amount("limit", cap),
    "SPENT": lambda cap: _amount("spent", cap),
    "HELD": lambda cap: _amount("held", cap),
    "BY CRASHES": _by_crashes,
    "UNMETERED": _unmetered,
    "REMAINING": lambda cap: _amount("remaining", cap),
    "AT LIMIT": member("at_limit"),
    "WHY": member("why"),
}

CapId = Annotated[str, typer.Argument(metavar="CAP", help="Id of the cap.")]
LimitNumber = Annotated[
    str, typer.Option("--limit", metavar="NUMBER", help="Dollars for usd, else a whole number; 0 allows nothing.")
]


@admin_command(commands, "list", "switchback caps list")
def list_caps(api: AdminClient, show: Show, limit: Limit = 1000) -> None:
    """List the caps with what is spent, held and left in their present window."""
    show.items(api.items("/caps", limit), CAPS, "no caps: nothing limits what is spent", short="id")


@admin_command(
    commands,
    "set",
    'switchback caps set --agent support-triage --limit 50 --unit usd --window day --why "budget"',
    "switchback caps set --user '*' --limit 100 --unit calls --window hour",
    role="operator",
)
def set_cap(
    api: AdminClient,
    show: Show,
    limit: LimitNumber,
    unit: Annotated[str, typer.Option(metavar="TEXT", help="usd, tokens, calls or in_flight.")] = "usd",
    window: Annotated[
        str, typer.Option(metavar="TEXT", help="minute, hour, day, month (UTC), rollout or total.")
    ] = "day",
    at_limit: Annotated[str, typer.Option(metavar="TEXT", help="block or warn.")] = "block",
    agent: ScopeAgent = None,
    version: ScopeVersion = None,
    label: ScopeLabel = None,
    rollout: Annotated[str | None, typer.Option(metavar="TEXT", help="With --agent: calls of this rollout.")] = None,
    arm: Annotated[str | None, typer.Option(metavar="TEXT", help="With --rollout: of this arm.")] = None,
    user: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Calls of this user; '*' counts each user apart.")
    ] = None,
    tag: ScopeTag = None,
    model: ScopeModel = None,
    provider: ScopeProvider = None,
    why: Why = NO_REASON,
) -> None:
    """Limit what calls may spend; without a scope, all of them together. A cap with this scope, window and unit gets the new
    limit and keeps what it counted."""
    scope = scope_of(
        agent=agent,
        version=version,
        label=label,
        rollout=rollout,
        arm=arm,
        user=user,
        tag=tag,
        model=model,
        provider=provider,
    )
    body = {
        "scope": scope, "window": window, "unit": unit, "limit": _number(limit), "at_limit": at_limit, "why": why,
    }  # fmt: skip
    made, is_new = _set(api, body)
    shown = _amount("limit", made) or limit
    unit_text = "" if unit == "usd" else f" {unit}"
    per = "" if window == "total" else f" per {window}"
    lines = [f"cap {made.get('id')}: {scope_text(made)}: {shown}{unit_text}{per}, then {at_limit}"]
    if not is_new:
        lines.append(f"it was there already and keeps what it counted: {_amount('spent', made) or 0} spent")
    show.document(made, *lines)


def _set(api: AdminClient, body: Document) -> tuple[Document, bool]:
    """The cap as it now is, and whether it is a new one."""
    try:
        return api.post("/caps", body), True
    except CommandFailed as failure:
        if failure.code != "cap_exists":
            raise
        # Here, so that no other verb waits for these modules.
        from proxy.core.scopes import parse_scope  # noqa: PLC0415
        from proxy.core.spending.caps import CAP_DIMENSIONS  # noqa: PLC0415

        scope = parse_scope(body["scope"], CAP_DIMENSIONS)
        listed = cast("list[Document]", api.items("/caps", _ALL)["items"])
        counted = [cap for cap in listed if all(cap.get(name) == body[name] for name in ("window", "unit"))]
        there = next((cap for cap in counted if parse_scope(cap["scope"], CAP_DIMENSIONS).means_same(scope)), None)
        if there is None:
            raise
    changes = {name: body[name] for name in ("limit", "at_limit", "why")}
    return api.put(f"/caps/{segment(str(there.get('id')))}", changes), False


@admin_command(commands, "change", 'switchback caps change cap_06AWX3 --limit 80 --why "busy week"', role="operator")
def change_cap(
    api: AdminClient,
    show: Show,
    cap: CapId,
    limit: LimitNumber,
    at_limit: Annotated[str | None, typer.Option(metavar="TEXT", help="block or warn [as it is].")] = None,
    why: Why = NO_REASON,
) -> None:
    """Give a cap another limit; what it has counted stays."""
    body: Document = {"limit": _number(limit), "why": why}
    if at_limit is not None:
        body["at_limit"] = at_limit
    after = by_id(api, "/caps", cap, lambda one: api.put(f"/caps/{segment(one)}", body))
    show.document(after, f"cap {cap}: the limit is {_amount('limit', after) or limit} now")


@admin_command(commands, "end", 'switchback caps end cap_06AWX3 --why "budget moved"', role="operator")
def end_cap(api: AdminClient, show: Show, cap: CapId, why: Why = NO_REASON) -> None:
    """Remove a cap."""
    show.document(by_id(api, "/caps", cap, lambda one: api.delete(f"/caps/{segment(one)}", why)), f"cap {cap} is gone")


def _number(text: str) -> int | float:
    try:
        return int(text)
    except ValueError:
        pass
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise typer.BadParameter(f"--limit must be a number, such as 50 or 12.50, not {text!r}")
    return number
