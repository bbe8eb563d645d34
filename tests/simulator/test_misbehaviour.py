"""Every misbehaviour on order, as it looks on the connection."""

import asyncio
import gzip
import zlib
from typing import Any

import aiohttp
import orjson
import pytest
import uvloop

from proxy.simulator.app import Simulator
from proxy.simulator.recording import Outcome
from proxy.simulator.scenario import Scenario
from tests.harness import PATIENCE_SECONDS


def openai_texts(answer: Any) -> list[str]:
    chunks = [event for event in answer.events if event != "[DONE]" and event.get("choices")]
    return [text for chunk in chunks if (text := chunk["choices"][0]["delta"].get("content"))]


@pytest.mark.parametrize(
    ("status", "openai", "anthropic"),
    [
        (400, "invalid_request_error", "invalid_request_error"),
        (401, "invalid_request_error", "authentication_error"),
        (403, "invalid_request_error", "permission_error"),
        (413, "invalid_request_error", "request_too_large"),
        (429, "requests", "rate_limit_error"),
        (500, "server_error", "api_error"),
        (503, "server_error", "api_error"),
        (504, "server_error", "timeout_error"),
        (529, "server_error", "overloaded_error"),
    ],
)
async def test_an_ordered_status_has_the_error_shape_of_its_wire(
    chat: Any, messages: Any, simulator: Simulator, status: int, openai: str, anthropic: str
) -> None:
    for stream in (False, True):
        first = await chat(f"status={status}", stream=stream)
        second = await messages(f"status={status}", stream=stream)
        assert first.status == second.status == status
        assert first.json["error"]["type"] == openai
        assert second.json["error"]["type"] == anthropic
    assert simulator.billed_nanodollars == 0
    assert {call.outcome for call in simulator.calls} == {Outcome.REFUSED}


async def test_a_429_says_when_to_come_back_as_ordered(chat: Any) -> None:
    assert (await chat("status=429")).headers["retry-after"] == "1"
    assert (await chat("status=429; retry_after=7")).headers["retry-after"] == "7"
    assert (await chat("status=503; retry_after=soon")).headers["retry-after"] == "soon"
    assert "retry-after" not in (await chat("status=429; retry_after=")).headers
    assert "retry-after" not in (await chat("status=503")).headers


async def test_the_statuses_of_a_gateway_in_between_come_as_a_web_page(chat: Any) -> None:
    answer = await chat("status=522")
    assert answer.headers["content-type"].startswith("text/html")


async def test_orders_come_by_scenario_system_prompt_user_text_and_header(
    chat: Any, messages: Any, simulator: Simulator
) -> None:
    simulator.scenario = Scenario(status=500)
    assert (await chat()).status == 500
    bad_prompt = {"role": "system", "content": "You are bad. [[simulate: status=503]]"}
    user = {"role": "user", "content": "Hi [[simulate: status=529]]"}
    assert (await chat(messages=[bad_prompt, {"role": "user", "content": "Hi"}])).status == 503
    assert (await messages(system=bad_prompt["content"])).status == 503
    assert (await chat(messages=[bad_prompt, user])).status == 529
    assert (await chat("status=400", messages=[bad_prompt, user])).status == 400


async def test_a_misspelt_order_is_an_error_and_not_good_behaviour(chat: Any) -> None:
    answer = await chat("cut_after=3")
    assert answer.status == 400
    assert "unknown order 'cut_after'" in answer.json["error"]["message"]


async def test_a_broken_rule_is_found_even_where_an_error_is_ordered(chat: Any) -> None:
    assert (await chat("status=529", switchback={})).status == 400


async def test_a_cut_stream_is_reset_after_exactly_the_ordered_pieces(
    chat: Any, messages: Any, simulator: Simulator
) -> None:
    for after in (0, 3):
        answer = await chat(f"events=8; cut_after_events={after}", stream=True)
        assert (answer.status, answer.complete, answer.was_reset) == (200, False, True)
        assert len(openai_texts(answer)) == after
        assert answer.events[0]["choices"][0]["delta"]["role"] == "assistant"
    answer = await messages("events=8; cut_after_events=2", stream=True)
    assert (answer.complete, answer.was_reset) == (False, True)
    assert sum(event["type"] == "content_block_delta" for event in answer.events) == 2
    assert {call.outcome for call in simulator.calls} == {Outcome.CUT}
    assert simulator.record.billed_calls == 3


async def test_a_closed_stream_lacks_the_last_chunk(chat: Any) -> None:
    answer = await chat("events=8; close_after_events=3", stream=True)
    assert (answer.complete, answer.was_reset) == (False, False)
    assert len(openai_texts(answer)) == 3


async def test_an_ended_stream_is_good_http_without_the_terminator(chat: Any, messages: Any) -> None:
    answer = await chat("events=4; end_after_events=99", stream=True)
    assert answer.complete
    assert len(openai_texts(answer)) == 4
    assert "[DONE]" not in answer.events
    assert all(event["choices"][0]["finish_reason"] is None for event in answer.events)
    answer = await messages("events=4; end_after_events=2", stream=True)
    assert answer.complete
    assert answer.events[-1]["type"] == "content_block_delta"


async def test_an_error_inside_a_stream_is_an_event_of_the_wire(chat: Any, messages: Any) -> None:
    answer = await chat("events=4; error_after_events=2", stream=True)
    assert answer.complete
    assert len(openai_texts(answer)) == 2
    assert answer.events[-1]["error"]["type"] == "server_error"
    answer = await messages("events=4; error_after_events=2", stream=True)
    assert answer.events[-1] == {
        "type": "error",
        "error": {"type": "overloaded_error", "message": "Overloaded"},
    }
    assert answer.body.split(b"\n\n")[-2].startswith(b"event: error\n")


async def test_malformed_json_stands_in_one_event_and_the_stream_goes_on(chat: Any) -> None:
    answer = await chat("events=3; malformed", stream=True)
    assert answer.body.endswith(b"data: [DONE]\n\n")
    broken = 0
    for line in answer.body.split(b"\n"):
        if line.startswith(b"data: {"):
            try:
                orjson.loads(line[6:])
            except orjson.JSONDecodeError:
                broken += 1
    assert broken == 1


async def test_a_malformed_whole_answer_is_half_its_json_under_good_framing(chat: Any) -> None:
    answer = await chat("malformed")
    assert (answer.status, answer.complete) == (200, True)
    with pytest.raises(orjson.JSONDecodeError):
        orjson.loads(answer.body)


@pytest.mark.parametrize(("order", "was_reset"), [("cut", True), ("close", False), ("end", False)])
async def test_a_whole_answer_breaks_in_the_middle_of_its_body(
    chat: Any, simulator: Simulator, order: str, was_reset: bool
) -> None:
    answer = await chat(f"{order}_after_events=1")
    assert (answer.status, answer.complete, answer.was_reset) == (200, False, was_reset)
    assert 0 < len(answer.body) < int(answer.headers["content-length"])
    assert simulator.calls[0].outcome is Outcome.CUT


async def test_a_connection_can_break_before_any_answer(chat: Any, simulator: Simulator) -> None:
    answer = await chat("cut_before_answer")
    assert (answer.raw, answer.was_reset) == (b"", True)
    answer = await chat("status_line=garbage")
    assert answer.raw == b"garbage\r\n\r\n"
    assert [call.status for call in simulator.calls] == [0, 0]


async def test_a_redirect_points_where_ordered(chat: Any) -> None:
    answer = await chat("redirect=http://example.invalid/x")
    assert (answer.status, answer.headers["location"]) == (307, "http://example.invalid/x")
    assert (await chat("redirect=/x; status=301")).status == 301


async def test_usage_is_missing_null_weird_or_reported_twice(chat: Any, messages: Any) -> None:
    options: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": True}}
    assert "usage" not in (await chat("no_usage")).json
    assert all(e == "[DONE]" or e["choices"] for e in (await chat("no_usage", **options)).events)
    assert (await chat("usage=null")).json["usage"] is None
    assert (await chat("usage=weird")).json["usage"]["prompt_tokens"] == -5
    twice = [e["usage"] for e in (await chat("usage=twice", **options)).events[-3:-1]]
    assert 0 < twice[0]["completion_tokens"] < twice[1]["completion_tokens"]
    assert "usage" not in (await messages("no_usage")).json
    assert (await messages("usage=weird")).json["usage"]["output_tokens"] == "many"
    deltas = [
        e for e in (await messages("usage=twice", stream=True)).events if e["type"] == "message_delta" and e["usage"]
    ]
    assert 0 < deltas[0]["usage"]["output_tokens"] < deltas[1]["usage"]["output_tokens"]


async def test_the_answering_model_and_the_finish_can_be_others(chat: Any, messages: Any) -> None:
    body = (await chat("model_answered=gpt-4o-2024-08-06; finish=length")).json
    assert (body["model"], body["choices"][0]["finish_reason"]) == ("gpt-4o-2024-08-06", "length")
    assert (await chat("finish=content_filter")).json["choices"][0]["finish_reason"] == "content_filter"
    assert (await messages("finish=length")).json["stop_reason"] == "max_tokens"


async def test_a_compressed_answer_and_stream_carry_the_same_bytes(chat: Any, simulator: Simulator) -> None:
    plain = await chat(stream=True)
    simulator.record.reset()
    packed = await chat("gzip", stream=True)
    assert packed.headers["content-encoding"] == "gzip"
    assert zlib.decompressobj(wbits=31).decompress(packed.body) == plain.body
    assert orjson.loads(gzip.decompress((await chat("gzip")).body))["object"] == "chat.completion"


async def test_events_and_output_tokens_are_exact(chat: Any, simulator: Simulator) -> None:
    answer = await chat("events=5; output_tokens=50", stream=True)
    assert len(openai_texts(answer)) == 5
    assert (simulator.calls[0].output_tokens, simulator.calls[0].pieces_sent) == (50, 5)


async def test_reasoning_and_cached_tokens_are_reported_inside_their_totals(chat: Any) -> None:
    system = {"role": "system", "content": "x" * 400}
    user = {"role": "user", "content": "Hi"}
    usage = (await chat("cached_tokens=64; reasoning_tokens=10", messages=[system, user])).json["usage"]
    assert usage["prompt_tokens"] == 101
    assert usage["prompt_tokens_details"]["cached_tokens"] == 64
    assert usage["completion_tokens_details"]["reasoning_tokens"] == 10
    assert usage["completion_tokens"] > 10


async def test_an_error_rate_fails_its_share_of_calls(chat: Any, simulator: Simulator) -> None:
    statuses = [(await chat("error_rate=0.5; status=529; seed=3")).status for _ in range(40)]
    assert set(statuses) == {200, 529}
    simulator.record.reset()
    assert [(await chat("error_rate=0.5; status=529; seed=3")).status for _ in range(40)] == statuses


async def test_the_same_requests_get_the_same_bytes_from_a_fresh_simulator(chat: Any, simulator: Simulator) -> None:
    first = [(await chat()).body, (await chat(stream=True)).body]
    simulator.record.reset()
    assert [(await chat()).body, (await chat(stream=True)).body] == first


async def test_orders_by_header_hold_where_nothing_is_generated(send: Any) -> None:
    assert (await send("GET", "/v1/models", orders="status=500")).status == 500


def test_streams_break_on_the_faster_event_loop_too() -> None:
    async def read(orders: str) -> None:
        simulator = Simulator()
        await simulator.start()
        ask = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}], "stream": True}
        headers = {"Authorization": "Bearer k", "X-Simulate": orders}
        url = f"{simulator.url}/v1/chat/completions"
        try:
            async with (
                asyncio.timeout(PATIENCE_SECONDS),
                aiohttp.request("POST", url, json=ask, headers=headers) as answer,
            ):
                await answer.read()
        finally:
            await simulator.stop()

    for orders in ("cut_after_events=2", "close_after_events=2"):
        with pytest.raises(aiohttp.ClientPayloadError):
            uvloop.run(read(orders))
