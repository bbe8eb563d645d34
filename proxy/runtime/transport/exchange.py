"""The conductor's only view of HTTP: a call and its reply channel, and an upstream exchange. Never a socket.

http1 satisfies these protocols; tests may pass anything that does. Header names are lower-case bytes; order and duplicates
are kept.
"""

from collections.abc import Awaitable, Callable
from typing import Protocol

from proxy.runtime.providers import Provider
from proxy.wires.wire import Headers


class Call(Protocol):
    """One request, read whole. `target` is exactly as sent."""

    method: str
    target: bytes
    headers: Headers
    body: bytes


class Reply(Protocol):
    """The way back to the client of one call."""

    @property
    def started(self) -> bool: ...
    @property
    def client_gone(self) -> bool: ...
    @property
    def undelivered(self) -> bool:
        """Whether bytes were waiting for the client when it left."""
        ...

    def hold(self, size: int) -> bool:
        """Count bytes that are kept for this call beside its body; False where all bodies together leave no room for them."""
        ...

    def give_back(self) -> None:
        """The body, and what was counted beside it, is kept no longer. What is not given back is so at the end of the call."""
        ...

    def start(self, status: int, headers: Headers, *, lines: bytes = b"") -> None:
        """Send the head; the framing is the channel's matter. `lines`: complete header lines of ours."""
        ...

    def send(self, status: int, headers: Headers, body: bytes, *, lines: bytes = b"") -> None:
        """A whole answer at once."""
        ...

    def write(self, data: bytes) -> None: ...
    def finish(self) -> None: ...
    def interrupt(self) -> None:
        """Break off what is being fetched for this reply; the client can still be answered."""
        ...

    def abort(self) -> None:
        """Break the connection, so that the client cannot take what it has for complete."""
        ...


class Unread(Protocol):
    """Why a request could not be taken: it was too large, too slow, or nothing that can be read."""

    status: int
    code: str
    message: str

    @property
    def retry_after_seconds(self) -> int | None: ...


class Answer(Protocol):
    """What a provider answers: the head is there, the body comes."""

    status: int
    headers: Headers

    def whole(self) -> bytes | None:
        """The body, where all of it came with the head; None: `read` it."""
        ...

    async def read(self, limit_bytes: int | None = None) -> bytes: ...
    async def relay(
        self,
        reply: Reply,
        tap: Callable[[bytes], bytes] | None,
        begun: Callable[[], None],
        is_finished: Callable[[], bool] | None = None,
    ) -> None:
        """Pass every piece through `tap` to the reply as it comes; returns at the clean end of the body. `begun` is told
        of the first piece; `is_finished` is asked when the client leaves: where all that matters has passed, this returns
        as well, and the provider's connection is used again if the rest comes soon.

        Raises UpstreamError on a broken answer, ClientGone when the client went away (the provider's connection is
        closed at once)."""
        ...

    def close(self) -> None: ...


class Sends(Protocol):
    """Who calls providers; upstream.py has what its errors mean."""

    def send(
        self, provider: Provider, method: str, target: bytes, headers: Headers, body: bytes, reply: Reply, *, anew: bool
    ) -> Awaitable[Answer]: ...
