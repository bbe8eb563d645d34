"""The simulator itself: receives a request, lets the wire read it, bills it, and has the reply delivered.

One instance is one provider that speaks every wire. Within a process tests use `Simulator` directly; from outside it is
asked under `/_simulator/` (`control.py`). Rules of the wires stand in their modules, misbehaviour in `scenario.py`.
"""

import asyncio
import ssl
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path

import orjson
from aiohttp import web

from proxy.simulator.answering import compose
from proxy.simulator.anthropic import ANTHROPIC
from proxy.simulator.asking import Ask, JsonObject, Refused, is_object
from proxy.simulator.control import Control
from proxy.simulator.delivery import Delivery, Reply
from proxy.simulator.google import GOOGLE
from proxy.simulator.models import MODELS, Model
from proxy.simulator.openai import OPENAI
from proxy.simulator.openai_responses import OPENAI_RESPONSES
from proxy.simulator.recording import PATIENCE_SECONDS, Call, Outcome, Record
from proxy.simulator.scenario import HEALTHY, OrderError, Scenario, marked_orders, parse_orders
from proxy.simulator.wire import Generation, Request, Wire

ORDER_HEADER = "X-Simulate"
CONTROL_PREFIX = "/_simulator/"
MAX_BODY_BYTES = 64 * 1024 * 1024
MAX_HEADER_BYTES = 64 * 1024
SHUTDOWN_SECONDS = 0.05
WIRES = (ANTHROPIC, GOOGLE, OPENAI_RESPONSES, OPENAI)
HTML_STATUSES = range(520, 528)


class Simulator:
    """An LLM provider on a local port.

    `models` replaces the table of models and prices; every bill is appended to `ledger_path` before it is answered;
    a body of more than `max_body_bytes` gets a 413. `wires` are spoken, the last of them by whoever asks for nothing known.
    """

    def __init__(
        self,
        scenario: Scenario = HEALTHY,
        *,
        models: Mapping[str, Model] = MODELS,
        ledger_path: Path | None = None,
        max_body_bytes: int = MAX_BODY_BYTES,
        wires: Sequence[Wire] = WIRES,
    ) -> None:
        self.scenario = scenario
        self.record = Record(models)
        self._models = models
        self._ledger_path = ledger_path
        self._max_body_bytes = max_body_bytes
        self._wires = wires
        self._runner: web.AppRunner | None = None
        self._origin = ""
        self._stopping = False
        self._gate = asyncio.Event()
        self._gate.set()

    async def start(self, host: str = "127.0.0.1", port: int = 0, *, tls: ssl.SSLContext | None = None) -> None:
        """Listens on `host`:`port`, 0 for any free one; with `tls` over TLS, as every real provider. Raises OSError."""
        if self._ledger_path is not None:
            self.record.open_ledger(self._ledger_path)
        app = web.Application(client_max_size=self._max_body_bytes)
        Control(self).add_routes(app, CONTROL_PREFIX)
        app.router.add_route("*", "/{path:.*}", self._serve)
        self._stopping = False
        self._runner = web.AppRunner(
            app,
            handler_cancellation=True,
            access_log=None,
            shutdown_timeout=SHUTDOWN_SECONDS,
            max_line_size=MAX_HEADER_BYTES,
            max_field_size=MAX_HEADER_BYTES,
        )
        await self._runner.setup()
        await web.TCPSite(self._runner, host, port, ssl_context=tls).start()
        bound_host, bound_port = self._runner.addresses[0][:2]
        shown_host = f"[{bound_host}]" if ":" in str(bound_host) else bound_host
        # A certificate of a machine of its own names this.
        self._origin = f"http://{shown_host}:{bound_port}" if tls is None else f"https://localhost:{bound_port}"

    async def stop(self) -> None:
        """Closes the port and breaks off what is still open."""
        self._stopping = True
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        self.record.close_ledger()

    @property
    def url(self) -> str:
        """The origin, without a path: `http://127.0.0.1:49152`; over TLS `https://localhost:49152`."""
        return self._origin

    @property
    def calls(self) -> deque[Call]:
        """The last 10,000 calls received, oldest first."""
        return self.record.calls

    @property
    def billed_nanodollars(self) -> int:
        """Everything billed since the start or the last reset."""
        return self.record.billed_nanodollars

    def hold_answers(self) -> None:
        """From now on calls are received and recorded, but wait for `release_answers` to be billed and answered."""
        self._gate.clear()

    def release_answers(self) -> None:
        """Lets held calls go on, and new ones pass."""
        self._gate.set()

    async def wait_for_calls(self, count: int, timeout_seconds: float = PATIENCE_SECONDS) -> None:
        """Returns when `count` calls have been received since the start or reset. Raises TimeoutError."""
        record = self.record
        await record.wait_until(lambda: record.received >= count, f"{count} calls", timeout_seconds)

    async def wait_for_clients_left(self, count: int = 1, timeout_seconds: float = PATIENCE_SECONDS) -> None:
        """Returns when `count` clients have left before their answer was complete. Raises TimeoutError."""
        record = self.record
        await record.wait_until(lambda: record.clients_left >= count, f"{count} clients to leave", timeout_seconds)

    async def wait_until_idle(self, timeout_seconds: float = PATIENCE_SECONDS) -> None:
        """Returns when no call is open. Raises TimeoutError."""
        record = self.record
        await record.wait_until(lambda: not record.open_calls, "all calls to end", timeout_seconds)

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        try:
            body, refused = await request.read(), None
        except web.HTTPRequestEntityTooLarge:
            body, refused = b"", Refused(413, "Request exceeds the maximum size")
        now = asyncio.get_running_loop().time
        call = Call(self.record.received + 1, request.method, request.raw_path, request.headers, body, now())
        wire = self._wire_of(request)
        call.wire = wire.name
        self.record.receive(call)
        delivery = None
        try:
            ask, scenario, refused = self._read(request, call, wire, refused)
            delivery = Delivery(request, call, scenario, self.record.begin_stream)
            await self._gate.wait()
            return await delivery.send(self._reply(request, call, wire, ask, scenario, refused))
        except (asyncio.CancelledError, ConnectionError) as gone:
            if call.outcome is Outcome.OPEN:
                call.outcome = Outcome.ABANDONED if self._stopping else Outcome.CLIENT_LEFT
                call.client_left_at = None if self._stopping else now()
            if isinstance(gone, asyncio.CancelledError):
                raise
            return web.Response()
        finally:
            self.record.finish(call, in_stream=delivery is not None and delivery.in_stream)

    def _wire_of(self, request: web.Request) -> Wire:
        generating = (wire for wire in self._wires if _generation(wire, request) is not None)
        answering = (wire for wire in self._wires if wire.answers(request.path, request.headers))
        return next(generating, None) or next(answering)

    def _read(
        self, request: web.Request, call: Call, wire: Wire, refused: Refused | None
    ) -> tuple[Ask | None, Scenario, Refused | None]:
        """What is asked and ordered, or why it is refused."""
        ask, scenario = None, self.scenario
        try:
            if refused is not None:
                raise refused
            wire.check_caller(request.headers)
            generation = _generation(wire, request) if request.method == "POST" else None
            if generation is not None:
                body = _parsed(call)
                ask = generation.read(body, request.headers, self._models)
                if ask.stream and generation.frames is None:
                    raise Refused(400, "This endpoint does not stream.", param="stream")
                call.model, call.system, call.streamed = ask.model.id, ask.system, ask.stream
                scenario = scenario.ordered(marked_orders(ask.system) | marked_orders(ask.user))
            scenario = scenario.ordered(parse_orders(request.headers.get(ORDER_HEADER, "")))
        except OrderError as error:
            return None, self.scenario, Refused(400, f"simulator: {error}")
        except Refused as error:
            return None, scenario, error
        return ask, scenario, None

    def _reply(
        self,
        request: web.Request,
        call: Call,
        wire: Wire,
        ask: Ask | None,
        scenario: Scenario,
        refused: Refused | None,
    ) -> Reply:
        headers = wire.headers(call.number, ask, scenario)
        if refused is None and scenario.redirect:
            status = scenario.status or 307
            return Reply(status, headers | {"Location": scenario.redirect})
        status = scenario.failure_status(call.number)
        if refused is None and status is not None:
            refused = Refused(status, f"Simulated error {status}.")
            if scenario.retry_after or (scenario.retry_after is None and status == 429):
                headers["retry-after"] = scenario.retry_after or "1"
        if refused is None and ask is None:
            try:
                asked = Request(request.method, request.path, request.headers, call.body, call.number)
                return Reply(200, headers, orjson.dumps(wire.other(asked, self._models)))
            except Refused as error:
                refused = error
        if refused is not None or ask is None:
            refused = refused or Refused(500, "Nothing was asked.")
            if refused.status in HTML_STATUSES:
                page = f"<html><body><h1>Error {refused.status}</h1></body></html>".encode()
                return Reply(refused.status, headers | {"Content-Type": "text/html; charset=UTF-8"}, page)
            return Reply(refused.status, headers, orjson.dumps(wire.error_body(refused, call.number)))
        return self._answer(request, call, wire, ask, scenario, headers)

    def _answer(
        self, request: web.Request, call: Call, wire: Wire, ask: Ask, scenario: Scenario, headers: dict[str, str]
    ) -> Reply:
        generation = _generation(wire, request)
        assert generation is not None
        answer = compose(ask, scenario, call.number)
        self.record.bill(call, ask.model, answer)
        if ask.stream and generation.frames is not None:
            frames = generation.frames(call.json, ask, answer)
            return Reply(
                200,
                headers,
                b"",
                frames,
                0,
                generation.error_frame or wire.error_frame,
                generation.malformed_frame or wire.malformed_frame,
                generation.stream_type or wire.stream_type,
            )
        body = orjson.dumps(generation.whole(call.json, ask, answer))
        return Reply(200, headers, body, pieces=scenario.events or answer.output_tokens)


def _generation(wire: Wire, request: web.Request) -> Generation | None:
    alt = request.query.get("alt")
    by_query = None if alt is None else wire.generations.get(f"{request.path}?alt={alt}")
    return by_query or wire.generations.get(request.path)


def _parsed(call: Call) -> JsonObject:
    try:
        call.json = orjson.loads(call.body)
    except orjson.JSONDecodeError:
        raise Refused(400, "We could not parse the JSON body of your request.") from None
    if not is_object(call.json):
        raise Refused(400, "The body of your request is no JSON object.")
    return call.json
