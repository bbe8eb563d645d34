"""The SQLite store: every port, each promise handed to the module that keeps it.

Nothing is decided here. Files, connections and transactions are database.py's; the SQL is in changes.py, traffic.py,
lists.py, run_lists.py, outcome_lists.py, access.py, plans.py, chains.py, batches.py and ledger.py.
"""

import asyncio
import sqlite3
from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import BinaryIO

from proxy.core.calls.outcomes import Outcome, OutcomesOfRun, ServedOutcome
from proxy.core.calls.run_filter import OutcomeFilter, RunFilter, RunName
from proxy.core.calls.runs import Attempt, Run
from proxy.core.pages import DEFAULT_PAGE, Page
from proxy.core.proof.audit import AuditEntry
from proxy.core.proof.record_proof import RecordProof
from proxy.core.releasing.proposals import Proposal, ProposalState
from proxy.core.releasing.protection import Protection
from proxy.core.releasing.releases import Release
from proxy.core.rollouts.named_plans import NamedPlan
from proxy.core.snapshot import Agent, AgentState, Rollout, Snapshot
from proxy.core.spending.caps import Cap, CounterKey
from proxy.core.spending.ledger import LedgerWrites
from proxy.core.tokens import Token
from proxy.core.versions.versions import Version, VersionSummary
from proxy.store.ports.chains import KeptChain
from proxy.store.ports.changes import UnauditedChange
from proxy.store.ports.lifetime import StoreCopy, StoreFacts
from proxy.store.ports.reports import SummedRuns, SumsFilter
from proxy.store.ports.rollouts import KeptEvidence
from proxy.store.ports.upkeep import Carried, CarryPosition
from proxy.store.sqlite import access, carrying, chains, evidence, giving_back, ledger, lists, plans, traffic
from proxy.store.sqlite.changes import SqliteChange, begun_at
from proxy.store.sqlite.opening.database import Database
from proxy.store.sqlite.opening.migrate import migrations
from proxy.store.sqlite.opening.ownership import size_in_bytes
from proxy.store.sqlite.proof import prove_more
from proxy.store.sqlite.runs import batches, outcome_lists, pruning, run_lists, run_segments, run_sums
from proxy.store.sqlite.runs.counted_runs import CountedRuns
from proxy.store.sqlite.runs.run_lanes import RunLanes, answered_names

BUSY_TIMEOUT_SECONDS = 5.0
_PIECE_BYTES = 1024 * 1024
#: The first SQLite without the WAL-reset bug, which needs two writing connections; this store has one.
_WAL_RESET_FIXED = (3, 51, 3)


class SqliteStore:
    """Everything in one SQLite file that this process alone owns."""

    def __init__(
        self,
        path: Path,
        *,
        busy_timeout_seconds: float = BUSY_TIMEOUT_SECONDS,
        known_migrations: Mapping[int, str] | None = None,
    ) -> None:
        """`path`: the database file, made at `open` in a folder that exists. `known_migrations`: another release's."""
        self._database = Database(path, busy_timeout_seconds, known_migrations or migrations())
        self._lanes = RunLanes()
        self._counted = CountedRuns()

    async def open(self) -> None:
        await self._database.open()

    async def close(self) -> None:
        # A copy made before is older by this: it cannot take the place of what is left behind unnoticed.
        await self._database.close(batches.try_write)

    @property
    def openings(self) -> int:
        return self._database.openings

    @asynccontextmanager
    async def change(self, longest_commit_seconds: float | None = None) -> AsyncGenerator[SqliteChange, None]:
        """One atomic change. Raises UnauditedChange at its end where something was written without an audit entry; a
        change that wrote nothing is none, and leaves the revision as it is."""
        async with self._database.change(longest_commit_seconds) as writer:
            before, revision = await writer.run(_begun)
            change = SqliteChange(writer, revision + 1, self._counted)
            yield change
            if await writer.run(begun_at) == before:
                return
            if not change.audit_entries:
                raise UnauditedChange
            await change.finish()
        self._database.revision = change.revision

    async def load_snapshot(self) -> Snapshot:
        return await self._database.read_for_traffic(traffic.read_snapshot)

    async def agent_state(self, name: str) -> AgentState | None:
        return await self._database.read_for_traffic(traffic.read_agent_state, name)

    async def version(self, agent: str, number: int) -> Version | None:
        return await self._database.read_for_traffic(traffic.read_version, agent, number)

    async def agents(self, cursor: str | None = None, limit: int = DEFAULT_PAGE) -> Page[Agent]:
        return await self._database.read_for_lists(lists.list_agents, cursor, limit)

    async def versions(self, agent: str, cursor: str | None = None, limit: int = DEFAULT_PAGE) -> Page[VersionSummary]:
        return await self._database.read_for_lists(lists.list_versions, agent, cursor, limit)

    async def releases(
        self, agent: str, label: str | None = None, cursor: str | None = None, limit: int = DEFAULT_PAGE
    ) -> Page[Release]:
        return await self._database.read_for_lists(lists.list_releases, agent, label, cursor, limit)

    async def rollouts(self, agent: str, cursor: str | None = None, limit: int = DEFAULT_PAGE) -> Page[Rollout]:
        return await self._database.read_for_lists(lists.list_rollouts, agent, cursor, limit)

    async def rollout(self, agent: str, rollout_id: str) -> Rollout | None:
        return await self._database.read_for_lists(lists.read_rollout, agent, rollout_id)

    async def audit(self, cursor: str | None = None, limit: int = DEFAULT_PAGE) -> Page[AuditEntry]:
        return await self._database.read_for_lists(lists.list_audit, cursor, limit)

    async def tokens(self, cursor: str | None = None, limit: int = DEFAULT_PAGE) -> Page[Token]:
        return await self._database.read_for_lists(access.list_tokens, cursor, limit)

    async def chains(self, since_microseconds: int, most: int) -> Sequence[KeptChain]:
        return await self._database.read_for_lists(chains.read_chains, since_microseconds, most)

    async def keep_chains(self, kept: Sequence[KeptChain]) -> None:
        await self._database.write(chains.write_chains, kept)

    async def drop_chains(self, before_microseconds: int, most_kept: int, most_dropped: int) -> int:
        return await self._database.write(chains.drop_chains, before_microseconds, most_kept, most_dropped)

    async def token_uses(self) -> Mapping[str, int]:
        return await self._database.read_for_lists(access.read_token_uses)

    async def keep_token_uses(self, uses: Mapping[str, int]) -> None:
        await self._database.write(access.write_token_uses, uses)

    async def protections(self, agent: str) -> Sequence[Protection]:
        return await self._database.read_for_lists(access.read_protections, agent)

    async def proposals(
        self, agent: str, state: ProposalState | None = None, cursor: str | None = None, limit: int = DEFAULT_PAGE
    ) -> Page[Proposal]:
        return await self._database.read_for_lists(access.list_proposals, agent, state, cursor, limit)

    async def proposal(self, agent: str, proposal_id: str) -> Proposal | None:
        return await self._database.read_for_lists(access.read_proposal, agent, proposal_id)

    async def runs(self, wanted: RunFilter, cursor: str | None = None, limit: int = DEFAULT_PAGE) -> Page[Run]:
        return await self._database.read_for_lists(run_lists.list_runs, wanted, cursor, limit)

    async def run_ids(self, wanted: RunFilter, cursor: str | None = None, limit: int = DEFAULT_PAGE) -> Page[str]:
        return await self._database.read_for_lists(run_lists.list_run_ids, wanted, cursor, limit)

    async def count_runs(self, wanted: RunFilter) -> int:
        return await self._database.read_for_lists(run_lists.count_runs, wanted)

    async def run(self, run_id: str) -> Run | None:
        return await self._database.read_for_lists(run_lists.read_run, run_id)

    async def runs_by_id(self, run_ids: Sequence[str]) -> Mapping[str, Run]:
        return await self._database.read_for_lists(run_lists.read_runs_by_id, run_ids)

    async def newest_runs(self, names: Collection[RunName]) -> Mapping[RunName, str]:
        return await self._database.read_for_lists(run_lists.read_newest_runs, names)

    async def attempts(self, run_id: str) -> Sequence[Attempt]:
        return await self._database.read_for_lists(run_lists.read_attempts, run_id)

    async def outcomes(self, run_id: str) -> Sequence[Outcome]:
        return await self._database.read_for_lists(outcome_lists.read_outcomes, run_id)

    async def outcomes_of(self, run_ids: Sequence[str]) -> Mapping[str, OutcomesOfRun]:
        return await self._database.read_for_lists(outcome_lists.read_outcomes_of, run_ids)

    async def served_outcomes(
        self, wanted: OutcomeFilter, cursor: str | None = None, limit: int = DEFAULT_PAGE
    ) -> Page[ServedOutcome]:
        return await self._database.read_for_lists(outcome_lists.list_outcomes, wanted, cursor, limit)

    async def audit_after(self, number: int, limit: int = DEFAULT_PAGE) -> Sequence[AuditEntry]:
        return await self._database.read_for_lists(lists.list_audit_after, number, limit)

    async def prove(self, proof: RecordProof) -> RecordProof:
        """Refused where the file is gone, although what is open could still be read."""
        return await self._database.read_what_stays(prove_more, proof)

    async def record_runs(self, runs: Sequence[Run], attempts: Sequence[Attempt]) -> None:
        await self._database.write(batches.write_runs, self._lanes, self._counted, runs, attempts)

    async def record_outcomes(self, outcomes: Sequence[Outcome]) -> Sequence[str]:
        return await self._database.write(batches.write_outcomes, self._counted, outcomes)

    async def keep_evidence(self, kept: Sequence[KeptEvidence]) -> None:
        await self._database.write(evidence.keep, kept)

    async def evidence(self, agent: str, rollout_id: str) -> KeptEvidence | None:
        return await self._database.read_for_lists(evidence.read, agent, rollout_id)

    async def open_watches(self) -> Sequence[tuple[Rollout, KeptEvidence]]:
        return await self._database.read_for_lists(evidence.read_open_watches)

    async def plans(self, cursor: str | None = None, limit: int = DEFAULT_PAGE) -> Page[NamedPlan]:
        return await self._database.read_for_lists(plans.list_plans, cursor, limit)

    async def plan(self, name: str) -> NamedPlan | None:
        return await self._database.read_for_lists(plans.read_plan, name)

    async def write_ledger(self, writes: LedgerWrites) -> None:
        await self._database.write(ledger.write_ledger, writes)

    async def recover_holds(self, at_microseconds: int) -> int:
        return await self._database.write(ledger.charge_what_is_left, at_microseconds)

    async def spent(self, cap: Cap, from_window_start_microseconds: int) -> Mapping[CounterKey, int]:
        return await self._database.read_for_traffic(ledger.read_spent, cap.id, from_window_start_microseconds)

    async def charged_by_crashes(self, cap: Cap, from_window_start_microseconds: int) -> Mapping[CounterKey, int]:
        return await self._database.read_for_traffic(ledger.read_charged, cap.id, from_window_start_microseconds)

    async def unmetered(self, cap: Cap, from_window_start_microseconds: int) -> Mapping[CounterKey, int] | None:
        return await self._database.read_for_traffic(ledger.read_unmetered, cap.id, from_window_start_microseconds)

    async def answered_names(self, limit: int) -> Sequence[tuple[str, str, str]]:
        return await self._database.read_for_traffic(answered_names, limit)

    async def sum_up_runs(self) -> int:
        return await self._database.write(run_sums.sum_up, self._counted)

    async def summed_runs(self, wanted: SumsFilter) -> SummedRuns:
        return await self._database.read_for_lists(run_sums.read_sums_of, wanted)

    async def sort_lanes(self) -> int:
        return await self._database.write(run_segments.sort_lanes)

    async def prune_runs(self, before_microseconds: int) -> int:
        return await self._database.write(pruning.prune_runs, self._counted, before_microseconds)

    async def prune_latencies(self, before_microseconds: int) -> int:
        return await self._database.write(pruning.prune_latencies, before_microseconds)

    async def carry_sums(self, settled_before_microseconds: int, after: CarryPosition | None) -> Carried:
        return await self._database.write(carrying.carry_sums, settled_before_microseconds, after)

    async def give_back(self) -> int:
        return await self._database.tend(giving_back.give_back)

    async def free_bytes(self) -> int:
        return await self._database.read_for_lists(giving_back.free_bytes)

    async def ping(self) -> None:
        await self._database.look(batches.try_write)

    async def scrub(self) -> None:
        await self._database.scrub()

    async def backup(self) -> StoreCopy:
        """Copied on a connection of its own, so that no write and no list waits for it."""
        path, head = await self._database.copied()
        return StoreCopy(audit_head=head, size_bytes=path.stat().st_size, pieces=_given_away(path))

    async def diagnostics(self) -> StoreFacts:
        """Answers also while the store is away."""
        database = self._database
        warnings: list[str] = []
        if sqlite3.sqlite_version_info < _WAL_RESET_FIXED:
            warnings.append(
                f"SQLite {sqlite3.sqlite_version} has the WAL-reset bug, which needs two programs that write: let no other write "
                "this file, read it with `switchback store backup`, and take a Python with SQLite 3.51.3 or newer when there is one"
            )
        return {
            "kind": "sqlite",
            "path": str(database.path),
            "schema_version": database.schema_version,
            "library_version": sqlite3.sqlite_version,
            "size_bytes": await asyncio.to_thread(size_in_bytes, database.path),
            "installation": database.installation,
            "revision": database.revision,
            "warnings": warnings,
        }


def _begun(plain: sqlite3.Connection) -> tuple[int, int]:
    return begun_at(plain), plain.execute("SELECT revision FROM meta").fetchone()[0]


async def _given_away(path: Path) -> AsyncGenerator[bytes]:
    """The content of a file that nobody else needs, which has no name any more from the first piece on."""
    with await asyncio.to_thread(_opened_last, path) as file:
        while piece := await asyncio.to_thread(file.read, _PIECE_BYTES):
            yield piece


def _opened_last(path: Path) -> BinaryIO:
    file = path.open("rb")
    path.unlink()
    return file
