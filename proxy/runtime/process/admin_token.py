"""The first admin token: made at the first start, kept in a file only its owner can read. Its path is shown, never itself."""

import errno
import os
import secrets
import stat
from pathlib import Path

from proxy.core.errors import Unavailable
from proxy.core.tokens import TOKEN_PREFIX

FILE_NAME = "admin-token"
#: Permissions of group and others.
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def admin_token(home: Path) -> str:
    """The token in `home`, made if it is not there. Raises Unavailable(`admin_token_unusable`)."""
    path = home / FILE_NAME
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except FileExistsError:
        return _existing(path)
    except OSError as error:
        raise Unavailable("admin_token_unusable", f"{path} cannot be made: {error.strerror}") from None
    token = TOKEN_PREFIX + secrets.token_urlsafe(32)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(token + "\n")
    return token


def _existing(path: Path) -> str:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        problem = "is a symbolic link" if error.errno == errno.ELOOP else "cannot be read"
        raise _unusable(path, problem, "delete it to have a new one made") from None
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        token = file.read(4096).decode("ascii", "replace").strip() if stat.S_ISREG(status.st_mode) else ""
    if status.st_mode & _OTHERS:
        # Who could read it may have it: closing the file again does not take it back.
        raise _unusable(
            path,
            f"can be read or written by others (mode {status.st_mode & 0o777:04o})",
            "delete it to have a new one made, or, if nobody else can have seen it, `chmod 600` it",
        )
    if len(token) < 32:
        raise _unusable(path, "holds no token", "delete it to have a new one made")
    return token


def _unusable(path: Path, problem: str, advice: str) -> Unavailable:
    return Unavailable("admin_token_unusable", f"{path} {problem}; {advice}")
