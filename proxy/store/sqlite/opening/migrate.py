"""Numbered migrations: NNNN_name.sql files, each applied in one transaction with the schema version it leads to.

The version is the database header's `user_version`, written with the migration's own commit, so that a kill half-way leaves
the old schema or the new one. `application_id` marks the file as ours. Which SQL a migration holds is its file's matter.
A database that holds something is copied before (backup.py).

Schema 1 is what the first databases had that somebody may have kept; 0001 never changes again, nor does any migration that
was on the main branch once. To change the schema:

1. Before anything else make the fixture of the present schema, where tests/store/schemas has none of it yet: the steps are in
   build.py there.
2. Write `proxy/store/migrations/sqlite/NNNN_what_is_there_afterwards.sql`, NNNN being the next number: statements alone, no BEGIN,
   COMMIT or PRAGMA. Add and rename; remove nothing in the release that stops using it, but in a later one, so that the copy is
   not the only way back. Foreign keys are on: a table that others refer to is not made again under its name, it gets
   columns. What has to be worked out for millions of rows is not: it is worked out beside traffic, later, in steps.
3. Run tests/store/sqlite/test_migrations.py and test_old_databases.py: every fixture is brought to the newest schema, killed on its
   way there, compared with a database made anew, verified and served from.
"""

import sqlite3
from collections.abc import Mapping
from importlib import resources

from proxy.core.errors import Unavailable
from proxy.store.sqlite.opening.failures import DatabaseFailed

#: "SwBk" in the file header.
APPLICATION_ID = 0x5377426B
_LEAST_LIBRARY = (3, 38, 0)


def migrations() -> dict[int, str]:
    """Every migration's SQL by its number, in order."""
    folder = resources.files("proxy.store") / "migrations" / "sqlite"
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


def outdated_schema(plain: sqlite3.Connection, known: Mapping[int, str]) -> int | None:
    """The schema of a database that is ours, holds something and is to be migrated."""
    current = schema_version(plain)
    return current if 0 < current < max(known) and _is_ours(plain, current) else None


def checked_schema(plain: sqlite3.Connection, newest: int) -> int:
    """The schema of a database that is ours, or empty (0). Raises Unavailable as `migrate` does."""
    current = schema_version(plain)
    if current > newest:
        raise Unavailable(
            "store_too_new",
            f"the database has schema {current}, this release knows schemas up to {newest}: start the newer release of "
            "switchback-proxy, or restore a copy of the database from before it was upgraded",
        )
    if not _is_ours(plain, current):
        raise Unavailable("store_foreign", "the database belongs to another program; configure another file as store")
    return current


def migrate(plain: sqlite3.Connection, known: Mapping[int, str]) -> int:
    """Bring the schema up to date by the `known` migrations; the schema version it then has.

    Raises Unavailable: `store_too_new` for a database of a newer release, `store_foreign` for another program's.
    """
    newest = max(known)
    current = checked_schema(plain, newest)
    if current == 0:
        # Decided when a file is made: what is pruned can then be given back in steps (giving_back.py).
        plain.execute("PRAGMA auto_vacuum = INCREMENTAL")
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
