"""Tokens of the admin API, and when they were last used."""

from collections.abc import Mapping
from typing import Protocol

from proxy.core.pages import DEFAULT_PAGE, Page
from proxy.core.tokens import Token


class TokenUseStore(Protocol):
    """When tokens were last used: no act of anybody, so it is no change."""

    async def token_uses(self) -> Mapping[str, int]:
        """When each token was last used, UTC microseconds, by its id; of those that were."""
        ...

    async def keep_token_uses(self, uses: Mapping[str, int]) -> None:
        """Keep these, unless later ones are kept. Raises Unavailable."""
        ...


class TokenStore(TokenUseStore, Protocol):
    """The same, and the list of tokens."""

    async def tokens(self, cursor: str | None = None, limit: int = DEFAULT_PAGE) -> Page[Token]:
        """Revoked ones among them."""
        ...
