"""Answers: tokens of the admin API."""

from typing import Annotated

from msgspec import Meta

from proxy.core.tokens import TokenDocument


class TokenMade(TokenDocument):
    """A new token with its text."""

    token: Annotated[str, Meta(description="what the holder sends; shown this once, kept nowhere")]
