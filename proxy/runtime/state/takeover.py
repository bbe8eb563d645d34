"""Opening the store, losing it, and taking it over again: who serves from what, and when the journal is entered.

Start: the store if it opens, else the last known good state with the journal over it, else nothing (calls are refused as not
ready) while it is tried again. Later: a look a second; when a lost store answers again, journalled actions enter it in
order, each exactly once, then its whole state is loaded, and only then does anybody else change anything.

Exactly once: while the journal holds anything nothing else is audited, so the newest audit entries tell which of its entries
are in already after a crash between a commit and the clearing of the file.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Protocol

from proxy.core.errors import Refusal, Unavailable
from proxy.core.pages import MAX_PAGE
from proxy.core.proof.emergency import EmergencyOrder, JournalEntry, RollbackOrder, SwitchOrder, is_journalled
from proxy.core.proof.known_good import KnownGood, snapshot_with
from proxy.runtime.process.clock import Clock
from proxy.runtime.process.pace import Pace
from proxy.runtime.process.tasks import TaskSet
from proxy.runtime.spending.ledger import SpendLedger
from proxy.runtime.state.answered_names import MAX_NAMES
from proxy.runtime.state.changes import Changes
from proxy.runtime.state.ledger_start import read_what_came_again, restate_ledger, take_over_ledger
from proxy.runtime.state.live_snapshot import LiveSnapshot
from proxy.runtime.state.standby import STORE_SLOW, STORE_UNAVAILABLE, Standby
from proxy.runtime.state.work import EmergencyWork, note_not_applied
from proxy.store.ports.audit import AuditStore
from proxy.store.ports.lifetime import DescribedStore, StoreLifetime
from proxy.store.ports.releases import ReleaseStore
from proxy.store.ports.runs import RunStore
from proxy.store.ports.snapshots import SnapshotStore
from proxy.store.ports.spending import SpendStore
from proxy.store.ports.versions import VersionSource

#: Repeats an order within an open change: why there was nothing to do, None where it was done. Raises what the command raises.
CarryOut = Callable[[EmergencyWork, EmergencyOrder], Awaitable[str | None]]

#: How long a start waits for a store that does not open, before it serves without.
_PATIENCE_SECONDS = 0.75
#: The same where there is nothing to serve from: a slow machine's first start must not look like a store that is away.
_FIRST_PATIENCE_SECONDS = 15.0
_LOOK_SECONDS = 1.0
#: Of the time of a slow store.
_LOOK_SHARE = 0.1
_LONGEST_PAUSE_SECONDS = 5.0
#: Looks in vain after which a store that is busy is away: each waits for 5 s.
_SLOW_LOOKS = 2
_FIRST_RETRY_SECONDS = 0.25
_LONGEST_RETRY_SECONDS = 30.0
#: Waiting mends none of these, and serving beside whoever has the store would be wrong.
_FATAL = frozenset({"store_in_use", "store_library_too_old", "store_foreign"})


class TakenStore(
    StoreLifetime,
    DescribedStore,
    SnapshotStore,
    AuditStore,
    SpendStore,
    RunStore,
    VersionSource,
    ReleaseStore,
    Protocol,
):
    """What is opened, looked after and read at a start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeoverParts:
    """Put together by the composition root. `random` gives numbers from 0 to 1; `is_missing` says that there is no database, or an
    empty file, although one may have been there, so that opening would make a new one; `carry_out` repeats what was journalled."""

    store: TakenStore
    is_missing: Callable[[], bool]
    live: LiveSnapshot
    changes: Changes
    standby: Standby
    ledger: SpendLedger
    carry_out: CarryOut
    clock: Clock
    random: Callable[[], float]
    on_error: Callable[[BaseException], None]


class Takeover:
    """Has the store, or tries to get it."""

    def __init__(self, parts: TakeoverParts) -> None:
        self._parts = parts
        self._standby = parts.standby
        self._is_open = False
        self._has_ledger = False
        #: The opening of the store that has everything the ledger knows.
        self._restated = 0
        self._has_tried = asyncio.Event()
        #: Set when the store is open, or was tried in vain.
        self._knows_more = asyncio.Event()
        self._fatal: Unavailable | None = None

    async def start(self, tasks: TaskSet) -> None:
        """Returns when there is something to serve from, or, where there is nothing, when the store was tried.

        Raises Unavailable for what waiting cannot mend: `store_in_use`, `store_library_too_old`, `store_foreign`.
        """
        standby = self._standby
        self._parts.ledger.is_loaded = False
        standby.presence.lost(Unavailable(STORE_UNAVAILABLE, "the store is not open yet"))
        await standby.known_good.read()
        await standby.journal.open()
        tasks.spawn(self.run(), "takeover")
        tasks.spawn(self._scrub(), "scrubbing")
        patience = _FIRST_PATIENCE_SECONDS if standby.known_good.latest is None else _PATIENCE_SECONDS
        with suppress(TimeoutError):
            await asyncio.wait_for(self._knows_more.wait(), patience)
        if self._is_open:
            # A store that opened is read however long that takes: what it holds may be newer than the file.
            await self._has_tried.wait()
        if self._fatal is not None:
            raise self._fatal
        known = standby.known_good.latest
        if not self._parts.live.is_loaded and known is not None and not standby.journal.is_unread:
            self._serve(known)

    async def run(self) -> None:
        """Look after the store until cancelled."""
        failures = 0
        pace = Pace(1, _LOOK_SHARE, _LONGEST_PAUSE_SECONDS)
        while True:
            pause = 0.0
            try:
                began = time.monotonic()
                await self._look()
                pause = pace.took(time.monotonic() - began, 1)
                failures = 0
                self._has_tried.set()
                await self._restate()
                await read_what_came_again(self._parts.store, self._parts.live, self._parts.ledger)
                if not self._standby.known_good.is_complete:
                    await self._standby.known_good.complete(self._parts.live.current, self._parts.store)
            except Unavailable as refusal:
                failures += 1
                if refusal.code != STORE_SLOW or failures > _SLOW_LOOKS:
                    self._standby.presence.lost(refusal)
                if refusal.code in _FATAL:
                    self._fatal = refusal
            except Exception as error:
                failures += 1
                self._parts.on_error(error)
                self._standby.presence.lost(Unavailable(STORE_UNAVAILABLE, "the store could not be taken over"))
            self._has_tried.set()
            self._knows_more.set()
            await self._standby.journal.keep()
            await asyncio.sleep(max(_LOOK_SECONDS, pause) if self._is_open else self._retry_seconds(failures))

    async def _scrub(self) -> None:
        """Have the store looked through. Apart from `run`, which must not wait for lists; what is found there `run` meets."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            if self._is_open and not self._standby.presence.is_away:
                with suppress(Unavailable):
                    await self._parts.store.scrub()

    def _retry_seconds(self, failures: int) -> float:
        longest = min(_LONGEST_RETRY_SECONDS, _FIRST_RETRY_SECONDS * 2 ** min(failures, 10))
        return longest * (0.5 + 0.5 * self._parts.random())

    async def _look(self) -> None:
        """Have the store, or get it. Raises Unavailable."""
        if not self._is_open:
            await self._open()
        else:
            await self._parts.store.ping()
        if self._standby.journal.is_unread and not self._parts.live.is_loaded:
            raise Unavailable(
                "journal_unusable",
                f"{self._standby.journal.status()['problem']}; what was stopped or taken back without the store is not known, so nothing "
                "is served: make the file readable, or, to begin without what it holds, stop, move it away and start",
            )
        # A journal that could not be read at the start may be found to hold something later.
        if self._has_to_take_over:
            async with self._parts.changes.turn():
                # An emergency action may have been entered while this waited for its turn.
                if self._has_to_take_over:
                    await self._enter_journal()
                    await self._load()

    @property
    def _has_to_take_over(self) -> bool:
        return self._standby.presence.is_away or bool(self._standby.journal.entries)

    async def _open(self) -> None:
        """Open the store, unless it is not the one that was served from before. Raises Unavailable."""
        store, evidence = self._parts.store, self._evidence()
        if evidence is not None and self._parts.is_missing():
            raise _not_the_same("the database is missing or empty", evidence)
        await store.open()
        try:
            if evidence is not None:
                await self._check_the_same(evidence)
        except BaseException:
            await store.close()
            raise
        self._is_open = True
        self._knows_more.set()

    def _evidence(self) -> str | None:
        """What in this home tells of an earlier life; None where this may be its first start."""
        standby, known = self._standby, self._standby.known_good.latest
        if known is not None and known.snapshot.revision > 0:
            return f"this home last served revision {known.snapshot.revision} of installation {known.installation}"
        if standby.known_good.is_unreadable:
            return f"this home has served before ({standby.known_good.status()['problem']})"
        if standby.journal.entries or standby.journal.is_unread:
            return "the file journal holds what was ordered in this home before"
        return None

    async def _check_the_same(self, evidence: str) -> None:
        facts, known = await self._parts.store.diagnostics(), self._standby.known_good.latest
        if facts["revision"] == 0:
            raise _not_the_same("the database is empty", evidence)
        if known is not None and known.snapshot.revision > 0 and facts["installation"] != known.installation:
            raise _not_the_same("another database is in its place", evidence)
        if known is not None and facts["revision"] < known.snapshot.revision:
            raise _not_the_same(f"the database is older, at revision {facts['revision']}", evidence)

    async def _load(self) -> None:
        """Serve from the store, which holds everything now."""
        parts = self._parts
        snapshot, facts = await parts.store.load_snapshot(), await parts.store.diagnostics()
        self._standby.known_good.loaded(snapshot, facts["installation"])
        parts.changes.reloaded(snapshot)
        if not self._has_ledger:
            await take_over_ledger(parts.store, parts.live, parts.ledger, parts.clock)
            self._has_ledger = True
            self._restated = parts.store.openings
        for name in await parts.store.answered_names(MAX_NAMES):
            parts.live.answered_names.learn(*name)
        self._standby.presence.found()

    async def _restate(self) -> None:
        """See to it that the ledger's rows say what is known here, if the store was opened anew. Raises Unavailable."""
        opening = self._parts.store.openings
        if opening != self._restated and await restate_ledger(self._parts.store, self._parts.ledger):
            self._restated = opening

    def _serve(self, known: KnownGood) -> None:
        """Serve from the last known good state, with what was journalled since in force."""
        for entry in self._standby.journal.entries:
            after = snapshot_with(known, entry)
            rows = [] if entry.release is None else [entry.release]
            self._standby.known_good.follow(known.snapshot, after.snapshot, entry.order.agent, rows)
            known = after
        self._parts.live.start_from(known.snapshot)

    async def _enter_journal(self) -> None:
        """Take every journalled action over into the store. Raises Unavailable; what is in stays in."""
        entries = list(self._standby.journal.entries)
        if not entries:
            return
        entered = await self._entered()
        #: Release numbers as they were given without the store, and as they are.
        numbers: dict[tuple[str, int], int] = {}
        for entry in entries:
            if entry.id not in entered:
                await self._enter(entry, numbers)
        # What was ordered meanwhile stays, and is entered with the next look.
        self._standby.journal.forget({entry.id for entry in entries})
        await self._standby.journal.keep()

    async def _entered(self) -> set[str]:
        """The ids of the journalled actions that the newest audit entries tell of, back to the first that tells of none. An
        action may have made several entries: what it makes stale is told too."""
        found: set[str] = set()
        cursor: str | None = None
        while True:
            page = await self._parts.store.audit(cursor, MAX_PAGE)
            for entry in page.items:
                ids = {item["id"] for item in entry.evidence if is_journalled(item)}
                if not ids:
                    return found
                found |= ids
            cursor = page.next_cursor
            if cursor is None:
                return found

    async def _enter(self, entry: JournalEntry, numbers: dict[tuple[str, int], int]) -> None:
        order = entry.order
        if isinstance(order, RollbackOrder) and order.undoes is not None:
            order = replace(order, undoes=numbers.get((order.agent, order.undoes), order.undoes))
        try:
            async with self._parts.changes.repeating(entry) as work:
                if await _is_entered(work, entry):
                    work.nothing_changed()
                    return
                nothing_to_do = await self._parts.carry_out(work, order)
                rows = work.rows
        except Unavailable:
            raise
        except Refusal as refusal:
            # The id of a switch is in the store already where it was entered, and the file could not be cleared any more.
            if not isinstance(order, SwitchOrder) or refusal.code != "store_conflict":
                await self._note_not_applied(entry, refusal.message)
        except Exception as error:
            # One action that cannot be repeated must not keep the others, and the store, away for ever.
            self._parts.on_error(error)
            await self._note_not_applied(entry, f"it could not be repeated ({type(error).__name__})")
        else:
            if nothing_to_do is not None:
                await self._note_not_applied(entry, nothing_to_do)
            elif entry.release is not None:
                numbers[entry.release.agent, entry.release.number] = rows[-1].number

    async def _note_not_applied(self, entry: JournalEntry, reason: str) -> None:
        async with self._parts.changes.repeating(entry) as work:
            await note_not_applied(work, entry, reason)


async def _is_entered(work: EmergencyWork, entry: JournalEntry) -> bool:
    """Whether the store has this very action: its release, of the same moment. One that was entered before it was written into the
    journal has no evidence of that."""
    row = entry.release
    if row is None:
        return False
    history = await work.change.label_history(row.agent, row.label)
    this = (entry.at_microseconds, row.who, row.kind)
    return any((one.created_at_microseconds, one.who, one.kind) == this for one in history)


def _not_the_same(problem: str, evidence: str) -> Unavailable:
    return Unavailable(
        "store_not_the_same",
        f"{problem}, but {evidence}: put the right database back, or stop and put a backup in place with `switchback store restore "
        "FILE`; to begin anew stop, move last-known-good.json, journal and switchback.db-identity away, and start",
    )
