"""The calls of a drill in one process: synthetic users ask, again and again, until the candidate has answered and answers no more.

They take the conductor's path over the snapshot that real calls are decided on, with caps, metrics and conversations of their own,
and are recorded as runs of kind `drill`. That mark is the record's: no header and no body can claim it, and only an order of the
control path makes such calls. Every other one is a stream.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import Final

import orjson

from proxy.core.calls.identity import LABEL_HEADER, USER_HEADER, VARIABLES_HEADER
from proxy.core.names import DRILL_LABEL
from proxy.core.releasing.releases import CANDIDATE
from proxy.core.rollouts.drills import DrillCalls, DrillOrder
from proxy.runtime.calls.conversations import Conversations
from proxy.runtime.calls.path_parts import CopiesNothing, PathOptions, PathParts
from proxy.runtime.calls.request_path import RequestPath
from proxy.runtime.own_calls.apart import NoCaps, RecorderOfKind
from proxy.runtime.own_calls.stub_provider import StubProvider
from proxy.runtime.process.tasks import TaskSet
from proxy.runtime.state.drill_crew import DrillMember
from proxy.runtime.telemetry.metrics import Metrics
from proxy.runtime.transport.exchange import Reply
from proxy.runtime.validation.validation import Validation
from proxy.wires.families import FAMILIES
from proxy.wires.wire import Wire, WireFamily

#: With half of the users at the candidate, all of them fall to stable in one of 16 million drills.
_USERS: Final = 24
#: Between two calls: other calls go before, and a time is as exact as this.
_PAUSE_SECONDS: Final = 0.001
#: Where the version names no model; the stub answers whatever it is called.
_MODEL: Final = "drill"


class DrillCall:
    """One synthetic request."""

    method = "POST"

    def __init__(self, target: bytes, user: str, variables: bytes, body: bytes) -> None:
        self.target = target
        self.headers = [
            (b"content-type", b"application/json"),
            (LABEL_HEADER, DRILL_LABEL.encode()),
            (USER_HEADER, user.encode()),
        ]
        if variables:
            self.headers.append((VARIABLES_HEADER, variables))
        self.body = body


@dataclass(slots=True)
class _Counted:
    """What calls came to so far."""

    calls: int = 0
    candidate_calls: int = 0
    failed_calls: int = 0
    failure: str | None = None
    last_candidate_at: int | None = None

    def ended(self, *, is_taken_back: bool) -> DrillCalls:
        return DrillCalls(
            calls=self.calls,
            candidate_calls=self.candidate_calls,
            failed_calls=self.failed_calls,
            failure=self.failure,
            last_candidate_at=self.last_candidate_at,
            is_taken_back=is_taken_back,
        )


class DrillCaller:
    """Makes the calls of one process. `real` are the parts of the path that serves callers here."""

    def __init__(
        self,
        real: PathParts,
        options: PathOptions,
        wires: Sequence[Wire],
        metrics: Metrics,
        validation: Validation,
        reply_to_nobody: Callable[[], Reply],
    ) -> None:
        """`metrics` are shown to nobody, and `validation` judges nothing."""
        self._live = real.live
        self._providers = real.providers
        self._wires = wires
        self._clock = real.clock
        self._recorder = RecorderOfKind(real.recorder, "drill")
        self._reply_to_nobody = reply_to_nobody
        parts = replace(
            real,
            ledger=NoCaps(),
            upstream=StubProvider(wires),
            recorder=self._recorder,
            metrics=metrics,
            conversations=Conversations(),
            validation=validation,
            copies=CopiesNothing(),
        )
        self._path = RequestPath(parts, options)

    async def run(self, order: DrillOrder, begun: Callable[[], None]) -> DrillCalls:
        """Call until the candidate is gone, or the time is over; `begun` is told once it has answered."""
        counted = _Counted()
        loop = asyncio.get_running_loop()
        until = loop.time() + order.limit_seconds
        variables = orjson.dumps(dict(order.variables)) if order.variables else b""
        targets = self._requests(order.agent)
        had_candidate = False
        for number in count():
            had_some = False
            for user in range(_USERS):
                if loop.time() >= until:
                    return counted.ended(is_taken_back=False)
                target, body = targets[(number + user) % len(targets)]
                name = f"{order.id}-{user}"
                had_some |= await self._call(DrillCall(target, name, variables, body), counted)
                await asyncio.sleep(_PAUSE_SECONDS)
            if had_some and not had_candidate:
                had_candidate = True
                begun()
            elif had_candidate and not had_some:
                return counted.ended(is_taken_back=True)
        raise AssertionError("it ends at its deadline")

    async def _call(self, call: DrillCall, counted: _Counted) -> bool:
        """Whether the candidate answered it."""
        self._recorder.last = None
        await self._path.handle(call, self._reply_to_nobody())
        ended_at, run = self._clock.monotonic_microseconds(), self._recorder.last
        counted.calls += 1
        if run is None or run.result != "ok":
            counted.failed_calls += 1
            counted.failure = counted.failure or (None if run is None else run.error_class) or "not_recorded"
        if run is None or run.arm != CANDIDATE:
            return False
        counted.candidate_calls += 1
        counted.last_candidate_at = ended_at
        return True

    def _requests(self, agent: str) -> list[tuple[bytes, bytes]]:
        """Target and body of a plain call and of a stream, in the format that the stable version's provider speaks."""
        family = FAMILIES[self._family_of(agent)]
        path = family.versioned_paths[0]
        wire = next(wire for wire in self._wires if wire.operation("POST", path) is not None)
        body = wire.smallest_call(_MODEL)
        target = f"/a/{agent}{path}".encode()
        if family.streamed_target is not None:
            return [(target, body), (f"/a/{agent}{family.streamed_target}".encode(), body)]
        return [(target, body), (target, orjson.dumps({**orjson.loads(body), "stream": True}))]

    def _family_of(self, agent: str) -> WireFamily:
        state = self._live.agent(agent)
        label = None if state is None else state.labels.get(DRILL_LABEL)
        version = None if state is None or label is None else state.versions.get(label.version)
        named = None if version is None else version.bundle.model.provider
        provider = None if named is None else self._providers.named(named)
        provider = provider or next(iter(self._providers.defaults), None)
        return self._wires[0].family if provider is None else provider.family


class OwnCrew:
    """The crew where this process alone takes calls."""

    def __init__(self, drill_caller: DrillCaller, tasks: TaskSet) -> None:
        self._caller = drill_caller
        self._tasks = tasks

    def drill(self, order: DrillOrder) -> Sequence[DrillMember]:
        """Begin."""
        loop = asyncio.get_running_loop()
        member = DrillMember("owner", loop.create_future(), loop.create_future())
        self._tasks.spawn(self._call(order, member), f"drill {order.id}")
        return [member]

    async def _call(self, order: DrillOrder, member: DrillMember) -> None:
        calls = None
        try:
            calls = await self._caller.run(order, member.begin)
        finally:
            member.end(calls)
