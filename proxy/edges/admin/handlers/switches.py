"""Handlers: kill switches.

Decision (2026-11-28): of all changes only putting a switch on has to say why. Whoever meets it reads the reason, callers and the
colleague who is to take it off; the way back, and everything else, is not held up for want of words.
"""

from proxy.core.errors import BadInput
from proxy.core.switches import SwitchDocument, switch_document
from proxy.core.times import parse_rfc3339
from proxy.edges.admin.answers.limits import SwitchEnded, SwitchSet
from proxy.edges.admin.answers.lists import Listed
from proxy.edges.admin.ask_and_answer import AdminAnswer, Ask, Created
from proxy.edges.admin.bodies import ReasonBody, SwitchBody
from proxy.edges.admin.pages import page_of_named
from proxy.edges.admin.queries import PageQuery, ReasonQuery
from proxy.runtime.releasing.limit_commands import LimitCommands, SwitchDraft
from proxy.runtime.reports.limits import ScopeReader, SwitchReader
from proxy.runtime.state.journal import Journal


async def list_switches(switches: SwitchReader, ask: Ask) -> AdminAnswer[Listed[SwitchDocument]]:
    return page_of_named(switches.active(), ask.query_as(PageQuery), switch_document)


async def switch_on(limits: LimitCommands, scopes: ScopeReader, journal: Journal, ask: Ask) -> Created[SwitchSet]:
    body = ask.body_as(SwitchBody)
    draft = SwitchDraft(
        scope=body.scope,
        mode=body.mode,
        expires_at_microseconds=None if body.expires is None else parse_rfc3339(body.expires, "expires"),
        reply_text=body.reply,
        fallback_version=body.fallback_version,
        cut_streams=body.cut_streams,
    )
    if not body.why.strip():
        raise BadInput("why_missing", "say why: callers and whoever takes the switch off will read it", param="why")
    notices: list[str] = []
    switch = await limits.switch_on(ask.who, draft, body.why, force=body.force, notices=notices)
    journalled = journal.note(f"switches/{switch.id}")
    warnings = [*scopes.warnings(switch.scope), *notices]
    return Created({**switch_document(switch), **journalled, "warnings": warnings})


async def switch_off(limits: LimitCommands, switches: SwitchReader, ask: Ask) -> AdminAnswer[SwitchEnded]:
    why = ask.body_as(ReasonBody).why or ask.query_as(ReasonQuery).why
    switch = await limits.switch_off(ask.who, ask.path["id"], why)
    still_on = [switch_document(other) for other in switches.still_on(switch)]
    return AdminAnswer({**switch_document(switch), "removed": True, "still_on": still_on})
