"""The demo's users: a few hundred people whose app calls the proxy as any app would, with plain HTTP.

They know nothing of versions; what they got is read from the headers of their answers, so that the demo's figures are
what users saw. Only the cost is read from the proxy's own `/metrics`.
"""

import asyncio
import re
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import aiohttp

USERS = 400
_CALLERS = 40
_PAUSE_SECONDS = 0.06
_TRIAL_EVERY = 8
_COST = re.compile(r'^switchback_cost_usd_total\{[^}\n]*version="(\d+)"[^}\n]*\} (\S+)$', re.MULTILINE)
_VERSION = re.compile(r"@(\d+)\Z")


@dataclass(frozen=True, slots=True)
class DemoAnswer:
    """What one call came back with. Times are seconds of the event loop's clock; `version` is None on some refusals."""

    user: str
    sent_at: float
    ended_at: float
    version: int | None
    status: int

    @property
    def is_served(self) -> bool:
        return self.status == 200

    @property
    def is_refused(self) -> bool:
        """Refused by the proxy on somebody's order: a cap (402) or a kill switch (403)."""
        return self.status in (402, 403)


class Traffic:
    """The users of one agent. Entered as a context, then `run` until cancelled."""

    def __init__(self, traffic_url: str, metrics_url: str, agent: str) -> None:
        self.answers: list[DemoAnswer] = []
        self._calls_url = f"{traffic_url}/a/{agent}/v1/chat/completions"
        self._metrics_url = metrics_url
        self._http: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._http = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._http is not None:
            await self._http.close()

    async def run(self) -> None:
        """All users call in turn, a few dozen at a time, until cancelled."""
        async with asyncio.TaskGroup() as callers:
            for first in range(_CALLERS):
                callers.create_task(self._call_in_turn(range(first, USERS, _CALLERS)))

    async def costs(self) -> dict[int, float]:
        """Dollars by version, as the proxy counts them."""
        assert self._http is not None
        async with self._http.get(self._metrics_url) as answer:
            text = await answer.text()
        costs: dict[int, float] = {}
        for version, amount in _COST.findall(text):
            costs[int(version)] = costs.get(int(version), 0.0) + float(amount)
        return costs

    async def _call_in_turn(self, users: range) -> None:
        while True:
            for number in users:
                await self._call(number)
                await asyncio.sleep(_PAUSE_SECONDS)

    async def _call(self, number: int) -> None:
        assert self._http is not None
        now = asyncio.get_running_loop().time
        user, sent_at = f"u{number:03}", now()
        headers = {"Authorization": "Bearer demo", "Switchback-User": user}
        if number % _TRIAL_EVERY == 0:
            headers["Switchback-Tags"] = "plan=trial"
        question = {"role": "user", "content": f"Ticket {number}: my invoice is wrong"}
        body = {"model": "gpt-4o-mini", "messages": [question]}
        version: int | None = None
        try:
            async with self._http.post(self._calls_url, json=body, headers=headers) as answer:
                await answer.read()
                status = answer.status
                found = _VERSION.search(answer.headers.get("Switchback-Version", ""))
                version = None if found is None else int(found[1])
        except aiohttp.ClientError:
            status = 0
        self.answers.append(DemoAnswer(user, sent_at, now(), version, status))
