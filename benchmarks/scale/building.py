"""Fills a database with agents and versions, through the store's own rows, SQL, hashes and audit chain.

What differs from creating versions one by one is only how many share a transaction: one by one, every version is a transaction
with an fsync and some ten hops between threads. The schema's checks hold here too, and `audit verify` proves the result.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any

from proxy.core.proof.audit import AuditDraft
from proxy.core.releasing.releases import Release, release_document, whole
from proxy.core.snapshot import Agent, agent_document
from proxy.core.versions.components import COMPONENT_KINDS, Bundle, Component, ComponentKind, bundle_of, parse_component
from proxy.core.versions.versions import Version, version_summary
from proxy.store.rows.values import agent_columns
from proxy.store.sqlite.appending import append_audit, append_release, append_version, insert
from proxy.store.sqlite.opening.connection import atomically
from proxy.store.sqlite.snapshot_parts import finish

_VERSIONS_A_TRANSACTION = 20_000
_BEGAN_MICROSECONDS = 1_790_000_000_000_000
_SENTENCES = [f"Rule {number}: answer kindly, name the ticket, and never promise a refund." for number in range(14)]
_TOOLS = {
    "mode": "merge",
    "items": [{"name": f"tool_{number}", "parameters": {"type": "object"}} for number in range(8)],
}


def name_of(index: int) -> str:
    return f"agent-{index:04}"


def components(agent: str, number: int) -> dict[str, Any]:
    """About 1 KB of prompt in which one line is this version's own; the other components are shared by many versions."""
    return {
        "prompt": {"text": "\n".join([f"You are {agent}, edition {number}.", *_SENTENCES])},
        "model": {"provider": "openai", "name": "gpt-4o-mini", "parameters": {"temperature": number % 10 / 10}},
        "tools": _TOOLS,
        "policy": {"max_tool_calls": 3},
    }


def grow(database: Path, agents: int, versions: int) -> None:
    """Let every agent have at least so many versions; the first of them is what `prod` serves. The database exists and nobody
    else has it open."""
    with closing(sqlite3.connect(database, isolation_level=None, cached_statements=256)) as plain:
        plain.row_factory = sqlite3.Row
        plain.execute("PRAGMA foreign_keys = ON")
        # A crash would cost this benchmark's own file; the cache holds the index of hashes.
        plain.execute("PRAGMA synchronous = OFF")
        plain.execute("PRAGMA cache_size = -262144")
        work = _missing(plain, agents, versions)
        while atomically(plain, _some, work):
            pass
        plain.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _missing(plain: sqlite3.Connection, agents: int, versions: int) -> Iterator[tuple[str, int]]:
    """Agent and number of every version to be made. The rows are asked for before anything of the agent is written."""
    for index in range(agents):
        name = name_of(index)
        newest: int = plain.execute(
            "SELECT COALESCE(MAX(number), 0) FROM versions WHERE agent = ?", (name,)
        ).fetchone()[0]
        yield from ((name, number) for number in range(newest + 1, versions + 1))


def _some(plain: sqlite3.Connection, work: Iterator[tuple[str, int]]) -> bool:
    """One transaction's worth; False where nothing was left to do."""
    made, agents = 0, set[str]()
    for agent, number in work:
        if number == 1:
            _create_agent(plain, agent)
        version = Version(
            agent=agent,
            number=number,
            bundle=_bundle(agent, number),
            parent=number - 1 or None,
            author="ann",
            message=f"edition {number}",
            created_at_microseconds=_BEGAN_MICROSECONDS + number,
        )
        append_version(plain, version)
        _audit(plain, "version.created", f"agents/{agent}/versions/{number}", version_summary(version))
        if number == 1:
            _label(plain, agent)
        made += 1
        agents.add(agent)
        if made == _VERSIONS_A_TRANSACTION:
            break
    if made:
        revision: int = plain.execute("SELECT revision FROM meta").fetchone()[0] + 1
        finish(plain, [("agent", agent) for agent in agents], revision)
    return made > 0


def _bundle(agent: str, number: int) -> Bundle:
    """What `parse_bundle` makes of the components, with those that come again parsed once."""
    given = components(agent, number)
    parsed = {kind: _shared(kind, number % 10) for kind in COMPONENT_KINDS if kind != "prompt"}
    return bundle_of({"prompt": parse_component("prompt", given["prompt"]), **parsed})


@cache
def _shared(kind: ComponentKind, number: int) -> Component:
    return parse_component(kind, components("", number).get(kind))


def _create_agent(plain: sqlite3.Connection, name: str) -> None:
    agent = Agent(name=name, created_at_microseconds=_BEGAN_MICROSECONDS)
    insert(plain, "agents", [agent_columns(agent)])
    _audit(plain, "agent.created", f"agents/{name}", agent_document(agent))


def _label(plain: sqlite3.Connection, agent: str) -> None:
    release = Release(
        agent=agent,
        number=1,
        kind="label_moved",
        label="prod",
        arms=whole(1),
        salt=None,
        rollout=None,
        who="ann",
        approved_by=None,
        why="scale",
        created_at_microseconds=_BEGAN_MICROSECONDS,
    )
    append_release(plain, release)
    _audit(plain, "label.moved", f"agents/{agent}/labels/prod", release_document(release))


def _audit(plain: sqlite3.Connection, what: str, subject: str, after: dict[str, Any]) -> None:
    draft = AuditDraft(
        who="ann", what=what, subject=subject, why="scale", at_microseconds=_BEGAN_MICROSECONDS, after=after
    )
    append_audit(plain, draft)
