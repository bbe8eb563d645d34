"""A stream of events in chunks, and a handler that relays it, for the tests of relaying."""

from proxy.http1.upstream import ClientGone, UpstreamError
from tests.http1.scripted import origin_of

GET = b"GET /v1 HTTP/1.1\r\nHost: a\r\n\r\n"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
EVENTS = [b'data: {"a": "\xc3\xa4"}\n\n', b": ping\r\n\r\n", b"data: x\ndata: y\n\n", b"event: z\rdata: [DONE]\n\n"]
BODY = b"".join(EVENTS)
CHUNKS = [b"%x\r\n%b\r\n" % (len(event), event) for event in EVENTS]
STREAM = HEAD + b"".join(CHUNKS) + b"0\r\n\r\n"
SHORT = 0.1


class Relay:
    """A handler that relays, and what became of each call."""

    def __init__(self, client, server, tap=None):
        self.client, self.server, self.tap = client, server, tap
        self.outcomes = []

    async def __call__(self, call, reply):
        try:
            answer = await self.client.send(origin_of(self.server), call.method, call.target, [], call.body, reply)
            reply.start(answer.status, answer.headers)
            await answer.relay(reply, self.tap)
        except ClientGone:
            self.outcomes.append("client gone")
        except UpstreamError as error:
            self.outcomes.append(error.reason)
            reply.abort()
        else:
            self.outcomes.append("complete")
            reply.finish()
