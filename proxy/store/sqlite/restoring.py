"""Checking and restoring a database that no process has open: `switchback store check` and `switchback store restore`.

Nothing is removed: what a restore takes the place of is set aside under a name that says so. The order is such that a restore
that is killed anywhere leaves a home whose start is refused, or the restored one: the identity file goes last.
"""

import shutil
import sqlite3
import tempfile
import time
from collections.abc import Generator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from proxy.core.errors import BadInput, Refusal, Unavailable
from proxy.core.proof.record_proof import RecordProof, begin_proof
from proxy.store.sqlite.opening.backup import write_through
from proxy.store.sqlite.opening.failures import DatabaseFailed, file_failure, refusal_of
from proxy.store.sqlite.opening.identity_file import IdentityFile
from proxy.store.sqlite.opening.inspection import Inspection, findings, inspect, is_older, opened_untouched
from proxy.store.sqlite.opening.migrate import migrations
from proxy.store.sqlite.opening.ownership import OwnershipLock
from proxy.store.sqlite.opening.whole_copies import copy_anew, free_name
from proxy.store.sqlite.proof import prove_more


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedDatabase:
    """`findings`: what is wrong with the content; `proof`: of the audit log and the rows it speaks about, None where the content
    is too damaged to try."""

    inspection: Inspection
    findings: Sequence[str]
    proof: RecordProof | None

    @property
    def is_sound(self) -> bool:
        return not self.findings and self.proof is not None and bool(self.proof.document()["ok"])


@contextmanager
def owned(database: Path) -> Generator[None]:
    """No server has the database while this holds. Raises Unavailable: `store_in_use`, `store_unavailable`."""
    lock = OwnershipLock(database)
    lock.acquire()
    try:
        yield
    finally:
        lock.release()


def check(file: Path) -> CheckedDatabase:
    """Look through a database, with the log beside it if it has one; neither is changed. A link to one has its log where the
    file itself is, as SQLite has it.

    Raises Unavailable: `store_foreign`, `store_too_new`, `store_damaged`, `store_unavailable`.
    """
    _check_is_file(file)
    file = file.resolve()
    with _damage_told(file), _readable(file, with_log=_has_log(file)) as plain:
        return _checked(plain)


def check_own(database: Path) -> CheckedDatabase:
    """As `check`, of the home's own database: also whether it is the one that the home knows, and no older than it knows. The home
    knows it by its name there, wherever that leads."""
    checked = check(database)
    note = IdentityFile(database).read()
    found = checked.inspection.identity
    if note is None or found is None:
        return checked
    known, finding = note.identity, ""
    if found.installation != known.installation:
        finding = f"another database is in its place: the home knows installation {known.installation}, this is {found.installation}"
    elif is_older(found, known):
        finding = f"the database is older than the home knows it: revision {found.revision}, known is {known.revision}"
    return replace(checked, findings=(*checked.findings, finding)) if finding else checked


def restore(
    source: Path, database: Path, with_log: bool | None, set_aside: Sequence[Path]
) -> tuple[CheckedDatabase, list[Path]]:
    """Put what `source` holds in the place of `database`; what was found in it, and what was set aside.

    `with_log`: whether the log beside `source` is a part of it; None where there should be none. `set_aside`: other files that
    tell of the database before. Raises BadInput(`log_undecided`), Unavailable: `store_foreign`, `store_too_new`,
    `store_damaged`, `store_unavailable`.
    """
    _check_is_file(source)
    source = source.resolve()
    if with_log is None and _has_log(source):
        raise BadInput(
            "log_undecided",
            f"{source.name} has a log beside it ({source.name}-wal): say --with-log where both were copied together from a stopped "
            "or crashed server, --without-log where the log belongs to another database",
        )
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    place = database.resolve()
    fresh = free_name(place, "restoring", stamp)
    with _damage_told(source), _readable(source, with_log=bool(with_log)) as plain:
        checked = _checked(plain)
        if checked.findings:
            raise Unavailable("store_damaged", f"{source.name} is damaged: {checked.findings[0]}")
        if checked.inspection.identity is None:
            raise Unavailable("store_damaged", f"{source.name} is empty")
        copy_anew(plain, fresh)
    try:
        kept = [_aside(file, stamp) for file in (_log(place), _index(place), place)]
        fresh.rename(place)
        kept += [_aside(file, stamp) for file in (*set_aside, IdentityFile(database).path)]
        write_through(place.parent)
    except OSError as error:
        raise file_failure(error) from error
    return checked, [file for file in kept if file is not None]


def _checked(plain: sqlite3.Connection) -> CheckedDatabase:
    found = findings(plain, is_thorough=True)
    inspection = inspect(plain, max(migrations()))
    if found or inspection.identity is None:
        return CheckedDatabase(inspection=inspection, findings=found, proof=None)
    proof = begin_proof()
    while not proof.is_finished:
        proof = prove_more(plain, proof)
    return CheckedDatabase(inspection=inspection, findings=found, proof=proof)


@contextmanager
def _readable(file: Path, *, with_log: bool) -> Generator[sqlite3.Connection]:
    """A connection to the file alone, or to a copy of file and log, so that neither is changed by looking."""
    if not with_log:
        with opened_untouched(file) as plain:
            yield plain
        return
    try:
        with tempfile.TemporaryDirectory(dir=file.parent, prefix=f"{file.name}.looking-") as folder:
            copy = Path(folder) / file.name
            shutil.copyfile(file, copy)
            shutil.copyfile(_log(file), _log(copy))
            with closing(sqlite3.connect(copy, isolation_level=None)) as plain:
                plain.row_factory = sqlite3.Row
                yield plain
    except Refusal:
        raise
    except sqlite3.Error as error:
        raise refusal_of(error) from error
    except OSError as error:
        raise file_failure(error) from error


@contextmanager
def _damage_told(file: Path) -> Generator[None]:
    """What a server would say of its own store, said of a file that is only looked at. Raises Unavailable(`store_damaged`)."""
    try:
        yield
    except DatabaseFailed as failed:
        if not failed.is_damage:
            raise
        name = getattr(failed.__cause__, "sqlite_errorname", "")
        what = "is no database" if name == "SQLITE_NOTADB" else "is damaged, or not all of it is there"
        told = f"{file}: {what} ({name}); a whole one is put in place with `switchback store restore FILE`"
        raise Unavailable("store_damaged", told) from failed


def _check_is_file(file: Path) -> None:
    """Before its name is used: a folder may have none. Raises Unavailable(`store_unavailable`)."""
    if not file.is_file():
        problem = "is not a file" if file.exists() else "there is no such file"
        raise Unavailable("store_unavailable", f"{file}: {problem}")


def _has_log(file: Path) -> bool:
    log = _log(file)
    return log.exists() and log.stat().st_size > 0


def _aside(file: Path, stamp: str) -> Path | None:
    if not file.exists():
        return None
    name = free_name(file, "before-restore", stamp)
    file.rename(name)
    return name


def _log(file: Path) -> Path:
    return file.with_name(f"{file.name}-wal")


def _index(file: Path) -> Path:
    return file.with_name(f"{file.name}-shm")
