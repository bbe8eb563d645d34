"""The open database: its file, its three connections, its transactions, and coming back after trouble.

One connection writes, behind a lock; two only read, one for what traffic needs and one for lists, so that an export delays
neither. Only the writer checkpoints. What is written and read is the other modules' matter.

Decision: synchronous=NORMAL for the data plane, FULL for admin changes. In WAL mode both survive `kill -9` whole: what was
committed is in the operating system. On a power cut NORMAL can lose the last moments of holds and runs, never the
database; FULL waits for the disk, an fsync per commit (0.1 ms on the virtual disk measured, 1 to 10 ms on others). The
ledger and the runs are written several times a second, and a call that no lease covers waits for that: they do not pay it.
Admin changes are few and do, and their fsync takes everything committed before along.
"""

import asyncio
import sqlite3
import time
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

from proxy.core.errors import Refusal, Unavailable
from proxy.core.proof.audit_proof import AuditHead
from proxy.store.sqlite.opening.connection import (
    Answer,
    Parameters,
    ThreadConnection,
    Work,
    at_one_moment,
    atomically,
    begin_durably,
    commit_durably,
    connect,
    roll_back,
)
from proxy.store.sqlite.opening.disk_speed import SLOW_SECONDS, DiskSpeed
from proxy.store.sqlite.opening.failures import DatabaseFailed, too_busy, too_slow
from proxy.store.sqlite.opening.identity_file import Identity
from proxy.store.sqlite.opening.inspection import check_is_whole_copy
from proxy.store.sqlite.opening.migrate import check_library
from proxy.store.sqlite.opening.open_database import OpenDatabase, open_database
from proxy.store.sqlite.opening.open_file import FilesChanged, OpenFile
from proxy.store.sqlite.opening.ownership import OwnershipLock
from proxy.store.sqlite.opening.presence import LOG_MOVES_IN, REOPENED_IN, Presence
from proxy.store.sqlite.opening.scrubbing import ScrubPosition, look_further
from proxy.store.sqlite.opening.whole_copies import copied_beside, kept_aside, stamp
from proxy.store.sqlite.opening.writer_turn import WriterTurn

#: A log this long is moved without waiting for the next look.
_LONG_LOG_BYTES = 16 * 1024 * 1024
#: On a slow disk it may grow so long before it is moved, which holds up changes for as long as it takes.
_SLOW_LOG_BYTES = 1024 * 1024
#: Where the disk is slow, moving the log takes at most this share of the time.
_SLOW_MOVE_SECONDS = 0.1
_MOVING_SHARE = 0.1


class Database:
    """One SQLite file, owned by this process between `open` and `close`."""

    def __init__(self, path: Path, busy_timeout_seconds: float, known_migrations: Mapping[int, str]) -> None:
        """`busy_timeout_seconds`: how long a write waits for another program's lock, and how long for its turn here."""
        self.path = path
        self.schema_version = 0
        #: Identifies this database among all others; made with it.
        self.installation = ""
        #: Of the last change known to be committed.
        self.revision = 0
        self.openings = 0
        self._busy_timeout_seconds = busy_timeout_seconds
        self._migrations = known_migrations
        self._ownership = OwnershipLock(path)
        self._turn = WriterTurn()
        self._speed = DiskSpeed(self._ownership)
        self._opening: OpenDatabase | None = None
        #: Whether what is open can be written, and read, as far as known.
        self._is_writable = False
        self._is_readable = False
        #: Of a file whose content was found damaged: what was said, and the file it was said of.
        self._damage: DatabaseFailed | None = None
        self._damaged_content: tuple[int, int] | None = None
        #: Where the content of a deleted file was kept.
        self._kept: Path | None = None
        self._move_due_at = 0.0
        self._scrub_position = ScrubPosition()
        self._is_closed = True

    async def open(self) -> None:
        """Take ownership, open, migrate. Raises Unavailable: `store_in_use`, `store_too_new`, `store_foreign`,
        `store_library_too_old`, `store_linked`, `store_log_foreign`, `store_not_the_same`, `store_unavailable`."""
        check_library()
        self._ownership.acquire()
        self.installation, self.revision = "", 0
        try:
            await self._connect(None)
            self._is_closed = False
        except BaseException:
            self._ownership.release()
            raise

    async def close(self, last: Work[[], None]) -> None:
        """Finish what was given to the connections, write once more where that is possible, close them, and give the file free."""
        # Whoever still reads must not open it again.
        self._is_closed = True
        opening, self._opening = self._opening, None
        self._is_writable = self._is_readable = False
        if opening is not None:
            await self._let_go(opening, last)
        self._ownership.release()

    async def write(
        self, work: Work[Parameters, Answer], *args: Parameters.args, **kwargs: Parameters.kwargs
    ) -> Answer:
        """Run `work` as one transaction, in one hop to the writer's thread."""
        async with self._writing() as opening:
            answer = await opening.writer.run(_batch, opening.file, work, *args, **kwargs)
            if opening.file.log_bytes >= _LONG_LOG_BYTES:
                await self._move_log(opening)
            return answer

    @asynccontextmanager
    async def change(self, longest_commit_seconds: float | None = None) -> AsyncGenerator[ThreadConnection, None]:
        """One transaction over several hops. It commits when the block ends and is undone by any exception. Raises
        Unavailable(`store_slow`) instead of a commit that is expected to take longer."""
        async with self._writing(is_change=True) as opening:
            writer = opening.writer
            try:
                await writer.run(_begin_change, opening.file)
                yield writer
                took, revision = await writer.run(_commit_change, opening.file, self._speed, longest_commit_seconds)
            except BaseException:
                # The thread has the rollback before this task can be interrupted again, and before the next writer.
                with suppress(Refusal):
                    await writer.run(roll_back)
                raise
            if took <= SLOW_SECONDS:
                # In the database file itself an acknowledged change outlives whatever befalls the log.
                await self._move_log(opening)
            if opening.identity.revision < revision:
                await self._note_revision(opening, revision)

    async def tend(self, work: Work[Parameters, Answer], *args: Parameters.args, **kwargs: Parameters.kwargs) -> Answer:
        """`write`, and the upkeep of the log: to be called once a second or so."""
        async with self._writing() as opening:
            answer = await opening.writer.run(_batch, opening.file, work, *args, **kwargs)
            await self._move_log(opening)
            return answer

    async def look(self, work: Work[[], None]) -> None:
        """`tend` with a write of one page, from which is told how fast the disk is."""
        async with self._writing() as opening:
            self._speed.looked(await opening.writer.run(_timed, opening.file, work))
            await self._move_log(opening)

    async def scrub(self) -> None:
        """One step of looking through the content, behind the lists asked for before. Damage it finds is what everything is refused
        for from then on. Raises Unavailable."""
        await self.read_for_lists(look_further, self._scrub_position)

    async def read_for_traffic(
        self, work: Work[Parameters, Answer], *args: Parameters.args, **kwargs: Parameters.kwargs
    ) -> Answer:
        """Run `work` on one picture of what is committed; no list is waited for."""
        opening = await self._usable()
        with self._watching():
            return await opening.traffic.run(at_one_moment, work, *args, **kwargs)

    async def read_for_lists(
        self, work: Work[Parameters, Answer], *args: Parameters.args, **kwargs: Parameters.kwargs
    ) -> Answer:
        """Run `work` on one picture of what is committed, behind the lists asked for before."""
        opening = await self._usable()
        with self._watching():
            return await opening.lists.run(at_one_moment, work, *args, **kwargs)

    async def read_what_stays(
        self, work: Work[Parameters, Answer], *args: Parameters.args, **kwargs: Parameters.kwargs
    ) -> Answer:
        """As `read_for_lists`, of a file that is still in its place afterwards: one that was deleted or replaced can be read
        while it is open, and says nothing of what a restart would find."""
        opening = await self._usable()
        with self._watching():
            answer = await opening.lists.run(at_one_moment, work, *args, **kwargs)
            await asyncio.to_thread(opening.file.check_is_in_place)
        return answer

    async def copied(self) -> tuple[Path, AuditHead]:
        """A whole copy beside the database under a name of its own, and its audit head. Raises Unavailable."""
        opening = await self._usable()
        with self._watching():
            await asyncio.to_thread(opening.file.check)
            connection = await connect(self.path, read_only=True, busy_timeout_seconds=self._busy_timeout_seconds)
            try:
                return await connection.run(copied_beside, self.path)
            finally:
                await connection.close()

    @asynccontextmanager
    async def _writing(self, *, is_change: bool = False) -> AsyncGenerator[OpenDatabase, None]:
        """The writer's turn, with connections that can be trusted. Waits for the turn no longer than the busy timeout."""
        try:
            async with asyncio.timeout(self._busy_timeout_seconds):
                await self._turn.acquire(is_change=is_change)
        except TimeoutError:
            raise too_busy() from None
        try:
            opening = await self._trusted()
            with self._watching():
                yield opening
        finally:
            self._turn.release()

    async def _usable(self) -> OpenDatabase:
        if self._opening is not None and self._is_readable:
            return self._opening
        async with self._writing() as opening:
            return opening

    async def _trusted(self) -> OpenDatabase:
        """The connections, opened anew where they failed. The caller has the turn."""
        if self._opening is not None and self._is_writable:
            return self._opening
        if self._is_closed:
            raise DatabaseFailed("it is not open", needs_reopening=False)
        if self._opening is None:
            return await self._connect(self._known())
        with self._watching():
            return await self._recovered(self._opening)

    @contextmanager
    def _watching(self) -> Generator[None, None, None]:
        try:
            yield
        except DatabaseFailed as failure:
            if failure.needs_reopening:
                self._is_readable = self._is_writable = False
            if isinstance(failure, FilesChanged):
                self._is_writable = False
            if failure.is_damage and self._opening is not None:
                self._damage, self._damaged_content = failure, None
            raise

    async def _recovered(self, opening: OpenDatabase) -> OpenDatabase:
        """What is open once it can be trusted again. Raises Unavailable while it cannot."""
        presence = await asyncio.to_thread(opening.file.look)
        if self._damage is not None and self._damaged_content == opening.file.content and presence is Presence.HERE:
            raise self._damage
        if presence is Presence.HERE and self._is_readable:
            self._is_writable = True
            return opening
        if presence in REOPENED_IN:
            return await self._reopened(opening, presence)
        if presence is Presence.OVERWRITTEN:
            raise FilesChanged(presence)
        return await self._met_replacement(opening, presence)

    async def _reopened(self, opening: OpenDatabase, presence: Presence) -> OpenDatabase:
        if presence is Presence.LOG_LOST:
            # What the open log holds is nowhere else; until it is moved, nothing is closed.
            if not await opening.move_log():
                raise FilesChanged(presence)
            opening.file.set_foreign_log_aside(f"{self.path.name}-wal.not-ours-{stamp()}")
        self._opening, self._is_readable, self._is_writable = None, False, False
        await opening.close()
        return await self._connect(self._known())

    async def _met_replacement(self, opening: OpenDatabase, presence: Presence) -> OpenDatabase:
        """Our file has lost its place. It is made whole, and kept under another name if no name leads to it any more; then a
        whole copy of it in its place is opened."""
        await self._make_whole(opening)
        if presence is Presence.GONE:
            raise self._lost_place(presence)
        known = opening.identity
        try:
            await asyncio.to_thread(check_is_whole_copy, self.path, known, opening.file.log_path)
        except Unavailable as refusal:
            raise self._lost_place(
                presence, refusal.message.removeprefix("the store cannot be used now: ")
            ) from refusal
        self._opening, self._is_readable, self._is_writable = None, False, False
        await opening.close()
        self._kept = None
        return await self._connect(known)

    async def _make_whole(self, opening: OpenDatabase) -> None:
        await opening.move_log()
        if opening.file.is_deleted and self._kept is None:
            self._kept = await opening.writer.run(kept_aside, self.path)

    def _lost_place(self, presence: Presence, problem: str = "") -> DatabaseFailed:
        kept = f"; everything it held is in {self._kept.name}, which can be put in its place" if self._kept else ""
        return FilesChanged(presence, (f" ({problem}); put the right one back" if problem else "") + kept)

    async def _move_log(self, opening: OpenDatabase) -> None:
        """Upkeep that may fail: what was committed stays in the log."""
        loop = asyncio.get_running_loop()
        if loop.time() < self._move_due_at or (self._speed.is_slow and opening.file.log_bytes < _SLOW_LOG_BYTES):
            return
        began = loop.time()
        try:
            with self._watching():
                await opening.move_log()
        except DatabaseFailed:
            return
        finally:
            took = loop.time() - began
            self._move_due_at = loop.time() + (took / _MOVING_SHARE if took > _SLOW_MOVE_SECONDS else 0)

    async def _note_revision(self, opening: OpenDatabase, revision: int) -> None:
        """The change is made, whatever becomes of the note: who asked for it is not told otherwise."""
        with suppress(DatabaseFailed), self._watching():
            await opening.note_revision(revision)

    async def _connect(self, known: Identity | None) -> OpenDatabase:
        try:
            opening = await open_database(
                self.path,
                known,
                self._migrations,
                busy_timeout_seconds=self._busy_timeout_seconds,
                is_doubted=self._damage is not None,
            )
        except DatabaseFailed as failure:
            if failure.is_damage:
                self._damage = failure
            raise
        self.schema_version = opening.schema_version
        self.installation, self.revision = opening.identity.installation, opening.identity.revision
        self._opening, self._is_readable, self._is_writable = opening, True, True
        self._damage = None
        self.openings += 1
        return opening

    def _known(self) -> Identity | None:
        """What a file opened again must be: nothing that was acknowledged may be missing."""
        return (
            Identity(installation=self.installation, revision=self.revision, generation=0)
            if self.installation
            else None
        )

    async def _let_go(self, opening: OpenDatabase, last: Work[[], None]) -> None:
        """Close, and leave behind what a later start, or a person, can use."""
        try:
            presence = await asyncio.to_thread(opening.file.look)
            if presence is Presence.HERE and self._damage is None:
                with suppress(Refusal):
                    await opening.writer.run(_at_once, opening.file, last)
                await opening.close_and_tidy()
                return
            if presence in LOG_MOVES_IN and self._damage is None:
                await self._make_whole(opening)
        except Unavailable:
            # It stays as it is: the log beside the database, or with the file that was moved away.
            pass
        await opening.close()


def _begin_change(plain: sqlite3.Connection, file: OpenFile) -> None:
    file.check()
    begin_durably(plain)


def _commit_change(
    plain: sqlite3.Connection, file: OpenFile, speed: DiskSpeed, longest_commit_seconds: float | None
) -> tuple[float, int]:
    """How long it took, in seconds, and the revision it made. Raises Unavailable(`store_slow`), and has committed nothing then."""
    if longest_commit_seconds is not None and speed.is_too_slow(longest_commit_seconds):
        raise too_slow()
    # Behind the commit somebody may have cut the log's index, and a read would find nothing.
    revision: int = plain.execute("SELECT revision FROM meta").fetchone()[0]
    began = time.monotonic()
    commit_durably(plain)
    file.note_write()
    return time.monotonic() - began, revision


def _at_once(plain: sqlite3.Connection, file: OpenFile, work: Work[[], None]) -> None:
    """A batch that waits for no other program's lock."""
    plain.execute("PRAGMA busy_timeout = 0")
    _batch(plain, file, work)


def _timed(plain: sqlite3.Connection, file: OpenFile, work: Work[[], None]) -> float:
    """How long the batch took, in seconds."""
    began = time.monotonic()
    _batch(plain, file, work)
    return time.monotonic() - began


def _batch(
    plain: sqlite3.Connection,
    file: OpenFile,
    work: Work[Parameters, Answer],
    *args: Parameters.args,
    **kwargs: Parameters.kwargs,
) -> Answer:
    file.check()
    answer = atomically(plain, work, *args, **kwargs)
    file.note_write()
    return answer
