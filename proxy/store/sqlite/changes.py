"""One admin change: reads and writes of a transaction that is open on the writer.

Each method is one hop to the writer's thread. Whether a change is allowed is decided by its caller with core's rules; the
schema holds what must hold in any case. Rows that are never changed again are written by appending.py; the transaction
around it all is database.py's. Whatever writes what the snapshot is made of notes which part of it that was.
"""

import sqlite3
from collections.abc import Sequence
from typing import Any

from proxy.core.errors import NotFound
from proxy.core.proof.audit import AuditDraft, AuditEntry
from proxy.core.releasing.proposals import Proposal
from proxy.core.releasing.protection import Protection
from proxy.core.releasing.releases import Release
from proxy.core.rollouts.named_plans import NamedPlan
from proxy.core.snapshot import Agent, AgentState, Rollout, SnapshotChanges
from proxy.core.spending.caps import Cap
from proxy.core.switches import Switch
from proxy.core.tokens import Token
from proxy.core.versions.versions import Version
from proxy.store.rows.access import PROPOSALS, PROTECTIONS, TOKENS
from proxy.store.rows.columns import Columns, json_text
from proxy.store.rows.values import CAPS, PLANS, SWITCHES, agent_columns, rollout_columns
from proxy.store.sqlite import access, plans
from proxy.store.sqlite.appending import append_audit, append_release, append_version, insert
from proxy.store.sqlite.lists import read_label_history, read_rollout
from proxy.store.sqlite.opening.connection import ThreadConnection
from proxy.store.sqlite.runs.counted_runs import CountedRuns
from proxy.store.sqlite.runs.run_sums import move_quarantined
from proxy.store.sqlite.snapshot_parts import Part, finish, mark, read_changes
from proxy.store.sqlite.traffic import read_agent, read_agent_state, read_version, rollouts_of

_UPDATE_AGENT = """
UPDATE agents SET description = :description, default_label = :default_label, allow_latest = :allow_latest,
    unapplied = :unapplied, archived = :archived
WHERE name = :name
"""
_NEXT_RELEASE = "SELECT COALESCE(MAX(number), 0) + 1 FROM releases WHERE agent = ?"
_NEXT_ROLLOUT = "SELECT COALESCE(MAX(number), 0) + 1 FROM rollouts WHERE agent = ?"
_UPDATE_ROLLOUT = """
UPDATE rollouts SET state = :state, step = :step, ended_at_microseconds = :ended_at_microseconds
WHERE agent = :agent AND id = :id
"""
_LAST_ROLLOUT_OF = """
SELECT * FROM rollouts WHERE agent = :agent AND label = :label AND EXISTS (
    SELECT 1 FROM releases JOIN release_arms
        ON release_arms.agent = releases.agent AND release_arms.release = releases.number
    WHERE releases.agent = rollouts.agent AND releases.rollout = rollouts.id
        AND releases.kind IN ('rollout_started', 'share_changed')
        AND release_arms.name <> 'stable' AND release_arms.version = :candidate
) ORDER BY number DESC LIMIT 1
"""
_SWITCH = "SELECT * FROM switches WHERE id = ? AND ended_at_microseconds IS NULL"
_END_SWITCH = """
UPDATE switches SET ended_by = ?, ended_at_microseconds = ? WHERE id = ? AND ended_at_microseconds IS NULL
"""
_CAP = "SELECT * FROM caps WHERE id = ? AND ended_at_microseconds IS NULL"
_REPLACE_CAP = """
UPDATE caps SET limit_amount = :limit_amount, at_limit = :at_limit, why = :why
WHERE id = :id AND ended_at_microseconds IS NULL
"""
_END_CAP = "UPDATE caps SET ended_by = ?, ended_at_microseconds = ? WHERE id = ? AND ended_at_microseconds IS NULL"


_MARKED_OTHERWISE = """
SELECT id FROM run_records WHERE id IN (SELECT value FROM json_each(:runs) AS wanted) AND quarantined <> :quarantined
"""
_QUARANTINE = """
UPDATE run_records SET quarantined = :quarantined WHERE id IN (SELECT value FROM json_each(:runs) AS wanted)
"""


class SqliteChange:
    """The Change of the SQLite store. What is to be replaced or ended and is not there raises NotFound."""

    def __init__(self, writer: ThreadConnection, revision: int, counted: CountedRuns) -> None:
        self._writer = writer
        self._revision = revision
        self._counted = counted
        self.audit_entries = 0
        #: What of the snapshot is written to, and not marked yet.
        self._unmarked: set[Part] = set()

    @property
    def revision(self) -> int:
        return self._revision

    async def agent(self, name: str) -> Agent | None:
        return await self._writer.run(read_agent, name)

    async def insert_agent(self, agent: Agent) -> None:
        await self._writer.run(insert, "agents", [agent_columns(agent)])
        self._changes_agent(agent.name)

    async def update_agent(self, agent: Agent) -> None:
        await self._alter(_UPDATE_AGENT, agent_columns(agent), _missing("agent", agent.name))
        self._changes_agent(agent.name)

    async def version(self, agent: str, number: int) -> Version | None:
        return await self._writer.run(read_version, agent, number)

    async def insert_version(self, version: Version) -> None:
        await self._writer.run(append_version, version)
        self._changes_agent(version.agent)

    async def agent_state(self, name: str) -> AgentState | None:
        return await self._writer.run(read_agent_state, name)

    async def label_history(self, agent: str, label: str) -> list[Release]:
        return await self._writer.run(read_label_history, agent, label)

    async def next_release_number(self, agent: str) -> int:
        return (await self._writer.run(_fetch, _NEXT_RELEASE, (agent,)))[0][0]

    async def append_release(self, release: Release) -> None:
        await self._writer.run(append_release, release)
        self._changes_agent(release.agent)

    async def delete_label(self, agent: str, label: str) -> None:
        await self._alter("DELETE FROM labels WHERE agent = ? AND name = ?", (agent, label), _missing("label", label))
        self._changes_agent(agent)

    async def next_rollout_id(self, agent: str) -> str:
        return f"r{(await self._writer.run(_fetch, _NEXT_ROLLOUT, (agent,)))[0][0]}"

    async def insert_rollout(self, rollout: Rollout) -> None:
        await self._writer.run(_insert_rollout, rollout)
        self._changes_agent(rollout.agent)

    async def update_rollout(self, rollout: Rollout) -> None:
        await self._alter(_UPDATE_ROLLOUT, rollout_columns(rollout), _missing("rollout", rollout.id))
        self._changes_agent(rollout.agent)

    async def rollout(self, agent: str, rollout_id: str) -> Rollout | None:
        return await self._writer.run(read_rollout, agent, rollout_id)

    async def last_rollout_of(self, agent: str, label: str, candidate: int) -> Rollout | None:
        wanted = {"agent": agent, "label": label, "candidate": candidate}
        return await self._writer.run(_read_rollout, _LAST_ROLLOUT_OF, wanted)

    async def insert_switch(self, switch: Switch) -> None:
        await self._writer.run(insert, "switches", [SWITCHES.columns(switch)])
        await self._changes_switches(switch)

    async def switch(self, switch_id: str) -> Switch | None:
        rows = await self._writer.run(_fetch, _SWITCH, (switch_id,))
        return SWITCHES.value(rows[0]) if rows else None

    async def end_switch(self, switch_id: str, who: str, at_microseconds: int) -> None:
        switch = await self.switch(switch_id)
        if switch is None:
            raise _missing("switch", switch_id)
        await self._writer.run(_execute, _END_SWITCH, (who, at_microseconds, switch_id))
        await self._changes_switches(switch)

    async def insert_cap(self, cap: Cap) -> None:
        await self._writer.run(insert, "caps", [CAPS.columns(cap)])
        self._unmarked.add(("caps", ""))

    async def cap(self, cap_id: str) -> Cap | None:
        rows = await self._writer.run(_fetch, _CAP, (cap_id,))
        return CAPS.value(rows[0]) if rows else None

    async def replace_cap(self, cap: Cap) -> None:
        await self._alter(_REPLACE_CAP, CAPS.columns(cap), _missing("cap", cap.id))
        self._unmarked.add(("caps", ""))

    async def end_cap(self, cap_id: str, who: str, at_microseconds: int) -> None:
        await self._alter(_END_CAP, (who, at_microseconds, cap_id), _missing("cap", cap_id))
        self._unmarked.add(("caps", ""))

    async def insert_token(self, token: Token) -> None:
        await self._writer.run(insert, "tokens", [TOKENS.columns(token)])
        self._unmarked.add(("tokens", ""))

    async def token(self, token_id: str) -> Token | None:
        return await self._writer.run(access.read_active_token, token_id)

    async def revoke_token(self, token_id: str, who: str, at_microseconds: int) -> None:
        await self._alter(access.REVOCATION, (who, at_microseconds, token_id), _missing("token", token_id))
        self._unmarked.add(("tokens", ""))

    async def protection(self, agent: str, label: str) -> Protection | None:
        return await self._writer.run(access.read_protection, agent, label)

    async def set_protection(self, protection: Protection) -> None:
        await self._writer.run(_execute, access.SET_PROTECTION, PROTECTIONS.columns(protection))

    async def end_protection(self, agent: str, label: str) -> None:
        await self._alter(access.END_PROTECTION, (agent, label), _missing("protection", label))

    async def plan(self, name: str) -> NamedPlan | None:
        return await self._writer.run(plans.read_plan, name)

    async def set_plan(self, named: NamedPlan) -> None:
        await self._writer.run(_execute, plans.SET_PLAN, PLANS.columns(named))

    async def delete_plan(self, name: str) -> None:
        await self._alter(plans.DELETE_PLAN, (name,), _missing("plan", name))

    async def next_proposal_id(self, agent: str) -> str:
        return await self._writer.run(access.next_proposal_id, agent)

    async def insert_proposal(self, proposal: Proposal) -> None:
        await self._writer.run(access.insert_proposal, proposal)

    async def proposal(self, agent: str, proposal_id: str) -> Proposal | None:
        return await self._writer.run(access.read_proposal, agent, proposal_id)

    async def waiting_proposals(self, agent: str, label: str) -> list[Proposal]:
        return await self._writer.run(access.read_waiting, agent, label)

    async def decide_proposal(self, proposal: Proposal) -> None:
        await self._alter(access.DECIDE_PROPOSAL, PROPOSALS.columns(proposal), _missing("proposal", proposal.id))

    async def quarantine_runs(self, run_ids: Sequence[str], quarantined: bool) -> int:
        return await self._writer.run(_quarantine, self._counted, run_ids, quarantined)

    async def append_audit(self, draft: AuditDraft) -> AuditEntry:
        entry = await self._writer.run(append_audit, draft)
        self.audit_entries += 1
        return entry

    async def changes_since(self, revision: int) -> SnapshotChanges:
        return await self._writer.run(self._read_changes, revision)

    async def finish(self) -> None:
        """The last statements."""
        await self._writer.run(finish, self._unmarked, self._revision)

    def _read_changes(self, plain: sqlite3.Connection, after: int) -> SnapshotChanges:
        mark(plain, self._unmarked, self._revision)
        self._unmarked.clear()
        return read_changes(plain, after, self._revision)

    def _changes_agent(self, name: str) -> None:
        self._unmarked.add(("agent", name))

    async def _changes_switches(self, switch: Switch) -> None:
        """The list, and the agents whose reachable versions follow from the switch."""
        self._unmarked.add(("switches", ""))
        if switch.fallback_version is None:
            return
        if switch.scope.agent is not None:
            self._changes_agent(switch.scope.agent)
            return
        for row in await self._writer.run(_fetch, "SELECT name FROM agents", ()):
            self._changes_agent(row["name"])

    async def _alter(self, statement: str, values: Sequence[Any] | Columns, missing: NotFound) -> None:
        if not await self._writer.run(_execute, statement, values):
            raise missing


def _missing(what: str, name: str) -> NotFound:
    return NotFound(f"{what}_not_found", f"there is no {what} {name!r}", param=what)


def _fetch(plain: sqlite3.Connection, statement: str, values: Sequence[Any]) -> list[sqlite3.Row]:
    return plain.execute(statement, values).fetchall()


def _execute(plain: sqlite3.Connection, statement: str, values: Sequence[Any] | Columns) -> int:
    return plain.execute(statement, values).rowcount


def _quarantine(plain: sqlite3.Connection, counted: CountedRuns, run_ids: Sequence[str], quarantined: bool) -> int:
    """How many were not marked so; reports count them no more, or again."""
    wanted = {"runs": json_text(list(run_ids)), "quarantined": quarantined}
    changed = json_text([row["id"] for row in plain.execute(_MARKED_OTHERWISE, wanted)])
    move_quarantined(plain, counted, changed, quarantined)
    return plain.execute(_QUARANTINE, {"runs": changed, "quarantined": quarantined}).rowcount


def _insert_rollout(plain: sqlite3.Connection, rollout: Rollout) -> None:
    number: int = plain.execute(_NEXT_ROLLOUT, (rollout.agent,)).fetchone()[0]
    insert(plain, "rollouts", [{**rollout_columns(rollout), "number": number}])


def _read_rollout(plain: sqlite3.Connection, statement: str, values: Sequence[Any] | Columns) -> Rollout | None:
    found = rollouts_of(plain, plain.execute(statement, values).fetchall())
    return found[0] if found else None


def begun_at(plain: sqlite3.Connection) -> int:
    """How many rows this connection has ever written: whether a change wrote anything is seen by it."""
    return plain.total_changes
