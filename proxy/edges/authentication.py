"""Who asks: a bearer token, compared by hash in constant time. The token's name is what the audit log calls its owner.

Missing, malformed, unknown and wrong tokens get the same answer. Names that a request claims for itself are never believed.

Decision: a peer with many failures gets 429 for further failures only; a right token always passes. All callers of a
loopback listener are one peer, and a program with a stale token must not lock an operator out of the kill switch; guessing
256 random bits is hopeless at any rate.
"""

import hashlib
import hmac
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from proxy.core.errors import Limited, Refusal, Unauthorized
from proxy.runtime.clock import Clock

_MAX_FAILURES = 10
_WINDOW_MICROSECONDS = 60_000_000
_MAX_PEERS = 4096
_SCHEME = "bearer"


@dataclass(frozen=True, slots=True)
class AdminToken:
    """A token that is known, by the SHA-256 of its text."""

    name: str
    sha256: bytes

    @classmethod
    def of(cls, name: str, text: str) -> Self:
        return cls(name, _sha256(text))


@dataclass(slots=True)
class _Failures:
    since_microseconds: int
    count: int = 0


class Authentication:
    """Knows the tokens, and how often each peer failed in the last minute."""

    def __init__(self, tokens: Sequence[AdminToken], clock: Clock) -> None:
        self._tokens = tokens
        self._clock = clock
        self._failures: OrderedDict[str, _Failures] = OrderedDict()

    def identify(self, authorization: Sequence[str], peer: str) -> str:
        """The name of the token in the Authorization headers. Raises Unauthorized, Limited(`too_many_failures`)."""
        digest = _sha256(_presented(authorization))
        name: str | None = None
        for token in self._tokens:
            # No early end: how long it takes says nothing about which token was close.
            if hmac.compare_digest(token.sha256, digest):
                name = token.name
        if name is None:
            raise self._failed(peer)
        return name

    def _failed(self, peer: str) -> Refusal:
        now = self._clock.monotonic_microseconds()
        failures = self._failures.get(peer)
        if failures is None or now - failures.since_microseconds >= _WINDOW_MICROSECONDS:
            failures = self._failures[peer] = _Failures(now)
            self._failures.move_to_end(peer)
            if len(self._failures) > _MAX_PEERS:
                self._failures.popitem(last=False)
        failures.count += 1
        if failures.count <= _MAX_FAILURES:
            return Unauthorized(
                "unauthorized", "this needs the header `Authorization: Bearer TOKEN` with a valid token"
            )
        left = failures.since_microseconds + _WINDOW_MICROSECONDS - now
        return Limited(
            "too_many_failures",
            "too many requests with a wrong token or none; wait, or send a valid one",
            retry_after_seconds=max(1, -(-left // 1_000_000)),
        )


def _presented(authorization: Sequence[str]) -> str:
    if len(authorization) != 1:
        return ""
    scheme, _, text = authorization[0].partition(" ")
    return text.strip() if scheme.lower() == _SCHEME else ""


def _sha256(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()
