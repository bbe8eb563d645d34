"""Handlers: caps, with what each has spent, holds and has left in its current window."""

import re

from proxy.core.errors import BadInput
from proxy.core.spending.caps import CapStateDocument, CounterDocument, cap_document
from proxy.edges.admin.answers.limits import CapEnded, CapSet
from proxy.edges.admin.answers.lists import Listed
from proxy.edges.admin.ask_and_answer import AdminAnswer, Ask, Created
from proxy.edges.admin.bodies import CapBody, CapChangesBody, ReasonBody
from proxy.edges.admin.pages import page_of_named
from proxy.edges.admin.queries import PageQuery, ReasonQuery
from proxy.runtime.releasing.limit_commands import CapDraft, LimitCommands
from proxy.runtime.reports.limits import CapReader, ScopeReader


async def list_caps(caps: CapReader, ask: Ask) -> AdminAnswer[Listed[CapStateDocument]]:
    return page_of_named(await caps.all(), ask.query_as(PageQuery), caps.standing)


async def list_counters(caps: CapReader, ask: Ask) -> AdminAnswer[Listed[CounterDocument]]:
    """Every counter of a cap. A cursor is the window and how many of its counters were shown."""
    query = ask.query_as(PageQuery)
    page = await caps.counters(ask.path["id"], _position(query.cursor), query.limit)
    cursor = None if page.is_last else f"{page.window_start_microseconds}.{page.shown}"
    return AdminAnswer({"items": page.items, "next": cursor})


def _position(cursor: str | None) -> tuple[int, int] | None:
    """Raises BadInput(`bad_cursor`)."""
    if cursor is None:
        return None
    found = re.fullmatch(r"([0-9]{1,18})\.([0-9]{1,18})", cursor, re.ASCII)
    if found is None:
        raise BadInput("bad_cursor", "the cursor is not one this list gave out", param="cursor")
    return int(found[1]), int(found[2])


async def set_cap(limits: LimitCommands, caps: CapReader, scopes: ScopeReader, ask: Ask) -> Created[CapSet]:
    body = ask.body_as(CapBody)
    draft = CapDraft(scope=body.scope, window=body.window, unit=body.unit, limit=body.limit, at_limit=body.at_limit)
    cap = await limits.set_cap(ask.who, draft, body.why)
    return Created({**caps.standing(cap), "warnings": scopes.warnings(cap.scope)})


async def change_cap(limits: LimitCommands, caps: CapReader, ask: Ask) -> AdminAnswer[CapStateDocument]:
    body = ask.body_as(CapChangesBody)
    return AdminAnswer(
        caps.standing(await limits.change_cap(ask.who, ask.path["id"], body.limit, body.at_limit, body.why))
    )


async def end_cap(limits: LimitCommands, ask: Ask) -> AdminAnswer[CapEnded]:
    why = ask.body_as(ReasonBody).why or ask.query_as(ReasonQuery).why
    cap = await limits.end_cap(ask.who, ask.path["id"], why)
    return AdminAnswer({**cap_document(cap), "removed": True})
