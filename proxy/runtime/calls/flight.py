"""A call on its way: what came, the stage it has reached, and how it ends. One object per call, and only the conductor
(request_path.py) touches it; its steps get values (stages.py)."""

from dataclasses import dataclass, replace

from proxy.core.calls.runs import RunResult
from proxy.core.errors import Refusal
from proxy.core.names import UNASSIGNED
from proxy.runtime.calls.stages import (
    UNRESOLVED,
    UNSEEN,
    Asked,
    AttemptUnderWay,
    Glimpse,
    Resolved,
    Sendable,
    Unresolved,
)
from proxy.runtime.process.clock import Clock
from proxy.runtime.telemetry.run_series import OTHER
from proxy.runtime.transport.exchange import Call, Reply
from proxy.runtime.transport.header_fields import RequestFields
from proxy.runtime.validation.kept_answer import KeptAnswer


@dataclass(frozen=True, slots=True)
class Cut:
    """Why this process breaks calls off: what their clients are told, and how their runs are recorded."""

    refusal: Refusal
    result: RunResult
    error_class: str


class Flight:
    """One call. Of its stages it has the last one reached of each kind."""

    __slots__ = (
        "asked",
        "attempt",
        "call",
        "cut",
        "earlier_attempts",
        "error_class",
        "fields",
        "origin_lines",
        "reply",
        "resolved",
        "result",
        "run_id",
        "sendable",
        "started_at",
        "started_monotonic",
        "status",
        "trace_id",
    )

    def __init__(self, call: Call, reply: Reply, run_id: str, clock: Clock) -> None:
        self.call = call
        self.fields = RequestFields(call.headers)
        self.reply = reply
        self.run_id = run_id
        self.started_at = clock.now_microseconds()
        self.started_monotonic = clock.monotonic_microseconds()
        #: What lets a page of another origin read the answer.
        self.origin_lines = b""
        self.trace_id: str | None = None
        self.asked: Asked | Glimpse = UNSEEN
        self.resolved: Resolved | Unresolved = UNRESOLVED
        self.sendable: Sendable | None = None
        #: Those that ended without an answer, before the one that counts.
        self.earlier_attempts: tuple[AttemptUnderWay, ...] = ()
        self.attempt: AttemptUnderWay | None = None
        #: What the client was answered; 0: nothing.
        self.status = 0
        self.result: RunResult = "ok"
        self.error_class: str | None = None
        self.cut: Cut | None = None

    @property
    def broke_off(self) -> bool:
        """Nobody waits for the answer any more: the client left, or this process cut the call."""
        return self.cut is not None or self.reply.client_gone

    @property
    def was_sent(self) -> bool:
        """Whether the present attempt has gone out to its provider."""
        return self.attempt is not None and self.attempt.sent_at is not None

    @property
    def agent_label(self) -> str:
        """The agent as metrics name it: one nobody knows must not become a series."""
        agent = self.resolved.agent
        if agent is not None:
            return agent
        return UNASSIGNED if self.asked.caller.agent is None else OTHER

    @property
    def kept_answer(self) -> KeptAnswer | None:
        """The copy of the answer that is to be judged, where there is an answer."""
        answered = None if self.attempt is None else self.attempt.answered
        return None if answered is None else answered.kept

    def has_stream_ended(self) -> bool:
        """Whether the client has a stream whole: what follows makes no more of the answer, and no less."""
        answered = None if self.attempt is None else self.attempt.answered
        return answered is not None and answered.has_stream_ended()

    def failed(self, result: RunResult, error_class: str) -> None:
        """Note how the call ended badly."""
        self.result = result
        self.error_class = error_class

    def note_break(self) -> bool:
        """Note that nobody waits for the answer any more; False where it is waited for, or was whole before."""
        if (self.cut is None and not self.reply.client_gone) or self.has_stream_ended():
            return False
        if self.cut is None:
            self.failed("client_left", "client_left")
        else:
            self.failed(self.cut.result, self.cut.error_class)
        return True

    def try_again(self, attempt: AttemptUnderWay, ended_at: int) -> None:
        """Another attempt follows this one, which ended as the call would have."""
        attempt.ended_at, attempt.error_class = ended_at, self.error_class
        self.earlier_attempts = (*self.earlier_attempts, attempt)
        self.attempt = None
        self.result, self.error_class = "ok", None

    def forget_request(self, asked: Asked, sendable: Sendable) -> None:
        """Let go of what was only needed to send the request: a stream may stay open for minutes beside thousands of others."""
        self.call.headers, self.call.body = [], b""
        self.reply.give_back()
        self.fields = RequestFields([])
        if asked.request is not None:
            asked.request = replace(asked.request, document=None)
        if sendable.injection is not None:
            sendable.injection = replace(sendable.injection, body=b"", document=None)

    def stamps(self) -> bytes:
        """The Switchback-… header lines of the answer, as far as known."""
        lines = b"switchback-run-id: %b\r\n%b" % (self.run_id.encode(), self.origin_lines)
        resolved = self.resolved
        resolution = resolved.resolution
        if resolution is None or resolution.bucket is None:
            return resolved.stamps + lines
        return b"%b%bswitchback-bucket: %d\r\n" % (resolved.stamps, lines, resolution.bucket)
