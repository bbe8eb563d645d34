"""Requests and handlers that tests of the listener share."""

import asyncio

from tests.http1.raw import echo, within

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
GET_10 = b"GET / HTTP/1.0\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"


class ReadBodies:
    """What a parser tells of: the bodies of the requests that it read."""

    def __init__(self):
        self.bodies = []

    def request_ready(self, call, *, http10, keep_alive):
        self.bodies.append(call.body)

    def continue_wanted(self):
        pass


class Held:
    """A handler that says when it runs and waits until it may go on."""

    def __init__(self, answer=echo):
        self.answer = answer
        self.entered = asyncio.Event()
        self.go_on = asyncio.Event()
        self.reply = None

    async def __call__(self, call, reply):
        self.reply = reply
        self.entered.set()
        await within(self.go_on.wait())
        await self.answer(call, reply)


def streaming(*pieces, status=200, headers=(), length=None):
    async def handler(call, reply):
        reply.start(status, list(headers), length)
        for piece in pieces:
            reply.write(piece)
        reply.finish()

    return handler
