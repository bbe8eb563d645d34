"""Who owns the database file: this process alone, and this file and no other.

The lock is on a file beside the database and the kernel drops it with the process, so that `kill -9` leaves nothing to clean
up. It guards the rule of one writing process: two of them would overspend caps, and SQLite before 3.51.3 can damage a WAL
database when two connections write and checkpoint at the same instant.
"""

import fcntl
import os
from contextlib import suppress
from pathlib import Path

from proxy.core.errors import Unavailable
from proxy.store.sqlite.opening.failures import DatabaseFailed, file_failure

_OWNER_ONLY = 0o600


class OwnershipLock:
    """An exclusive lock on `<database>.lock`."""

    def __init__(self, database: Path) -> None:
        self._path = database.with_name(f"{database.name}.lock")
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Raises Unavailable(`store_in_use`), Unavailable(`store_unavailable`)."""
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _OWNER_ONLY)
        except OSError as error:
            raise file_failure(error) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
            os.close(descriptor)
            raise Unavailable(
                "store_in_use",
                f"another Switchback process ({owner or 'of unknown number'}) uses this store; "
                "stop it, or give this one its own SWITCHBACK_HOME",
            ) from None
        except OSError as error:
            os.close(descriptor)
            raise file_failure(error) from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        self._descriptor = descriptor

    def release(self) -> None:
        """Nothing where the lock is not held. The file stays: removing it would race with the next owner."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


class FileGone(DatabaseFailed):
    """No file stands where the open one was."""

    def __init__(self) -> None:
        super().__init__(
            "the database file was deleted or moved away; put it, or a whole copy of it, back", needs_reopening=False
        )


class FileReplaced(DatabaseFailed):
    """Another file stands where the open one was."""

    def __init__(self) -> None:
        super().__init__("the database file was replaced", needs_reopening=True)


class LogReplaced(DatabaseFailed):
    """The log of the open file is not at its path: what is written goes where no later start would find it."""

    def __init__(self) -> None:
        # Closing the connections moves what is in their log into the database; opened again they have a new one.
        super().__init__(
            "the database's log (-wal) was deleted or replaced; what it held is kept", needs_reopening=True
        )


class OpenFile:
    """Which file the connections have open; a deleted one would still take writes and lose them all."""

    def __init__(self, path: Path) -> None:
        """For connections that are open and have written. Raises Unavailable(`store_unavailable`)."""
        self._path = path
        self._log = [path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")]
        self._identity = _identity_of(path)
        self._log_identities = [_identity_of(file) for file in self._log]
        if None in (self._identity, *self._log_identities):
            raise FileGone

    def check(self) -> None:
        """Raises Unavailable(`store_unavailable`) where the open file is no longer the one at its path."""
        present = _identity_of(self._path)
        if present is None:
            raise FileGone
        if present != self._identity:
            raise FileReplaced
        if _identity_of(self._log[0]) != self._log_identities[0]:
            raise LogReplaced

    def forget_log_if_replaced(self) -> None:
        """Once the connections are closed: SQLite leaves their log behind where another file took the database's place,
        and would play it back into that one. A file that only went away keeps its log, for when it is put back."""
        try:
            self.check()
        except FileReplaced:
            for file, identity in zip(self._log, self._log_identities, strict=True):
                with suppress(OSError, DatabaseFailed):
                    if _identity_of(file) == identity:
                        file.unlink()
        except DatabaseFailed:
            return


def _identity_of(file: Path) -> tuple[int, int] | None:
    """None where there is none. Raises Unavailable(`store_unavailable`)."""
    try:
        status = file.stat()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise file_failure(error) from error
    return status.st_dev, status.st_ino


def create_private(path: Path) -> None:
    """Make the database file, readable by its owner only, where it is missing. Raises Unavailable(`store_unavailable`)."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _OWNER_ONLY))
    except OSError as error:
        raise file_failure(error) from error


def size_in_bytes(path: Path) -> int:
    """Size of the database and its log; 0 where they are missing."""
    total = 0
    for file in (path, path.with_name(f"{path.name}-wal")):
        try:
            total += file.stat().st_size
        except OSError:
            continue
    return total
