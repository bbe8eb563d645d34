"""The database file this process has open: a descriptor of its own, the locks on it, and what is seen at its paths.

Traps of SQLite this module stands against:
  - POSIX locks of a process end when any descriptor of the inode is closed. Ours is opened before the first connection and
    closed after the last one.
  - The last connection to close moves the log into the database and unlinks the log *by its path*, whatever stands there now.
    A shared lock on the bytes that SQLite locks for that keeps it from believing to be the last; an OFD lock, because those
    of one process do not part its own connections. `let_sqlite_tidy` gives it up where the files are known to be ours.
  - A log beside a database that it does not belong to is played into it. `check_log_belongs` says so before anything is opened.
"""

import fcntl
import os
import stat
import struct
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from proxy.core.errors import Unavailable
from proxy.store.sqlite.opening.failures import DatabaseFailed, file_failure
from proxy.store.sqlite.opening.identity_file import IdentityNote
from proxy.store.sqlite.opening.index_guard import INDEX_GUARD, Guarded
from proxy.store.sqlite.opening.ownership import lock_whole_file
from proxy.store.sqlite.opening.presence import FileFacts, Presence, Sighting, presence_of

_OWNER_ONLY = 0o600
#: A log of this size holds its header alone.
_LOG_HEADER_BYTES = 32
#: Where SQLite's shared locks lie: https://www.sqlite.org/src/file/src/os.h, SHARED_FIRST and SHARED_SIZE.
_SHARED_FIRST, _SHARED_SIZE = 0x40000000 + 2, 510

_SENTENCES = {
    Presence.GONE: "the database file was deleted or moved away; put it, or a whole copy of it, back",
    Presence.REPLACED: "the database file was replaced",
    Presence.OVERWRITTEN: (
        "the database file was overwritten by another program while it was in use; stop Switchback, then put the right content in "
        "place with `switchback store restore FILE`"
    ),
    Presence.LOG_LOST: "the database's log (-wal) was deleted or replaced; what it held is kept",
    Presence.LOG_CUT: "the database's log (-wal) was cut short by another program",
    Presence.INDEX_LOST: "the index of the database's log (-shm) was deleted or replaced; what the log held is kept",
    Presence.INDEX_CUT: "the index of the database's log (-shm) was cut short; what the log held is kept",
}


class FilesChanged(DatabaseFailed):
    """What is at the paths is not what is open."""

    def __init__(self, presence: Presence, more: str = "") -> None:
        super().__init__(
            _SENTENCES[presence] + more, needs_reopening=presence not in (Presence.GONE, Presence.REPLACED)
        )
        self.presence = presence


class OpenFile:
    """One inode, held from before its first connection to after its last."""

    def __init__(self, path: Path, *, may_make: bool) -> None:
        """Open the file, where `may_make` says so make it, readable by its owner only; and lock it.

        Raises Unavailable: `store_in_use`, `store_linked`, `store_unavailable`.
        """
        self._path = path
        # A database behind a symbolic link has its log beside the file itself: so does SQLite.
        real = path.resolve()
        self.log_path = real.with_name(f"{real.name}-wal")
        self._index_path = real.with_name(f"{real.name}-shm")
        self._guarded: Guarded | None = None
        try:
            flags = os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if may_make else 0)
            self._descriptor = os.open(path, flags, _OWNER_ONLY)
        except FileNotFoundError as error:
            raise FilesChanged(Presence.GONE) from error
        except OSError as error:
            raise file_failure(error) from error
        try:
            lock_whole_file(self._descriptor)
            self._check_is_single()
            self._known = self._sighting()
        except OSError as error:
            os.close(self._descriptor)
            raise file_failure(error) from error
        except BaseException:
            os.close(self._descriptor)
            raise

    @property
    def content(self) -> tuple[int, int]:
        """Of the open file, wherever it is."""
        return self._own().content

    @property
    def log_bytes(self) -> int:
        """Length of the log, as last seen."""
        return 0 if self._known.log is None else self._known.log.size_bytes

    @property
    def is_deleted(self) -> bool:
        """No name leads to the open file any more: it ends with the process."""
        return os.fstat(self._descriptor).st_nlink == 0

    @property
    def is_empty(self) -> bool:
        return self._own().size_bytes == 0

    def check_log_belongs(self, note: IdentityNote | None) -> None:
        """Raises Unavailable(`store_log_foreign`) where a log with content lies beside a database that it was not written for."""
        log = self._known.log
        if note is None or note.content is None or log is None or log.size_bytes <= _LOG_HEADER_BYTES:
            return
        if self._own().content != note.content:
            name = self._path.name
            raise Unavailable(
                "store_log_foreign",
                f"{name} was exchanged or changed, but the log of the one before ({name}-wal) is still beside it and would be "
                f"played into it: stop Switchback, then `switchback store restore {name} --without-log` begins with "
                f"{name} alone, `--with-log` takes both together (a home that was copied as a whole)",
            )

    def keep_log(self) -> None:
        """From here on SQLite does not tidy up at its last close."""
        self._lock_shared(fcntl.F_RDLCK)

    def let_sqlite_tidy(self) -> None:
        """The last connection to close moves the log into the database and removes it."""
        self._lock_shared(fcntl.F_UNLCK)

    def remember(self) -> None:
        """What is at the paths now is what is open: after opening connections, and after a checkpoint of ours."""
        seen = self._sighting()
        # The database is the open one, also while its name is gone.
        self._known = Sighting(self._own(), seen.log, seen.index)
        self._guard_index()

    def note_write(self) -> None:
        """The log is as long as it is now, at least, until the next checkpoint."""
        log = facts_at(self.log_path)
        if log is not None and self._known.log is not None and log.identity == self._known.log.identity:
            self._known = replace(self._known, log=log)

    def note_checkpoint(self) -> None:
        """The open database and its log were changed by a checkpoint of ours."""
        log = facts_at(self.log_path)
        is_ours = log is not None and self._known.log is not None and log.identity == self._known.log.identity
        self._known = Sighting(self._own(), log if is_ours else self._known.log, self._known.index)

    def sync(self) -> None:
        """Make content and time of modification durable. Raises OSError."""
        os.fsync(self._descriptor)

    def look(self) -> Presence:
        """What became of the files. Raises Unavailable(`store_unavailable`) where that cannot be seen."""
        seen = self._sighting()
        presence = presence_of(self._known, seen)
        if presence is Presence.HERE:
            self._known = replace(self._known, log=seen.log, index=seen.index)
        return presence

    def check(self) -> None:
        """Raises FilesChanged where what is open is not what is at the paths."""
        presence = self.look()
        if presence is not Presence.HERE:
            raise FilesChanged(presence)

    def check_is_in_place(self) -> None:
        """As `check`, but for what was written over: whoever proves the content finds that, and can name it."""
        presence = self.look()
        if presence not in (Presence.HERE, Presence.OVERWRITTEN):
            raise FilesChanged(presence)

    def set_foreign_log_aside(self, new_name: str) -> None:
        """Rename a log at our log's path that is not the open one, once the open one is in the database."""
        log = facts_at(self.log_path)
        if log is not None and self._known.log is not None and log.identity != self._known.log.identity:
            with suppress(OSError):
                self.log_path.rename(self.log_path.with_name(new_name))

    def close(self) -> None:
        """After the last connection. The locks end."""
        if self._guarded is not None:
            INDEX_GUARD.release(self._guarded)
        os.close(self._descriptor)

    def _check_is_single(self) -> None:
        status = os.fstat(self._descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise Unavailable("store_unavailable", "the store cannot be used now: what is at its place is no file")
        if status.st_nlink > 1:
            raise Unavailable(
                "store_linked",
                f"the database file has {status.st_nlink} names (hard links), and its log would belong to one of them only: remove the "
                "others, or make it a file of its own (`switchback store backup FILE` makes whole copies)",
            )

    def _guard_index(self) -> None:
        known = self._known
        if self._guarded is not None:
            INDEX_GUARD.release(self._guarded)
        files = [one.identity for one in (known.database, known.log) if one is not None]
        index = None if known.index is None else known.index.identity
        self._guarded = Guarded(self._index_path, index, frozenset(files), self._descriptor)
        INDEX_GUARD.guard(self._guarded)

    def _own(self) -> FileFacts:
        return _facts(os.fstat(self._descriptor))

    def _sighting(self) -> Sighting:
        return Sighting(facts_at(self._path), facts_at(self.log_path), facts_at(self._index_path))

    def _lock_shared(self, kind: int) -> None:
        # Only Linux has these; elsewhere SQLite tidies up at every close, as it does for everybody.
        command = getattr(fcntl, "F_OFD_SETLK", None)
        if command is not None:
            # A lock that another program's exclusive one keeps us from is tried again with the next opening.
            with suppress(OSError):
                fcntl.fcntl(
                    self._descriptor,
                    command,
                    struct.pack("hhqqi4x", kind, os.SEEK_SET, _SHARED_FIRST, _SHARED_SIZE, 0),
                )


def facts_at(path: Path) -> FileFacts | None:
    """What stands at a path, None where nothing does. Raises Unavailable(`store_unavailable`)."""
    try:
        return _facts(path.stat())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise file_failure(error) from error


def _facts(status: os.stat_result) -> FileFacts:
    return FileFacts(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
