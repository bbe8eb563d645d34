"""A run: the record of one proxied LLM call, and how its end is judged.

It is judged in two steps, at the answer's head and at its end, because a stream that began with 200 can still break.
Nothing here holds prompt text, answer text or a key.
"""

from collections.abc import Mapping
from typing import Literal, TypedDict

import msgspec

from proxy.core.shapes import Count, Hash, Milliseconds, Moment, ReleaseNumber, Usd, VersionNumber
from proxy.core.times import rfc3339

RunKind = Literal["live", "shadow", "drill", "replay", "evaluation"]
#: unmetered: the call may have cost money, and nobody here can tell how much.
UsageSource = Literal["reported", "estimated", "held", "unmetered", "none"]
Finish = Literal["stop", "length", "tool_call", "refused", "filtered", "paused", "other"]
#: ok: a complete 2xx answer; error: the version's or provider's; refused: ours (switch, cap, bad input before sending);
#: client_left: the client went away first.
RunResult = Literal["ok", "error", "refused", "client_left"]


class Run(msgspec.Struct, frozen=True, gc=False):
    """One proxied call. Times are UTC microseconds, durations microseconds, money nano-dollars."""

    # What differs from run to run.
    id: str
    agent: str
    started_at_microseconds: int
    duration_microseconds: int
    tags: Mapping[str, str] = {}
    quarantined: bool = False
    time_to_first_byte_microseconds: int | None = None
    #: From sending the request until it was over; None: nothing was sent.
    provider_duration_microseconds: int | None = None
    bucket: int | None = None
    user: str | None = None
    conversation: str | None = None
    input_tokens: int | None = None
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    output_tokens: int | None = None
    reasoning_tokens: int | None = None
    cost_nanodollars: int | None = None
    #: What a missing usage was estimated at, beside the hold that was charged.
    estimated_cost_nanodollars: int | None = None
    request_id: str | None = None
    trace_id: str | None = None
    parent_run: str | None = None
    # What runs have in common that went the same way to the same end: their lane.
    wire: str = "none"
    operation: str = "none"
    status: int = 0
    result: RunResult = "ok"
    #: A stable code: ours (`spend_cap_exceeded`, `upstream_reset`), `provider_error`, `stream_broken`; None when ok.
    error_class: str | None = None
    version: int | None = None
    bundle_hash: str | None = None
    effective_hash: str | None = None
    label: str | None = None
    release: int | None = None
    rollout: str | None = None
    step: int | None = None
    arm: str | None = None
    reason: str | None = None
    subject_kind: str = "none"
    in_analysis: bool = False
    provider: str | None = None
    model_asked: str | None = None
    model_answered: str | None = None
    finish: Finish | None = None
    refusal: bool = False
    streamed: bool = False
    price_id: str | None = None
    usage_source: UsageSource = "none"
    dropped_parameters: tuple[str, ...] = ()
    tool_calls: tuple[str, ...] = ()
    tool_call_count: int = 0
    #: Names of the variables that a call came with which a version is in force on; None: not known.
    sent_variables: tuple[str, ...] | None = None
    kind: RunKind = "live"


class Attempt(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One try of a run at a provider. Recorded apart only where it differs from `only_attempt` of its run.

    Decision: nearly every run makes one try that ends as the run does; a row of its own for it cost 4 us of a call.
    """

    run: str
    number: int
    provider: str
    model: str | None
    status: int | None
    error_class: str | None
    started_at_microseconds: int
    duration_microseconds: int
    cost_nanodollars: int | None


def only_attempt(run: Run) -> Attempt | None:
    """The try of a run that made one and ended as it did, which needs no record of its own; None where nothing was sent."""
    if run.provider is None or run.provider_duration_microseconds is None:
        return None
    return Attempt(
        run=run.id,
        number=1,
        provider=run.provider,
        model=run.model_asked,
        status=run.status,
        error_class=run.error_class,
        started_at_microseconds=run.started_at_microseconds,
        duration_microseconds=run.provider_duration_microseconds,
        cost_nanodollars=run.cost_nanodollars,
    )


class TokensDocument(TypedDict):
    """What a call took and gave; null where nobody said."""

    input: Count | None
    cached: Count | None
    cache_write: Count | None
    output: Count | None
    reasoning: Count | None


class RunDocument(TypedDict):
    """One proxied call."""

    id: str
    kind: RunKind
    parent_run: str | None
    agent: str
    version: VersionNumber | None
    version_id: Hash | None
    effective_id: Hash | None
    label: str | None
    release: ReleaseNumber | None
    rollout: str | None
    step: Count | None
    arm: str | None
    bucket: Count | None
    reason: str | None
    subject_kind: str
    in_analysis: bool
    user: str | None
    conversation: str | None
    tags: dict[str, str]
    wire: str
    operation: str
    provider: str | None
    model_asked: str | None
    model_answered: str | None
    status: int
    result: RunResult
    error_class: str | None
    finish: Finish | None
    refusal: bool
    streamed: bool
    tokens: TokensDocument
    cost_usd: Usd | None
    estimated_cost_usd: Usd | None
    price_id: str | None
    usage_source: UsageSource
    dropped_parameters: list[str]
    tool_calls: list[str]
    tool_call_count: Count
    sent_variables: list[str] | None
    time_to_first_byte_ms: Milliseconds | None
    duration_ms: Milliseconds
    provider_duration_ms: Milliseconds | None
    started_at: Moment
    request_id: str | None
    trace_id: str | None
    quarantined: bool


class AttemptDocument(TypedDict):
    """One try of a run at a provider."""

    number: int
    provider: str
    model: str | None
    status: int | None
    error_class: str | None
    started_at: Moment
    duration_ms: Milliseconds
    cost_usd: Usd | None


def run_document(run: Run) -> RunDocument:
    cost, estimate = run.cost_nanodollars, run.estimated_cost_nanodollars
    first, at_provider = run.time_to_first_byte_microseconds, run.provider_duration_microseconds
    return {
        "id": run.id,
        "kind": run.kind,
        "parent_run": run.parent_run,
        "agent": run.agent,
        "version": run.version,
        "version_id": run.bundle_hash,
        "effective_id": run.effective_hash,
        "label": run.label,
        "release": run.release,
        "rollout": run.rollout,
        "step": run.step,
        "arm": run.arm,
        "bucket": run.bucket,
        "reason": run.reason,
        "subject_kind": run.subject_kind,
        "in_analysis": run.in_analysis,
        "user": run.user,
        "conversation": run.conversation,
        "tags": dict(run.tags),
        "wire": run.wire,
        "operation": run.operation,
        "provider": run.provider,
        "model_asked": run.model_asked,
        "model_answered": run.model_answered,
        "status": run.status,
        "result": run.result,
        "error_class": run.error_class,
        "finish": run.finish,
        "refusal": run.refusal,
        "streamed": run.streamed,
        "tokens": {
            "input": run.input_tokens,
            "cached": run.cached_tokens,
            "cache_write": run.cache_write_tokens,
            "output": run.output_tokens,
            "reasoning": run.reasoning_tokens,
        },
        "cost_usd": None if cost is None else cost / 1e9,
        "estimated_cost_usd": None if estimate is None else estimate / 1e9,
        "price_id": run.price_id,
        "usage_source": run.usage_source,
        "dropped_parameters": list(run.dropped_parameters),
        "tool_calls": list(run.tool_calls),
        "tool_call_count": run.tool_call_count,
        "sent_variables": None if run.sent_variables is None else list(run.sent_variables),
        "time_to_first_byte_ms": None if first is None else first / 1000,
        "duration_ms": run.duration_microseconds / 1000,
        "provider_duration_ms": None if at_provider is None else at_provider / 1000,
        "started_at": rfc3339(run.started_at_microseconds),
        "request_id": run.request_id,
        "trace_id": run.trace_id,
        "quarantined": run.quarantined,
    }


def attempt_document(attempt: Attempt) -> AttemptDocument:
    return {
        "number": attempt.number,
        "provider": attempt.provider,
        "model": attempt.model,
        "status": attempt.status,
        "error_class": attempt.error_class,
        "started_at": rfc3339(attempt.started_at_microseconds),
        "duration_ms": attempt.duration_microseconds / 1000,
        "cost_usd": None if attempt.cost_nanodollars is None else attempt.cost_nanodollars / 1e9,
    }
