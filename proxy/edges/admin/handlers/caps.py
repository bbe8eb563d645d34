"""Handlers: caps, with what each has spent, holds and has left in its current window."""

from typing import Any

from proxy.core.spending.caps import Cap, cap_document, cap_state_document, window_start
from proxy.edges.admin.bodies import CapBody, CapChangesBody, ReasonBody
from proxy.edges.admin.pages import page_of_named
from proxy.edges.admin.parts import AdminParts, Answer, Ask
from proxy.edges.admin.queries import PageQuery, ReasonQuery
from proxy.runtime.releasing.limit_commands import CapDraft

#: Of a cap that counts each user apart, only the counters nearest to the limit are listed.
MAX_COUNTERS = 100


async def list_caps(parts: AdminParts, ask: Ask) -> Answer:
    if parts.workers is not None:
        # What workers have settled so far is on its way: shown is what calls that are answered came to.
        await parts.workers.confirm()
    caps = {cap.id: cap for cap in parts.live.current.caps}
    return page_of_named(caps, ask.query_as(PageQuery), lambda cap: _with_counters(parts, cap))


async def set_cap(parts: AdminParts, ask: Ask) -> Answer:
    body = ask.body_as(CapBody)
    draft = CapDraft(scope=body.scope, window=body.window, unit=body.unit, limit=body.limit, at_limit=body.at_limit)
    return Answer(_with_counters(parts, await parts.guards.set_cap(ask.who, draft, body.why)), 201)


async def change_cap(parts: AdminParts, ask: Ask) -> Answer:
    body = ask.body_as(CapChangesBody)
    cap = await parts.guards.change_cap(ask.who, ask.path["id"], body.limit, body.at_limit, body.why)
    return Answer(_with_counters(parts, cap))


async def end_cap(parts: AdminParts, ask: Ask) -> Answer:
    why = ask.body_as(ReasonBody).why or ask.query_as(ReasonQuery).why
    cap = await parts.guards.end_cap(ask.who, ask.path["id"], why)
    return Answer({**cap_document(cap), "removed": True})


def _with_counters(parts: AdminParts, cap: Cap) -> dict[str, Any]:
    start = window_start(cap.window, parts.clock.now_microseconds())
    counters = [
        (key, counter.spent, counter.held)
        for key, counter in parts.ledger.counters_of(cap).items()
        if key.window_start_microseconds == start
    ]
    return cap_state_document(cap, start, counters, MAX_COUNTERS)
