"""Opening and replacing the files of a home: no link is followed out of it, and what somebody else put there is not taken for ours.

The home belongs to whoever runs the proxy, but a shared folder, a restored archive or a container's volume may hold anything.
"""

import errno
import os
import stat
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

OWNER_ONLY = 0o600


class NotOurs(OSError):
    """Something stands there that this process did not make; `strerror` says what."""

    def __init__(self, problem: str) -> None:
        super().__init__(errno.EPERM, problem)


def open_private(path: Path, flags: int) -> int:
    """A descriptor of a regular file of ours. Raises OSError, also where a link or somebody else's file stands there."""
    try:
        # Without NONBLOCK a pipe that somebody put there would be waited for.
        descriptor = os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, OWNER_ONLY)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise NotOurs("it is a symbolic link, which is not followed") from error
        raise
    try:
        _check_ours(os.fstat(descriptor), path)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def read_private(path: Path) -> bytes:
    """The whole content. Raises OSError as `open_private` does."""
    with os.fdopen(open_private(path, os.O_RDONLY), "rb") as file:
        return file.read()


def replace_private(path: Path, pieces: Iterable[bytes], before_it_goes: Callable[[], None] = lambda: None) -> None:
    """Put `pieces` in the place of the file's content, whole or not at all, also where the machine stops. `before_it_goes`: done
    when the new file is safe and the old one still there. Raises OSError as `open_private` does."""
    beside = path.with_name(path.name + ".new")
    try:
        with suppress(FileNotFoundError):
            # Of a write that was broken off; or a link that somebody put there.
            beside.unlink()
        with os.fdopen(open_private(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL), "wb") as file:
            file.writelines(pieces)
            file.flush()
            os.fsync(file.fileno())
        before_it_goes()
        beside.replace(path)
        sync_folder(path.parent)
    except OSError:
        with suppress(OSError):
            beside.unlink()
        raise


def sync_folder(folder: Path) -> None:
    """Make names in a folder durable: new, renamed and removed files. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _check_ours(status: os.stat_result, path: Path) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(status.st_mode):
        raise NotOurs("it is no file")
    # A volume's files may belong to the volume's owner while root runs the container.
    if status.st_uid not in (os.geteuid(), 0, path.parent.stat().st_uid):
        raise NotOurs(f"it belongs to another user ({status.st_uid})")
