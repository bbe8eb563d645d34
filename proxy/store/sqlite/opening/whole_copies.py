"""Whole copies of an open database in one file: backups, and what is kept of a file whose last name is gone.

SQLite's backup reads through the connection, log included, so that the copy is one moment of the database and needs no log. The
file appears under its name only when it is complete and on the disk.
"""

import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

from proxy.core.proof.audit_proof import AuditHead
from proxy.store.sqlite.opening.failures import DatabaseFailed, file_failure, refusal_of
from proxy.store.sqlite.opening.inspection import inspect, opened_untouched
from proxy.store.sqlite.opening.migrate import migrations

_OWNER_ONLY = 0o600


def copy_whole(plain: sqlite3.Connection, target: Path) -> None:
    """Write everything `plain` sees to `target`, which must not exist. Raises Unavailable(`store_unavailable`)."""
    _copy(plain, target, _copy_pages)


def copy_anew(plain: sqlite3.Connection, target: Path) -> None:
    """As `copy_whole`, without pages that nothing is in, and as a file that can give such pages back later (giving_back.py), whatever
    the release that made it. The slower way."""
    _copy(plain, target, _write_anew)


def _copy_pages(plain: sqlite3.Connection, beside: Path) -> None:
    with closing(sqlite3.connect(beside)) as copy:
        # No log of its own: what is copied stands in this one file.
        copy.execute("PRAGMA journal_mode = OFF")
        plain.backup(copy)


def _write_anew(plain: sqlite3.Connection, beside: Path) -> None:
    if plain.execute("PRAGMA auto_vacuum").fetchone()[0] == 0:
        # Where it is set already SQLite would write it down again, which a file opened to be read refuses.
        plain.execute("PRAGMA auto_vacuum = INCREMENTAL")
    plain.execute("VACUUM INTO ?", (str(beside),))


def _copy(plain: sqlite3.Connection, target: Path, write: Callable[[sqlite3.Connection, Path], None]) -> None:
    beside = target.with_name(f"{target.name}.part")
    try:
        descriptor = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _OWNER_ONLY)
    except OSError as error:
        raise file_failure(error) from error
    try:
        write(plain, beside)
        os.fsync(descriptor)
        # A link, unlike a rename, never takes the place of a file that is there.
        os.link(beside, target)
    except sqlite3.Error as error:
        raise refusal_of(error) from error
    except OSError as error:
        raise file_failure(error) from error
    finally:
        os.close(descriptor)
        with suppress(OSError):
            beside.unlink()


def free_name(path: Path, what: str, stamp: str) -> Path:
    """A name beside `path` that says what the file is and that nothing has yet. `stamp`: the moment, for people."""
    wanted = path.with_name(f"{path.name}.{what}-{stamp}")
    for number in range(2, 1000):
        if not wanted.exists():
            return wanted
        wanted = path.with_name(f"{path.name}.{what}-{stamp}-{number}")
    raise DatabaseFailed("too many files were kept beside it already; move some away", needs_reopening=False)


def stamp() -> str:
    """For names of files: people read them, nothing is decided by them."""
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())


def copied_beside(plain: sqlite3.Connection, path: Path) -> tuple[Path, AuditHead]:
    """A copy of everything `plain` sees beside `path`, and its audit head. Raises Unavailable."""
    copy = free_name(path, "backup", stamp())
    copy_whole(plain, copy)
    try:
        with opened_untouched(copy) as copied:
            return copy, inspect(copied, max(migrations())).audit_head
    except BaseException:
        copy.unlink()
        raise


def kept_aside(plain: sqlite3.Connection, path: Path) -> Path:
    """A copy of everything `plain` sees, of a file that ends with this process."""
    kept = free_name(path, "kept", stamp())
    copy_whole(plain, kept)
    return kept
