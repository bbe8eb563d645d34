"""The copy of a database that is made beside it before a migration, for whoever has to go back to the release before.

`switchback.db.schema-1.20261128T160426Z` is a whole database of schema 1 in one file. It is copied as a part, named when it is on
the disk, by a name that no file has, and never overwritten or removed. A start that comes after one that was killed finds the
same content in it and makes no second one.

No connection of this process may be open meanwhile: reading the file itself, as the comparison does, would take SQLite's locks
on it away with the closing (POSIX). The ownership lock keeps other processes of ours out.
"""

import os
import sqlite3
import threading
from collections.abc import Generator
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path
from typing import Final
from urllib.parse import quote

from proxy.store.sqlite.opening.failures import DatabaseFailed, refusal_of
from proxy.store.sqlite.opening.ownership import create_private

#: Bytes of SQLite's file header. Of what is copied it alone differs: it counts changes and says whether there is a log.
_HEADER_BYTES: Final = 100
_CHUNK_BYTES: Final = 1 << 20
#: Copied between looks at whether the copy is still wanted.
_STEP_PAGES: Final = 4096
_PART_FILES: Final = ("", "-journal", "-wal", "-shm")


class CopyStopped(Exception):
    """The copy is not wanted any more."""


def back_up(database: Path, schema: int, busy_timeout_seconds: float, stopped: threading.Event) -> Path:
    """The path of a copy of `database`, which has this schema: a new one, or one that holds the same.

    Raises Unavailable(`store_unavailable`) where it cannot be made, on a full disk for instance; CopyStopped after `stopped`.
    """
    with _failing_as_a_copy(schema):
        beginning = f"{database.name}.schema-{schema}."
        for name in sorted(os.listdir(database.parent)):
            copy = database.with_name(name)
            if name.startswith(beginning) and copy != _part(database, schema) and _is_the_same(database, copy, stopped):
                return copy
        return _copy(database, schema, busy_timeout_seconds, stopped)


@contextmanager
def _failing_as_a_copy(schema: int) -> Generator[None, None, None]:
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else refusal_of(error).message
        raise DatabaseFailed(
            f"its schema {schema} is brought up to date only beside a copy of it, which could not be made ({reason}); make "
            "room for a second database beside it, or start the release before",
            needs_reopening=True,
        ) from error


def _copy(database: Path, schema: int, busy_timeout_seconds: float, stopped: threading.Event) -> Path:
    part = _part(database, schema)
    _remove(part)
    try:
        create_private(part)
        uri = f"file:{quote(str(database))}?mode=rw"
        with (
            closing(sqlite3.connect(uri, uri=True, isolation_level=None, timeout=busy_timeout_seconds)) as source,
            closing(sqlite3.connect(part, isolation_level=None)) as target,
        ):
            moment: str = source.execute("SELECT strftime('%Y%m%dT%H%M%SZ', 'now')").fetchone()[0]
            target.execute("PRAGMA journal_mode = OFF")
            source.backup(
                target, pages=_STEP_PAGES, progress=lambda _status, _left, _pages: _check(stopped), sleep=0.01
            )
            # One file without a log, which can be put in the database's place as it is.
            target.execute("PRAGMA journal_mode = DELETE")
        write_through(part)
        copy = _free_name(database, schema, moment)
        part.rename(copy)
        write_through(database.parent)
    except BaseException:
        _remove(part)
        raise
    return copy


def _part(database: Path, schema: int) -> Path:
    return database.with_name(f"{database.name}.schema-{schema}.part")


def _remove(part: Path) -> None:
    """Whatever it began to hold is in the database."""
    for ending in _PART_FILES:
        part.with_name(part.name + ending).unlink(missing_ok=True)


def _free_name(database: Path, schema: int, moment: str) -> Path:
    names = (f"{database.name}.schema-{schema}.{moment}" + (f"-{number}" if number > 1 else "") for number in count(1))
    return next(path for path in map(database.with_name, names) if not os.path.lexists(path))


def write_through(path: Path) -> None:
    """Wait until a file or a folder is on the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _is_the_same(database: Path, copy: Path, stopped: threading.Event) -> bool:
    """Whether the copy holds what the database holds; "no" where some of that is still in its log, kept open by another program."""
    log = database.with_name(f"{database.name}-wal")
    if (log.exists() and log.stat().st_size > 0) or database.stat().st_size != copy.stat().st_size:
        return False
    with database.open("rb") as ours, copy.open("rb") as theirs:
        ours.seek(_HEADER_BYTES)
        theirs.seek(_HEADER_BYTES)
        while chunk := ours.read(_CHUNK_BYTES):
            _check(stopped)
            if chunk != theirs.read(_CHUNK_BYTES):
                return False
    return True


def _check(stopped: threading.Event) -> None:
    if stopped.is_set():
        raise CopyStopped
