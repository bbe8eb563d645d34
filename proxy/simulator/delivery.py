"""Sends a decided reply over the connection, at the ordered pace and with the ordered misfortunes.

The only module that touches transports. A stream is written frame by frame, one chunk each; faults strike after the
ordered number of content pieces. Counterpart of `answering.py`: that decides what is said, this how it arrives.
"""

import asyncio
import gzip
import os
import random
import socket
import struct
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from aiohttp import web

from proxy.simulator.recording import Call, Outcome
from proxy.simulator.scenario import Fault, Scenario
from proxy.simulator.wire import Frame

RESET_ON_CLOSE = struct.pack("ii", 1, 0)
GZIP_WBITS = 31


@dataclass(frozen=True, slots=True)
class Reply:
    """What goes out. A stream has `frames`; everything else has a `body`, with `pieces` only to pace it."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""
    frames: Sequence[Frame] | None = None
    pieces: int = 0
    error_frame: bytes = b""
    malformed_frame: bytes = b""
    stream_type: str = ""


class Delivery:
    """One reply on its way. `send` sets the outcome of the call when the last byte is written."""

    def __init__(self, request: web.Request, call: Call, scenario: Scenario, begin_stream: Callable[[], None]) -> None:
        self._request = request
        self._call = call
        self._scenario = scenario
        self._begin_stream = begin_stream
        self._chance = scenario.chance(call.number, "pace")
        self.in_stream = False

    async def send(self, reply: Reply) -> web.StreamResponse:
        """Sends `reply` and returns the response for aiohttp to finish. Raises ConnectionError if the client is gone."""
        scenario = self._scenario
        self._call.status = reply.status
        await self._wait(scenario.first_delay_ms)
        if scenario.cut_before_answer or scenario.status_line:
            return self._send_no_answer()
        if reply.frames is None:
            return await self._send_whole(reply)
        return await self._send_stream(reply, reply.frames)

    def _send_no_answer(self) -> web.StreamResponse:
        if self._scenario.status_line:
            transport = self._transport()
            transport.write(self._scenario.status_line.encode() + b"\r\n\r\n")
            transport.close()
        else:
            reset(self._transport())
        self._call.status, self._call.outcome = 0, Outcome.CUT
        return web.Response()

    async def _send_whole(self, reply: Reply) -> web.StreamResponse:
        good = reply.status < 300
        body = reply.body
        if good and self._scenario.malformed:
            body = body[: len(body) // 2]
        headers = {"Content-Type": "application/json", **reply.headers}
        if self._scenario.gzip:
            body = gzip.compress(body, mtime=0)
            headers["Content-Encoding"] = "gzip"
        response = web.StreamResponse(status=reply.status, headers=headers)
        response.content_length = len(body)
        for _ in range(reply.pieces):
            await self._wait(self._scenario.piece_delay_ms)
        await response.prepare(self._request)
        fault = self._scenario.fault
        if good and fault is not None and fault.kind != "error":
            await response.write(body[: len(body) // 2])
            await self._break(fault, response)
            return response
        await response.write(body)
        self._call.outcome = Outcome.COMPLETED if good else Outcome.REFUSED
        await response.write_eof()
        return response

    async def _send_stream(self, reply: Reply, frames: Sequence[Frame]) -> web.StreamResponse:
        headers = {"Content-Type": reply.stream_type, "Cache-Control": "no-cache", **reply.headers}
        if self._scenario.gzip:
            headers["Content-Encoding"] = "gzip"
        response = web.StreamResponse(status=reply.status, headers=headers)
        self.in_stream = True
        self._begin_stream()
        await response.prepare(self._request)
        pack = _packer() if self._scenario.gzip else bytes
        fault = self._scenario.fault
        last_piece = sum(frame.is_piece for frame in frames)
        for frame in frames:
            if fault is not None and self._is_due(fault, frame, last_piece):
                break
            if frame.is_piece:
                await self._wait(self._scenario.piece_delay_ms)
            await response.write(pack(frame.data))
            self._call.pieces_sent += frame.is_piece
            if frame.is_piece and self._call.pieces_sent == 1 and self._scenario.malformed:
                await response.write(pack(reply.malformed_frame))
        else:
            fault = None
        if fault is None:
            await self._wait(self._scenario.end_delay_ms)
            self._call.outcome = Outcome.COMPLETED
            await response.write_eof()
            return response
        if fault.kind == "error":
            await response.write(pack(reply.error_frame))
        await self._break(fault, response)
        return response

    def _is_due(self, fault: Fault, frame: Frame, last_piece: int) -> bool:
        sent = self._call.pieces_sent
        # Before the first piece the opening of the stream goes out; after the ordered piece nothing does.
        return sent >= min(fault.after_events, last_piece) and (frame.is_piece or sent > 0)

    async def _break(self, fault: Fault, response: web.StreamResponse) -> None:
        if fault.kind == "stall":
            # Ends by cancellation: the client leaves, or the simulator stops.
            await asyncio.Event().wait()
        self._call.outcome = Outcome.CUT
        if fault.kind == "cut":
            reset(self._transport())
        elif fault.kind == "close" or response.content_length is not None:
            self._transport().close()
        else:
            await response.write_eof()

    async def _wait(self, delay_ms: float) -> None:
        # Also without a delay the loop gets its turn, so that a client who left is noticed.
        await asyncio.sleep(_jittered(delay_ms, self._scenario.jitter, self._chance) / 1_000)

    def _transport(self) -> asyncio.Transport:
        transport = self._request.transport
        if transport is None:
            raise ConnectionResetError("the client is gone")
        return transport


def reset(transport: asyncio.Transport) -> None:
    """Closes the connection with a TCP reset."""
    connection = transport.get_extra_info("socket")
    if connection is not None:
        # The option belongs to the connection, so a second descriptor sets it for the first; event loops differ in
        # what their own socket objects allow.
        with socket.socket(fileno=os.dup(connection.fileno())) as twin:
            twin.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
    transport.abort()


def _packer() -> Callable[[bytes], bytes]:
    """Compresses frame by frame, each readable as soon as it arrives."""
    compressor = zlib.compressobj(wbits=GZIP_WBITS)

    def pack(data: bytes) -> bytes:
        return compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH)

    return pack


def _jittered(delay_ms: float, jitter: float, chance: random.Random) -> float:
    return delay_ms * (1 + jitter * chance.uniform(-1, 1)) if delay_ms and jitter else delay_ms
