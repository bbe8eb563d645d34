"""The official `anthropic` client against the simulator: what it makes of good answers, errors and broken streams."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import anthropic
import httpx2
import pytest

from proxy.simulator.app import Simulator

HELLO: Any = [{"role": "user", "content": "Hello"}]
ASK: dict[str, Any] = {"model": "claude-haiku-4-5", "max_tokens": 200, "messages": HELLO}
WEATHER: Any = {
    "name": "get_weather",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
}


@pytest.fixture
async def client(simulator: Simulator) -> AsyncIterator[anthropic.AsyncAnthropic]:
    async with anthropic.AsyncAnthropic(base_url=simulator.url, api_key="sk-ant-test", max_retries=0) as client:
        yield client


def ordered(orders: str) -> dict[str, str]:
    return {"X-Simulate": orders}


async def test_a_message_parses_into_the_sdk_objects(client: anthropic.AsyncAnthropic) -> None:
    message = await client.messages.create(**ASK, system="Be kind.")
    assert message.content[0].type == "text"
    assert message.stop_reason == "end_turn"
    assert message.usage.input_tokens == 4
    assert message._request_id is not None
    assert message._request_id.startswith("req_")


async def test_the_synchronous_client_works_too(simulator: Simulator) -> None:
    def ask() -> tuple[str, str]:
        with anthropic.Anthropic(base_url=simulator.url, api_key="sk-ant-test", max_retries=0) as client:
            whole = client.messages.create(**ASK)
            with client.messages.stream(**ASK) as stream:
                streamed = "".join(stream.text_stream)
            assert whole.content[0].type == "text"
            return whole.content[0].text, streamed

    whole, streamed = await asyncio.to_thread(ask)
    assert whole == streamed


async def test_the_stream_assembles_into_the_same_message(client: anthropic.AsyncAnthropic) -> None:
    whole = await client.messages.create(**ASK)
    async with client.messages.stream(**ASK) as stream:
        final = await stream.get_final_message()
    assert final.content[0].type == whole.content[0].type == "text"
    assert final.content[0].text == whole.content[0].text
    assert final.usage.input_tokens == whole.usage.input_tokens
    assert final.usage.output_tokens == whole.usage.output_tokens
    assert (final.model, final.stop_reason) == (whole.model, whole.stop_reason)


async def test_a_tool_call_and_its_result_make_a_conversation(client: anthropic.AsyncAnthropic) -> None:
    conversation: list[Any] = [{"role": "user", "content": "call the tool get_weather"}]
    ask: dict[str, Any] = ASK | {"messages": conversation, "tools": [WEATHER]}
    async with client.messages.stream(**ask) as stream:
        asked = await stream.get_final_message()
    assert asked.stop_reason == "tool_use"
    call = asked.content[0]
    assert call.type == "tool_use"
    assert call.input == {"city": "call the tool get_weather"}
    result = {"type": "tool_result", "tool_use_id": call.id, "content": "sunny"}
    conversation += [
        {"role": "assistant", "content": [call.model_dump(include={"type", "id", "name", "input"})]},
        {"role": "user", "content": [result]},
    ]
    answer = await client.messages.create(**ask)
    assert answer.content[0].type == "text"
    assert "sunny" in answer.content[0].text


async def test_counting_and_models_work(client: anthropic.AsyncAnthropic) -> None:
    counted = await client.messages.count_tokens(model="claude-haiku-4-5", messages=HELLO)
    assert counted.input_tokens == 2
    assert "claude-haiku-4-5" in [model.id async for model in client.models.list()]


@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [
        (400, anthropic.BadRequestError, "invalid_request_error"),
        (401, anthropic.AuthenticationError, "authentication_error"),
        (402, anthropic.PaymentRequiredError, "billing_error"),
        (403, anthropic.PermissionDeniedError, "permission_error"),
        (404, anthropic.NotFoundError, "not_found_error"),
        (413, anthropic.ContentTooLargeError, "request_too_large"),
        (429, anthropic.RateLimitError, "rate_limit_error"),
        (500, anthropic.InternalServerError, "api_error"),
        (503, anthropic.ServiceUnavailableError, "api_error"),
        (504, anthropic.GatewayTimeoutError, "timeout_error"),
        (529, anthropic.OverloadedError, "overloaded_error"),
    ],
)
async def test_an_error_raises_the_class_of_the_sdk(
    client: anthropic.AsyncAnthropic,
    simulator: Simulator,
    status: int,
    error: type[anthropic.APIStatusError],
    kind: str,
) -> None:
    with pytest.raises(error) as raised:
        await client.messages.create(**ASK, extra_headers=ordered(f"status={status}"))
    assert raised.value.type == kind
    assert raised.value.request_id
    assert len(simulator.calls) == 1


async def test_a_connection_broken_before_the_answer_raises(client: anthropic.AsyncAnthropic) -> None:
    with pytest.raises(anthropic.APIConnectionError):
        await client.messages.create(**ASK, extra_headers=ordered("cut_before_answer"))


async def test_sampling_and_leaked_members_are_bad_requests(client: anthropic.AsyncAnthropic) -> None:
    with pytest.raises(anthropic.BadRequestError, match="temperature"):
        await client.messages.create(**ASK, extra_body={"temperature": 1.0})
    with pytest.raises(anthropic.BadRequestError, match="switchback: Extra inputs are not permitted"):
        await client.messages.create(**ASK, extra_body={"switchback": {}})


async def test_an_error_event_raises_with_its_type(client: anthropic.AsyncAnthropic) -> None:
    with pytest.raises(anthropic.APIStatusError) as raised:
        async with client.messages.stream(**ASK, extra_headers=ordered("error_after_events=2")) as stream:
            await stream.get_final_message()
    assert raised.value.type == "overloaded_error"


@pytest.mark.parametrize("orders", ["cut_after_events=2", "close_after_events=2"])
async def test_a_broken_stream_raises_after_the_pieces_that_came(client: anthropic.AsyncAnthropic, orders: str) -> None:
    texts: list[str] = []

    async def read() -> None:
        async with client.messages.stream(**ASK, extra_headers=ordered(orders)) as stream:
            async for text in stream.text_stream:
                texts.append(text)  # noqa: PERF401 - the pieces before the break are what matters

    with pytest.raises(httpx2.TransportError):
        await read()
    assert len(texts) == 2
