"""A call on its way: what is known of it so far, and the run record it ends as. One object per call, one owner."""

from dataclasses import dataclass

from proxy.core.errors import Refusal
from proxy.core.identity import Caller
from proxy.core.names import UNASSIGNED
from proxy.core.resolution import Resolution
from proxy.core.runs import Attempt, Run, RunOutcome, UsageSource
from proxy.core.scopes import CallFacts
from proxy.core.spend import Price
from proxy.runtime.clock import Clock
from proxy.runtime.exchange import Answer, Call, Reply
from proxy.runtime.forwarding import RequestFields, stamp_lines
from proxy.runtime.lanes import Lane
from proxy.runtime.providers import Provider
from proxy.runtime.routing import Route
from proxy.runtime.run_series import OTHER
from proxy.wires.wire import AnswerFacts, AnswerReader, Injection, RequestFacts


@dataclass(frozen=True, slots=True)
class Cut:
    """Why this process breaks calls off: what their clients are told, and how their runs are recorded."""

    refusal: Refusal
    outcome: RunOutcome
    error_class: str


class Flight:
    """Everything the steps of one call learn, in the order they learn it."""

    # Defaults live in the class: making the object is part of every call, and most calls set few of them.
    fields: RequestFields
    route: Route | None = None
    caller: Caller | None = None
    request: RequestFacts | None = None
    resolution: Resolution | None = None
    lane: Lane | None = None
    facts: CallFacts | None = None
    injection: Injection | None = None
    price: Price | None = None
    sent_at: int | None = None
    answer: Answer | None = None
    answer_facts: AnswerFacts | None = None
    #: The reader of a stream that is relayed as it comes, between whose events one of ours can stand.
    stream: AnswerReader | None = None
    first_byte_monotonic: int | None = None
    status = 0
    outcome: RunOutcome = "ok"
    error_class: str | None = None
    cost_nanodollars: int | None = None
    estimated_cost_nanodollars: int | None = None
    usage_source: UsageSource = "none"
    request_id: str | None = None
    trace_id: str | None = None
    cut: Cut | None = None

    def __init__(self, call: Call, reply: Reply, run_id: str, clock: Clock) -> None:
        self.call = call
        self.reply = reply
        self.run_id = run_id
        self._clock = clock
        self.started_at = clock.now_microseconds()
        self._started_monotonic = clock.monotonic_microseconds()

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
    def broke_off(self) -> bool:
        """Nobody waits for the answer any more: the client left, or this process cut the call."""
        return self.cut is not None or self.reply.client_gone

    def failed(self, outcome: RunOutcome, error_class: str) -> None:
        """Note how the call ended badly."""
        self.outcome = outcome
        self.error_class = error_class

    def saw_first_byte(self) -> None:
        if self.first_byte_monotonic is None:
            self.first_byte_monotonic = self._clock.monotonic_microseconds()

    @property
    def provider(self) -> Provider | None:
        return None if self.lane is None else self.lane.provider

    @property
    def agent_label(self) -> str:
        """The agent as metrics name it: one nobody knows must not become a series."""
        if self.resolution is not None:
            return self.resolution.version.agent
        return UNASSIGNED if self.caller is not None and self.caller.agent is None else OTHER

    def stamps(self) -> bytes:
        """The Switchback-… header lines of the answer, as far as known."""
        lines = b"switchback-run-id: %b\r\n" % self.run_id.encode()
        resolution = self.resolution
        if resolution is None:
            return lines
        fixed = stamp_lines(resolution) if self.lane is None else self.lane.stamps
        if resolution.bucket is None:
            return fixed + lines
        return b"%b%bswitchback-bucket: %d\r\n" % (fixed, lines, resolution.bucket)

    def to_run(self) -> Run:
        """The record of this call, now that it is over."""
        resolution, caller, request, answer = self.resolution, self.caller, self.request, self.answer_facts
        lane = self.lane
        version = None if resolution is None else resolution.version
        bundle_hash = None if version is None else version.bundle.bundle_hash
        usage = None if answer is None else answer.usage
        first = self.first_byte_monotonic
        return Run(
            id=self.run_id,
            agent=self.agent,
            version=None if version is None else version.number,
            bundle_hash=bundle_hash,
            effective_hash=bundle_hash,
            label=None if resolution is None else resolution.label,
            release=None if resolution is None else resolution.release,
            rollout=None if resolution is None else resolution.rollout,
            step=None if resolution is None else resolution.step,
            arm=None if resolution is None else resolution.arm,
            bucket=None if resolution is None else resolution.bucket,
            reason=None if resolution is None else resolution.reason,
            subject_kind="none" if caller is None else caller.subject_kind,
            in_analysis=resolution is not None and resolution.in_analysis,
            user=None if caller is None else caller.user,
            conversation=None if caller is None else caller.conversation,
            tags={} if caller is None else caller.tags,
            wire="none" if self.route is None else self.route.wire.name,
            operation="none" if self.route is None else self.route.operation.name,
            provider=None if lane is None else lane.provider.name,
            model_asked=self.model_asked,
            model_answered=None if answer is None else answer.model,
            status=self.status,
            outcome=self.outcome,
            error_class=self.error_class,
            finish=None if answer is None else answer.finish,
            refusal=answer is not None and answer.refusal,
            streamed=request is not None and request.streamed,
            input_tokens=None if usage is None else usage.input_tokens,
            cached_tokens=None if usage is None else usage.cached_tokens,
            cache_write_tokens=None if usage is None else usage.cache_write_tokens,
            output_tokens=None if usage is None else usage.output_tokens,
            reasoning_tokens=None if usage is None else usage.reasoning_tokens,
            cost_nanodollars=self.cost_nanodollars,
            estimated_cost_nanodollars=self.estimated_cost_nanodollars,
            price_id=None if self.price is None else self.price.id,
            usage_source=self.usage_source,
            dropped_parameters=() if self.injection is None else self.injection.dropped_parameters,
            tool_calls=() if answer is None else tuple(answer.tool_calls[:64]),
            tool_call_count=0 if answer is None else len(answer.tool_calls),
            time_to_first_byte_microseconds=None if first is None else first - self._started_monotonic,
            duration_microseconds=self._clock.monotonic_microseconds() - self._started_monotonic,
            started_at_microseconds=self.started_at,
            request_id=self.request_id,
            trace_id=self.trace_id,
        )

    def to_attempt(self) -> Attempt | None:
        """The one try at a provider; None where none was made."""
        provider = self.provider
        if self.sent_at is None or provider is None:
            return None
        return Attempt(
            run=self.run_id,
            number=1,
            provider=provider.name,
            model=self.model_asked,
            status=None if self.answer is None else self.answer.status,
            error_class=self.error_class,
            started_at_microseconds=self.started_at,
            duration_microseconds=self._clock.monotonic_microseconds() - self.sent_at,
            cost_nanodollars=self.cost_nanodollars,
        )
