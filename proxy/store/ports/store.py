"""The Store protocol: the promises every store keeps. Implementations do not know each other.

Promises:
* A `change` is one atomic transaction. It commits when its block ends, after at least one audit entry was appended in it;
  without one, commit raises UnauditedChange and nothing happened. It raises the snapshot revision by one. A block that
  wrote nothing is no change: it needs no entry and leaves the revision as it is. Only one change runs at a time; numbers
  (versions, releases, rollouts, audit entries) are allocated inside it and never repeat.
* What is to be altered or ended and is not there raises NotFound; what breaks a rule of the schema (a name or number that
  is taken, a version that does not exist) raises Conflict(`store_conflict`).
* Components, versions, releases, arms and audit entries are append-only, held by the schema itself. So is that a token
  changes only by its revocation and a proposal only by its decision, each of them once.
* An acknowledged change survives `kill -9`. Holds and leases are durable when `write_ledger` returns.
* What cannot be done because the database is locked, full, read-only or gone raises Unavailable(`store_unavailable`)
  within a few seconds; never a driver's exception.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol, TypedDict

from proxy.core.calls.outcomes import Outcome, OutcomesOfRun, ServedOutcome
from proxy.core.calls.run_filter import OutcomeFilter, RunFilter
from proxy.core.calls.runs import Attempt, Run
from proxy.core.pages import DEFAULT_PAGE, Page
from proxy.core.proof.audit import AuditDraft, AuditEntry
from proxy.core.proof.audit_proof import AuditHead
from proxy.core.proof.record_proof import RecordProof
from proxy.core.releasing.proposals import Proposal, ProposalState
from proxy.core.releasing.protection import Protection
from proxy.core.releasing.releases import Release
from proxy.core.shapes import Count
from proxy.core.snapshot import Agent, AgentState, Rollout, Snapshot, SnapshotChanges
from proxy.core.spending.caps import Cap, CounterKey
from proxy.core.spending.ledger import LedgerWrites
from proxy.core.switches import Switch
from proxy.core.tokens import Token
from proxy.core.versions.versions import Version, VersionSummary


class UnauditedChange(AssertionError):
    """A change wrote something and appended no audit entry: a mistake of the code that made it. Nothing was kept."""

    def __init__(self) -> None:
        super().__init__("a change must append an audit entry before it ends")


class Change(Protocol):
    """Reads and writes of one atomic change; reads see the change's own writes."""

    @property
    def revision(self) -> int:
        """The snapshot revision this change makes."""
        ...

    async def agent(self, name: str) -> Agent | None: ...
    async def insert_agent(self, agent: Agent) -> None: ...
    async def update_agent(self, agent: Agent) -> None:
        """Replace description, default_label, allow_latest, unapplied and archived; `newest` follows from the versions."""
        ...

    async def version(self, agent: str, number: int) -> Version | None: ...
    async def insert_version(self, version: Version) -> None:
        """Store the bundle's components by hash (shared ones once) and the version row. The caller allocates
        `agent.newest + 1` as number inside this change."""
        ...

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

    async def delete_label(self, agent: str, label: str) -> None: ...
    async def next_rollout_id(self, agent: str) -> str:
        """`r1`, `r2`, ... per agent."""
        ...

    async def insert_rollout(self, rollout: Rollout) -> None: ...
    async def update_rollout(self, rollout: Rollout) -> None:
        """Replace state, step and end time; its arms are those of its newest split (`rollout_started`, `share_changed`)."""
        ...

    async def rollout(self, agent: str, rollout_id: str) -> Rollout | None: ...
    async def last_rollout_of(self, agent: str, label: str, candidate: int) -> Rollout | None:
        """The newest rollout of that label and candidate version, in any state."""
        ...

    async def insert_switch(self, switch: Switch) -> None: ...
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
    async def protection(self, agent: str, label: str) -> Protection | None: ...
    async def set_protection(self, protection: Protection) -> None:
        """Put the rules in the place of those the label had, if any."""
        ...

    async def end_protection(self, agent: str, label: str) -> None: ...
    async def next_proposal_id(self, agent: str) -> str:
        """`p1`, `p2`, ... per agent."""
        ...

    async def insert_proposal(self, proposal: Proposal) -> None:
        """Its id is the next one."""
        ...

    async def proposal(self, agent: str, proposal_id: str) -> Proposal | None: ...
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


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreCopy:
    """A whole copy, made; what is not read of `pieces` is given up when they are closed."""

    audit_head: AuditHead
    size_bytes: int
    pieces: AsyncGenerator[bytes]


class StoreFacts(TypedDict):
    """What a store says of itself, also while it is away. `warnings` are for people; while it was never open, `installation`
    is empty and `revision` 0."""

    kind: str
    path: str
    schema_version: int
    library_version: str
    size_bytes: Count
    installation: str
    revision: Count
    warnings: list[str]


class Store(Protocol):
    """The memory of everything. Opened by the composition root, closed last."""

    async def open(self) -> None:
        """Open, migrate, and take ownership. Raises Unavailable(`store_unavailable`, `store_too_new`, `store_in_use`)."""
        ...

    async def close(self) -> None: ...
    @property
    def openings(self) -> int:
        """How often its database was opened: what was written to the last one may be missing in this one."""
        ...

    def change(self, longest_commit_seconds: float | None = None) -> AbstractAsyncContextManager[Change]:
        """At its end raises Unavailable(`store_slow`) where the commit is expected to take longer; nothing is changed then."""
        ...

    # What traffic is decided on
    async def load_snapshot(self) -> Snapshot: ...
    async def agent_state(self, name: str) -> AgentState | None: ...
    async def version(self, agent: str, number: int) -> Version | None: ...

    # Lists, newest first where they have a time; `cursor` is a page's next_cursor. Raise BadInput(`bad_cursor`).
    async def agents(self, cursor: str | None = None, limit: int = DEFAULT_PAGE) -> Page[Agent]: ...
    async def versions(
        self, agent: str, cursor: str | None = None, limit: int = DEFAULT_PAGE
    ) -> Page[VersionSummary]: ...
    async def releases(
        self, agent: str, label: str | None = None, cursor: str | None = None, limit: int = DEFAULT_PAGE
    ) -> Page[Release]: ...
    async def rollouts(self, agent: str, cursor: str | None = None, limit: int = DEFAULT_PAGE) -> Page[Rollout]: ...
    async def rollout(self, agent: str, rollout_id: str) -> Rollout | None: ...
    async def audit(self, cursor: str | None = None, limit: int = DEFAULT_PAGE) -> Page[AuditEntry]: ...
    async def tokens(self, cursor: str | None = None, limit: int = DEFAULT_PAGE) -> Page[Token]:
        """Revoked ones among them."""
        ...

    async def token_uses(self) -> Mapping[str, int]:
        """When each token was last used, UTC microseconds, by its id; of those that were."""
        ...

    async def keep_token_uses(self, uses: Mapping[str, int]) -> None:
        """Keep these, unless later ones are kept. Raises Unavailable."""
        ...

    async def protections(self, agent: str) -> Sequence[Protection]:
        """By label."""
        ...

    async def proposals(
        self, agent: str, state: ProposalState | None = None, cursor: str | None = None, limit: int = DEFAULT_PAGE
    ) -> Page[Proposal]: ...
    async def proposal(self, agent: str, proposal_id: str) -> Proposal | None: ...
    async def runs(self, wanted: RunFilter, cursor: str | None = None, limit: int = DEFAULT_PAGE) -> Page[Run]: ...
    async def run_ids(self, wanted: RunFilter, cursor: str | None = None, limit: int = DEFAULT_PAGE) -> Page[str]: ...
    async def count_runs(self, wanted: RunFilter) -> int: ...
    async def run(self, run_id: str) -> Run | None: ...
    async def attempts(self, run_id: str) -> Sequence[Attempt]:
        """Those recorded apart, in the order they were made; where there are none, `only_attempt` of the run."""
        ...

    async def outcomes(self, run_id: str) -> Sequence[Outcome]:
        """In the order they were recorded."""
        ...

    async def outcomes_of(self, run_ids: Sequence[str]) -> Mapping[str, OutcomesOfRun]:
        """By run, of a page of them; those without any are left out."""
        ...

    async def served_outcomes(
        self, wanted: OutcomeFilter, cursor: str | None = None, limit: int = DEFAULT_PAGE
    ) -> Page[ServedOutcome]:
        """The newest first. So many are looked at for a page that it may be short, or empty, and the list go on."""
        ...

    # The audit log, oldest first
    async def audit_after(self, number: int, limit: int = DEFAULT_PAGE) -> Sequence[AuditEntry]: ...
    async def prove(self, proof: RecordProof) -> RecordProof:
        """Look at the next stretch of the append-only rows and give the proof as far as it then is. Rows that cannot even be
        read are part of the verdict, not an error."""
        ...

    # The data plane's writes, in batches
    async def record_runs(self, runs: Sequence[Run], attempts: Sequence[Attempt]) -> None:
        """Write a batch in one transaction; a run id already there is left as it is. Also adds the duration of each new
        live run that reached a provider to the latency histogram of its agent, version and hour."""
        ...

    async def record_outcomes(self, outcomes: Sequence[Outcome]) -> Sequence[str]:
        """Append those whose run is recorded, in one transaction; the ids of runs that are not, in order."""
        ...

    async def write_ledger(self, writes: LedgerWrites) -> None:
        """Write holds, settlements, batches and leases in one transaction. The same attempt and counter held again is one hold of
        the larger amount; a settlement settles the hold that is there, if it is not settled yet, or is written whole; a batch that
        is there already is left as it is; a lease takes the place of the one its counter had."""
        ...

    async def recover_holds(self, at_microseconds: int) -> int:
        """Charge in full what a dead process left held and leased (calls in flight: nothing), and end its leases; how many
        holds and leases there were."""
        ...

    async def spent(self, cap: Cap, from_window_start_microseconds: int) -> Mapping[CounterKey, int]:
        """Sums of the ledger per counter of a cap, for windows that began at or after the given start: settled amounts,
        plus holds not yet settled in full."""
        ...

    async def charged_by_crashes(self, cap: Cap, from_window_start_microseconds: int) -> Mapping[CounterKey, int]:
        """What of `spent` was charged for open holds and leases of processes that died, without a call that is known to have
        spent it."""
        ...

    async def unmetered(self, cap: Cap, from_window_start_microseconds: int) -> Mapping[CounterKey, int] | None:
        """How many calls each counter let pass of which nobody knows what they spent; None where some of them may not have been
        written, so that it cannot be known."""
        ...

    async def answered_names(self, limit: int) -> Sequence[tuple[str, str, str]]:
        """Provider, model asked for and model that answered of runs that are kept, where the two differ: the newest answer of each
        model, the oldest of these first, at most `limit` of them."""
        ...

    async def ping(self) -> None:
        """Raises Unavailable where a write could not succeed now."""
        ...

    async def scrub(self) -> None:
        """Look through a little more of what is kept, so that damage is known before it is needed; from then on the store is
        unavailable. To be called once a second or so. Raises Unavailable."""
        ...

    async def backup(self) -> StoreCopy:
        """One moment of everything, as a file that another store can be made of. Raises Unavailable(`store_unavailable`)."""
        ...

    async def diagnostics(self) -> StoreFacts:
        """Facts for `GET /status`."""
        ...
