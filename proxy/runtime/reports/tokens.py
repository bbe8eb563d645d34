"""Tokens of the admin API, and when each was last used."""

from collections.abc import Awaitable, Callable, Mapping

from proxy.core.pages import Page
from proxy.core.tokens import Token
from proxy.store.ports.tokens import TokenStore


class TokenReader:
    """Tokens, also revoked ones. `last_uses`: when each was last used, UTC microseconds, by its id."""

    def __init__(self, store: TokenStore, last_uses: Callable[[], Awaitable[Mapping[str, int]]]) -> None:
        self._store = store
        self._last_uses = last_uses

    async def page(self, cursor: str | None, limit: int) -> tuple[Page[Token], Mapping[str, int]]:
        """A page, the newest first, and when tokens were last used. Raises BadInput(`bad_cursor`), Unavailable."""
        return await self._store.tokens(cursor, limit), await self._last_uses()
