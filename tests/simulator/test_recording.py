"""The record is the truth: what was received, billed, held back, and who left."""

import asyncio
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest

from proxy.simulator.app import Simulator
from proxy.simulator.recording import KEPT_CALLS, Call, Outcome, Record
from proxy.simulator.scenario import Scenario

HEADERS = {"Authorization": "Bearer sk-test"}
CHAT = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}]}


async def test_a_call_is_recorded_as_it_was_received(send: Any, simulator: Simulator) -> None:
    body = orjson.dumps(CHAT | {"messages": [{"role": "system", "content": "Be kind."}, *CHAT["messages"]]})
    await send("POST", "/v1/chat/completions?a=%2F", body, headers=HEADERS | {"X-App": "7"})
    call = simulator.calls[0]
    assert (call.number, call.method, call.path) == (1, "POST", "/v1/chat/completions?a=%2F")
    assert (call.headers["x-app"], call.headers["authorization"]) == ("7", "Bearer sk-test")
    assert (call.body, call.json) == (body, orjson.loads(body))
    assert (call.wire, call.model, call.system) == ("openai", "gpt-4o-mini", "Be kind.")
    assert (call.status, call.outcome, call.streamed) == (200, Outcome.COMPLETED, False)


async def test_a_bill_is_tokens_times_the_price_of_the_model(chat: Any, simulator: Simulator) -> None:
    system = {"role": "system", "content": "x" * 396}
    await chat("cached_tokens=60; output_tokens=10", messages=[system, {"role": "user", "content": "1234"}])
    call = simulator.calls[0]
    assert (call.input_tokens, call.output_tokens) == (100, 10)
    assert call.billed_nanodollars == 40 * 150 + 60 * 75 + 10 * 600
    assert simulator.billed_nanodollars == call.billed_nanodollars


async def test_another_answering_model_is_billed_at_its_own_price(chat: Any, simulator: Simulator) -> None:
    await chat("model_answered=gpt-4o; output_tokens=10", messages=[{"role": "user", "content": "1234"}])
    assert simulator.billed_nanodollars == 2_500 + 10 * 10_000


async def test_written_cache_costs_a_quarter_more(messages: Any, simulator: Simulator) -> None:
    await messages("cache_write_tokens=4; output_tokens=1", system="x" * 32, model="claude-haiku-5-5")
    written, plain = 4, simulator.calls[0].input_tokens - 4
    assert simulator.billed_nanodollars == plain * 100 + written * 125 + 500


async def test_the_ledger_has_every_bill_before_its_answer(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    simulator = Simulator(Scenario(stall_after_events=0), ledger_path=path)
    await simulator.start()
    try:
        async with aiohttp.ClientSession(headers=HEADERS) as session:
            url = f"{simulator.url}/v1/chat/completions"
            async with session.post(url, json=CHAT | {"stream": True}) as answer:
                await answer.content.readany()
                lines = [orjson.loads(line) for line in path.read_bytes().splitlines()]
    finally:
        await simulator.stop()
    assert [line["billed_nanodollars"] for line in lines] == [simulator.billed_nanodollars]
    assert lines[0]["model"] == "gpt-4o-mini"


async def test_held_answers_wait_until_all_have_arrived(chat: Any, simulator: Simulator) -> None:
    simulator.hold_answers()
    async with asyncio.TaskGroup() as group:
        answers = [group.create_task(chat()) for _ in range(5)]
        await simulator.wait_for_calls(5)
        assert (simulator.billed_nanodollars, simulator.record.open_calls) == (0, 5)
        assert not any(answer.done() for answer in answers)
        simulator.release_answers()
    assert [answer.result().status for answer in answers] == [200] * 5
    await simulator.wait_until_idle()
    assert simulator.record.billed_calls == 5


async def test_waiting_in_vain_says_for_what(simulator: Simulator) -> None:
    with pytest.raises(TimeoutError, match="3 calls: 0 received"):
        await simulator.wait_for_calls(3, timeout_seconds=0.01)


@pytest.mark.parametrize("orders", ["stall_after_events=2", "delay_ms=60000", "event_delay_ms=60000"])
async def test_a_client_that_leaves_is_noticed_at_once(simulator: Simulator, orders: str) -> None:
    reader, writer = await asyncio.open_connection(*simulator.url.removeprefix("http://").split(":"))
    body = orjson.dumps(CHAT | {"stream": True})
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: s\r\nAuthorization: Bearer k\r\nX-Simulate: {orders}\r\n"
    writer.write(head.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body)
    await simulator.wait_for_calls(1)
    if "event" in orders:
        await reader.readuntil(b"assistant")
        assert simulator.record.open_streams == 1
    left_at = asyncio.get_running_loop().time()
    writer.close()
    await simulator.wait_for_clients_left(1)
    call = simulator.calls[0]
    assert call.outcome is Outcome.CLIENT_LEFT
    assert call.client_left_at is not None
    assert call.client_left_at >= left_at
    assert (simulator.record.open_streams, simulator.record.open_calls) == (0, 0)
    assert call.billed


async def test_a_stopped_simulator_abandons_its_calls_and_accuses_no_client(simulator: Simulator) -> None:
    simulator.hold_answers()
    async with aiohttp.ClientSession(headers=HEADERS) as session:
        async with asyncio.TaskGroup() as group:
            post = group.create_task(_failing_post(session, simulator.url))
            await simulator.wait_for_calls(1)
            await simulator.stop()
        assert post.result()
    assert simulator.calls[0].outcome is Outcome.ABANDONED
    assert simulator.record.clients_left == 0


async def _failing_post(session: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with session.post(f"{url}/v1/chat/completions", json=CHAT):
            return False
    except aiohttp.ClientError:
        return True


async def test_an_oversized_body_is_refused_in_the_shape_of_the_wire() -> None:
    simulator = Simulator(max_body_bytes=1_000)
    await simulator.start()
    try:
        headers = {"x-api-key": "k", "anthropic-version": "2023-06-01"}
        async with aiohttp.request(
            "POST", f"{simulator.url}/v1/messages", data=b"x" * 2_000, headers=headers
        ) as answer:
            assert answer.status == 413
            assert (await answer.json())["error"]["type"] == "request_too_large"
    finally:
        await simulator.stop()
    assert (simulator.calls[0].body, simulator.calls[0].outcome) == (b"", Outcome.REFUSED)


def test_only_the_last_calls_are_kept_but_all_are_counted() -> None:
    record = Record({})
    for number in range(KEPT_CALLS + 5):
        call = Call(number, "GET", "/", {}, b"", 0.0)
        record.receive(call)
        call.outcome = Outcome.COMPLETED
        record.finish(call, in_stream=False)
    assert (len(record.calls), record.received, record.open_calls) == (KEPT_CALLS, KEPT_CALLS + 5, 0)


async def test_another_process_can_ask_reset_and_order(send: Any, chat: Any, simulator: Simulator) -> None:
    await chat()
    await chat(switchback=1)
    seen = (await send("GET", "/_simulator/calls?last=1")).json
    assert (seen["received"], seen["billed_calls"]) == (2, 1)
    assert seen["billed_nanodollars"] == simulator.billed_nanodollars > 0
    assert [(call["number"], call["status"]) for call in seen["calls"]] == [(2, 400)]
    ordered = await send("POST", "/_simulator/scenario", {"status": 529, "events": None})
    assert ordered.json["status"] == 529
    assert (await chat()).status == 529
    await send("POST", "/_simulator/scenario", {})
    assert (await send("POST", "/_simulator/reset", {})).json["received"] == 0
    assert (await send("GET", "/_simulator/calls")).json["calls"] == []
    assert (await send("POST", "/_simulator/hold")).json == {"held": True}
    assert (await send("POST", "/_simulator/release")).json == {"held": False}
    assert (await chat()).status == 200


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "scenario", {"explode": 1}),
        ("POST", "scenario", [1]),
        ("POST", "scenario", b"{"),
        ("GET", "calls?last=x", None),
    ],
)
async def test_what_makes_no_sense_there_is_refused(send: Any, method: str, path: str, body: Any) -> None:
    answer = await send(method, f"/_simulator/{path}", body)
    assert answer.status == 400
    assert answer.json["error"]


async def test_the_own_interface_is_no_part_of_the_record(send: Any, simulator: Simulator) -> None:
    assert (await send("GET", "/_simulator/nothing")).status == 404
    assert simulator.record.received == 0
