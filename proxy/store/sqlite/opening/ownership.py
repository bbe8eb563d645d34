"""Who owns the database: this process alone, by a lock on a file beside it and by one on the database file itself.

The kernel drops both with the process, so that `kill -9` leaves nothing to clean up. They guard the rule of one writing
process: two of them would overspend caps, and SQLite before 3.51.3 can damage a WAL database when two connections write and
checkpoint at the same instant. The lock file tells who it is before the database is touched; the lock on the database's inode
holds where two homes lead to one file, or the lock file was replaced.
"""

import fcntl
import os
from pathlib import Path

from proxy.core.errors import Unavailable
from proxy.store.sqlite.opening.failures import file_failure

_OWNER_ONLY = 0o600


class OwnershipLock:
    """An exclusive lock on `<database>.lock`."""

    def __init__(self, database: Path) -> None:
        self._path = database.with_name(f"{database.name}.lock")
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Raises Unavailable(`store_in_use`), Unavailable(`store_unavailable`)."""
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            descriptor = os.open(self._path, flags, _OWNER_ONLY)
        except OSError as error:
            raise file_failure(error) from error
        try:
            lock_whole_file(descriptor, owner_from=descriptor)
            os.ftruncate(descriptor, 0)
            _write_owner(descriptor)
        except OSError as error:
            os.close(descriptor)
            raise file_failure(error) from error
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor

    def write_owner(self) -> None:
        """Write once more what the file says. Raises Unavailable(`store_unavailable`)."""
        if self._descriptor is not None:
            try:
                _write_owner(self._descriptor)
            except OSError as error:
                raise file_failure(error) from error

    def release(self) -> None:
        """Nothing where the lock is not held. The file stays: removing it would race with the next owner."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _write_owner(descriptor: int) -> None:
    os.pwrite(descriptor, str(os.getpid()).encode(), 0)


def lock_whole_file(descriptor: int, *, owner_from: int | None = None) -> None:
    """Lock the inode for this process, as long as the descriptor is open. `owner_from`: a file that tells the owner's number.

    Raises Unavailable(`store_in_use`), OSError.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        owner = "" if owner_from is None else os.pread(owner_from, 32, 0).decode("ascii", "replace").strip()
        raise Unavailable(
            "store_in_use",
            f"another Switchback process ({owner or 'of unknown number'}) uses this store; "
            "stop it, or give this one its own SWITCHBACK_HOME",
        ) from None


def create_private(path: Path) -> None:
    """Make a database file, readable by its owner only, where it is missing. Raises Unavailable(`store_unavailable`)."""
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
