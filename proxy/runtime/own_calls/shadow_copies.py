"""Copies of stable's calls for a candidate in the shadow, in one process: bounded, behind the calls, and given up where it is busy.

A copy is what the caller sent, byte for byte, kept from before the call was sent until it has ended. Then it takes the conductor's
path over a snapshot in which the candidate serves everyone (core/rollouts/shadow.py); nobody gets the answer. It is judged like
any: by validators, and by its run of kind `shadow`, which names the run it is a copy of.

Decision: the copy begins when its call is over, not beside it: so the call's run is recorded before that of the copy, and the two
never ask the provider at the same moment for what it would limit. Calls that fail are copied like others, or an outage would be held
against the candidate alone.
"""

from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Final

from msgspec import structs

from proxy.core.calls.identity import CREDENTIAL_HEADERS
from proxy.core.calls.runs import Attempt, Run
from proxy.core.errors import CapReached
from proxy.core.rollouts.schedule import closed
from proxy.core.rollouts.shadow import ShadowStep, is_own_cap, shadow_snapshot
from proxy.core.scopes import CallFacts
from proxy.core.snapshot import Snapshot
from proxy.core.spending.caps import Cap
from proxy.core.versions.versions import Version
from proxy.runtime.calls.conversations import Conversations
from proxy.runtime.calls.path_parts import CopiesNothing, PathOptions, PathParts
from proxy.runtime.calls.request_path import RequestPath
from proxy.runtime.calls.stages import Asked
from proxy.runtime.process.tasks import TaskSet
from proxy.runtime.providers import Providers
from proxy.runtime.spending.holding import HoldBound, Ledger, Ticket
from proxy.runtime.state.live_snapshot import LiveSnapshot
from proxy.runtime.telemetry.metrics import Metrics
from proxy.runtime.telemetry.recorder import TakesRuns
from proxy.runtime.transport.exchange import Call, Reply
from proxy.runtime.transport.header_fields import RequestFields
from proxy.wires.wire import Headers

#: Copies under way at once in a process.
AT_ONCE: Final = 8
#: Of the requests that are kept, copies under way included.
ROOM_BYTES: Final = 32 * 1024 * 1024

_PARENT: ContextVar[Run | None] = ContextVar("parent", default=None)


class CopiedCall:
    """One request, kept."""

    def __init__(self, agent: str, call: Call) -> None:
        self.agent = agent
        self.method = call.method
        self.target = call.target
        self.headers: Headers = list(call.headers)
        self.body = call.body
        self.size = len(call.body) + sum(len(name) + len(value) for name, value in call.headers)


@dataclass(slots=True)
class _Room:
    left_bytes: int
    left_at_once: int


class ShadowCopies:
    """Keeps, sends and lets go."""

    def __init__(
        self,
        real: PathParts,
        options: PathOptions,
        metrics: Metrics,
        tasks: TaskSet,
        reply_to_nobody: Callable[[], Reply],
    ) -> None:
        """`metrics` are those of the copies' own path, shown to nobody; what becomes of copies is told in `real`'s."""
        self._live = real.live
        self._providers: Providers = real.providers
        self._metrics = real.metrics
        self._on_error = real.on_error
        self._clock = real.clock
        self._tasks = tasks
        self._reply_to_nobody = reply_to_nobody
        self._kept: dict[str, CopiedCall] = {}
        self._room = _Room(ROOM_BYTES, AT_ONCE)
        self._shadow_live = LiveSnapshot(_NoVersions())
        self._follow(real.live.current)
        real.live.on_change(self._follow)
        parts = replace(
            real,
            live=self._shadow_live,
            ledger=_OwnCap(real.ledger),
            recorder=_ShadowRuns(real.recorder),
            metrics=metrics,
            conversations=Conversations(),
            copies=CopiesNothing(),
        )
        self._path = RequestPath(parts, options)

    @property
    def kept_bytes(self) -> int:
        """Of all requests that are kept."""
        return sum(kept.size for kept in self._kept.values())

    def keep(self, run_id: str, step: ShadowStep, asked: Asked, call: Call, fields: RequestFields) -> None:
        """Keep the request of a call, if it is among those that are copied and may be."""
        if not step.takes(run_id):
            return
        try:
            self._keep(run_id, step, asked, call, fields)
        except Exception as error:
            # A user's call is under way here.
            self._on_error(error)
            self._metrics.copied(step.agent, "unfit")

    def _keep(self, run_id: str, step: ShadowStep, asked: Asked, call: Call, fields: RequestFields) -> None:
        reason = self._why_not(step, asked, fields)
        if reason is None:
            copied = CopiedCall(step.agent, call)
            if copied.size <= self._room.left_bytes:
                self._room.left_bytes -= copied.size
                self._kept[run_id] = copied
                return
            reason = "no_room"
        self._metrics.copied(step.agent, reason)

    def ended(self, run: Run) -> None:
        """Its call is over: send the copy, unless it was never sent itself, or too many are under way."""
        copied = self._kept.pop(run.id, None)
        if copied is None:
            return
        reason = self._why_not_now(copied, run)
        if reason is not None:
            self._room.left_bytes += copied.size
            self._metrics.copied(copied.agent, reason)
            return
        self._room.left_at_once -= 1
        self._tasks.spawn(self._send(copied, run), "shadow")

    def stop(self) -> None:
        """Break off what is under way: this process ends."""
        self._path.stop()

    async def _send(self, copied: CopiedCall, run: Run) -> None:
        _PARENT.set(run)
        try:
            await self._path.handle(copied, self._reply_to_nobody())
            self._metrics.copied(copied.agent, "made")
        finally:
            self._room.left_bytes += copied.size
            self._room.left_at_once += 1

    def _why_not(self, step: ShadowStep, asked: Asked, fields: RequestFields) -> str | None:
        """Why a call must not be copied."""
        if closed(step.schedule, self._clock.now_microseconds()) is not None:
            return "schedule"
        state, request = self._live.agent(step.agent), asked.request
        version = None if state is None else state.versions.get(step.candidate)
        if version is None or request is None or asked.problem is not None or asked.route.operation.kind != "generates":
            return "unfit"
        if not step.tools_are_safe and (request.tool_names or version.bundle.tools.items):
            return "tools"
        if not step.takes_callers_keys and self._would_take_callers_key(version, asked, fields):
            return "callers_key"
        return None

    def _why_not_now(self, copied: CopiedCall, run: Run) -> str | None:
        """Why no copy is made of a call that was kept."""
        if run.provider_duration_microseconds is None:
            return "not_sent"
        if copied.agent not in self._shadow_live.current.agents:
            return "over"
        return "busy" if self._room.left_at_once <= 0 else None

    def _would_take_callers_key(self, version: Version, asked: Asked, fields: RequestFields) -> bool:
        named = version.bundle.model.provider
        provider = None if named is None else self._providers.named(named)
        if provider is None:
            provider = self._providers.default(asked.route.wire.family)
        return provider.own_credentials is None and any(name in CREDENTIAL_HEADERS for name, _ in fields.identity)

    def _follow(self, snapshot: Snapshot) -> None:
        seen = shadow_snapshot(snapshot)
        if seen.agents or self._shadow_live.current.agents:
            self._shadow_live.start_from(seen)


class _ShadowRuns:
    """Records runs as copies of the run that this task is about."""

    def __init__(self, recorder: TakesRuns) -> None:
        self._recorder = recorder

    def record(self, run: Run, attempts: Sequence[Attempt]) -> None:
        """Queue one finished run of a copy."""
        parent = _PARENT.get()
        self._recorder.record(
            structs.replace(run, kind="shadow", parent_run=None if parent is None else parent.id), attempts
        )


class _OwnCap:
    """The real ledger, in which copies count as nobody's, and only under a hard cap of theirs."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def hold(self, attempt: str, caps: Sequence[Cap], facts: CallFacts, bound: HoldBound) -> Ticket:
        """Raises CapReached, also where the copies' own cap is gone."""
        if not any(is_own_cap(cap) for cap in caps):
            raise CapReached("spend_cap_exceeded", "the cap that the copies of this rollout are under is gone")
        return self._ledger.hold(attempt, caps, structs.replace(facts, user=None), bound)


class _NoVersions:
    """Copies pin nothing: a call that does is in no rollout."""

    async def version(self, agent: str, number: int) -> Version | None:
        """None of any number."""
        del agent, number
        return None
