"""What a call becomes on record: every fact under its own name, and no more than a stream needs while it runs."""

from types import SimpleNamespace
from typing import Any, cast

import msgspec

from proxy.core.calls.caller import BodyClaims, Caller
from proxy.core.calls.resolution import Resolution
from proxy.core.calls.runs import Run, only_attempt
from proxy.core.scopes import CallFacts
from proxy.core.spending.prices import FREE
from proxy.core.spending.usage import Usage
from proxy.core.versions.components import parse_bundle
from proxy.core.versions.versions import Version
from proxy.http1.message import HttpCall
from proxy.runtime.calls.flight import Flight
from proxy.runtime.calls.lanes import Lane, TouchingCaps
from proxy.runtime.calls.recording import attempts_apart, run_of
from proxy.runtime.calls.routing import Routes
from proxy.runtime.calls.stages import (
    Answered,
    Asked,
    AttemptUnderWay,
    Charge,
    Resolved,
    Sendable,
    Unresolved,
)
from proxy.runtime.providers import Provider
from proxy.runtime.spending.holding import HoldBound, Spent
from proxy.runtime.telemetry.metrics import Metrics
from proxy.runtime.telemetry.run_series import RunLabels
from proxy.runtime.transport.exchange import Answer, Reply
from proxy.runtime.transport.header_fields import AnswerFields
from proxy.wires.openai_chat.wire import OpenAIChat
from proxy.wires.wire import AnswerFacts, Injection, RequestFacts

BUNDLE = parse_bundle({"model": {"name": "gpt-4o-mini"}})
VERSION = Version(
    agent="support", number=7, bundle=BUNDLE, parent=None, author="", message="", created_at_microseconds=0
)


class Ticking:
    """Each look at the clock is one microsecond later."""

    def __init__(self) -> None:
        self.now = 1_000

    def now_microseconds(self) -> int:
        return 5_000

    def monotonic_microseconds(self) -> int:
        self.now += 1
        return self.now


class NoReply:
    """Nobody waits for the answer."""

    started = client_gone = undelivered = False

    def nothing(self, *_: Any, **__: Any) -> None:
        """Takes anything."""

    start = send = write = finish = abort = interrupt = hold = give_back = nothing


class NoHold:
    """Nothing is held."""

    sent, nanodollars, is_durable = True, None, True

    async def place(self) -> None:
        """It stands."""

    def settle(self, spent: Spent) -> None:
        """Nothing to settle."""

    def close(self) -> None:
        """Nothing to close."""


OPENAI = Provider(name="openai", family="openai", base_url="https://api.openai.com")
OTHER = Provider(name="other", family="openai", base_url="https://other.example", api_key="k")
LANE = Lane(
    provider=OPENAI,
    series=Metrics("test").runs.series(RunLabels("support", "1", "", "", "other")),
    stamps=b"",
    caps=TouchingCaps(()),
    caps_are_certain=True,
    facts=CallFacts(agent="support", provider="openai", model="gpt-4o-mini", tags={}),
)
RESOLUTION = Resolution(
    version=VERSION,
    reason="rollout",
    label="prod",
    release=3,
    rollout="r1",
    step=2,
    arm="candidate",
    bucket=99,
    subject_kind="user",
    in_analysis=True,
)


def a_flight(clock: Ticking | None = None) -> Flight:
    call = HttpCall("POST", b"/v1/chat/completions", [(b"switchback-user", b"ann"), (b"x-more", b"1")], b"{}", 0.0)
    reply: Reply = NoReply()
    return Flight(call, reply, "run_1", clock or Ticking())


def what_is_asked() -> Asked:
    caller = Caller(
        agent="support", user="ann", conversation="c", tags={"tenant": "acme"}, variables={"tone": "x", "name": "y"}
    )
    request = RequestFacts(
        claims=BodyClaims(),
        model="gpt-4o",
        streamed=True,
        choices=1,
        max_output_tokens=None,
        tool_names=frozenset(),
        document=object(),
    )
    return Asked(Routes((OpenAIChat(),)).route("POST", b"/v1/chat/completions", None), caller, request, None)


def to_send(provider: Provider = OPENAI, model: str = "gpt-4o-mini") -> Sendable:
    injection = Injection(
        body=b"sent", model=model, max_output_tokens=None, dropped_parameters=("top_p",), document=object()
    )
    return Sendable(provider, injection, FREE, (), HoldBound(nanodollars=None, tokens=None))


def answered(status: int) -> Answer:
    return cast("Answer", SimpleNamespace(status=status))


def a_full_flight() -> Flight:
    clock = Ticking()
    flight = a_flight(clock)
    flight.asked, flight.resolved = what_is_asked(), Resolved(LANE, LANE.facts, RESOLUTION)
    flight.sendable = to_send()
    flight.attempt = attempt = AttemptUnderWay(flight.sendable, NoHold())
    attempt.answered = Answered(AnswerFields([(b"x-request-id", b"req_1")]), flight.reply, clock)
    attempt.answered.facts = AnswerFacts(
        model="gpt-4o-mini-2024",
        usage=Usage(input_tokens=46, cached_tokens=2, cache_write_tokens=3, output_tokens=17, reasoning_tokens=5),
        finish="tool_call",
        refusal=True,
        tool_calls=["lookup"] * 70,
    )
    attempt.charge = Charge("reported", FREE, 11, 12)
    flight.status, flight.trace_id = 200, "t1"
    flight.failed("error", "stream_error")
    attempt.answered.saw_first_byte()
    return flight


def the_run(flight: Flight) -> Run:
    """Of a call that is over two microseconds after it came."""
    return run_of(flight, flight.started_monotonic + 2)


def test_every_fact_of_a_call_stands_under_its_own_name() -> None:
    assert the_run(a_full_flight()) == Run(
        id="run_1",
        agent="support",
        wire="openai_chat",
        operation="chat_completions",
        status=200,
        result="error",
        started_at_microseconds=5_000,
        duration_microseconds=2,
        time_to_first_byte_microseconds=1,
        error_class="stream_error",
        version=7,
        bundle_hash=BUNDLE.bundle_hash,
        effective_hash=BUNDLE.bundle_hash,
        label="prod",
        release=3,
        rollout="r1",
        step=2,
        arm="candidate",
        bucket=99,
        reason="rollout",
        subject_kind="user",
        in_analysis=True,
        user="ann",
        conversation="c",
        tags={"tenant": "acme"},
        provider="openai",
        model_asked="gpt-4o-mini",
        model_answered="gpt-4o-mini-2024",
        finish="tool_call",
        refusal=True,
        streamed=True,
        input_tokens=46,
        cached_tokens=2,
        cache_write_tokens=3,
        output_tokens=17,
        reasoning_tokens=5,
        cost_nanodollars=11,
        estimated_cost_nanodollars=12,
        price_id="free",
        usage_source="reported",
        dropped_parameters=("top_p",),
        tool_calls=("lookup",) * 64,
        tool_call_count=70,
        sent_variables=("name", "tone"),
        request_id="req_1",
        trace_id="t1",
        provider_duration_microseconds=None,
    )


def test_the_attempt_of_a_call_is_recorded_apart_only_where_its_status_was_not_the_answers() -> None:
    flight = a_full_flight()
    assert only_attempt(the_run(flight)) is None
    assert flight.attempt is not None
    flight.attempt.sent_at = flight.started_monotonic + 1
    run = the_run(flight)
    assert run.provider_duration_microseconds == run.duration_microseconds - 1
    told = only_attempt(run)
    assert told is not None
    assert (told.run, told.number, told.provider, told.model, told.status) == ("run_1", 1, "openai", "gpt-4o-mini", 200)
    assert (told.error_class, told.cost_nanodollars) == ("stream_error", 11)
    assert (told.started_at_microseconds, told.duration_microseconds) == (5_000, run.provider_duration_microseconds)
    assert attempts_apart(flight, run) == (msgspec.structs.replace(told, status=None),)
    flight.attempt.answer = answered(200)
    assert attempts_apart(flight, run) == ()
    flight.attempt.answer = answered(429)
    assert attempts_apart(flight, run) == (msgspec.structs.replace(told, status=429),)


def test_each_of_several_attempts_is_recorded_with_its_own_provider_model_moment_and_cost() -> None:
    flight = a_full_flight()
    came = flight.started_monotonic
    flight.failed("error", "upstream_broken")
    for number, (provider, model) in enumerate([(OPENAI, "gpt-4o"), (OTHER, "small")]):
        attempt = AttemptUnderWay(to_send(provider, model), NoHold())
        attempt.sent_at = came + 10 * number
        attempt.charge = Charge("estimated", FREE, 100, 100) if provider is OTHER else None
        flight.failed("error", "upstream_broken")
        flight.try_again(attempt, came + 10 * number + 4)
    assert (flight.result, flight.error_class, flight.was_sent) == ("ok", None, False)
    flight.sendable = to_send()
    flight.attempt = last = AttemptUnderWay(flight.sendable, NoHold())
    last.sent_at, last.answer, last.charge = came + 20, answered(200), Charge("reported", FREE, 11)
    run = run_of(flight, came + 29)
    told = [
        (
            one.number,
            one.provider,
            one.model,
            one.status,
            one.error_class,
            one.started_at_microseconds,
            one.duration_microseconds,
            one.cost_nanodollars,
        )
        for one in attempts_apart(flight, run)
    ]
    assert told == [
        (1, "openai", "gpt-4o", None, "upstream_broken", 5_000, 4, None),
        (2, "other", "small", None, "upstream_broken", 5_010, 4, 100),
        (3, "openai", "gpt-4o-mini", 200, None, 5_020, 9, 11),
    ]
    assert (run.provider, run.model_asked, run.provider_duration_microseconds) == ("openai", "gpt-4o-mini", 9)
    assert (run.cost_nanodollars, run.estimated_cost_nanodollars, run.usage_source) == (111, 100, "estimated")


def test_an_attempt_that_was_refused_its_hold_is_none_and_the_one_before_it_is_recorded() -> None:
    flight = a_full_flight()
    attempt, flight.status = flight.attempt, 402
    assert attempt is not None
    attempt.sent_at, attempt.charge = flight.started_monotonic, None
    flight.try_again(attempt, flight.started_monotonic + 4)
    flight.failed("refused", "spend_cap_exceeded")
    run = the_run(flight)
    assert [(one.number, one.error_class) for one in attempts_apart(flight, run)] == [(1, "stream_error")]
    assert (run.provider, run.provider_duration_microseconds, run.usage_source) == ("openai", None, "none")


def test_a_call_of_which_nothing_is_known_is_recorded_all_the_same() -> None:
    run = the_run(a_flight())
    known = {name: value for name, value in msgspec.structs.asdict(run).items() if value}
    assert known == {
        "id": "run_1",
        "agent": "unassigned",
        "wire": "none",
        "operation": "none",
        "result": "ok",
        "started_at_microseconds": 5_000,
        "duration_microseconds": 2,
        "subject_kind": "none",
        "usage_source": "none",
        "kind": "live",
    }


def test_a_call_that_is_refused_before_it_has_a_lane_tells_the_version_it_would_have_got() -> None:
    flight = a_flight()
    flight.resolved = Unresolved("support", None, RESOLUTION)
    run = the_run(flight)
    assert (run.version, run.label, run.reason, run.arm, run.provider) == (7, "prod", "rollout", "candidate", None)
    assert b"switchback-version: support@7\r\n" in flight.stamps()
    assert flight.stamps().endswith(b"switchback-run-id: run_1\r\nswitchback-bucket: 99\r\n")
    flight.resolved = Unresolved("support", "canary", None)
    run = the_run(flight)
    assert (run.version, run.label, run.reason) == (None, "canary", None)
    assert flight.stamps() == b"switchback-agent: support\r\nswitchback-label: canary\r\nswitchback-run-id: run_1\r\n"


def test_a_long_stream_keeps_nothing_of_its_request() -> None:
    flight = a_full_flight()
    before = the_run(flight)
    asked, sendable = flight.asked, flight.sendable
    assert isinstance(asked, Asked)
    assert sendable is not None
    flight.forget_request(asked, sendable)
    assert (flight.call.headers, flight.call.body, flight.fields.forwarded) == ([], b"", [])
    assert asked.request is not None
    assert sendable.injection is not None
    assert (asked.request.document, sendable.injection.document, sendable.injection.body) == (None, None, b"")
    assert the_run(flight) == before
