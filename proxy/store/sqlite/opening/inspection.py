"""Looking into a database file that nobody has open: whose it is, how far it got, whether its content is sound.

Decision: SQLite opens it as immutable, which takes no lock, makes no file beside it and plays no log into it. So whatever lies
there can be looked at without being changed; what a log beside it holds is not seen.
"""

import sqlite3
from collections.abc import Generator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from proxy.core.proof.audit_proof import EMPTY_HEAD, AuditHead
from proxy.store.sqlite.opening.failures import DatabaseFailed, refusal_of
from proxy.store.sqlite.opening.identity_file import Identity
from proxy.store.sqlite.opening.migrate import checked_schema, migrations
from proxy.store.sqlite.opening.open_file import facts_at

#: How many findings of SQLite's check are told.
_FINDINGS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """`identity` is None for a database in which nothing was ever made."""

    schema_version: int
    identity: Identity | None
    audit_head: AuditHead


@contextmanager
def opened_untouched(path: Path) -> Generator[sqlite3.Connection]:
    """A connection to the file alone. Raises Unavailable for what the driver reports inside."""
    try:
        with closing(
            sqlite3.connect(f"file:{quote(str(path))}?mode=ro&immutable=1", uri=True, isolation_level=None)
        ) as plain:
            plain.row_factory = sqlite3.Row
            yield plain
    except sqlite3.Error as error:
        raise refusal_of(error) from error


def inspect(plain: sqlite3.Connection, newest_schema: int) -> Inspection:
    """`newest_schema`: of the schemas that are known. Raises Unavailable: `store_foreign`, `store_too_new`; and the driver's exceptions."""
    version = checked_schema(plain, newest_schema)
    if version == 0:
        return Inspection(schema_version=0, identity=None, audit_head=EMPTY_HEAD)
    head = plain.execute("SELECT number, hash FROM audit ORDER BY number DESC LIMIT 1").fetchone()
    return Inspection(
        schema_version=version,
        identity=identity_in(plain),
        audit_head=EMPTY_HEAD if head is None else AuditHead(head["number"], head["hash"]),
    )


def identity_in(plain: sqlite3.Connection) -> Identity | None:
    """Of a database that has our schema."""
    row = plain.execute("SELECT installation, revision, writes_tried FROM meta").fetchone()
    if row is None:
        return None
    return Identity(installation=row["installation"], revision=row["revision"], generation=row["writes_tried"])


def findings(plain: sqlite3.Connection, *, is_thorough: bool = False) -> list[str]:
    """What SQLite's own check finds wrong, at most a few; also indexes where `is_thorough`."""
    check = "integrity_check" if is_thorough else "quick_check"
    try:
        found = [row[0] for row in plain.execute(f"PRAGMA {check}({_FINDINGS})")]
    except sqlite3.DatabaseError as error:
        return [str(error)]
    return [] if found == ["ok"] else found


def check_is_sound(plain: sqlite3.Connection) -> None:
    """Raises DatabaseFailed where the content is damaged."""
    found = findings(plain)
    if found:
        raise damaged(found[0])


def damaged(finding: str) -> DatabaseFailed:
    """The refusal for content that SQLite's check found wrong."""
    return DatabaseFailed(
        f"the database file is damaged ({finding}); stop Switchback and put a backup in place with "
        "`switchback store restore FILE`",
        needs_reopening=True,
        is_damage=True,
    )


def check_is_whole_copy(path: Path, known: Identity, log_path: Path) -> None:
    """Raises Unavailable where the file at `path` is not everything that the `known` database held.

    A log beside it that still has content is not that file's own, as far as can be told, and would be played into it.
    """
    log = facts_at(log_path)
    if log is not None and log.size_bytes > 0:
        raise DatabaseFailed("the log beside it belongs to the one before", needs_reopening=False)
    with opened_untouched(path) as plain:
        found = inspect(plain, max(migrations())).identity
        if found is None or found.installation != known.installation:
            raise DatabaseFailed("another database, or an empty one, is in its place", needs_reopening=False)
        if is_older(found, known):
            raise DatabaseFailed("an older copy is in its place", needs_reopening=False)
        check_is_sound(plain)


def is_older(found: Identity, known: Identity) -> bool:
    """Whether a database lacks something that was in one of the same installation."""
    return found.revision < known.revision or found.generation < known.generation
