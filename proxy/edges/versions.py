"""Handlers: versions."""

import re

from proxy.core.documents import version_document, version_summary
from proxy.core.errors import NotFound
from proxy.core.names import RESERVED_LABEL
from proxy.edges.agents import known_agent
from proxy.edges.bodies import VersionBody
from proxy.edges.pages import page_answer
from proxy.edges.parts import AdminParts, Answer, Ask
from proxy.edges.queries import PageQuery
from proxy.runtime.release_commands import VersionDraft

_NUMBER = re.compile(r"[1-9][0-9]{0,8}\Z")


async def list_versions(parts: AdminParts, ask: Ask) -> Answer:
    query = ask.query_as(PageQuery)
    state = await known_agent(parts, ask)
    page = await parts.store.versions(state.agent.name, query.cursor, query.limit)
    return page_answer(page, version_summary)


async def create_version(parts: AdminParts, ask: Ask) -> Answer:
    body = ask.body_as(VersionBody)
    components = {
        "prompt": body.prompt,
        "model": body.model,
        "tools": body.tools,
        "retrieval": body.retrieval,
        "policy": body.policy,
    }
    draft = VersionDraft(
        components=components,
        parent=body.parent,
        message=body.message,
        tested_against=body.tested_against,
        source=body.source,
    )
    version, is_new = await parts.releases.create_version(ask.who, ask.path["agent"], draft, body.why)
    return Answer(version_document(version), 201 if is_new else 200)


async def get_version(parts: AdminParts, ask: Ask) -> Answer:
    state = await known_agent(parts, ask)
    name, wanted = state.agent.name, ask.path["n"]
    number = state.agent.newest if wanted == RESERVED_LABEL else _number(wanted)
    version = await parts.store.version(name, number) if number else None
    if version is None:
        raise NotFound("version_not_found", f"agent {name!r} has no version {wanted}", param="version")
    return Answer(version_document(version))


def _number(text: str) -> int:
    return int(text) if _NUMBER.match(text) else 0
