"""A SQLite connection on a thread of its own, and transactions on it.

Decision: aiosqlite's thread runs whole functions here, one hop per piece of work. Statement by statement, a batch of holds
is four hops of about 60 us of CPU each; as one function it is one. `_execute` is the method aiosqlite's own methods are
made of; a subclass is the one place that may call it.

Order is the other reason. Work given to a connection runs in the order given, whether or not somebody still waits for
the answer. So a caller that is cancelled in the middle gives the rollback to the thread before anybody else can write.
"""

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar
from urllib.parse import quote

import aiosqlite

from proxy.store.sqlite.opening.failures import DatabaseFailed, refusal_of

Parameters = ParamSpec("Parameters")
Answer = TypeVar("Answer")
Work = Callable[Concatenate[sqlite3.Connection, Parameters], Answer]


class ThreadConnection(aiosqlite.Connection):
    """An aiosqlite connection that runs functions over the plain connection on its thread."""

    async def start(self) -> None:
        """Start the thread and open the connection on it. Raises the driver's exceptions."""
        try:
            await self
        except BaseException:
            # aiosqlite would leave the thread to end in its own time and then report to a loop that may be closed.
            await asyncio.to_thread(self._thread.join)
            raise

    async def run(self, work: Work[Parameters, Answer], *args: Parameters.args, **kwargs: Parameters.kwargs) -> Answer:
        """`work(connection, ...)` on the thread. Raises what `refusal_of` makes of the driver's exceptions."""
        try:
            plain = self._conn
        except ValueError:
            raise DatabaseFailed("its connection is closed", needs_reopening=True) from None
        try:
            # aiosqlite does not annotate this method's arguments.
            answer: Answer = await self._execute(work, plain, *args, **kwargs)  # pyright: ignore[reportUnknownMemberType]
        except (sqlite3.Error, UnicodeEncodeError, OverflowError) as error:
            raise refusal_of(error) from error
        return answer


async def connect(path: Path, *, read_only: bool, busy_timeout_seconds: float) -> ThreadConnection:
    """Open one connection to a file that exists. Raises Unavailable(`store_unavailable`)."""
    # mode=rw, without c: a file that was moved away is never replaced by a new, empty one.
    uri = f"file:{quote(str(path))}?mode=rw"

    def connector() -> sqlite3.Connection:
        # Python opens no transactions of its own: every BEGIN and COMMIT is ours.
        plain = sqlite3.connect(
            uri, uri=True, isolation_level=None, timeout=busy_timeout_seconds, cached_statements=256
        )
        try:
            _prepare(plain, read_only)
        except BaseException:
            plain.close()
            raise
        return plain

    connection = ThreadConnection(connector, iter_chunk_size=64)
    try:
        await connection.start()
    except sqlite3.Error as error:
        raise refusal_of(error) from error
    return connection


def _prepare(plain: sqlite3.Connection, read_only: bool) -> None:
    plain.row_factory = sqlite3.Row
    plain.execute("PRAGMA foreign_keys = ON")
    # Some builds map the file itself by default: one that is cut short would end the process.
    plain.execute("PRAGMA mmap_size = 0")
    # The log is moved into the database where that is noted (open_database.py), and nowhere else.
    plain.execute("PRAGMA wal_autocheckpoint = 0")
    if read_only:
        plain.execute("PRAGMA query_only = ON")
        # The first read opens the log; later it could not, where the database file is away for a while.
        plain.execute("SELECT COUNT(*) FROM sqlite_master")
    else:
        plain.execute("PRAGMA synchronous = NORMAL")


def begin_durably(plain: sqlite3.Connection) -> None:
    """Begin a write transaction whose commit waits for the disk. `commit_durably` or `roll_back` ends it."""
    plain.execute("PRAGMA synchronous = FULL")
    _begin(plain)


def commit_durably(plain: sqlite3.Connection) -> None:
    plain.execute("COMMIT")
    plain.execute("PRAGMA synchronous = NORMAL")


def roll_back(plain: sqlite3.Connection) -> None:
    """Undo the open transaction; nothing where there is none (SQLite ends it itself after some failures)."""
    if plain.in_transaction:
        plain.execute("ROLLBACK")
    plain.execute("PRAGMA synchronous = NORMAL")


def atomically(
    plain: sqlite3.Connection, work: Work[Parameters, Answer], *args: Parameters.args, **kwargs: Parameters.kwargs
) -> Answer:
    """Run `work` as one write transaction."""
    _begin(plain)
    try:
        answer = work(plain, *args, **kwargs)
        plain.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):
            roll_back(plain)
        raise
    return answer


def at_one_moment(
    plain: sqlite3.Connection, work: Work[Parameters, Answer], *args: Parameters.args, **kwargs: Parameters.kwargs
) -> Answer:
    """Run `work`, which only reads, on one picture of the database; inside a change, on the change's own."""
    if plain.in_transaction:
        return work(plain, *args, **kwargs)
    plain.execute("BEGIN")
    try:
        return work(plain, *args, **kwargs)
    finally:
        plain.execute("ROLLBACK")


def _begin(plain: sqlite3.Connection) -> None:
    # IMMEDIATE takes the write lock now: a transaction that began by reading could find itself outrun at its first write.
    plain.execute("BEGIN IMMEDIATE")
