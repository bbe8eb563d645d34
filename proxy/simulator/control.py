"""The simulator's own HTTP interface under `/_simulator/`, for tests and benchmarks in another process.

`GET calls` (totals and the last calls, `?last=N`), `GET` and `POST scenario` (JSON, names of `Scenario`), `POST reset`,
`POST hold`, `POST release`. No key: it listens where the simulator does, on loopback by default. Nothing here is of any
provider's wire.
"""

from dataclasses import asdict
from typing import Any, Protocol

import orjson
from aiohttp import web

from proxy.simulator.recording import Call, Record
from proxy.simulator.scenario import HEALTHY, OrderError, Scenario

DEFAULT_LAST = 20


class Controlled(Protocol):
    """The side of a simulator that this interface moves."""

    scenario: Scenario
    record: Record

    def hold_answers(self) -> None: ...
    def release_answers(self) -> None: ...


class Control:
    """The handlers."""

    def __init__(self, simulator: Controlled) -> None:
        self._simulator = simulator

    def add_routes(self, app: web.Application, prefix: str) -> None:
        """Adds all handlers below `prefix`."""
        app.router.add_get(f"{prefix}calls", self._calls)
        app.router.add_get(f"{prefix}scenario", self._scenario)
        app.router.add_post(f"{prefix}scenario", self._set_scenario)
        app.router.add_post(f"{prefix}reset", self._reset)
        app.router.add_post(f"{prefix}hold", self._hold)
        app.router.add_post(f"{prefix}release", self._release)
        app.router.add_route("*", f"{prefix}{{path:.*}}", self._unknown)

    async def _calls(self, request: web.Request) -> web.Response:
        try:
            last = max(0, int(request.query.get("last", DEFAULT_LAST)))
        except ValueError:
            return _json({"error": "last: expected a number"}, 400)
        record = self._simulator.record
        shown = list(record.calls)[-last:] if last else []
        return _json({**record.totals(), "calls": [_shown(call) for call in shown]})

    async def _scenario(self, _request: web.Request) -> web.Response:
        return _json(asdict(self._simulator.scenario))

    async def _set_scenario(self, request: web.Request) -> web.Response:
        try:
            self._simulator.scenario = HEALTHY.ordered(dict(orjson.loads(await request.read())))
        except (OrderError, TypeError, ValueError) as error:
            return _json({"error": str(error)}, 400)
        return await self._scenario(request)

    async def _reset(self, _request: web.Request) -> web.Response:
        self._simulator.record.reset()
        return _json(self._simulator.record.totals())

    async def _hold(self, _request: web.Request) -> web.Response:
        self._simulator.hold_answers()
        return _json({"held": True})

    async def _release(self, _request: web.Request) -> web.Response:
        self._simulator.release_answers()
        return _json({"held": False})

    async def _unknown(self, _request: web.Request) -> web.Response:
        return _json({"error": "there is calls, scenario, reset, hold and release"}, 404)


def _shown(call: Call) -> dict[str, Any]:
    return {
        "number": call.number,
        "method": call.method,
        "path": call.path,
        "headers": {str(name): value for name, value in call.headers.items()},
        "body": call.body.decode("utf-8", "replace"),
        "wire": call.wire,
        "model": call.model,
        "system": call.system,
        "streamed": call.streamed,
        "status": call.status,
        "outcome": call.outcome,
        "billed": call.billed,
        "input_tokens": call.input_tokens,
        "output_tokens": call.output_tokens,
        "billed_nanodollars": call.billed_nanodollars,
        "pieces_sent": call.pieces_sent,
    }


def _json(value: dict[str, Any], status: int = 200) -> web.Response:
    return web.Response(status=status, body=orjson.dumps(value), content_type="application/json")
