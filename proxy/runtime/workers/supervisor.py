"""The owner's workers: started, watched, restarted, told of every change, asked to confirm it, drained.

What is said to one worker is owner_end.py's; what a worker does is `proxy/worker.py`'s. A worker that ends unasked is started
again, at once the first time, then with growing pauses; one that no longer answers is killed first.
"""

import asyncio
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict

from prometheus_client import CollectorRegistry

from proxy.core.addresses import ListenAddress
from proxy.core.errors import Unavailable
from proxy.core.rollouts.drills import DrillOrder
from proxy.core.shapes import Count
from proxy.core.snapshot import Snapshot
from proxy.core.switches import Switch
from proxy.runtime.process.clock import Clock
from proxy.runtime.process.event_line import event_line
from proxy.runtime.state.answered_names import AnsweredName
from proxy.runtime.state.drill_crew import DrillMember
from proxy.runtime.telemetry.metrics import Metrics
from proxy.runtime.workers.merged_metrics import EndedSamples, MergedRegistry
from proxy.runtime.workers.messages import Conversation, NameIs
from proxy.runtime.workers.owner_end import OwnerEnd, OwnerParts
from proxy.runtime.workers.program import WorkerProcess, WorkerProgram
from proxy.runtime.workers.traffic_port import BindUnix, SharedAddress, reserve

#: How long a change waits for workers to confirm it, and a scrape for their values.
CONFIRM_SECONDS = 0.25
_START_SECONDS = 60.0
_TICK_SECONDS = 1.0
#: A worker that answers no ping for so many ticks is killed; one that starts has longer. Ticks of the owner's own event loop,
#: not seconds, so that a machine that was suspended kills nobody.
_SILENT_TICKS = 10
_STARTING_TICKS = 60
#: Beyond the drain deadline: answers are broken off and flushed, runs and samples handed over.
_LEAVING_SECONDS = 3.5
#: Having lived so long, a worker that ends is restarted as for the first time.
_STEADY_SECONDS = 60.0
_MAX_PAUSE_SECONDS = 30.0


def restart_pause_seconds(ended_in_a_row: int) -> float:
    """How long to wait before the next start: nothing the first time, then doubling from half a second up to 30."""
    return 0.0 if ended_in_a_row <= 1 else min(_MAX_PAUSE_SECONDS, 0.5 * 2.0 ** min(ended_in_a_row - 2, 16))


@dataclass(slots=True)
class _Slot:
    """The place of one worker; processes come and go in it."""

    number: int
    started: asyncio.Future[bool]
    process: WorkerProcess | None = None
    end: OwnerEnd | None = None
    restarts: int = 0


class WorkerStatus(TypedDict):
    """One process that serves calls. `revision` is the snapshot's that it has."""

    name: str
    pid: int | None
    serving: bool
    revision: Count | None
    runs_in_flight: Count
    restarts: Count


class Workers:
    """All workers of this owner."""

    def __init__(self, program: WorkerProgram, parts: OwnerParts, metrics: Metrics, clock: Clock) -> None:
        self._program = program
        self._parts = parts
        self._metrics = metrics
        self._clock = clock
        loop = asyncio.get_running_loop()
        self._slots = [_Slot(number, loop.create_future()) for number in range(1, program.count + 1)]
        self._keepers: list[asyncio.Task[None]] = []
        self._ended = EndedSamples()
        self._draining = asyncio.Event()
        self._ports: list[SharedAddress] = []

    async def start(self, addresses: Sequence[ListenAddress], bind_unix: BindUnix) -> list[ListenAddress]:
        """Start them all; where they take calls. Raises OSError, Unavailable(`worker_failed`)."""
        for address in addresses:
            self._ports.append(await reserve(address, bind_unix))
        self._parts.live.on_change(self._push)
        self._parts.live.answered_names.on_news(self._tell_all)
        self._keepers = [self._parts.tasks.spawn(self._keep(slot), f"worker {slot.number}") for slot in self._slots]
        self._parts.tasks.spawn(self._watch(), "workers")
        await asyncio.wait([slot.started for slot in self._slots], timeout=_START_SECONDS)
        failed = [_name(slot.number) for slot in self._slots if not (slot.started.done() and slot.started.result())]
        if failed:
            raise Unavailable("worker_failed", f"{', '.join(failed)} ended before taking calls; see the messages above")
        return [port.address for port in self._ports]

    async def drain(self) -> None:
        """Let workers finish their calls up to the drain deadline; returns when every process has ended."""
        self._draining.set()
        for port in self._ports:
            port.close()
        for slot in self._slots:
            if slot.end is not None:
                slot.end.drain()
        if not self._keepers:
            return
        _, late = await asyncio.wait(self._keepers, timeout=self._program.drain_seconds + _LEAVING_SECONDS)
        if late:
            for slot in self._slots:
                _kill(slot)
            await asyncio.wait(late, timeout=_LEAVING_SECONDS)

    # What the admin API sees

    @property
    def in_flight(self) -> int:
        """Calls being served now, as far as heard."""
        return sum(slot.end.in_flight for slot in self._slots if slot.end is not None)

    @property
    def are_serving(self) -> bool:
        """Whether any worker takes calls."""
        return any(slot.end is not None and slot.end.is_serving for slot in self._slots)

    def cut(self, switch: Switch) -> None:
        """Have every worker break off the calls in flight that a switch matches."""
        for end in self._confirming():
            end.cut(switch)

    def drill(self, order: DrillOrder) -> list[DrillMember]:
        """Have every worker make the calls of a drill."""
        return [end.drill(_name(end.number), order) for end in self._confirming()]

    async def confirm(self) -> list[str]:
        """Wait until every worker has acted on everything so far; the names of those that do not confirm in time."""
        asked = [(end.number, end.ping()) for end in self._confirming()]
        await _done([answered for _, answered in asked])
        return [_name(number) for number, answered in asked if not answered.done()]

    async def merged(self, own: CollectorRegistry) -> MergedRegistry:
        """The owner's metrics with those of all workers, as of now or as far as heard."""
        ends = self._confirming()
        await _done([end.ask_for_samples() for end in ends] + [end.ping() for end in ends])
        present = {_name(slot.number): slot.end.samples.values for slot in self._slots if slot.end is not None}
        return MergedRegistry(own, self._ended, present)

    async def flush(self) -> bool:
        """Have the runs that workers have finished so far in the store, as far as they hand them over in time."""
        await _done([end.ask_for_runs() for end in self._confirming()])
        return await self._parts.recorder.flush()

    def document(self) -> list[WorkerStatus]:
        """For `GET /status`."""
        return [
            {
                "name": _name(slot.number),
                "pid": None if slot.process is None else slot.process.pid,
                "serving": slot.end is not None and slot.end.is_serving,
                "revision": None if slot.end is None else slot.end.revision,
                "runs_in_flight": 0 if slot.end is None else slot.end.in_flight,
                "restarts": slot.restarts,
            }
            for slot in self._slots
        ]

    # Inside

    def _confirming(self) -> list[OwnerEnd]:
        return [slot.end for slot in self._slots if slot.end is not None and slot.end.has_to_confirm]

    def _push(self, snapshot: Snapshot) -> None:
        for slot in self._slots:
            if slot.end is not None:
                slot.end.push(snapshot)

    def _tell_all(self, name: AnsweredName) -> None:
        for slot in self._slots:
            if slot.end is not None:
                slot.end.tell(NameIs(*name))

    def _tell_others(self, teller: OwnerEnd, news: Conversation) -> None:
        for slot in self._slots:
            if slot.end is not None and slot.end is not teller:
                slot.end.tell(news)

    async def _keep(self, slot: _Slot) -> None:
        """Have a process in this slot until the drain."""
        ended_in_a_row = 0
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            try:
                code = await self._run_once(slot)
            except Exception as error:
                # No process could be started, or not be talked to: tried again like one that ended.
                self._parts.on_error(error)
                code = None
            if not slot.started.done():
                slot.started.set_result(False)
            if self._draining.is_set():
                return
            ended_in_a_row = 1 if loop.time() - began >= _STEADY_SECONDS else ended_in_a_row + 1
            pause = restart_pause_seconds(ended_in_a_row)
            self._log("worker_ended", slot, exit_code=code, starts_again_in_seconds=pause)
            if await _is_set_within(self._draining, pause):
                return
            slot.restarts += 1
            self._metrics.worker_restarts.inc()

    async def _run_once(self, slot: _Slot) -> int:
        """One process from start to end; its exit code. Raises OSError where none could be started."""
        listening: list[socket.socket] = []
        try:
            for port in self._ports:
                listening += port.sockets()
            process, link = await self._program.start(listening)
        finally:
            for sock in listening:
                sock.close()
        end = OwnerEnd(slot.number, self._parts, self._tell_others)
        slot.process, slot.end = process, end
        end.listening.add_done_callback(lambda listening: _pass_on(listening, slot.started))
        await end.connect(link, self._program.settings)
        if self._draining.is_set():
            end.drain()
        await end.wait_closed()
        try:
            # A link that ends before its process leaves a worker that finishes its calls.
            code = await asyncio.wait_for(process.wait(), self._program.drain_seconds + _LEAVING_SECONDS)
        except TimeoutError:
            _kill(slot)
            code = await process.wait()
        slot.process, slot.end = None, None
        self._ended.add(end.samples)
        return code

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(_TICK_SECONDS)
            for slot in self._slots:
                if slot.end is None:
                    continue
                slot.end.tick()
                slot.end.silent_ticks += 1
                if slot.end.silent_ticks > (_SILENT_TICKS if slot.end.is_serving else _STARTING_TICKS):
                    self._log("worker_silent", slot)
                    _kill(slot)
                else:
                    slot.end.ping()

    def _log(self, event: str, slot: _Slot, **more: object) -> None:
        now = self._clock.now_microseconds()
        self._parts.log(event_line(now, "error", event, worker=_name(slot.number), **more))


async def _done(answers: Sequence["asyncio.Future[None]"]) -> None:
    if answers:
        await asyncio.wait(answers, timeout=CONFIRM_SECONDS)


async def _is_set_within(event: asyncio.Event, seconds: float) -> bool:
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return event.is_set()
    return True


def _pass_on(listening: "asyncio.Future[bool]", started: "asyncio.Future[bool]") -> None:
    if not started.done():
        started.set_result(listening.result())


def _kill(slot: _Slot) -> None:
    if slot.process is not None and slot.process.returncode is None:
        slot.process.kill()


def _name(number: int) -> str:
    return f"worker-{number}"
