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
import threading
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from proxy.core.errors import Refusal, Unavailable
from proxy.store.sqlite.opening.backup import CopyStopped, back_up
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
from proxy.store.sqlite.opening.failures import STORE_UNAVAILABLE, DatabaseFailed
from proxy.store.sqlite.opening.migrate import check_library, migrate, outdated_schema
from proxy.store.sqlite.opening.ownership import OpenFile, OwnershipLock, create_private


@dataclass(frozen=True, slots=True)
class _Connections:
    """What is open, and on which file."""

    file: OpenFile
    writer: ThreadConnection
    traffic: ThreadConnection
    lists: ThreadConnection

    async def close(self) -> None:
        """Readers first: the last to close moves the log into the database."""
        for connection in (self.lists, self.traffic, self.writer):
            # What was committed is safe in the log; a connection that cannot even close has nothing more to lose.
            with suppress(sqlite3.Error):
                await connection.close()
        self.file.forget_log_if_replaced()


class Database:
    """One SQLite file, owned by this process between `open` and `close`."""

    def __init__(self, path: Path, busy_timeout_seconds: float, migrations: Mapping[int, str]) -> None:
        """`busy_timeout_seconds`: how long a write waits for another program's lock, and how long for its turn here."""
        self.path = path
        self.schema_version = 0
        #: Identifies this database among all others; made with it.
        self.installation = ""
        #: Of the last change known to be committed.
        self.revision = 0
        self._busy_timeout_seconds = busy_timeout_seconds
        self._migrations = migrations
        self._ownership = OwnershipLock(path)
        self._turn = asyncio.Lock()
        self._connections: _Connections | None = None
        self._is_trusted = False
        self._is_closed = True

    async def open(self) -> None:
        """Take ownership, open, migrate. Raises Unavailable: `store_in_use`, `store_too_new`, `store_foreign`,
        `store_library_too_old`, `store_unavailable`."""
        check_library()
        self._ownership.acquire()
        # Whether this is the right database is its opener's to say; from here on it must stay the same one.
        self.installation, self.revision = "", 0
        try:
            create_private(self.path)
            await self._connect()
            self._is_closed = False
        except BaseException:
            self._ownership.release()
            raise

    async def close(self) -> None:
        """Finish what was given to the connections, close them, and give the file free."""
        # Whoever still reads must not open it again.
        self._is_closed = True
        await self._disconnect()
        self._ownership.release()

    async def write(
        self, work: Work[Parameters, Answer], *args: Parameters.args, **kwargs: Parameters.kwargs
    ) -> Answer:
        """Run `work` as one transaction, in one hop to the writer's thread."""
        async with self._writing() as connections:
            return await connections.writer.run(_batch, connections.file, work, *args, **kwargs)

    @asynccontextmanager
    async def change(self) -> AsyncGenerator[ThreadConnection, None]:
        """One transaction over several hops. It commits when the block ends and is undone by any exception."""
        async with self._writing() as connections:
            writer = connections.writer
            try:
                await writer.run(_begin_change, connections.file)
                yield writer
                await writer.run(commit_durably)
            except BaseException:
                # The thread has the rollback before this task can be interrupted again, and before the next writer.
                with suppress(Refusal):
                    await writer.run(roll_back)
                raise

    async def read_for_traffic(
        self, work: Work[Parameters, Answer], *args: Parameters.args, **kwargs: Parameters.kwargs
    ) -> Answer:
        """Run `work` on one picture of what is committed; no list is waited for."""
        connections = await self._usable()
        with self._watching():
            return await connections.traffic.run(at_one_moment, work, *args, **kwargs)

    async def read_for_lists(
        self, work: Work[Parameters, Answer], *args: Parameters.args, **kwargs: Parameters.kwargs
    ) -> Answer:
        """Run `work` on one picture of what is committed, behind the lists asked for before."""
        connections = await self._usable()
        with self._watching():
            return await connections.lists.run(at_one_moment, work, *args, **kwargs)

    async def read_what_stays(
        self, work: Work[Parameters, Answer], *args: Parameters.args, **kwargs: Parameters.kwargs
    ) -> Answer:
        """As `read_for_lists`, of a file that is still in its place afterwards: one that was deleted or replaced can be read
        while it is open, and says nothing of what a restart would find."""
        connections = await self._usable()
        with self._watching():
            answer = await connections.lists.run(at_one_moment, work, *args, **kwargs)
            await asyncio.to_thread(connections.file.check)
        return answer

    @asynccontextmanager
    async def _writing(self) -> AsyncGenerator[_Connections, None]:
        """The writer's turn, with connections that can be trusted. Waits for the turn no longer than the busy timeout."""
        try:
            async with asyncio.timeout(self._busy_timeout_seconds):
                await self._turn.acquire()
        except TimeoutError:
            explanation = "the store cannot be used now: it is busy with other writes"
            raise Unavailable(STORE_UNAVAILABLE, explanation) from None
        try:
            connections = await self._trusted()
            with self._watching():
                yield connections
        finally:
            self._turn.release()

    async def _usable(self) -> _Connections:
        if self._connections is not None and self._is_trusted:
            return self._connections
        async with self._writing() as connections:
            return connections

    async def _trusted(self) -> _Connections:
        """The connections, opened anew where they failed. The caller has the turn."""
        if self._connections is not None and self._is_trusted:
            return self._connections
        if self._is_closed:
            raise DatabaseFailed("it is not open", needs_reopening=False)
        await self._disconnect()
        return await self._connect()

    @contextmanager
    def _watching(self) -> Generator[None, None, None]:
        try:
            yield
        except DatabaseFailed as failure:
            if failure.needs_reopening:
                self._is_trusted = False
            raise

    async def _connect(self) -> _Connections:
        async with AsyncExitStack() as opened:

            async def another(read_only: bool) -> ThreadConnection:
                connection = await connect(
                    self.path, read_only=read_only, busy_timeout_seconds=self._busy_timeout_seconds
                )
                opened.push_async_callback(connection.close)
                return connection

            writer = await another(read_only=False)
            outdated = await writer.run(outdated_schema, self._migrations)
            if outdated is not None:
                with suppress(sqlite3.Error):
                    await writer.close()
                await self._back_up(outdated)
                writer = await another(read_only=False)
            self._recognise(*await writer.run(_prepare, self._migrations))
            file = OpenFile(self.path)
            connections = _Connections(file, writer, await another(read_only=True), await another(read_only=True))
            opened.pop_all()
        self._connections = connections
        self._is_trusted = True
        return connections

    async def _back_up(self, schema: int) -> None:
        """Returns when a copy is there, or, interrupted, when nothing is being copied any more."""
        stopped = threading.Event()
        copying = asyncio.ensure_future(
            asyncio.to_thread(back_up, self.path, schema, self._busy_timeout_seconds, stopped)
        )
        try:
            await asyncio.shield(copying)
        except asyncio.CancelledError:
            stopped.set()
            with suppress(CopyStopped, Refusal):
                await copying
            raise

    def _recognise(self, schema_version: int, installation: str, revision: int) -> None:
        """Refuse a file that came into the place of ours while we run, unless it is a whole copy of it."""
        if self.installation and (installation != self.installation or revision < self.revision):
            raise DatabaseFailed(
                "another or an older database is in its place; restart to use that one, or put the right one back",
                needs_reopening=True,
            )
        self.schema_version = schema_version
        self.installation = installation
        self.revision = revision

    async def _disconnect(self) -> None:
        connections, self._connections, self._is_trusted = self._connections, None, False
        if connections is not None:
            await connections.close()


def _prepare(plain: sqlite3.Connection, migrations: Mapping[int, str]) -> tuple[int, str, int]:
    """Migrate; the schema version, the installation's id and the revision."""
    version = migrate(plain, migrations)
    plain.execute(
        "INSERT INTO meta (only_row, installation, revision) SELECT 1, ?, 0 WHERE NOT EXISTS (SELECT 1 FROM meta)",
        (str(uuid4()),),
    )
    meta = plain.execute("SELECT installation, revision FROM meta").fetchone()
    return version, meta["installation"], meta["revision"]


def _begin_change(plain: sqlite3.Connection, file: OpenFile) -> None:
    file.check()
    begin_durably(plain)


def _batch(
    plain: sqlite3.Connection,
    file: OpenFile,
    work: Work[Parameters, Answer],
    *args: Parameters.args,
    **kwargs: Parameters.kwargs,
) -> Answer:
    file.check()
    return atomically(plain, work, *args, **kwargs)
