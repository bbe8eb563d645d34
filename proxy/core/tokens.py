"""Who may do what through the admin API: roles, and the tokens that carry them.

    viewer    reads
    operator  reads; labels, rollbacks, rollouts, switches, caps
    author    reads; agents and versions; proposes moves of labels, and makes none
    admin     everything, with tokens and protections

A token is known by the SHA-256 of its text, which is in no store, log or answer but the one that made it. Its name is what the
audit log calls its owner. Which role a route needs stands in the route table; how tokens are compared is edges' matter.
"""

import hashlib
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Literal, TypedDict, get_args

from proxy.core.errors import BadInput, Forbidden
from proxy.core.shapes import Moment, Who
from proxy.core.times import rfc3339

Role = Literal["viewer", "operator", "author", "admin"]
ROLES: tuple[Role, ...] = get_args(Role)

#: What every token begins with, so that it is recognised where it does not belong.
TOKEN_PREFIX = "sb_"  # noqa: S105
#: The owner of the token file that the first start makes.
FIRST_TOKEN_NAME = "admin"  # noqa: S105
#: The program's own name in the ledger and the audit log, and the first token's: nobody else is called so.
_RESERVED_NAMES = frozenset({FIRST_TOKEN_NAME, "controller"})
_NAME = re.compile(r"[a-z0-9][a-z0-9._@+-]{0,63}\Z")


@dataclass(frozen=True, slots=True)
class AdminCaller:
    """Who asks: the name of the token that was presented, and what it may do."""

    name: str
    role: Role


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A token as it is kept. `sha256` is lower-case hex over the token's text."""

    id: str
    name: str
    role: Role
    sha256: str
    created_by: str
    created_at_microseconds: int
    #: From then on it is refused; None: it lasts until it is revoked.
    expires_at_microseconds: int | None = None
    revoked_by: str | None = None
    revoked_at_microseconds: int | None = None


def has_expired(token: Token, now_microseconds: int) -> bool:
    """True from its expiry on."""
    return token.expires_at_microseconds is not None and now_microseconds >= token.expires_at_microseconds


def permits(role: Role, needed: Role) -> bool:
    """True where `role` may do what needs `needed`: everyone may read, an admin may do everything."""
    return role in (needed, "admin") or needed == "viewer"


def check_role(role: Role, *needed: Role) -> None:
    """Raises Forbidden(`role_insufficient`) unless `role` permits one of `needed`; the message names them."""
    if not any(permits(role, one) for one in needed):
        raise role_insufficient(role, needed)


def role_insufficient(role: Role, needed: Collection[Role], hint: str = "") -> Forbidden:
    """The refusal that names what is needed."""
    return Forbidden(
        "role_insufficient", f"this needs a token with the role {' or '.join(needed)}; yours is {role}{hint}"
    )


def check_token_name(name: str) -> str:
    """`name` if a token's owner may be called so. Raises BadInput(`bad_name`).

    Lower case only, so that no two names look alike to whoever reads who approved what.
    """
    if not _NAME.match(name) or name in _RESERVED_NAMES:
        raise BadInput(
            "bad_name",
            "a token is named for its owner with a-z, 0-9, '.', '_', '@', '+' and '-', at most 64 characters, beginning "
            f"with a letter or digit; {' and '.join(sorted(_RESERVED_NAMES))} are reserved",
            param="name",
        )
    return name


def token_fingerprint(sha256: str) -> str:
    """What the audit log keeps of a token's hash: enough to prove the stored one, and not the hash itself."""
    return hashlib.sha256(sha256.encode("utf-8", "surrogateescape")).hexdigest()


class TokenDocument(TypedDict):
    """A token without its text: nothing in it lets anybody in."""

    id: str
    name: Who
    role: Role
    created_by: Who
    created_at: Moment
    expires_at: Moment | None
    revoked_by: Who | None
    revoked_at: Moment | None


def sealed_token_document(token: Token) -> dict[str, Any]:
    """A token as the audit log keeps it."""
    return {**token_document(token), "fingerprint": token_fingerprint(token.sha256)}


def token_document(token: Token) -> TokenDocument:
    """A token as the admin API lists it; nothing in it lets anybody in."""
    expires, revoked = token.expires_at_microseconds, token.revoked_at_microseconds
    return {
        "id": token.id,
        "name": token.name,
        "role": token.role,
        "created_by": token.created_by,
        "created_at": rfc3339(token.created_at_microseconds),
        "expires_at": None if expires is None else rfc3339(expires),
        "revoked_by": token.revoked_by,
        "revoked_at": None if revoked is None else rfc3339(revoked),
    }
