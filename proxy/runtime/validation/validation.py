"""Answers on their way to be judged: a bounded queue, one process, and a count of everything that is not judged.

The data path only appends. What cannot be judged is counted by reason; where the answer itself is the reason, the run is told so
too, as an outcome that says neither yes nor no.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from proxy.core.calls.runs import Run
from proxy.core.versions.judging import Verdict
from proxy.core.versions.validators import MAX_ANSWER_BYTES, Validator
from proxy.runtime.telemetry.metrics import Metrics
from proxy.runtime.validation.jobs import TOO_LONG, Job
from proxy.runtime.validation.judging_process import JudgeLost, JudgeProgram, JudgingProcess
from proxy.runtime.validation.kept_answer import AnswerRoom, KeptAnswer

#: So many answers wait at most.
QUEUE_LIMIT: Final = 2000
_RETRY_SECONDS: Final = 1.0
#: How long answers may still be judged when calls are over.
_LAST_SECONDS: Final = 1.0
_TELL_SECONDS: Final = 60.0
#: So that a pattern that never ends takes a tenth of one core, or a fifth.
_PAUSE_SECONDS: Final = 10.0
#: Ends of an answer at which it is somebody else's turn: there is more to come.
_NOT_FINISHED: Final = frozenset({"tool_call", "paused"})


@dataclass(frozen=True, slots=True)
class RunVerdict:
    """What was found about one run."""

    run: str
    agent: str
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class _WaitingAnswer:
    run: Run
    kept: KeptAnswer
    validators: tuple[Validator, ...]


class Validation:
    """Judges the answers of one process. `report` gets what was found."""

    def __init__(
        self,
        program: JudgeProgram,
        metrics: Metrics,
        report: Callable[[RunVerdict], None],
        tell: Callable[..., None],
        on_error: Callable[[BaseException], None],
        room: AnswerRoom | None = None,
        queue_limit: int = QUEUE_LIMIT,
    ) -> None:
        """`tell` writes a line into the log: its event, then members."""
        self._judge = JudgingProcess(program)
        self._metrics = metrics
        self._report = report
        self._tell = tell
        self._on_error = on_error
        self.room = AnswerRoom() if room is None else room
        self._queue: deque[_WaitingAnswer] = deque()
        self._limit = queue_limit
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        #: Until when nothing of a version is judged, on the event loop's clock.
        self._paused: dict[tuple[str, int | None], float] = {}
        self._skipped = 0
        self._told_at: float | None = None

    def keep(self) -> KeptAnswer:
        """Where the copy of an answer goes that will be judged."""
        return KeptAnswer(self.room)

    def finished(self, run: Run, kept: KeptAnswer, validators: tuple[Validator, ...]) -> None:
        """A call is over: queue its answer, if it is one; never waits, never raises."""
        if not kept.was_read or run.result != "ok" or run.finish in _NOT_FINISHED:
            kept.let_go()
        elif kept.lost is not None:
            self._skip(run, kept.lost)
            why = f"larger than {MAX_ANSWER_BYTES} bytes" if kept.lost == "too_large" else "no room beside others"
            self._report(RunVerdict(run.id, run.agent, Verdict(None, f"the answer was not kept: {why}")))
        elif len(self._queue) >= self._limit:
            kept.let_go()
            self._skip(run, "queue_full")
        elif self._is_paused(run):
            kept.let_go()
            self._skip(run, "too_slow")
        else:
            self._queue.append(_WaitingAnswer(run, kept, validators))
            self._idle.clear()
            self._wake.set()

    async def run(self) -> None:
        """Judge until cancelled; the process ends with it."""
        try:
            while True:
                await self._wake.wait()
                while self._queue:
                    await self._judge_one(self._queue.popleft())
                self._wake.clear()
                self._idle.set()
        finally:
            await self._judge.close()

    async def drain(self, seconds: float = _LAST_SECONDS) -> None:
        """Wait until everything is judged, for so long; what is left then is counted as lost."""
        try:
            async with asyncio.timeout(seconds):
                await self._idle.wait()
        except TimeoutError:
            while self._queue:
                waiting = self._queue.popleft()
                waiting.kept.let_go()
                self._skip(waiting.run, "stopped")

    def _is_paused(self, run: Run) -> bool:
        """Whether one of its version's answers just took all the time there is: others are judged meanwhile."""
        until = self._paused.get((run.agent, run.version))
        if until is None:
            return False
        if asyncio.get_running_loop().time() < until:
            return True
        del self._paused[run.agent, run.version]
        return False

    async def _judge_one(self, waiting: _WaitingAnswer) -> None:
        run, kept = waiting.run, waiting.kept
        lost: str | None = None
        try:
            verdict = await self._judge.verdict(Job(run.wire, kept.whole(), waiting.validators))
        except JudgeLost as error:
            lost = f"the judging process was lost ({error})"
            verdict = Verdict(None, lost)
        except asyncio.CancelledError:
            self._skip(run, "stopped")
            raise
        except Exception as error:
            # Those behind it are judged all the same.
            self._on_error(error)
            lost = f"judging it failed ({type(error).__name__})"
            verdict = Verdict(None, lost)
        finally:
            kept.let_go()
        if verdict.passed is None:
            self._skip(run, "unknown" if lost is None else "judge_lost")
        if verdict == TOO_LONG:
            self._paused[run.agent, run.version] = asyncio.get_running_loop().time() + _PAUSE_SECONDS
        self._report(RunVerdict(run.id, run.agent, verdict))
        if lost is not None:
            # One that cannot be started is not started in a circle.
            await asyncio.sleep(_RETRY_SECONDS)

    def _skip(self, run: Run, reason: str) -> None:
        self._metrics.not_validated(run.agent, reason)
        self._skipped += 1
        now = asyncio.get_running_loop().time()
        if self._told_at is None or now - self._told_at >= _TELL_SECONDS:
            self._told_at = now
            skipped, self._skipped = self._skipped, 0
            self._tell("answers_not_judged", agent=run.agent, reason=reason, count=skipped)
