"""One opening of the database: its file, its three connections, and the moves of its log into it.

Only here is the log moved, each time between two notes in the identity file, so that any other change of the database file is
known to be somebody else's (presence.py). The revision is noted before a change is acknowledged, also where the log cannot be
moved then: a copy that lacks the change is known for one from that moment on, whatever happens to this process. What became of
the files and what is to be done then is database.py's matter.
"""

import asyncio
import sqlite3
import threading
from collections.abc import Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import uuid4

from proxy.core.errors import Refusal, Unavailable
from proxy.store.sqlite.opening.backup import CopyStopped, back_up
from proxy.store.sqlite.opening.connection import ThreadConnection, connect
from proxy.store.sqlite.opening.failures import DatabaseFailed
from proxy.store.sqlite.opening.identity_file import Identity, IdentityFile, IdentityNote
from proxy.store.sqlite.opening.inspection import check_is_sound, identity_in, inspect, is_older
from proxy.store.sqlite.opening.migrate import migrate, outdated_schema
from proxy.store.sqlite.opening.open_file import FilesChanged, OpenFile
from proxy.store.sqlite.opening.presence import LOG_MOVES_IN, Presence


@dataclass(slots=True)
class OpenDatabase:
    """What is open, and on which file. `identity`: as of the last whole move of the log, but for the revision, which is the last
    one noted. `content`: of the file, as noted."""

    file: OpenFile
    identity_file: IdentityFile
    identity: Identity
    content: tuple[int, int] | None
    schema_version: int
    writer: ThreadConnection
    traffic: ThreadConnection
    lists: ThreadConnection

    async def move_log(self) -> bool:
        """Move what the log holds into the open database; whether that was everything. Raises Unavailable."""
        return await self.writer.run(_move_log, self)

    async def note_revision(self, revision: int) -> None:
        """Returns when this revision, which is committed, is noted outside the database, durably. SQLite is not asked: the log
        may be what fails. Raises Unavailable."""
        await self.writer.run(_note_revision, self, revision)

    async def close(self) -> None:
        """Close the connections and leave every file as it is."""
        await self._close_connections()
        self.file.close()

    async def close_and_tidy(self) -> None:
        """Close the connections of a database that is in its place, and leave one file with everything in it."""
        for connection in (self.lists, self.traffic):
            with suppress(sqlite3.Error):
                await connection.close()
        with suppress(DatabaseFailed):
            if await self.move_log():
                self.file.let_sqlite_tidy()
        await self.close()

    async def _close_connections(self) -> None:
        for connection in (self.lists, self.traffic, self.writer):
            # What was committed is safe in the log; a connection that cannot even close has nothing more to lose.
            with suppress(sqlite3.Error, ValueError):
                await connection.close()


async def open_database(
    path: Path,
    known: Identity | None,
    migrations: Mapping[int, str],
    *,
    busy_timeout_seconds: float,
    is_doubted: bool = False,
) -> OpenDatabase:
    """Open and migrate. `known`: what it must be, where this process had it open before; else what the identity file says.
    `is_doubted`: look through the whole content first.

    Raises Unavailable: `store_in_use`, `store_linked`, `store_log_foreign`, `store_not_the_same`, `store_too_new`,
    `store_foreign`, `store_identity_unusable`, `store_unavailable`.
    """
    identity_file = IdentityFile(path)
    file, note = await asyncio.to_thread(_opened_file, path, identity_file, known)
    known = known or (None if note is None else note.identity)
    async with AsyncExitStack() as opened:
        opened.callback(file.close)

        async def another(read_only: bool) -> ThreadConnection:
            connection = await connect(path, read_only=read_only, busy_timeout_seconds=busy_timeout_seconds)
            opened.push_async_callback(connection.close)
            return connection

        writer = await another(read_only=False)
        await writer.run(_recognise, path, known, max(migrations), is_doubted)
        await writer.run(_announce_changes, identity_file, note)
        file.let_sqlite_tidy()
        outdated = await writer.run(outdated_schema, migrations)
        if outdated is not None:
            with suppress(sqlite3.Error):
                await writer.close()
            await _back_up(path, outdated, busy_timeout_seconds)
            writer = await another(read_only=False)
        schema_version, identity = await writer.run(_prepare, migrations)
        file.keep_log()
        traffic, lists = await another(read_only=True), await another(read_only=True)
        file.remember()
        opened.pop_all()
    opening = OpenDatabase(file, identity_file, identity, None, schema_version, writer, traffic, lists)
    with suppress(DatabaseFailed):
        # A disk that is full or slow does not keep what is there from being used.
        await opening.move_log()
    return opening


def _opened_file(
    path: Path, identity_file: IdentityFile, known: Identity | None
) -> tuple[OpenFile, IdentityNote | None]:
    note = identity_file.read()
    if note is not None and not path.exists():
        raise FilesChanged(Presence.GONE) if known is not None else _missing(path, note.identity)
    file = OpenFile(path, may_make=note is None and known is None)
    try:
        file.check_log_belongs(note)
        # Until it is recognised nothing may change, not even by SQLite's tidying up.
        file.keep_log()
    except BaseException:
        file.close()
        raise
    return file, note


def _move_log(plain: sqlite3.Connection, opening: OpenDatabase) -> bool:
    file = opening.file
    presence = file.look()
    if presence not in LOG_MOVES_IN:
        raise FilesChanged(presence)
    found = identity_in(plain)
    # Of a database in which nothing was changed yet there is nothing to recognise, and it may not be meant to be ours.
    is_noted = found is not None and found.revision > 0
    # What is noted as safe must be on the disk; that of now is only when the log is.
    if is_noted:
        _note(opening, opening.identity, None)
    try:
        is_whole = _checkpoint(plain)
    finally:
        file.note_checkpoint()
    file.sync()
    if found is not None:
        # Changes wait for the disk, and so their revision is safe in the log too.
        identity = found if is_whole else replace(opening.identity, revision=found.revision)
        if is_noted:
            _note(opening, identity, file.content)
        else:
            opening.identity = identity
    return is_whole


def _note_revision(_plain: sqlite3.Connection, opening: OpenDatabase, revision: int) -> None:
    _note(opening, replace(opening.identity, revision=revision), opening.content)


def _note(opening: OpenDatabase, identity: Identity, content: tuple[int, int] | None) -> None:
    """What cannot be written is not taken for noted. Raises Unavailable."""
    opening.identity_file.write(IdentityNote(identity=identity, content=content))
    opening.identity, opening.content = identity, content


def _checkpoint(plain: sqlite3.Connection) -> bool:
    """Whether everything was moved; readers of an older state keep what came after it."""
    _, in_log, moved = plain.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    if in_log != moved:
        return False
    # Nobody is waited for: a log that cannot be emptied now is emptied the next time.
    timeout: int = plain.execute("PRAGMA busy_timeout").fetchone()[0]
    plain.execute("PRAGMA busy_timeout = 0")
    try:
        plain.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    finally:
        plain.execute(f"PRAGMA busy_timeout = {timeout}")
    return True


def _recognise(
    plain: sqlite3.Connection, path: Path, known: Identity | None, newest_schema: int, is_doubted: bool
) -> None:
    """Refuse a database that is not the known one, or an older copy of it."""
    found = inspect(plain, newest_schema).identity
    if is_doubted:
        check_is_sound(plain)
    if known is None:
        return
    if found is None:
        raise _not_the_same(path, "the database is empty", known)
    if found.installation != known.installation:
        raise _not_the_same(path, "another database is in its place", known)
    if is_older(found, known):
        raise _not_the_same(path, f"the database is older, at revision {found.revision}", known)


def _announce_changes(_plain: sqlite3.Connection, identity_file: IdentityFile, note: IdentityNote | None) -> None:
    """Until the log is moved the next time, the file is neither as it was nor as it will be."""
    if note is not None:
        identity_file.write(IdentityNote(identity=note.identity, content=None))


async def _back_up(path: Path, schema: int, busy_timeout_seconds: float) -> None:
    """Returns when a copy is there, or, interrupted, when nothing is being copied any more."""
    stopped = threading.Event()
    copying = asyncio.ensure_future(asyncio.to_thread(back_up, path, schema, busy_timeout_seconds, stopped))
    try:
        await asyncio.shield(copying)
    except asyncio.CancelledError:
        stopped.set()
        with suppress(CopyStopped, Refusal):
            await copying
        raise


def _prepare(plain: sqlite3.Connection, migrations: Mapping[int, str]) -> tuple[int, Identity]:
    """Migrate; the schema version, and which database it is."""
    version = migrate(plain, migrations)
    plain.execute(
        "INSERT INTO meta (only_row, installation, revision) SELECT 1, ?, 0 WHERE NOT EXISTS (SELECT 1 FROM meta)",
        (str(uuid4()),),
    )
    identity = identity_in(plain)
    assert identity is not None
    return version, identity


def _missing(path: Path, known: Identity) -> Unavailable:
    return Unavailable(
        "store_not_the_same",
        f"the database is missing, but {path.name}-identity tells of one (revision {known.revision}): put it back, or a backup with "
        f"`switchback store restore FILE`; to begin anew stop, move {path.name}-identity, last-known-good.json and journal away, and "
        "start",
    )


def _not_the_same(path: Path, problem: str, known: Identity) -> Unavailable:
    return Unavailable(
        "store_not_the_same",
        f"{problem}, but {path.name}-identity tells of revision {known.revision} of installation {known.installation}: put the right "
        f"database back, or, to begin with what is there, stop and run `switchback store restore {path.name}`",
    )
