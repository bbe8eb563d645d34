"""Handlers: versions, what changed between two of them, and which of them a label served at a moment."""

import asyncio
import re
from typing import Any

from proxy.core.errors import BadInput, NotFound
from proxy.core.names import RESERVED_LABEL, check_label_name
from proxy.core.pages import MAX_PAGE
from proxy.core.releasing.releases import Release
from proxy.core.releasing.serving import serving
from proxy.core.releasing.timeline import doubt_at, served_at
from proxy.core.snapshot import AgentState
from proxy.core.times import parse_rfc3339, rfc3339
from proxy.core.versions.diffing import diff_versions
from proxy.core.versions.versions import (
    Version,
    VersionDocument,
    VersionSummary,
    version_document,
    version_summary,
)
from proxy.edges.admin.answers.lists import Listed
from proxy.edges.admin.answers.versions import (
    DraftChecked,
    Expected,
    ServedThen,
    VersionChecked,
    VersionListed,
    VersionsCompared,
)
from proxy.edges.admin.bodies import PreflightBody, VersionBody
from proxy.edges.admin.handlers.agents import known_agent
from proxy.edges.admin.handlers.rollouts import find_rollout
from proxy.edges.admin.pages import page_answer
from proxy.edges.admin.parts import AdminParts, Answer, Ask, Created
from proxy.edges.admin.queries import PageQuery, PreflightQuery, VersionsAtQuery
from proxy.runtime.releasing.preflight import Foreseen
from proxy.runtime.releasing.release_commands import VersionDraft

_NUMBER = re.compile(r"[1-9][0-9]{0,8}\Z")


async def list_versions(parts: AdminParts, ask: Ask) -> Answer[Listed[VersionListed]]:
    query = ask.query_as(PageQuery)
    state = await known_agent(parts, ask)
    page = await parts.store.versions(state.agent.name, query.cursor, query.limit)
    served = serving(state, parts.live.current.switches, parts.clock.now_microseconds())

    def listed(version: VersionSummary) -> VersionListed:
        return {**version_summary(version), "serves": served.get(version.number, [])}

    return page_answer(page, listed)


async def create_version(parts: AdminParts, ask: Ask) -> Answer[VersionDocument] | Created[VersionDocument]:
    body = ask.body_as(VersionBody)
    draft = VersionDraft(
        components=_components(body),
        parent=body.parent,
        message=body.message,
        tested_against=body.tested_against,
        source=body.source,
    )
    version, is_new = await parts.releases.create_version(ask.who, ask.path["agent"], draft, body.why)
    return Created(version_document(version)) if is_new else Answer(version_document(version))


async def get_version(parts: AdminParts, ask: Ask) -> Answer[VersionDocument]:
    state, wanted = await known_agent(parts, ask), ask.path["n"]
    return Answer(version_document(await _version(parts, state, wanted, _number(state, wanted))))


async def check_version(parts: AdminParts, ask: Ask) -> Answer[VersionChecked]:
    """What a preflight finds, before anything is ordered."""
    state, wanted = await known_agent(parts, ask), ask.path["n"]
    number, label = _number(state, wanted), ask.query_as(PreflightQuery).label or state.agent.default_label
    version = await _version(parts, state, wanted, number)
    found = await parts.releases.preflight(state.agent.name, label, version.number)
    return Answer({"agent": state.agent.name, "version": version.number, "label": label, **_foreseen(found)})


async def check_draft(parts: AdminParts, ask: Ask) -> Answer[DraftChecked]:
    """The same for a version that is not made yet."""
    body = ask.body_as(PreflightBody)
    if body.label is not None:
        check_label_name(body.label)
    found = await parts.releases.preflight_draft(body.agent, body.label, _components(body))
    return Answer({"agent": body.agent, "version": None, "label": body.label, **_foreseen(found)})


def _foreseen(found: Foreseen) -> Expected:
    findings = [finding.document() for finding in found.findings]
    return {"ok": not findings, "findings": findings, "notices": list(found.notices)}


async def get_diff(parts: AdminParts, ask: Ask) -> Answer[VersionsCompared]:
    """Two versions, each by number, label or `latest`."""
    state = await known_agent(parts, ask)
    sides: list[Version] = []
    for wanted in (ask.path["a"], ask.path["b"]):
        label = state.labels.get(wanted)
        number = _number(state, wanted) if label is None else label.version
        sides.append(await _version(parts, state, wanted, number))
    before, after = sides
    # Long prompts take a while to compare; calls in flight do not wait for that.
    difference = await asyncio.to_thread(lambda: diff_versions(before, after).document())
    return Answer({"agent": state.agent.name, "before": before.number, "after": after.number, **difference})


async def get_versions_at(parts: AdminParts, ask: Ask) -> Answer[ServedThen]:
    """What a label served at a moment, from the ledger; `eligible` are the tags without which a call got the stable arm."""
    query = ask.query_as(VersionsAtQuery)
    state = await known_agent(parts, ask)
    name, label = state.agent.name, query.label or state.agent.default_label
    now = parts.clock.now_microseconds()
    moment = now if query.time is None else parse_rfc3339(query.time, "time")
    if moment > now:
        raise BadInput(
            "bad_time", f"{rfc3339(moment)} is yet to come; what is served now is told without `time`", param="time"
        )
    history = await _history(parts, name, label, moment)
    served = served_at(history, moment, now)
    if served is None:
        doubt = doubt_at(history, moment, now)
        uncertain = "" if doubt is None else f"; this is uncertain: {doubt}"
        raise NotFound(
            "label_not_set", f"{name}: {label} served nothing at {rfc3339(moment)}{uncertain}", param="label"
        )
    rollout = None if served.rollout is None else await find_rollout(parts, state, served.rollout)
    return Answer({**served.document(), "eligible": {} if rollout is None else dict(rollout.eligible)})


async def _history(parts: AdminParts, agent: str, label: str, since_microseconds: int) -> list[Release]:
    """A label's releases, oldest first, back to a page that is wholly of before that moment: a clock may have been set."""
    newest_first: list[Release] = []
    cursor: str | None = None
    while True:
        page = await parts.store.releases(agent, label, cursor, MAX_PAGE)
        newest_first += page.items
        cursor = page.next_cursor
        if cursor is None or all(row.created_at_microseconds <= since_microseconds for row in page.items):
            return newest_first[::-1]


async def _version(parts: AdminParts, state: AgentState, wanted: str, number: int) -> Version:
    version = await parts.store.version(state.agent.name, number) if number else None
    if version is None:
        there_is = f"the newest is {state.agent.newest}" if state.agent.newest else "it has none yet"
        problem = f"agent {state.agent.name!r} has no version {wanted}; {there_is}"
        raise NotFound("version_not_found", problem, param="version")
    return version


def _components(body: VersionBody | PreflightBody) -> dict[str, Any]:
    return {
        "prompt": body.prompt,
        "model": body.model,
        "tools": body.tools,
        "retrieval": body.retrieval,
        "policy": body.policy,
    }


def _number(state: AgentState, text: str) -> int:
    """0 for what is no number."""
    if text == RESERVED_LABEL:
        return state.agent.newest
    return int(text) if _NUMBER.match(text) else 0
