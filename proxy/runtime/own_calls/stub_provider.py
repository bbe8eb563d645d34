"""Who answers the calls of a drill: a provider within the process, which says one word in the format it is asked in."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import orjson

from proxy.runtime.providers import Provider
from proxy.runtime.transport.exchange import Answer, Reply
from proxy.wires.wire import Headers, Wire

_TEXT: Final = "drill"


class StubProvider:
    """Sends nothing anywhere."""

    def __init__(self, wires: Sequence[Wire]) -> None:
        self._wires = wires

    def send(
        self, provider: Provider, method: str, target: bytes, headers: Headers, body: bytes, reply: Reply, *, anew: bool
    ) -> Awaitable[Answer]:
        """The answer of whoever would be asked."""
        del headers, reply, anew
        asked = orjson.loads(body)
        path = target.partition(b"?")[0].decode("ascii").removeprefix(provider.base_path.removesuffix("/v1"))
        wire = next(wire for wire in self._wires if wire.operation(method, path) is not None)
        streamed = asked.get("stream") is True
        kind = wire.stream_type if streamed else b"application/json"
        said = wire.text_reply(_TEXT, model=str(asked.get("model", "")), reply_id="drill", created=0, streamed=streamed)
        return _at_once(StubAnswer(kind, said))


class StubAnswer:
    """A whole answer, all of which is there."""

    status = 200

    def __init__(self, content_type: bytes, body: bytes) -> None:
        self.headers: Headers = [(b"content-type", content_type), (b"content-length", b"%d" % len(body))]
        self._body = body

    def whole(self) -> bytes | None:
        """All of it."""
        return self._body

    async def read(self, limit_bytes: int | None = None) -> bytes:
        """All of it."""
        del limit_bytes
        return self._body

    async def relay(
        self,
        reply: Reply,
        tap: Callable[[bytes], bytes] | None,
        begun: Callable[[], None],
        is_finished: Callable[[], bool] | None = None,
    ) -> None:
        """In one piece."""
        del is_finished
        begun()
        reply.write(self._body if tap is None else tap(self._body))

    def close(self) -> None:
        """There is no connection."""


async def _at_once(answer: StubAnswer) -> Answer:
    return answer
