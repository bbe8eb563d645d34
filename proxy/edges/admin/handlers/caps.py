"""Handlers: caps, with what each has spent, holds and has left in its current window."""

import re
from itertools import islice

from proxy.core.errors import BadInput, NotFound
from proxy.core.spending.caps import (
    Cap,
    CapStateDocument,
    CounterDocument,
    cap_document,
    cap_state_document,
    counter_document,
)
from proxy.edges.admin.answers.limits import CapEnded, CapSet
from proxy.edges.admin.answers.lists import Listed
from proxy.edges.admin.bodies import CapBody, CapChangesBody, ReasonBody
from proxy.edges.admin.handlers.limit_warnings import warnings_of
from proxy.edges.admin.pages import page_of_named
from proxy.edges.admin.parts import AdminParts, Answer, Ask, Created
from proxy.edges.admin.queries import PageQuery, ReasonQuery
from proxy.runtime.releasing.limit_commands import CapDraft


async def list_caps(parts: AdminParts, ask: Ask) -> Answer[Listed[CapStateDocument]]:
    if parts.workers is not None:
        # What workers have settled so far is on its way: shown is what calls that are answered came to.
        await parts.workers.confirm()
    caps = {cap.id: cap for cap in parts.live.current.caps}
    return page_of_named(caps, ask.query_as(PageQuery), lambda cap: _with_counters(parts, cap))


async def list_counters(parts: AdminParts, ask: Ask) -> Answer[Listed[CounterDocument]]:
    """Every counter of a cap. A cursor is the window and how many of its counters were shown."""
    if parts.workers is not None:
        await parts.workers.confirm()
    wanted, query = ask.path["id"], ask.query_as(PageQuery)
    cap = next((cap for cap in parts.live.current.caps if cap.id == wanted), None)
    if cap is None:
        raise NotFound("cap_not_found", f"there is no cap {wanted!r}", param="cap")
    start, shown = _position(query.cursor) or (parts.ledger.window_of(cap), 0)
    counters = parts.ledger.standing(cap, start).counters
    page = [
        counter_document(cap, counter.key, counter.spent, counter.held)
        for counter in islice(counters.values(), shown, shown + query.limit)
    ]
    shown += len(page)
    return Answer({"items": page, "next": f"{start}.{shown}" if page and shown < len(counters) else None})


def _position(cursor: str | None) -> tuple[int, int] | None:
    """Raises BadInput(`bad_cursor`)."""
    if cursor is None:
        return None
    found = re.fullmatch(r"([0-9]{1,18})\.([0-9]{1,18})", cursor, re.ASCII)
    if found is None:
        raise BadInput("bad_cursor", "the cursor is not one this list gave out", param="cursor")
    return int(found[1]), int(found[2])


async def set_cap(parts: AdminParts, ask: Ask) -> Created[CapSet]:
    body = ask.body_as(CapBody)
    draft = CapDraft(scope=body.scope, window=body.window, unit=body.unit, limit=body.limit, at_limit=body.at_limit)
    cap = await parts.limits.set_cap(ask.who, draft, body.why)
    return Created({**_with_counters(parts, cap), "warnings": warnings_of(parts, cap.scope)})


async def change_cap(parts: AdminParts, ask: Ask) -> Answer[CapStateDocument]:
    body = ask.body_as(CapChangesBody)
    cap = await parts.limits.change_cap(ask.who, ask.path["id"], body.limit, body.at_limit, body.why)
    return Answer(_with_counters(parts, cap))


async def end_cap(parts: AdminParts, ask: Ask) -> Answer[CapEnded]:
    why = ask.body_as(ReasonBody).why or ask.query_as(ReasonQuery).why
    cap = await parts.limits.end_cap(ask.who, ask.path["id"], why)
    return Answer({**cap_document(cap), "removed": True})


def _with_counters(parts: AdminParts, cap: Cap) -> CapStateDocument:
    start = parts.ledger.window_of(cap)
    standing = parts.ledger.standing(cap, start)
    fullest = [(counter.key, counter.spent, counter.held) for counter in standing.fullest()]
    sums, is_known = (standing.spent, standing.held), parts.ledger.knows(cap)
    return cap_state_document(
        cap,
        start,
        sums,
        fullest,
        len(standing.counters),
        charged=standing.charged,
        unmetered=parts.ledger.unmetered(cap, start),
        is_known=is_known,
    )
