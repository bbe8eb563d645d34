"""Handlers: versions, what changed between two of them, and which of them a label served at a moment."""

from typing import Any

from proxy.core.names import check_label_name
from proxy.core.versions.versions import VersionDocument, VersionSummary, version_document, version_summary
from proxy.edges.admin.answers.lists import Listed
from proxy.edges.admin.answers.versions import (
    DraftChecked,
    Expected,
    ServedThen,
    VersionChecked,
    VersionListed,
    VersionsCompared,
)
from proxy.edges.admin.ask_and_answer import AdminAnswer, Ask, Created
from proxy.edges.admin.bodies import PreflightBody, VersionBody
from proxy.edges.admin.pages import page_answer
from proxy.edges.admin.queries import PageQuery, PreflightQuery, VersionsAtQuery
from proxy.runtime.releasing.preflight import Foreseen
from proxy.runtime.releasing.release_commands import ReleaseCommands, VersionDraft
from proxy.runtime.reports.agents import AgentReader
from proxy.runtime.reports.releases import ReleaseReader
from proxy.runtime.reports.versions import VersionReader, difference


async def list_versions(agents: AgentReader, versions: VersionReader, ask: Ask) -> AdminAnswer[Listed[VersionListed]]:
    query = ask.query_as(PageQuery)
    state = await agents.known(ask.path["agent"])
    page = await versions.page(state, query.cursor, query.limit)
    served = versions.serving_now(state)

    def listed(version: VersionSummary) -> VersionListed:
        return {**version_summary(version), "serves": [*served.get(version.number, ())]}

    return page_answer(page, listed)


async def create_version(
    releases: ReleaseCommands, ask: Ask
) -> AdminAnswer[VersionDocument] | Created[VersionDocument]:
    body = ask.body_as(VersionBody)
    draft = VersionDraft(
        components=_components(body),
        parent=body.parent,
        message=body.message,
        tested_against=body.tested_against,
        source=body.source,
    )
    version, is_new = await releases.create_version(ask.who, ask.path["agent"], draft, body.why)
    return Created(version_document(version)) if is_new else AdminAnswer(version_document(version))


async def get_version(agents: AgentReader, versions: VersionReader, ask: Ask) -> AdminAnswer[VersionDocument]:
    state = await agents.known(ask.path["agent"])
    return AdminAnswer(version_document(await versions.numbered(state, ask.path["n"])))


async def check_version(
    releases: ReleaseCommands, agents: AgentReader, versions: VersionReader, ask: Ask
) -> AdminAnswer[VersionChecked]:
    """What a preflight finds, before anything is ordered."""
    state = await agents.known(ask.path["agent"])
    version = await versions.numbered(state, ask.path["n"])
    label = ask.query_as(PreflightQuery).label or state.agent.default_label
    found = await releases.preflight(state.agent.name, label, version.number)
    return AdminAnswer({"agent": state.agent.name, "version": version.number, "label": label, **_foreseen(found)})


async def check_draft(releases: ReleaseCommands, ask: Ask) -> AdminAnswer[DraftChecked]:
    """The same for a version that is not made yet."""
    body = ask.body_as(PreflightBody)
    if body.label is not None:
        check_label_name(body.label)
    found = await releases.preflight_draft(body.agent, body.label, _components(body))
    return AdminAnswer({"agent": body.agent, "version": None, "label": body.label, **_foreseen(found)})


def _foreseen(found: Foreseen) -> Expected:
    findings = [finding.document() for finding in found.findings]
    return {"ok": not findings, "findings": findings, "notices": list(found.notices)}


async def get_diff(agents: AgentReader, versions: VersionReader, ask: Ask) -> AdminAnswer[VersionsCompared]:
    """Two versions, each by number, label or `latest`."""
    state = await agents.known(ask.path["agent"])
    before, after = await versions.called(state, ask.path["a"]), await versions.called(state, ask.path["b"])
    found = await difference(before, after)
    return AdminAnswer({"agent": state.agent.name, "before": before.number, "after": after.number, **found})


async def get_versions_at(
    agents: AgentReader, versions: VersionReader, releases: ReleaseReader, ask: Ask
) -> AdminAnswer[ServedThen]:
    """What a label served at a moment, from the ledger; `eligible` are the tags without which a call got the stable arm."""
    query = ask.query_as(VersionsAtQuery)
    state = await agents.known(ask.path["agent"])
    served = await versions.served(state, query.label or state.agent.default_label, query.time)
    rollout = None if served.rollout is None else await releases.rollout(state, served.rollout)
    return AdminAnswer({**served.document(), "eligible": {} if rollout is None else dict(rollout.eligible)})


def _components(body: VersionBody | PreflightBody) -> dict[str, Any]:
    return {
        "prompt": body.prompt,
        "model": body.model,
        "tools": body.tools,
        "retrieval": body.retrieval,
        "policy": body.policy,
    }
