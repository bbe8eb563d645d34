"""What one command works with: an open change, over the store or memory, and its moment.

Changes (changes.py) opens it and says what becomes of it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from proxy.core.calls.identity import required_agent
from proxy.core.errors import BadInput
from proxy.core.proof.audit import AuditDraft, AuditEntry, change_evidence
from proxy.core.proof.emergency import JournalEntry
from proxy.core.releasing.releases import Release
from proxy.core.snapshot import Agent, AgentState
from proxy.runtime.state.ordered_changes import ordered_change
from proxy.store.ports.changes import Change, EmergencyChange

_MAX_WHY_CHARACTERS = 2000


class NothingChanged(Exception):
    """Ends a change that found nothing to do; the transaction is undone, nobody outside sees it."""


class EmergencyWork:
    """What an emergency command works with, over the store or memory: the open change, its moment, and the evidence all of its rows
    carry."""

    def __init__(
        self, change: EmergencyChange, now_microseconds: int, evidence: Sequence[Mapping[str, Any]] = ()
    ) -> None:
        self._change = change
        self.now = now_microseconds
        self.evidence = tuple(evidence)
        self.has_effect = True
        #: False where only the newest releases are at hand.
        self.has_whole_ledger = True
        #: The ledger rows this change appended.
        self.rows: list[Release] = []
        #: The audit entries this change appended; none over memory, where they wait for the store.
        self.entries: list[AuditEntry] = []

    @property
    def change(self) -> EmergencyChange:
        return self._change

    async def agent(self, name: str) -> Agent:
        """The agent, in service. Raises NotFound(`agent_not_found`)."""
        agent = await self.change.agent(name)
        return required_agent(None if agent is None or agent.archived else agent, name)

    async def state(self, name: str) -> AgentState:
        """The agent with its labels and rollouts. Raises NotFound(`agent_not_found`)."""
        await self.agent(name)
        state = await self.change.agent_state(name)
        assert state is not None
        return state

    async def append_release(self, release: Release) -> Release:
        """Append a row to the ledger; the row as it is kept."""
        release = replace(release, evidence=(*release.evidence, *self.evidence))
        await self.change.append_release(release)
        self.rows.append(release)
        return release

    async def audit(
        self,
        who: str,
        what: str,
        subject: str,
        why: str,
        before: Mapping[str, Any] | None = None,
        after: Mapping[str, Any] | None = None,
        evidence: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        """Append the audit entry of this change. Raises BadInput(`bad_why`)."""
        if len(why) > _MAX_WHY_CHARACTERS:
            raise BadInput("bad_why", f"`why` is longer than {_MAX_WHY_CHARACTERS} characters", param="why")
        ordered = ordered_change()
        ordered_as = () if ordered is None else (change_evidence(ordered.id),)
        draft = AuditDraft(
            who=who,
            what=what,
            subject=subject,
            why=why,
            at_microseconds=self.now,
            before=before,
            after=after,
            evidence=(*evidence, *self.evidence, *ordered_as),
        )
        entry = await self.change.append_audit(draft)
        if entry is not None:
            self.entries.append(entry)

    def nothing_changed(self) -> None:
        """Say that this command found nothing to do: nothing is written."""
        self.has_effect = False


class Work(EmergencyWork):
    """What every other command works with: a change of the store."""

    def __init__(self, change: Change, now_microseconds: int, evidence: Sequence[Mapping[str, Any]] = ()) -> None:
        super().__init__(change, now_microseconds, evidence)
        self._change_of_store = change

    @property
    def change(self) -> Change:
        return self._change_of_store


async def note_not_applied(work: EmergencyWork, entry: JournalEntry, reason: str) -> None:
    """Say in the audit log that an action which had been in force does not apply in the store."""
    order = entry.order
    after = {**entry.document(), "reason": reason}
    await work.audit(order.who, "journal.not_applied", order.subject, order.why, after=after)
