"""Numbered migrations: NNNN_name.sql files, each applied in one transaction with the schema version it leads to.

The version is the database header's `user_version`, written with the migration's own commit, so that a kill half-way leaves
the old schema or the new one. `application_id` marks the file as ours. Which SQL a migration holds is its file's matter.
"""

import sqlite3
from importlib import resources

from proxy.core.errors import Unavailable
from proxy.store.sqlite.failures import DatabaseFailed

#: "SwBk" in the file header.
APPLICATION_ID = 0x5377426B
_LEAST_LIBRARY = (3, 38, 0)


def migrations() -> dict[int, str]:
    """Every migration's SQL by its number, in order."""
    folder = resources.files("proxy.store") / "migrations"
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".sql")), key=lambda file: file.name)
    return {int(file.name.partition("_")[0]): file.read_text(encoding="utf-8") for file in files}


def check_library() -> None:
    """Raises Unavailable(`store_library_too_old`)."""
    if sqlite3.sqlite_version_info < _LEAST_LIBRARY:
        raise Unavailable(
            "store_library_too_old",
            f"SQLite 3.38 or newer is needed and this Python has {sqlite3.sqlite_version}; use a newer Python build",
        )


def schema_version(plain: sqlite3.Connection) -> int:
    """The number of the last migration applied; 0 for an empty database."""
    return plain.execute("PRAGMA user_version").fetchone()[0]


def migrate(plain: sqlite3.Connection) -> int:
    """Bring the schema up to date; the schema version it then has.

    Raises Unavailable: `store_too_new` for a database of a newer release, `store_foreign` for another program's.
    """
    known = migrations()
    current, newest = schema_version(plain), max(known)
    if current > newest:
        raise Unavailable(
            "store_too_new",
            f"the database has schema {current}, this release knows schemas up to {newest}: start the newer release of "
            "switchback-proxy, or restore a copy of the database from before it was upgraded",
        )
    if not _is_ours(plain, current):
        raise Unavailable("store_foreign", "the database belongs to another program; configure another file as store")
    if plain.execute("PRAGMA journal_mode = WAL").fetchone()[0] != "wal":
        raise DatabaseFailed("the file system cannot hold SQLite's write-ahead log", needs_reopening=True)
    for number in range(current + 1, newest + 1):
        script = f"BEGIN IMMEDIATE;\n{known[number]}\nPRAGMA user_version = {number};\n"
        try:
            plain.executescript(f"{script}PRAGMA application_id = {APPLICATION_ID};\nCOMMIT;")
        except BaseException:
            if plain.in_transaction:
                plain.execute("ROLLBACK")
            raise
    return newest


def _is_ours(plain: sqlite3.Connection, current: int) -> bool:
    application_id: int = plain.execute("PRAGMA application_id").fetchone()[0]
    if current > 0:
        return application_id == APPLICATION_ID
    return application_id == 0 and plain.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()[0] == 0
