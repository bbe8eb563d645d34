"""The first admin token: made at the first start, kept in a file only its owner can read. Its path is shown, never itself."""

import os
import secrets
from pathlib import Path

from proxy.core.errors import Unavailable
from proxy.core.tokens import TOKEN_PREFIX

FILE_NAME = "admin-token"


def admin_token(home: Path) -> str:
    """The token in `home`, made if it is not there. Raises Unavailable(`admin_token_unusable`)."""
    path = home / FILE_NAME
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
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
        token = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        token = ""
    if len(token) < 32:
        raise Unavailable(
            "admin_token_unusable", f"{path} cannot be read or holds no token; delete it to have a new one made"
        )
    return token
