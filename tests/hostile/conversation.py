"""A client that says raw bytes on a real socket, step by step, and keeps what it is told.

Pauses are never times: a step waits for something to happen. Answers are split by the framing they announce; what breaks
off is kept as an incomplete answer.
"""

import asyncio
import socket
import struct
from contextlib import suppress
from enum import Enum
from typing import NamedTuple

DEADLINE_SECONDS = 60


class Step(Enum):
    """What a client does between two pieces."""

    HALF_CLOSE = "close the sending side"
    RESET = "break the connection"
    ANSWER = "wait for one more complete answer"
    CONTINUE = "wait for the invitation to send the body"
    SILENCE = "say nothing until the server closes"
    TURN = "let what was said arrive by itself"


Script = tuple[bytes | Step, ...]


class Said(NamedTuple):
    """One answer. `is_complete`: its framing came to the announced end."""

    status: int
    headers: dict[bytes, bytes]
    body: bytes
    is_complete: bool


class Talk(NamedTuple):
    """A whole conversation. `hung`: the server did not close in time."""

    answers: list[Said]
    invitations: int
    rest: bytes
    was_reset: bool
    hung: bool


class HostileClient:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self.raw = bytearray()
        self.was_reset = False
        self.is_closed = False

    @classmethod
    async def connect(cls, address: tuple[str, int], *, receive_buffer_bytes: int | None = None) -> "HostileClient":
        sock = socket.socket()
        sock.setblocking(False)
        if receive_buffer_bytes is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
        try:
            await asyncio.get_running_loop().sock_connect(sock, address)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return cls(*await asyncio.open_connection(sock=sock))
        except BaseException:
            sock.close()
            raise

    def read_nothing(self) -> None:
        """Leave what comes in the buffers of the kernel."""
        self._writer.transport.pause_reading()

    async def send(self, data: bytes) -> None:
        """Send, however much the server takes. A server that has closed is no error."""
        with suppress(ConnectionError, RuntimeError):
            self._writer.write(data)
            await self._writer.drain()

    async def read_some(self) -> bool:
        """Read one piece into `raw`; False at the end."""
        try:
            piece = await self._reader.read(65536)
        except ConnectionError:
            piece, self.was_reset = b"", True
        self.raw += piece
        self.is_closed = self.is_closed or not piece
        return bool(piece)

    async def read_at_least(self, size: int) -> None:
        """Read until `raw` has `size` bytes or the server closes."""
        while len(self.raw) < size and await self.read_some():
            pass

    async def read_to_end(self) -> None:
        while await self.read_some():
            pass

    def half_close(self) -> None:
        with suppress(OSError, RuntimeError):
            self._writer.write_eof()

    def reset(self) -> None:
        sock = self._writer.get_extra_info("socket")
        with suppress(OSError, AttributeError):  # the server may have closed it already
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    async def close(self) -> None:
        self._writer.close()
        with suppress(OSError):
            await self._writer.wait_closed()


async def converse(
    address: tuple[str, int], script: Script, last: bytes = b"", *, deadline_seconds: float = DEADLINE_SECONDS
) -> Talk:
    """Follow the script, then say `last`, then listen until the server closes."""
    client = await HostileClient.connect(address)
    hung = False
    is_head = script[0].startswith(b"HEAD ") if isinstance(script[0], bytes) else False
    try:
        async with asyncio.timeout(deadline_seconds):
            await _follow(client, script, is_head)
            await asyncio.gather(client.send(last) if last else asyncio.sleep(0), client.read_to_end())
    except TimeoutError:
        hung = True
    finally:
        await client.close()
    said, rest = split_answers(bytes(client.raw), is_head=is_head)
    answers = [answer for answer in said if answer.status >= 200]
    return Talk(answers, len(said) - len(answers), rest, client.was_reset, hung)


async def _follow(client: HostileClient, script: Script, is_head: bool) -> None:
    wanted = 0
    for step in script:
        match step:
            case bytes():
                await _send_and_listen(client, step)
            case Step.ANSWER | Step.CONTINUE:
                wanted += 1
                while _count(client, is_head) < wanted and await client.read_some():
                    pass
            case Step.SILENCE:
                await client.read_to_end()
            case Step.TURN:
                # Nothing tells a client that its bytes were read; a turn of the loop makes it likely.
                await asyncio.sleep(0.005)
            case Step.HALF_CLOSE:
                client.half_close()
            case Step.RESET:
                client.reset()


async def _send_and_listen(client: HostileClient, data: bytes) -> None:
    """Read while sending, as a server may answer before it has read everything."""
    sending = asyncio.ensure_future(client.send(data))
    try:
        while not sending.done() and not client.is_closed:
            reading = asyncio.ensure_future(client.read_some())
            await asyncio.wait({sending, reading}, return_when=asyncio.FIRST_COMPLETED)
            if not reading.done():
                reading.cancel()
                await asyncio.gather(reading, return_exceptions=True)
        if not client.is_closed:
            await sending
    finally:
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)


def _count(client: HostileClient, is_head: bool) -> int:
    said, _ = split_answers(bytes(client.raw), is_head=is_head)
    return sum(answer.is_complete for answer in said)


def split_answers(raw: bytes, *, is_head: bool = False) -> tuple[list[Said], bytes]:
    """Every answer in `raw`, and what follows that is none. `is_head`: the first final one has no body."""
    said: list[Said] = []
    while raw.startswith(b"HTTP/1.1 "):
        head, found, after = raw.partition(b"\r\n\r\n")
        if not found:
            break
        lines = head.split(b"\r\n")
        status = int(lines[0].split(b" ")[1])
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines[1:])}
        bodiless = status < 200 or status in (204, 304) or (is_head and all(one.status < 200 for one in said))
        body, is_complete, raw = (b"", True, after) if bodiless else _body(headers, after)
        said.append(Said(status, headers, body, is_complete))
    return said, raw


def _body(headers: dict[bytes, bytes], after: bytes) -> tuple[bytes, bool, bytes]:
    if headers.get(b"transfer-encoding") == b"chunked":
        return _unchunked(after)
    if b"content-length" in headers:
        length = int(headers[b"content-length"])
        return after[:length], len(after) >= length, after[length:]
    return after, True, b""


def _unchunked(after: bytes) -> tuple[bytes, bool, bytes]:
    body = b""
    while True:
        line, found, rest = after.partition(b"\r\n")
        if not found:
            return body, False, b""
        size = int(line, 16)
        body += rest[:size]
        if len(rest) < size + 2:
            return body, False, b""
        after = rest[size + 2 :]
        if size == 0:
            return body, True, after
