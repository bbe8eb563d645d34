"""Who asks: a bearer token, compared by hash in constant time. The token's name is what the audit log calls its owner.

Missing, malformed, unknown, wrong and revoked tokens get the same answer. Names that a request claims for itself are never believed.

Decision: a peer with many failures gets 429 for further failures only; a right token always passes. All callers of a
loopback listener are one peer, and a program with a stale token must not lock an operator out of the kill switch; guessing
256 random bits is hopeless at any rate.
"""

import hmac
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from proxy.core.errors import Limited, Refusal, Unauthorized
from proxy.core.times import rfc3339
from proxy.core.tokens import FIRST_TOKEN_NAME, AdminCaller, Token, has_expired
from proxy.runtime.process.clock import Clock
from proxy.runtime.releasing.token_commands import sha256_of

_MAX_FAILURES = 10
_WINDOW_MICROSECONDS = 60_000_000
_MAX_PEERS = 4096
_SCHEME = "bearer"


@dataclass(slots=True)
class _Failures:
    since_microseconds: int
    count: int = 0


class Authentication:
    """Knows whose tokens are valid, and how often each peer failed in the last minute."""

    def __init__(
        self,
        first_token: str,
        known: Callable[[str], Token | None],
        clock: Clock,
        used: Callable[[str], object] = str,
    ) -> None:
        """`first_token` always works, as admin; `known` finds any other that is not revoked by the SHA-256 of its text; `used` is
        told the id of each that is let in."""
        self._first = sha256_of(first_token)
        self._known = known
        self._clock = clock
        self._used = used
        self._failures: OrderedDict[str, _Failures] = OrderedDict()

    def identify(self, authorization: Sequence[str], peer: str) -> AdminCaller:
        """Whose token is in the Authorization headers. Raises Unauthorized (`token_expired` among them), Limited(`too_many_failures`)."""
        digest = sha256_of(_presented(authorization))
        # The whole digest finds the token, so that no two share an entry; what was found is compared in constant time.
        found = self._known(digest)
        if hmac.compare_digest(self._first, digest):
            return AdminCaller(FIRST_TOKEN_NAME, "admin")
        if found is None or not hmac.compare_digest(found.sha256, digest):
            raise self._failed(peer)
        if has_expired(found, self._clock.now_microseconds()):
            # Told to whoever has its text, and to nobody else.
            when = rfc3339(found.expires_at_microseconds or 0)
            raise Unauthorized(
                "token_expired", f"the token {found.id} of {found.name} expired at {when}; an admin can create another"
            )
        self._used(found.id)
        return AdminCaller(found.name, found.role)

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
