"""What the simulator received, did and billed: the truth that tests compare the proxy with.

Counters are exact; of the calls themselves the last 10,000 are kept. A call is billed in full before its answer begins,
also where the answer is then cut or the client leaves: a provider generates ahead of what it sends. With a ledger file
each bill is a line of JSON in it before the first byte goes out. Errors, redirects and free endpoints bill nothing.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from io import FileIO
from pathlib import Path
from typing import Any

import orjson

from proxy.simulator.answering import Answer
from proxy.simulator.models import Model

KEPT_CALLS = 10_000
PATIENCE_SECONDS = 20.0


class Outcome(StrEnum):
    """How a call ended."""

    OPEN = "open"
    COMPLETED = "completed"
    REFUSED = "refused"
    """Answered with an error or a redirect."""
    CUT = "cut"
    """Broken off by the simulator, on order: reset, closed, ended early, or with an error event."""
    CLIENT_LEFT = "client_left"
    ABANDONED = "abandoned"
    """Still open when the simulator stopped."""


@dataclass(slots=True, eq=False)
class Call:
    """One received request; filled in as it proceeds. Times are the event loop's, in seconds."""

    number: int
    method: str
    path: str
    """With the query, as received."""
    headers: Mapping[str, str]
    """Case does not matter; the real type also gives all values of a repeated name with `getall`."""
    body: bytes
    received_at: float
    wire: str = ""
    json: Any = None
    model: str = ""
    system: str = ""
    """The system prompt received, all system and developer messages joined by newlines."""
    streamed: bool = False
    status: int = 0
    outcome: Outcome = Outcome.OPEN
    billed: bool = False
    input_tokens: int = 0
    output_tokens: int = 0
    billed_nanodollars: int = 0
    pieces_sent: int = 0
    client_left_at: float | None = None


class Record:
    """All calls of one simulator, their bills, and who waits for them."""

    def __init__(self, models: Mapping[str, Model]) -> None:
        self._models = models
        self._waiters: list[tuple[Callable[[], bool], asyncio.Future[None]]] = []
        self._ledger: FileIO | None = None
        self.reset()

    def reset(self) -> None:
        """Forgets all calls and bills. Numbers begin again; the ledger file keeps its lines."""
        self.calls: deque[Call] = deque(maxlen=KEPT_CALLS)
        self.received = 0
        self.open_calls = 0
        self.open_streams = 0
        self.clients_left = 0
        self.billed_calls = 0
        self.billed_input_tokens = 0
        self.billed_output_tokens = 0
        self.billed_nanodollars = 0

    def open_ledger(self, path: Path) -> None:
        """Appends every bill from now on to `path`. Raises OSError."""
        self._ledger = FileIO(path, "ab")

    def close_ledger(self) -> None:
        """Closes the file, if there is one."""
        if self._ledger is not None:
            self._ledger.close()
            self._ledger = None

    def receive(self, call: Call) -> None:
        """Takes a call in."""
        self.received += 1
        self.open_calls += 1
        self.calls.append(call)
        self._wake()

    def bill(self, call: Call, model: Model, answer: Answer) -> None:
        """Bills a call, at the price of the model that answers if that one is known."""
        priced = self._models.get(answer.model, model)
        call.billed = True
        call.input_tokens, call.output_tokens = answer.input_tokens, answer.output_tokens
        call.billed_nanodollars = priced.nanodollars(answer)
        self.billed_calls += 1
        self.billed_input_tokens += call.input_tokens
        self.billed_output_tokens += call.output_tokens
        self.billed_nanodollars += call.billed_nanodollars
        if self._ledger is not None:
            self._ledger.write(orjson.dumps(_ledger_line(call), option=orjson.OPT_APPEND_NEWLINE))

    def begin_stream(self) -> None:
        """Counts a stream that has begun; `finish` counts it off."""
        self.open_streams += 1

    def finish(self, call: Call, *, in_stream: bool) -> None:
        """Closes a call whose outcome is set."""
        # A reset between has already forgotten it.
        self.open_calls = max(0, self.open_calls - 1)
        if in_stream:
            self.open_streams = max(0, self.open_streams - 1)
        if call.outcome is Outcome.CLIENT_LEFT:
            self.clients_left += 1
        self._wake()

    async def wait_until(self, met: Callable[[], bool], what: str, timeout_seconds: float) -> None:
        """Returns when `met()` is true. Raises TimeoutError saying `what` did not come."""
        if met():
            return
        future = asyncio.get_running_loop().create_future()
        waiter = (met, future)
        self._waiters.append(waiter)
        try:
            async with asyncio.timeout(timeout_seconds):
                await future
        except TimeoutError:
            seen = f"{self.received} received, {self.open_calls} open, {self.clients_left} clients left"
            raise TimeoutError(f"the simulator waited in vain for {what}: {seen}") from None
        finally:
            self._waiters.remove(waiter)

    def totals(self) -> dict[str, int]:
        """All counters by name."""
        return {
            "received": self.received,
            "open_calls": self.open_calls,
            "open_streams": self.open_streams,
            "clients_left": self.clients_left,
            "billed_calls": self.billed_calls,
            "billed_input_tokens": self.billed_input_tokens,
            "billed_output_tokens": self.billed_output_tokens,
            "billed_nanodollars": self.billed_nanodollars,
        }

    def _wake(self) -> None:
        for met, future in self._waiters:
            if not future.done() and met():
                future.set_result(None)


def _ledger_line(call: Call) -> dict[str, Any]:
    return {
        "number": call.number,
        "path": call.path,
        "model": call.model,
        "input_tokens": call.input_tokens,
        "output_tokens": call.output_tokens,
        "billed_nanodollars": call.billed_nanodollars,
    }
