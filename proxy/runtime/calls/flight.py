"""A call on its way: what is known of it so far, and the run record it ends as. One object per call, one owner."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from msgspec import structs

from proxy.core.calls.caller import Caller
from proxy.core.calls.resolution import PASSED_THROUGH, Resolution
from proxy.core.calls.runs import Attempt, Run, RunResult, UsageSource, only_attempt
from proxy.core.errors import BadInput, Refusal
from proxy.core.names import UNASSIGNED
from proxy.core.scopes import CallFacts
from proxy.core.spending.prices import Price
from proxy.runtime.calls.lanes import Lane, Passed
from proxy.runtime.calls.routing import Route
from proxy.runtime.process.clock import Clock
from proxy.runtime.providers import Provider
from proxy.runtime.telemetry.run_series import OTHER
from proxy.runtime.transport.exchange import Answer, Call, Reply
from proxy.runtime.transport.header_fields import RequestFields, agent_lines, stamp_lines
from proxy.runtime.validation.kept_answer import KeptAnswer
from proxy.wires.wire import AnswerFacts, AnswerReader, Injection, RequestFacts


@dataclass(frozen=True, slots=True)
class Cut:
    """Why this process breaks calls off: what their clients are told, and how their runs are recorded."""

    refusal: Refusal
    result: RunResult
    error_class: str


_MAX_TOOL_CALLS: Final = 64
#: Callers with more variables are unusual, and each set of names is kept once for all runs that have it.
_MAX_VARIABLES: Final = 32
_MAX_NAME_CHARACTERS: Final = 64


class Flight:
    """Everything the steps of one call learn, in the order they learn it."""

    __slots__ = (
        "_clock",
        "_started_monotonic",
        "answer",
        "answer_facts",
        "call",
        "caller",
        "cost_nanodollars",
        "cut",
        "earlier_attempts",
        "error_class",
        "estimated_cost_nanodollars",
        "facts",
        "fields",
        "first_byte_monotonic",
        "injection",
        "kept",
        "known_agent",
        "known_label",
        "lane",
        "origin_lines",
        "passed",
        "price",
        "problem",
        "reply",
        "request",
        "request_id",
        "resolution",
        "result",
        "route",
        "run_id",
        "sent_at",
        "sent_bytes",
        "started_at",
        "status",
        "stream",
        "takes_events",
        "trace_id",
        "unapplied",
        "usage_source",
    )

    route: Route | None
    caller: Caller | None
    request: RequestFacts | None
    #: The agent, once it is known to exist, and the label the call follows, where it is refused before it is resolved.
    known_agent: str | None
    known_label: str | None
    #: What the wire would refuse, in a call that nothing here depends on: the provider's to judge.
    problem: BadInput | None
    resolution: Resolution | None
    #: The version that would answer if one were in force on this operation, and whose call it is.
    unapplied: Resolution | None
    passed: Passed | None
    lane: Lane | None
    facts: CallFacts | None
    injection: Injection | None
    price: Price | None
    #: Those that ended without an answer, before the one that counts.
    earlier_attempts: tuple[Attempt, ...]
    sent_at: int | None
    sent_bytes: int
    answer: Answer | None
    answer_facts: AnswerFacts | None
    #: The reader of an answer that is relayed as it comes, and whether an event of ours can stand between those of the provider.
    stream: AnswerReader | None
    takes_events: bool
    #: The copy of an answer that is to be judged.
    kept: KeptAnswer | None
    first_byte_monotonic: int | None
    status: int
    result: RunResult
    error_class: str | None
    cost_nanodollars: int | None
    estimated_cost_nanodollars: int | None
    usage_source: UsageSource
    request_id: str | None
    trace_id: str | None
    cut: Cut | None
    #: What lets a page of another origin read the answer.
    origin_lines: bytes

    def __init__(self, call: Call, reply: Reply, run_id: str, clock: Clock) -> None:
        self.call = call
        self.fields = RequestFields(call.headers)
        self.reply = reply
        self.run_id = run_id
        self._clock = clock
        self.started_at = clock.now_microseconds()
        self._started_monotonic = clock.monotonic_microseconds()
        self.route = self.caller = self.request = self.resolution = self.lane = self.facts = self.injection = None
        self.price = self.sent_at = self.answer = self.answer_facts = self.stream = self.first_byte_monotonic = None
        self.error_class = self.cost_nanodollars = self.estimated_cost_nanodollars = self.request_id = None
        self.trace_id = self.cut = self.known_agent = self.known_label = self.problem = None
        self.unapplied = self.passed = self.kept = None
        self.earlier_attempts = ()
        self.origin_lines = b""
        self.sent_bytes = 0
        self.status = 0
        self.takes_events = False
        self.result = "ok"
        self.usage_source = "none"

    @property
    def agent(self) -> str:
        return UNASSIGNED if self.caller is None else self.caller.agent_name

    @property
    def model_asked(self) -> str | None:
        """The model sent to the provider, once injected; before, what the caller asked for."""
        if self.injection is not None:
            return self.injection.model
        return None if self.request is None else self.request.model

    @property
    def sends_body_as_it_came(self) -> bool:
        """Whether what is sent is the caller's body in its own content coding."""
        return self.injection is None or self.injection.body is self.call.body

    @property
    def broke_off(self) -> bool:
        """Nobody waits for the answer any more: the client left, or this process cut the call."""
        return self.cut is not None or self.reply.client_gone

    def is_stream_told(self) -> bool:
        """Whether the last event of the wire has come."""
        stream = self.stream
        return stream is not None and stream.is_stream and stream.facts.is_complete

    def has_stream_ended(self) -> bool:
        """Whether the last event of the wire has reached the client: what follows makes no more of this answer, and no less."""
        return self.is_stream_told() and not self.reply.undelivered

    def failed(self, result: RunResult, error_class: str) -> None:
        """Note how the call ended badly."""
        self.result = result
        self.error_class = error_class

    def saw_first_byte(self) -> None:
        if self.first_byte_monotonic is None:
            self.first_byte_monotonic = self._clock.monotonic_microseconds()

    @property
    def pin(self) -> int | None:
        return None if self.caller is None else self.caller.pin

    @property
    def provider(self) -> Provider | None:
        return None if self.lane is None else self.lane.provider

    def forget_request(self) -> None:
        """Let go of what was only needed to send the request: a stream may stay open for minutes beside thousands of others."""
        self.call.headers, self.call.body = [], b""
        self.reply.give_back()
        self.fields = RequestFields([])
        if self.request is not None:
            self.request = replace(self.request, document=None)
        if self.injection is not None:
            self.injection = replace(self.injection, body=b"", document=None)

    @property
    def agent_label(self) -> str:
        """The agent as metrics name it: one nobody knows must not become a series."""
        if self.resolution is not None:
            return self.resolution.version.agent
        if self.known_agent is not None:
            return self.known_agent
        return UNASSIGNED if self.caller is None or self.caller.agent is None else OTHER

    def stamps(self) -> bytes:
        """The Switchback-… header lines of the answer, as far as known."""
        lines = b"switchback-run-id: %b\r\n%b" % (self.run_id.encode(), self.origin_lines)
        resolution = self.resolution
        if resolution is None:
            if self.lane is not None:
                return self.lane.stamps + lines
            return lines if self.known_agent is None else agent_lines(self.known_agent, self.known_label, None) + lines
        fixed = stamp_lines(resolution) if self.lane is None else self.lane.stamps
        if resolution.bucket is None:
            return fixed + lines
        return b"%b%bswitchback-bucket: %d\r\n" % (fixed, lines, resolution.bucket)

    def to_run(self) -> Run:
        """The record of this call, now that it is over."""
        resolution, caller, request, answer = self.resolution, self.caller, self.request, self.answer_facts
        route, lane, injection = self.route, self.lane, self.injection
        version = None if resolution is None else resolution.version
        bundle_hash = None if version is None else version.bundle.bundle_hash
        usage = None if answer is None else answer.usage
        first = self.first_byte_monotonic
        ended = self._clock.monotonic_microseconds()
        # In the order of Run's fields: by name this would cost another 2 µs of each call.
        return Run(
            self.run_id,
            UNASSIGNED if caller is None else caller.agent_name,
            self.started_at,
            ended - self._started_monotonic,
            {} if caller is None else caller.tags,
            False,
            None if first is None else first - self._started_monotonic,
            None if self.sent_at is None else ended - self.sent_at,
            None if resolution is None else resolution.bucket,
            None if caller is None else caller.user,
            None if caller is None else caller.conversation,
            None if usage is None else usage.input_tokens,
            None if usage is None else usage.cached_tokens,
            None if usage is None else usage.cache_write_tokens,
            None if usage is None else usage.output_tokens,
            None if usage is None else usage.reasoning_tokens,
            self.cost_nanodollars,
            self.estimated_cost_nanodollars,
            self.request_id,
            self.trace_id,
            None,
            "none" if route is None else route.wire.name,
            "none" if route is None else route.operation.name,
            self.status,
            self.result,
            self.error_class,
            None if version is None else version.number,
            bundle_hash,
            bundle_hash,  # the effective hash: nothing changes a bundle on its way yet
            self.known_label if resolution is None else resolution.label,
            None if resolution is None else resolution.release,
            None if resolution is None else resolution.rollout,
            None if resolution is None else resolution.step,
            None if resolution is None else resolution.arm,
            self._reason(),
            "none" if caller is None else caller.subject_kind,
            resolution is not None and resolution.in_analysis,
            None if lane is None else lane.provider.name,
            self.model_asked,
            None if answer is None else answer.model,
            None if answer is None else answer.finish,
            answer is not None and answer.refusal,
            request is not None and request.streamed,
            None if self.price is None else self.price.id,
            self.usage_source,
            () if injection is None else injection.dropped_parameters,
            () if answer is None else tuple(answer.tool_calls[:_MAX_TOOL_CALLS]),
            0 if answer is None else len(answer.tool_calls),
            None if resolution is None or caller is None else _names_of(caller.variables),
        )

    def _reason(self) -> str | None:
        if self.resolution is not None:
            return self.resolution.reason
        return None if self.passed is None else PASSED_THROUGH

    @property
    def attempt_id(self) -> str:
        """What the holds of another attempt are known by; the first one's by the run alone."""
        return f"{self.run_id}.{len(self.earlier_attempts) + 1}"

    def try_again(self) -> None:
        """Begin another attempt: note how the present one ended, and that the call has not."""
        assert self.provider is not None
        assert self.sent_at is not None
        attempt = Attempt(
            run=self.run_id,
            number=len(self.earlier_attempts) + 1,
            provider=self.provider.name,
            model=self.model_asked,
            status=None,
            error_class=self.error_class,
            started_at_microseconds=self.started_at + self.sent_at - self._started_monotonic,
            duration_microseconds=self._clock.monotonic_microseconds() - self.sent_at,
            cost_nanodollars=None,
        )
        self.earlier_attempts = (*self.earlier_attempts, attempt)
        self.result, self.error_class, self.sent_at = "ok", None, None

    def attempts_apart(self, run: Run) -> tuple[Attempt, ...]:
        """The tries of the run at a provider that its record does not tell: all where there were several, else the only one
        where the provider's status is not what the client was answered."""
        earlier = self.earlier_attempts
        status = None if self.answer is None else self.answer.status
        if not earlier and status == run.status:
            return ()
        last = only_attempt(run)
        if last is None:
            return earlier
        if not earlier:
            return (structs.replace(last, status=status),)
        assert self.sent_at is not None
        started_at = self.started_at + self.sent_at - self._started_monotonic
        number = len(earlier) + 1
        return (*earlier, structs.replace(last, number=number, status=status, started_at_microseconds=started_at))


def _names_of(variables: Mapping[str, str]) -> tuple[str, ...] | None:
    """Sorted, for the run's record; None where there are more, or longer ones, than are kept: then it is not known."""
    if not variables:
        return ()
    if len(variables) > _MAX_VARIABLES or any(len(name) > _MAX_NAME_CHARACTERS for name in variables):
        return None
    return tuple(sorted(variables))
