"""What admins order about tokens: make one, revoke one. In force before it is answered, on every listener of this process.

The text of a token is random, goes into the one answer that made it, and is kept nowhere. Who a text belongs to is asked of
the live snapshot, which carries the hashes. The first token is not among these: admin_token.py keeps it in a file.
"""

import hashlib
import secrets
from dataclasses import replace

from proxy.core.errors import BadInput, NotFound
from proxy.core.tokens import TOKEN_PREFIX, Role, Token, check_token_name, sealed_token_document
from proxy.runtime.process.clock import Identifiers
from proxy.runtime.releasing.token_uses import TokenUses
from proxy.runtime.state.changes import Changes

_RANDOM_BYTES = 32


class TokenCommands:
    """Tokens of the admin API."""

    def __init__(self, changes: Changes, identifiers: Identifiers, uses: TokenUses) -> None:
        self.uses = uses
        self._changes = changes
        self._identifiers = identifiers

    async def create_token(
        self, who: str, name: str, role: Role, why: str, expires_at_microseconds: int | None = None
    ) -> tuple[Token, str]:
        """The new token and its text, which nobody can be told again. Raises BadInput(`bad_name`, `bad_time`).

        A name may have several tokens, so that one can be replaced before it is revoked; all of them are one person.
        """
        check_token_name(name)
        text = new_token_text()
        async with self._changes.begin() as work:
            if expires_at_microseconds is not None and expires_at_microseconds <= work.now:
                raise BadInput("bad_time", "expires lies in the past", param="expires")
            token = Token(
                id=self._identifiers.new("tok"),
                name=name,
                role=role,
                sha256=sha256_of(text),
                created_by=who,
                created_at_microseconds=work.now,
                expires_at_microseconds=expires_at_microseconds,
            )
            await work.change.insert_token(token)
            await work.audit(who, "token.created", f"tokens/{token.id}", why, after=sealed_token_document(token))
        return token, text

    async def revoke_token(self, who: str, token_id: str, why: str) -> Token:
        """The token as it ended: the next request with it is refused. Raises NotFound(`token_not_found`)."""
        async with self._changes.begin() as work:
            token = await work.change.token(token_id)
            if token is None:
                raise NotFound("token_not_found", f"there is no token {token_id!r}, or it is revoked", param="token")
            revoked = replace(token, revoked_by=who, revoked_at_microseconds=work.now)
            await work.change.revoke_token(token_id, who, work.now)
            documents = sealed_token_document(token), sealed_token_document(revoked)
            await work.audit(who, "token.revoked", f"tokens/{token_id}", why, *documents)
        return revoked


def new_token_text() -> str:
    """256 random bits, recognisable as ours to whoever scans for leaked secrets."""
    return TOKEN_PREFIX + secrets.token_urlsafe(_RANDOM_BYTES)


def sha256_of(text: str) -> str:
    """Lower-case hex over the token's text. Any text has one, also what no token can be."""
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
