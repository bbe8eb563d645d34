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
from proxy.runtime.calls.lanes import Lane
from proxy.runtime.calls.routing import Routes
from proxy.runtime.providers import Provider
from proxy.runtime.telemetry.metrics import Metrics
from proxy.runtime.telemetry.run_series import RunLabels
from proxy.runtime.transport.exchange import Answer, Reply
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

    started = client_gone = False

    def nothing(self, *_: Any, **__: Any) -> None:
        """Takes anything."""

    start = send = write = finish = abort = interrupt = hold = give_back = nothing


def a_flight() -> Flight:
    call = HttpCall("POST", b"/v1/chat/completions", [(b"switchback-user", b"ann"), (b"x-more", b"1")], b"{}", 0.0)
    reply: Reply = NoReply()
    return Flight(call, reply, "run_1", Ticking())


def a_full_flight() -> Flight:
    flight = a_flight()
    flight.route = Routes((OpenAIChat(),)).route("POST", b"/v1/chat/completions", None)
    flight.caller = Caller(
        agent="support", user="ann", conversation="c", tags={"tenant": "acme"}, variables={"tone": "x", "name": "y"}
    )
    flight.request = RequestFacts(
        claims=BodyClaims(),
        model="gpt-4o",
        streamed=True,
        choices=1,
        max_output_tokens=None,
        tool_names=frozenset(),
        document=object(),
    )
    flight.resolution = Resolution(
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
    flight.lane = Lane(
        provider=Provider(name="openai", family="openai", base_url="https://api.openai.com"),
        series=Metrics("test").runs.series(RunLabels("support", "1", "", "", "other")),
        stamps=b"",
        caps=(),
        caps_are_certain=True,
        facts=CallFacts(agent="support", provider="openai", model="gpt-4o-mini", tags={}),
    )
    flight.injection = Injection(
        body=b"sent", model="gpt-4o-mini", max_output_tokens=None, dropped_parameters=("top_p",), document=object()
    )
    flight.answer_facts = AnswerFacts(
        model="gpt-4o-mini-2024",
        usage=Usage(input_tokens=46, cached_tokens=2, cache_write_tokens=3, output_tokens=17, reasoning_tokens=5),
        finish="tool_call",
        refusal=True,
        tool_calls=["lookup"] * 70,
    )
    flight.price = FREE
    flight.status, flight.usage_source = 200, "reported"
    flight.cost_nanodollars, flight.estimated_cost_nanodollars = 11, 12
    flight.request_id, flight.trace_id = "req_1", "t1"
    flight.failed("error", "stream_error")
    flight.saw_first_byte()
    return flight


def test_every_fact_of_a_call_stands_under_its_own_name() -> None:
    assert a_full_flight().to_run() == Run(
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


def test_the_try_of_a_call_is_recorded_apart_only_where_its_status_was_not_the_answers() -> None:
    flight = a_full_flight()
    assert only_attempt(flight.to_run()) is None
    flight.sent_at = 1_003  # two microseconds after it came
    run = flight.to_run()
    assert run.provider_duration_microseconds == run.duration_microseconds - 2
    told = only_attempt(run)
    assert told is not None
    assert (told.run, told.number, told.provider, told.model, told.status) == ("run_1", 1, "openai", "gpt-4o-mini", 200)
    assert (told.error_class, told.cost_nanodollars) == ("stream_error", 11)
    assert (told.started_at_microseconds, told.duration_microseconds) == (5_000, run.provider_duration_microseconds)
    assert flight.attempts_apart(run) == (msgspec.structs.replace(told, status=None),)
    flight.answer = cast("Answer", SimpleNamespace(status=200))
    assert flight.attempts_apart(run) == ()
    flight.answer = cast("Answer", SimpleNamespace(status=429))
    assert flight.attempts_apart(run) == (msgspec.structs.replace(told, status=429),)


def test_a_call_of_which_nothing_is_known_is_recorded_all_the_same() -> None:
    run = a_flight().to_run()
    known = {name: value for name, value in msgspec.structs.asdict(run).items() if value}
    assert known == {
        "id": "run_1",
        "agent": "unassigned",
        "wire": "none",
        "operation": "none",
        "result": "ok",
        "started_at_microseconds": 5_000,
        "duration_microseconds": 1,
        "subject_kind": "none",
        "usage_source": "none",
        "kind": "live",
    }


def test_a_long_stream_keeps_nothing_of_its_request() -> None:
    flight = a_full_flight()
    before = flight.to_run()
    flight.forget_request()
    assert (flight.call.headers, flight.call.body, flight.fields.forwarded) == ([], b"", [])
    assert flight.request is not None
    assert flight.injection is not None
    assert (flight.request.document, flight.injection.document, flight.injection.body) == (None, None, b"")
    after = msgspec.structs.replace(flight.to_run(), duration_microseconds=before.duration_microseconds)
    assert after == before
