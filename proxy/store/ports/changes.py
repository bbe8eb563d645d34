"""One atomic change: what is read and written in it, and the part of that which can be done without a store.

Promises:
* A change is one atomic transaction. It commits when its block ends, after at least one audit entry was appended in it;
  without one, commit raises UnauditedChange and nothing happened. It raises the snapshot revision by one. A block that
  wrote nothing is no change: it needs no entry and leaves the revision as it is. Only one change runs at a time; numbers
  (versions, releases, rollouts, audit entries) are allocated inside it and never repeat.
* What is to be altered or ended and is not there raises NotFound; what breaks a rule of the schema (a name or number that
  is taken, a version that does not exist) raises Conflict(`store_conflict`).
"""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

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


class UnauditedChange(AssertionError):
    """A change wrote something and appended no audit entry: a mistake of the code that made it. Nothing was kept."""

    def __init__(self) -> None:
        super().__init__("a change must append an audit entry before it ends")


class EmergencyChange(Protocol):
    """What kill switches, rollbacks and aborts read and write. A store can do it, and so can memory while the store is away
    (runtime/state/memory_change.py); an emergency command that asks for more does not pass the type checker."""

    async def agent(self, name: str) -> Agent | None: ...
    async def agent_state(self, name: str) -> AgentState | None:
        """The agent as the snapshot will see it after this change."""
        ...

    async def label_history(self, agent: str, label: str) -> list[Release]:
        """The label's release rows, oldest first."""
        ...

    async def next_release_number(self, agent: str) -> int: ...
    async def append_release(self, release: Release) -> None:
        """Append the row and its arms, and let the label point to the release's first arm from now on (the label row is
        made if it is new)."""
        ...

    async def rollout(self, agent: str, rollout_id: str) -> Rollout | None: ...
    async def update_rollout(self, rollout: Rollout) -> None:
        """Replace state, step and end time; its arms are those of its newest split (`rollout_started`, `share_changed`)."""
        ...

    async def insert_switch(self, switch: Switch) -> None: ...
    async def protection(self, agent: str, label: str) -> Protection | None: ...
    async def waiting_proposals(self, agent: str, label: str) -> list[Proposal]:
        """Oldest first."""
        ...

    async def decide_proposal(self, proposal: Proposal) -> None:
        """Keep the state and decision of one that waits; nothing else of it ever changes."""
        ...

    async def append_audit(self, draft: AuditDraft) -> AuditEntry | None:
        """The entry as it is sealed; None where that is left until the store is back."""
        ...

    async def changes_since(self, revision: int) -> SnapshotChanges:
        """What of the snapshot is otherwise after this change than it was at that revision: what it, and changes between the two,
        wrote. With them the snapshot of that revision is the one that loading anew gives."""
        ...


class Change(EmergencyChange, Protocol):
    """Reads and writes of one atomic change; reads see the change's own writes."""

    async def insert_agent(self, agent: Agent) -> None: ...
    async def update_agent(self, agent: Agent) -> None:
        """Replace description, default_label, allow_latest, unapplied and archived; `newest` follows from the versions."""
        ...

    async def version(self, agent: str, number: int) -> Version | None: ...
    async def insert_version(self, version: Version) -> None:
        """Store the bundle's components by hash (shared ones once) and the version row. The caller allocates
        `agent.newest + 1` as number inside this change."""
        ...

    async def delete_label(self, agent: str, label: str) -> None: ...
    async def next_rollout_id(self, agent: str) -> str:
        """`r1`, `r2`, ... per agent."""
        ...

    async def insert_rollout(self, rollout: Rollout) -> None: ...
    async def last_rollout_of(self, agent: str, label: str, candidate: int) -> Rollout | None:
        """The newest rollout of that label and candidate version, in any state."""
        ...

    async def switch(self, switch_id: str) -> Switch | None:
        """A switch that is on."""
        ...

    async def end_switch(self, switch_id: str, who: str, at_microseconds: int) -> None: ...
    async def insert_cap(self, cap: Cap) -> None: ...
    async def cap(self, cap_id: str) -> Cap | None: ...
    async def replace_cap(self, cap: Cap) -> None:
        """New limit, at_limit and why for the same cap; what it counted stays."""
        ...

    async def end_cap(self, cap_id: str, who: str, at_microseconds: int) -> None: ...
    async def quarantine_runs(self, run_ids: Sequence[str], quarantined: bool) -> int:
        """Set the mark of those of these runs that do not have it so; how many that were."""
        ...

    async def insert_token(self, token: Token) -> None: ...
    async def token(self, token_id: str) -> Token | None:
        """A token that is not revoked."""
        ...

    async def revoke_token(self, token_id: str, who: str, at_microseconds: int) -> None: ...
    async def set_protection(self, protection: Protection) -> None:
        """Put the rules in the place of those the label had, if any."""
        ...

    async def end_protection(self, agent: str, label: str) -> None: ...
    async def plan(self, name: str) -> NamedPlan | None: ...
    async def set_plan(self, named: NamedPlan) -> None:
        """Put it in the place of the one that had the name, if any."""
        ...

    async def delete_plan(self, name: str) -> None: ...
    async def next_proposal_id(self, agent: str) -> str:
        """`p1`, `p2`, ... per agent."""
        ...

    async def insert_proposal(self, proposal: Proposal) -> None:
        """Its id is the next one."""
        ...

    async def proposal(self, agent: str, proposal_id: str) -> Proposal | None: ...


class ChangeStore(Protocol):
    """Where changes are made."""

    def change(self, longest_commit_seconds: float | None = None) -> AbstractAsyncContextManager[Change]:
        """At its end raises Unavailable(`store_slow`) where the commit is expected to take longer; nothing is changed then."""
        ...
