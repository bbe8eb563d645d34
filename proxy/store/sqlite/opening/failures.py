"""What SQLite and the file system report, as refusals of ours. Nothing of a driver leaves the store.

A failure names SQLite's own error code and never a path or a value. It also says whether the connections are to be opened
anew: a lock or a full disk passes by itself, after anything else a connection may hold a broken picture of the file.
"""

import errno
import sqlite3

from proxy.core.errors import BadInput, Conflict, Refusal, Unavailable

STORE_UNAVAILABLE = "store_unavailable"
STORE_SLOW = "store_slow"

_EXPLANATIONS = {
    "SQLITE_BUSY": "the database is locked by another program",
    "SQLITE_LOCKED": "the database is locked by another program",
    "SQLITE_FULL": "the disk or the database is full",
    "SQLITE_READONLY": "the database cannot be written",
    "SQLITE_CANTOPEN": "the database file cannot be opened",
    "SQLITE_CORRUPT": "the database file is damaged; stop Switchback, look with `switchback store check`, and put a backup in place "
    "with `switchback store restore FILE`",
    "SQLITE_NOTADB": "the file is not a database",
    "SQLITE_IOERR": "reading or writing the database file failed",
}
_DAMAGE = ("SQLITE_CORRUPT", "SQLITE_NOTADB")
_PASSES_BY_ITSELF = ("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_FULL", "SQLITE_INTERRUPT", "SQLITE_NOMEM")


class DatabaseFailed(Unavailable):
    """The database could not do it now. `needs_reopening`: these connections are not to be trusted any more. `is_damage`: the
    content itself is not to be."""

    def __init__(self, explanation: str, *, needs_reopening: bool, is_damage: bool = False) -> None:
        super().__init__(STORE_UNAVAILABLE, f"the store cannot be used now: {explanation}")
        self.needs_reopening = needs_reopening
        self.is_damage = is_damage


def refusal_of(error: Exception) -> Refusal:
    """The refusal that stands for what the driver raised: Unavailable, for a broken rule of the schema Conflict, for a value
    that no database holds BadInput."""
    if isinstance(error, sqlite3.IntegrityError):
        return Conflict("store_conflict", f"the store's rules do not allow this change: {error}")
    if isinstance(error, UnicodeEncodeError | OverflowError):
        return BadInput("unrepresentable", "a text or number of this change cannot be stored exactly")
    name: str = getattr(error, "sqlite_errorname", None) or "connection closed"
    primary = "_".join(name.split("_")[:2])
    explanation = _EXPLANATIONS.get(primary, "SQLite failed")
    return DatabaseFailed(
        f"{explanation} ({name})", needs_reopening=primary not in _PASSES_BY_ITSELF, is_damage=primary in _DAMAGE
    )


def file_failure(error: OSError) -> DatabaseFailed:
    """For what the file system refuses before SQLite is asked."""
    if error.errno == errno.ELOOP:
        return DatabaseFailed("a symbolic link stands where a file of its own belongs; remove it", needs_reopening=True)
    return DatabaseFailed(f"its files cannot be used ({error.strerror or type(error).__name__})", needs_reopening=True)


def too_slow() -> Unavailable:
    """The refusal of a change that would take longer than anybody waits for; nothing of it was written."""
    return Unavailable(
        STORE_SLOW, "the store's disk is very slow; nothing was changed, try again later", retry_after_seconds=30
    )


def too_busy() -> Unavailable:
    """The refusal of a write whose turn did not come; nothing of it was written."""
    return Unavailable(STORE_SLOW, "the store cannot be used now: it is busy with other writes", retry_after_seconds=5)
