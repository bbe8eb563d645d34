"""Answers: tokens of the admin API."""

from typing import Annotated

from msgspec import Meta

from proxy.core.shapes import Moment
from proxy.core.tokens import TokenDocument


class TokenListed(TokenDocument):
    """A token, and when it was last used, to the minute after a restart; null: never since this is counted."""

    last_used_at: Moment | None


class TokenMade(TokenDocument):
    """A new token with its text."""

    token: Annotated[str, Meta(description="what the holder sends; shown this once, kept nowhere")]
