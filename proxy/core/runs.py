"""A run: the record of one proxied LLM call, and how its outcome is judged.

Outcomes are judged in two steps, at the answer's head and at its end, because a stream that began with 200 can still break.
Nothing here holds prompt text, answer text or a key.
"""

from collections.abc import Mapping
from typing import Literal, get_args

import msgspec

RunKind = Literal["live", "shadow", "drill", "replay", "evaluation"]
UsageSource = Literal["reported", "estimated", "held", "none"]
Finish = Literal["stop", "length", "tool_call", "refused", "filtered", "paused", "other"]
#: ok: a complete 2xx answer; error: the version's or provider's; refused: ours (switch, cap, bad input before sending);
#: client_left: the client went away first.
RunOutcome = Literal["ok", "error", "refused", "client_left"]
RUN_OUTCOMES: tuple[RunOutcome, ...] = get_args(RunOutcome)


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
    outcome: RunOutcome = "ok"
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
