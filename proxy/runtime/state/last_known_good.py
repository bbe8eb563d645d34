"""The last known good state: kept up with every change, written to a file a moment later, never on a change's own time.

What is written is always what the store held; journalled actions are the journal's to keep. What stands here beside the
snapshot (label histories, versions a rollback would go to) is read from the store once, in the background, and follows from
each change after that. Its values are core/proof/known_good.py's, its file store/files/snapshot_file.py's.

Decision: at most one write in 0.2 s. A process killed within that time of a change, whose store then cannot be read, comes
back without that change; writing on the change's own time would make every change wait for a second disk write.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Protocol, TypedDict

from proxy.core.errors import Refusal, Unavailable
from proxy.core.proof.known_good import AgentPast, History, KnownGood, past_after, wanted_versions
from proxy.core.releasing.releases import Release
from proxy.core.releasing.short_history import followed_by, is_cut, short_history
from proxy.core.shapes import Count
from proxy.core.snapshot import AgentState, Snapshot
from proxy.core.versions.versions import Version
from proxy.runtime.process.flushing import write_when_woken
from proxy.store.ports.releases import ReleaseStore
from proxy.store.ports.versions import VersionSource

_GATHER_SECONDS = 0.2
_RETRY_SECONDS = 5.0
_NO_PAST = AgentPast()


class KnownGoodFile(Protocol):
    """The file; its methods block."""

    def read(self) -> KnownGood | None: ...
    def write(self, known: KnownGood) -> None: ...


class PastSource(VersionSource, ReleaseStore, Protocol):
    """Where pasts are read from."""


class KnownGoodStatus(TypedDict):
    """Which revision is on disk, and why a newer one is not."""

    revision: Count | None
    problem: str | None


class LastKnownGood:
    """Follows the store's state and sees to it that the file does."""

    def __init__(self, file: KnownGoodFile) -> None:
        self._file = file
        self._pasts: dict[str, AgentPast] = {}
        #: Agents whose past may lack something that only the store can tell.
        self._incomplete: set[str] = set()
        #: What the store holds, as far as known; what is in the file; and what of it is being written.
        self._latest: KnownGood | None = None
        self._written: KnownGood | None = None
        self._wake = asyncio.Event()
        self._writing = asyncio.Lock()
        self._problem: str | None = None
        self._is_unreadable = False

    @property
    def is_unreadable(self) -> bool:
        """A file of an earlier life is there, and what it says is not known."""
        return self._is_unreadable

    @property
    def pasts(self) -> Mapping[str, AgentPast]:
        return self._pasts

    @property
    def is_complete(self) -> bool:
        """False while `complete` has something to read."""
        return not self._incomplete

    @property
    def latest(self) -> KnownGood | None:
        """The newest state of the store that was seen, None before the first."""
        return self._latest

    async def read(self) -> None:
        """Take over what an earlier process left; a file that cannot be used is told in `status` and replaced later."""
        try:
            self._latest = self._written = await asyncio.to_thread(self._file.read)
        except Unavailable as refusal:
            self._problem = refusal.message
            self._is_unreadable = True
        if self._latest is not None:
            self._pasts = dict(self._latest.pasts)

    def loaded(self, snapshot: Snapshot, installation: str) -> None:
        """The whole store was read."""
        self._pasts = {name: past for name, past in self._pasts.items() if name in snapshot.agents}
        self._incomplete = set(snapshot.agents)
        self._keep(KnownGood(installation=installation, snapshot=snapshot, pasts=dict(self._pasts)))

    def committed(self, before: Snapshot, after: Snapshot, agent: str | None, rows: Sequence[Release]) -> None:
        """The store took a change, of one agent or (None) of none, that appended `rows`."""
        self._follow(before, after, agent, rows, is_away=False)
        if self._latest is not None:
            self._keep(replace(self._latest, snapshot=after, pasts=dict(self._pasts)))

    def follow(self, before: Snapshot, after: Snapshot, agent: str | None, rows: Sequence[Release]) -> None:
        """An action changed the live snapshot while the store is away; nothing is written."""
        self._follow(before, after, agent, rows, is_away=True)

    def _follow(
        self, before: Snapshot, after: Snapshot, agent: str | None, rows: Sequence[Release], *, is_away: bool
    ) -> None:
        state = None if agent is None else after.agents.get(agent)
        if agent is None:
            return
        if state is None:
            self._pasts.pop(agent, None)
        else:
            known = self._pasts.get(agent, _NO_PAST)
            past = past_after(known, before.agents.get(agent), state, rows, is_away=is_away)
            self._pasts[agent] = past
            if _lacks(state, past):
                self._incomplete.add(agent)

    async def complete(self, snapshot: Snapshot, source: PastSource) -> None:
        """Read from the store what rollbacks would need and is not at hand. Raises Unavailable."""
        for name in sorted(self._incomplete):
            state, past = snapshot.agents.get(name), self._pasts.get(name, _NO_PAST)
            if state is not None and _lacks(state, past):
                completed = await _completed(state, past, source)
                if self._pasts.get(name, _NO_PAST) is not past:
                    # A change meanwhile knows better; what it left out is read the next time.
                    continue
                self._pasts[name] = completed
                if self._latest is not None:
                    self._keep(replace(self._latest, pasts=dict(self._pasts)))
            self._incomplete.discard(name)

    async def run(self) -> None:
        """Write what is new until cancelled."""
        await write_when_woken(self._wake, partial(asyncio.sleep, _GATHER_SECONDS), self.flush, _RETRY_SECONDS)

    async def flush(self) -> bool:
        """Write now; False where it could not be."""
        async with self._writing:
            latest = self._latest
            if latest is None or latest is self._written:
                return True
            try:
                await asyncio.to_thread(self._file.write, latest)
            except Refusal as refusal:
                self._problem = refusal.message
                return False
            self._written = latest
            self._problem = None
            self._is_unreadable = False
            return True

    def status(self) -> KnownGoodStatus:
        written = self._written
        return {"revision": None if written is None else written.snapshot.revision, "problem": self._problem}

    def _keep(self, known: KnownGood) -> None:
        self._latest = known
        self._wake.set()


def _lacks(state: AgentState, past: AgentPast) -> bool:
    has_histories = all(_is_at_hand(past.history(state, label)) for label in state.labels)
    return not has_histories or not wanted_versions(state, past) <= {*state.versions, *past.versions}


def _is_at_hand(history: History) -> bool:
    return bool(history) and not is_cut(history)


async def _completed(state: AgentState, past: AgentPast, source: PastSource) -> AgentPast:
    name, histories = state.agent.name, dict(past.histories)
    for label in state.labels:
        if not _is_at_hand(past.history(state, label)):
            histories[label] = await _read_history(name, label, source)
    read = AgentPast(histories, past.versions)
    at_hand = {**past.versions, **state.versions}
    versions: dict[int, Version] = {}
    for number in sorted(wanted_versions(state, read)):
        version = at_hand.get(number) or await source.version(name, number)
        if version is not None:
            versions[number] = version
    return AgentPast(histories, versions)


async def _read_history(agent: str, label: str, source: PastSource) -> History:
    page = await source.releases(agent, label)
    rows = list(reversed(page.items))
    if page.next_cursor is None:
        return short_history(rows)
    # What began before the page is not known, so rows are taken one by one, each as far as it tells.
    history: History = ()
    for row in rows:
        history = followed_by(history, row)
    return history
