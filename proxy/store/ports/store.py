"""The Store protocol: the promises every store keeps. Implementations do not know each other.

Promises:
* Components, versions, releases, arms and audit entries are append-only, held by the schema itself. So is that a token
  changes only by its revocation and a proposal only by its decision, each of them once.
* An acknowledged change survives `kill -9`. Holds and leases are durable when `write_ledger` returns.
* What cannot be done because the database is locked, full, read-only or gone raises Unavailable(`store_unavailable`)
  within a few seconds; never a driver's exception.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypedDict

from proxy.core.calls.outcomes import Outcome, OutcomesOfRun, ServedOutcome
from proxy.core.calls.run_filter import OutcomeFilter, RunFilter
from proxy.core.calls.runs import Attempt, Run
from proxy.core.pages import DEFAULT_PAGE, Page
from proxy.core.proof.audit import AuditEntry
from proxy.core.proof.audit_proof import AuditHead
from proxy.core.proof.record_proof import RecordProof
from proxy.core.releasing.proposals import Proposal, ProposalState
from proxy.core.releasing.protection import Protection
from proxy.core.releasing.releases import Release
from proxy.core.shapes import Count
from proxy.core.snapshot import Agent, AgentState, Rollout, Snapshot
from proxy.core.spending.caps import Cap, CounterKey
from proxy.core.spending.ledger import LedgerWrites
from proxy.core.tokens import Token
from proxy.core.versions.versions import Version, VersionSummary
from proxy.store.ports.changes import ChangeStore


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


class Store(ChangeStore, Protocol):
    """The memory of everything. Opened by the composition root, closed last."""

    async def open(self) -> None:
        """Open, migrate, and take ownership. Raises Unavailable(`store_unavailable`, `store_too_new`, `store_in_use`)."""
        ...

    async def close(self) -> None: ...
    @property
    def openings(self) -> int:
        """How often its database was opened: what was written to the last one may be missing in this one."""
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
