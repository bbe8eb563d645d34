"""Emergency actions on their way to the store: in force already, in order, each written to a local file before it is answered.

The list here is what counts while the process lives; the file is for the next one. Where the file cannot be written the action
stays in force and its answer says that a restart would lose it; writing is tried again until it works or the store is
back. Carrying actions out is changes.py's matter, entering them into the store takeover.py's.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, Protocol

from proxy.core.errors import Unavailable
from proxy.core.proof.emergency import EmergencyOrder, JournalEntry
from proxy.core.releasing.releases import Release
from proxy.runtime.process.clock import Identifiers
from proxy.runtime.process.tasks import TaskSet

#: A disk that takes longer is treated as one that cannot be written.
_PATIENCE_SECONDS = 2.0
_MEMORY_ONLY = "in force in this process only: the journal could not be written, so a restart would undo it"


class JournalLines(Protocol):
    """The file; its methods block."""

    damaged_lines: int

    def open(self) -> list[JournalEntry]: ...
    def append(self, entries: Sequence[JournalEntry]) -> None: ...
    def clear(self) -> None: ...
    def close(self) -> None: ...


class Journal:
    """Actions that took effect without the store and are not in it yet, oldest first."""

    def __init__(self, file: JournalLines, identifiers: Identifiers) -> None:
        self._file = file
        self._identifiers = identifiers
        self._entries: list[JournalEntry] = []
        #: How many of the entries are in the file; the file may also hold others that are to go.
        self._written = 0
        self._must_clear = False
        #: The file could not be read; what it may hold is not in force.
        self._is_unread = False
        self._writing = asyncio.Lock()
        self._tasks = TaskSet(_already_told)
        self._problem: str | None = None

    @property
    def entries(self) -> Sequence[JournalEntry]:
        return self._entries

    @property
    def is_unread(self) -> bool:
        """What an earlier process ordered is not known yet."""
        return self._is_unread

    async def open(self) -> None:
        """Take over what an earlier process left. Raises Unavailable(`store_in_use`)."""
        try:
            self._entries = await asyncio.to_thread(self._file.open)
            self._written = len(self._entries)
        except Unavailable as refusal:
            if refusal.code == "store_in_use":
                raise
            self._problem = refusal.message
            self._is_unread = True

    async def close(self) -> None:
        """Write what is left, then let the file go."""
        await self.keep()
        await self._tasks.close()
        await asyncio.to_thread(self._file.close)

    def add(self, order: EmergencyOrder, release: Release | None, at_microseconds: int) -> JournalEntry:
        """One more action; `keep` makes it durable."""
        entry = JournalEntry(
            id=self._identifiers.new("journal"), at_microseconds=at_microseconds, order=order, release=release
        )
        self._entries.append(entry)
        return entry

    async def keep(self) -> None:
        """Write what is not in the file yet, and read what could not be read. Returns soon also where that cannot be done;
        `note` tells."""
        if self._is_unread:
            await asyncio.wait({self._tasks.spawn(self._read(), "journal")}, timeout=_PATIENCE_SECONDS)
        # A file that cannot be opened for reading cannot be for writing.
        elif self._written < len(self._entries) or self._must_clear:
            await asyncio.wait({self._tasks.spawn(self._write(), "journal")}, timeout=_PATIENCE_SECONDS)

    async def clear(self) -> None:
        """Forget every entry: they are in the store."""
        self._entries = []
        self._written = 0
        self._must_clear = True
        await self.keep()

    def note(self, subject: str) -> dict[str, Any]:
        """What an answer about `subject` says beside it: how its action is kept. Nothing once it is in the store."""
        numbers = [number for number, entry in enumerate(self._entries, start=1) if entry.order.subject == subject]
        if not numbers:
            return {}
        return {"journalled": True} if numbers[-1] <= self._written else {"journalled": False, "warning": _MEMORY_ONLY}

    def status(self) -> dict[str, Any]:
        return {
            "entries": len(self._entries),
            "written": self._written,
            "damaged_lines": self._file.damaged_lines,
            "problem": self._problem,
        }

    async def _read(self) -> None:
        """What an earlier process left, before what was ordered since."""
        async with self._writing:
            if not self._is_unread:
                return
            try:
                left = await asyncio.to_thread(self._file.open)
            except Unavailable as refusal:
                self._problem = refusal.message
                return
            self._is_unread = False
            self._problem = None
            self._entries = [*left, *self._entries]
            self._written = len(left)
            # Nothing that was cleared since can be in it.
            self._must_clear = False
        await self._write()

    async def _write(self) -> None:
        async with self._writing:
            # Twice: a file that was removed is noticed by the first attempt and made anew by the second.
            for _ in range(2):
                entries = self._entries
                try:
                    if self._must_clear:
                        await asyncio.to_thread(self._file.clear)
                        self._must_clear = False
                    count = len(entries)
                    if self._written < count:
                        await asyncio.to_thread(self._file.append, entries[self._written : count])
                except Unavailable as refusal:
                    self._written = 0
                    self._problem = refusal.message
                else:
                    self._problem = None
                    if entries is self._entries:
                        self._written = count
                        return


def _already_told(error: BaseException) -> None:
    """Writing tells of its failures itself."""
