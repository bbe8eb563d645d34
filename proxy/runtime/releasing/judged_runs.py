"""What validators found, on its way to become outcomes: a bounded queue that is written in batches and counts what it drops.

A verdict may be quicker than its run, which comes from another process or waits for a slow store: it is tried again for a while.
So is one of which nobody knows whether it was recorded, because the server stopped meanwhile: under the id it had, so that a run has one.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Final

from proxy.core.errors import Unavailable
from proxy.runtime.process.flushing import write_when_woken
from proxy.runtime.releasing.run_commands import OutcomeDraft, RunCommands
from proxy.runtime.telemetry.metrics import Metrics
from proxy.runtime.validation.validation import RunVerdict

#: Who says so, in outcomes.
VALIDATORS: Final = "validators"
OUTCOME: Final = "validation"
_LIMIT: Final = 20_000
_BATCH: Final = 500
_GATHER_SECONDS: Final = 0.2
_RETRY_SECONDS: Final = 1.0
#: How often a run that is not there is looked for.
_TRIES: Final = 10


class JudgedRuns:
    """Takes verdicts, and sees to it that they are recorded."""

    def __init__(self, metrics: Metrics, on_error: Callable[[BaseException], None], limit: int = _LIMIT) -> None:
        self._metrics = metrics
        self._on_error = on_error
        self._limit = limit
        #: With how often each was tried, and the id of its outcome once it was.
        self._queue: deque[tuple[RunVerdict, int, str | None]] = deque()
        self._wake = asyncio.Event()
        self._commands: RunCommands | None = None

    def add(self, judged: RunVerdict) -> None:
        """Queue what was found about one run; never waits, never raises."""
        if len(self._queue) >= self._limit:
            self._metrics.not_validated(judged.agent, "not_recorded")
            return
        self._queue.append((judged, 0, None))
        self._wake.set()

    async def run(self, commands: RunCommands) -> None:
        """Record until cancelled. `commands` flush what this process has of the runs."""
        self._commands = commands
        write = partial(self._write_some, commands)
        await write_when_woken(self._wake, partial(asyncio.sleep, _GATHER_SECONDS), write, _RETRY_SECONDS)

    async def write(self) -> None:
        """Record all that can be recorded now, in the order they came. Raises Unavailable, with the rest still queued."""
        for _ in range(len(self._queue) // _BATCH + 1):
            if self._commands is not None and self._queue:
                await self._write_batch(self._commands)

    async def _write_some(self, commands: RunCommands) -> bool:
        try:
            if self._queue and not await self._write_batch(commands):
                return False
        except Unavailable:
            return False
        except Exception as error:
            # A batch that fails for a reason of its own is lost and told; the next one is tried.
            self._on_error(error)
        if self._queue:
            self._wake.set()
        return True

    async def _write_batch(self, commands: RunCommands) -> bool:
        """Record the oldest; False where the runs of some are not there yet, which are tried again. Raises Unavailable: all are."""
        oldest = [self._queue.popleft() for _ in range(min(_BATCH, len(self._queue)))]
        batch = [(judged, tries, outcome or commands.outcome_id()) for judged, tries, outcome in oldest]
        drafts = [
            OutcomeDraft(
                run=judged.run,
                name=OUTCOME,
                value=judged.verdict.passed,
                why=judged.verdict.why,
                is_unknown=judged.verdict.passed is None,
                id=outcome,
            )
            for judged, _, outcome in batch
        ]
        try:
            recorded = await commands.record_outcomes(VALIDATORS, drafts)
        except BaseException as error:
            if isinstance(error, Unavailable | asyncio.CancelledError):
                self._queue.extendleft(reversed(batch))
            else:
                for judged, _, _ in batch:
                    self._metrics.not_validated(judged.agent, "not_recorded")
            raise
        unknown = set(recorded.unknown_runs)
        for judged, tries, outcome in batch:
            if judged.run not in unknown:
                continue
            if tries < _TRIES:
                self._queue.append((judged, tries + 1, outcome))
            else:
                self._metrics.not_validated(judged.agent, "not_recorded")
        return not unknown
