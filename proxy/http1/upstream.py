"""Sends requests to origins over pooled connections; gives their answers.

The conductor's whole view of the upstream side: `UpstreamClient.send` gives an `HttpAnswer`, which is read or relayed.
Redirects are not followed, nothing is decoded, no cookie is kept. Its counterpart towards clients is `listener.py`.
"""

import asyncio
import ssl
from typing import cast

from proxy.http1.answer import HttpAnswer
from proxy.http1.dial import Dialer, Resolver, resolve
from proxy.http1.egress import Egress
from proxy.http1.errors import ClientGone, UpstreamError
from proxy.http1.limits import UpstreamLimits
from proxy.http1.message import CR, HOP_BY_HOP_OR_OURS, LF, SPACE, Headers, render_head
from proxy.http1.origin import Origin
from proxy.http1.pool import Pool
from proxy.http1.reply import HttpReply
from proxy.http1.tls import client_context
from proxy.http1.upstream_connection import UpstreamConnection

__all__ = ["ClientGone", "HttpAnswer", "Origin", "UpstreamClient", "UpstreamError"]


class UpstreamClient:
    """A client for any number of origins. One per process is enough; it belongs to one event loop."""

    def __init__(
        self,
        limits: UpstreamLimits,
        *,
        egress: Egress | None = None,
        tls: ssl.SSLContext | None = None,
        resolver: Resolver = resolve,
    ) -> None:
        self._limits = limits
        self._egress = egress or Egress()
        self._pool = Pool(limits)
        self._dialer = Dialer(limits, self._egress, tls or client_context(), resolver)

    async def send(
        self,
        origin: Origin,
        method: str,
        target: bytes,
        headers: Headers,
        body: bytes,
        client: HttpReply | None = None,
        *,
        anew: bool = False,
    ) -> HttpAnswer:
        """Send a request; returns when the head of its answer is there.

        `headers` are end-to-end ones; `host` and `content-length` are added. With `client`, the client's leaving aborts
        this wait and the answer's `read` at once. With `anew` no kept connection is used. Nothing is ever sent twice: `stale` is
        the reason where the request found its kept connection closed, and nothing of it was taken.

        Raises UpstreamError, ClientGone, and ValueError for a request that cannot be written. Cancelling closes the
        connection.
        """
        head = self._head(origin, method, target, headers, body)
        connection = None if anew else self._pool.take(origin)
        if connection is None:
            connection = await self._open(origin)
        if client is not None and client.stopped:
            self._pool.give(connection)
            raise ClientGone(request_sent=False)
        answer = connection.begin(head, body, head_only=method == "HEAD")
        if client is not None:
            answer.watch(client)
        try:
            await answer.arrived
        except asyncio.CancelledError:
            answer.close()
            raise
        answer.check()
        return answer

    async def close(self) -> None:
        """Close idle connections and abort the others, whose answers fail with `closed`."""
        await self._pool.close()

    async def _open(self, origin: Origin) -> UpstreamConnection:
        if not self._pool.reserve(origin):
            raise UpstreamError("pool_exhausted", request_sent=False, answer_begun=False)
        loop = asyncio.get_running_loop()
        try:
            protocol = await self._dialer.dial(
                origin,
                lambda: cast("asyncio.BaseProtocol", UpstreamConnection(origin, self._pool, self._limits, loop)),
            )
        except BaseException:
            self._pool.unreserve(origin)
            raise
        connection = cast("UpstreamConnection", protocol)
        self._pool.add(connection)
        if self._pool.closing:
            connection.shut()
        if connection.transport.is_closing():
            raise UpstreamError("early_close", request_sent=False, answer_begun=False)
        return connection

    def _head(self, origin: Origin, method: str, target: bytes, headers: Headers, body: bytes) -> bytes:
        if target[:1] != b"/" or SPACE in target or CR in target or LF in target:
            raise ValueError("the target is not a path")
        last = b"content-length: %d\r\n" % len(body) if body or method not in ("GET", "HEAD") else b""
        if self._egress.http is not None and (proxy := self._egress.plain_proxy_for(origin)) is not None:
            target = b"http://%b%b" % (origin.authority, target)
            if proxy.authorization is not None:
                last += b"proxy-authorization: %b\r\n" % proxy.authorization
        line = b"%b %b HTTP/1.1\r\nhost: %b\r\n" % (method.encode(), target, origin.authority)
        return render_head(line, headers, last, HOP_BY_HOP_OR_OURS)
