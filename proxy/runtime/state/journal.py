"""Emergency actions on their way to the store: in force already, in order, kept in a local file while the store takes its time.

The list here is what counts while the process lives; the file is for the next one. Where the file cannot be written the action
stays in force and its answer says that a restart would lose it; writing is tried again until it works or the store is
back. Carrying actions out is changes.py's matter, entering them into the store that of changes.py and takeover.py.

Decision: the file has a thread of its own and nobody waits for it longer than 0.4 s. A disk that hangs takes that one thread
along, not those that others need, and an answer is due within a second: it then says that nothing is durable yet.
"""

import asyncio
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol, TypedDict, TypeVar

from proxy.core.errors import Unavailable
from proxy.core.proof.emergency import EmergencyOrder, JournalEntry
from proxy.core.releasing.releases import Release
from proxy.core.shapes import Count
from proxy.runtime.process.clock import Identifiers
from proxy.runtime.process.tasks import TaskSet
from proxy.runtime.state.ordered_changes import ordered_change

#: A disk that takes longer is treated as one that cannot be written, for now.
_PATIENCE_SECONDS = 0.4
#: A file that was removed is noticed by the first attempt and made anew by the second.
_ATTEMPTS = 2
_MEMORY_ONLY = (
    "in force in this process only: neither the store nor the journal could be written yet, and until one of them is, "
    "a restart would undo it"
)
Answer = TypeVar("Answer")


class JournalLines(Protocol):
    """The file; its methods block."""

    damaged_lines: int

    def open(self) -> list[JournalEntry]: ...
    def append(self, entries: Sequence[JournalEntry]) -> None: ...
    def clear(self) -> None: ...
    def close(self) -> None: ...


class JournalNote(TypedDict, total=False):
    """How an action that the store does not have yet is kept."""

    journalled: bool
    warning: str


class JournalStatus(TypedDict):
    """Actions that the store does not have yet; `written`: how many of them are on disk."""

    entries: Count
    written: Count
    damaged_lines: Count
    problem: str | None


class Journal:
    """Actions that took effect and are not in the store yet, oldest first."""

    def __init__(self, file: JournalLines, identifiers: Identifiers) -> None:
        self._file = file
        self._identifiers = identifiers
        self._entries: list[JournalEntry] = []
        #: Ids of what stands in the file as it is.
        self._in_file: set[str] = set()
        #: The file may hold what is in the store by now.
        self._must_clear = False
        #: Something was, or may have been, written since it was clear.
        self._may_hold = False
        #: The file could not be read; what it may hold is not in force.
        self._is_unread = False
        self._working: asyncio.Task[None] | None = None
        self._is_empty = asyncio.Event()
        self._is_empty.set()
        self._tasks = TaskSet(_already_told)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="journal")
        self._problem: str | None = None

    @property
    def entries(self) -> Sequence[JournalEntry]:
        return self._entries

    @property
    def is_unread(self) -> bool:
        """What an earlier process ordered is not known yet."""
        return self._is_unread

    async def emptied(self) -> None:
        """Returns when nothing is on its way to the store."""
        await self._is_empty.wait()

    async def open(self) -> None:
        """Take over what an earlier process left. Raises Unavailable(`store_in_use`)."""
        try:
            self._hold(await self._on_thread(self._file.open))
        except Unavailable as refusal:
            if refusal.code == "store_in_use":
                raise
            self._problem = refusal.message
            self._is_unread = True

    async def close(self) -> None:
        """Write what is left, then let the file go."""
        await self.keep()
        await self._tasks.close()
        closing = asyncio.get_running_loop().run_in_executor(self._thread, self._file.close)
        await asyncio.wait({closing}, timeout=_PATIENCE_SECONDS)
        self._thread.shutdown(wait=False)

    def add(self, order: EmergencyOrder, release: Release | None, at_microseconds: int) -> JournalEntry:
        """One more action; `keep` makes it durable."""
        ordered = ordered_change()
        entry = JournalEntry(
            id=self._identifiers.new("journal"),
            at_microseconds=at_microseconds,
            order=order,
            release=release,
            change_id=None if ordered is None else ordered.id,
        )
        self._hold([*self._entries, entry], self._in_file)
        return entry

    def restate(self, entries: Sequence[JournalEntry]) -> None:
        """The same entries, some of them in other words: those are to be written again."""
        before = {entry.id: entry for entry in self._entries}
        self._hold(entries, {entry.id for entry in entries if before.get(entry.id) == entry} & self._in_file)

    def forget(self, ids: Collection[str]) -> None:
        """These are in the store. The file follows with the next write."""
        self._hold([entry for entry in self._entries if entry.id not in ids], self._in_file)
        if not self._entries and (self._may_hold or self._is_unread):
            self._must_clear = True
            self._spawn_work()

    async def keep(self) -> None:
        """Write what is not in the file yet, and read what could not be read. Returns soon also where that cannot be done;
        `note` tells."""
        if self._is_unread or self._has_to_write:
            await asyncio.wait({self._spawn_work()}, timeout=_PATIENCE_SECONDS)

    def note(self, subject: str) -> JournalNote:
        """What an answer about `subject` says beside it: how its action is kept. Nothing once it is in the store."""
        about = [entry for entry in self._entries if entry.order.subject == subject]
        if not about:
            return {}
        return {"journalled": True} if about[-1].id in self._in_file else {"journalled": False, "warning": _MEMORY_ONLY}

    def is_in_file(self, entry: JournalEntry) -> bool:
        return entry.id in self._in_file

    def status(self) -> JournalStatus:
        return {
            "entries": len(self._entries),
            "written": sum(entry.id in self._in_file for entry in self._entries),
            "damaged_lines": self._file.damaged_lines,
            "problem": self._problem,
        }

    # Inside

    def _hold(self, entries: Sequence[JournalEntry], in_file: set[str] | None = None) -> None:
        """These are the entries; all of them are in the file where nothing else is said."""
        self._entries = list(entries)
        self._in_file = {entry.id for entry in entries} if in_file is None else in_file
        self._may_hold = self._may_hold or bool(self._in_file)
        if self._entries:
            self._is_empty.clear()
        else:
            self._is_empty.set()

    @property
    def _has_to_write(self) -> bool:
        if not self._entries:
            return self._must_clear
        return any(entry.id not in self._in_file for entry in self._entries)

    def _spawn_work(self) -> asyncio.Task[None]:
        """The one task that reads and writes; it goes on until the file is as it should be, or cannot be."""
        if self._working is None or self._working.done():
            self._working = self._tasks.spawn(self._work(), "journal")
        return self._working

    async def _work(self) -> None:
        # A file that cannot be opened for reading cannot be for writing.
        if self._is_unread and not await self._read():
            return
        failures = 0
        while self._has_to_write and failures < _ATTEMPTS:
            try:
                await self._write()
            except Unavailable as refusal:
                failures += 1
                # What was written may be lost.
                self._in_file = set()
                self._problem = refusal.message
            else:
                self._problem = None

    async def _read(self) -> bool:
        """Take over what an earlier process left, before what was ordered since; whether that worked."""
        try:
            left = await self._on_thread(self._file.open)
        except Unavailable as refusal:
            self._problem = refusal.message
            return False
        self._is_unread = False
        self._problem = None
        self._hold([*left, *self._entries], {entry.id for entry in left})
        # Nothing that was forgotten since can be in it.
        self._must_clear = False
        return True

    async def _write(self) -> None:
        """One step towards the file as it should be. Raises Unavailable."""
        if not self._entries:
            await self._on_thread(self._file.clear)
            self._must_clear = self._may_hold = False
            self._in_file = set()
            return
        missing = [entry for entry in self._entries if entry.id not in self._in_file]
        self._may_hold = True
        await self._on_thread(self._file.append, missing)
        now = {entry.id: entry for entry in self._entries}
        self._in_file = self._in_file | {entry.id for entry in missing if now.get(entry.id) == entry}

    async def _on_thread(self, work: Callable[..., Answer], *args: Any) -> Answer:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *args)


def _already_told(error: BaseException) -> None:
    """Writing tells of its failures itself."""
