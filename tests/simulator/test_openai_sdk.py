"""The official `openai` client against the simulator: what it makes of good answers, errors and broken streams."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest

from proxy.simulator.app import Simulator

HELLO: Any = [{"role": "user", "content": "Hello"}]
WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}


@pytest.fixture
async def client(simulator: Simulator) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=f"{simulator.url}/v1", api_key="sk-test", max_retries=0) as client:
        yield client


def ordered(orders: str) -> dict[str, str]:
    return {"X-Simulate": orders}


async def test_a_completion_parses_into_the_sdk_objects(client: openai.AsyncOpenAI) -> None:
    answer = await client.chat.completions.create(model="gpt-4o-mini", messages=HELLO)
    assert answer.choices[0].message.content
    assert answer.usage is not None
    assert answer.usage.total_tokens > 0
    assert answer._request_id is not None
    assert answer._request_id.startswith("req_")


async def test_the_synchronous_client_works_too(simulator: Simulator) -> None:
    def ask() -> tuple[str | None, str]:
        with openai.OpenAI(base_url=f"{simulator.url}/v1", api_key="sk-test", max_retries=0) as client:
            whole = client.chat.completions.create(model="gpt-4o-mini", messages=HELLO)
            stream = client.chat.completions.create(model="gpt-4o-mini", messages=HELLO, stream=True)
            texts = [chunk.choices[0].delta.content or "" for chunk in stream]
            return whole.choices[0].message.content, "".join(texts)

    whole, streamed = await asyncio.to_thread(ask)
    assert whole == streamed


async def test_a_stream_without_usage_has_a_choice_in_every_chunk(client: openai.AsyncOpenAI) -> None:
    stream = await client.chat.completions.create(model="gpt-4o-mini", messages=HELLO, stream=True)
    chunks = [chunk async for chunk in stream]
    assert all(chunk.choices for chunk in chunks)
    assert chunks[-1].choices[0].finish_reason == "stop"


async def test_the_streaming_helper_assembles_answer_and_usage(client: openai.AsyncOpenAI) -> None:
    async with client.chat.completions.stream(
        model="gpt-4o-mini", messages=HELLO, stream_options={"include_usage": True}
    ) as stream:
        final = await stream.get_final_completion()
    assert final.choices[0].message.content
    assert final.usage is not None


async def test_a_tool_call_and_its_result_make_a_conversation(client: openai.AsyncOpenAI) -> None:
    conversation: list[Any] = [{"role": "user", "content": "call the tool get_weather"}]
    async with client.chat.completions.stream(model="gpt-4o-mini", messages=conversation, tools=[WEATHER]) as stream:
        asked = (await stream.get_final_completion()).choices[0]
    assert asked.finish_reason == "tool_calls"
    assert asked.message.tool_calls is not None
    call = asked.message.tool_calls[0]
    assert '"city"' in call.function.arguments
    conversation += [
        {"role": "assistant", "tool_calls": [call.model_dump(include={"id", "type", "function"})]},
        {"role": "tool", "tool_call_id": call.id, "content": "sunny"},
    ]
    answer = await client.chat.completions.create(model="gpt-4o-mini", messages=conversation, tools=[WEATHER])
    assert "sunny" in (answer.choices[0].message.content or "")


async def test_embeddings_models_and_files_work(client: openai.AsyncOpenAI) -> None:
    vectors = await client.embeddings.create(model="text-embedding-3-small", input=["one", "two"])
    assert [len(item.embedding) for item in vectors.data] == [1_536, 1_536]
    assert sum(value * value for value in vectors.data[0].embedding) == pytest.approx(1, abs=1e-4)
    assert "gpt-4o-mini" in [model.id async for model in client.models.list()]
    stored = await client.files.create(file=("notes.txt", b"12345"), purpose="user_data")
    assert (stored.filename, stored.bytes, stored.purpose) == ("notes.txt", 5, "user_data")


async def test_legacy_completions_work(client: openai.AsyncOpenAI) -> None:
    stream = await client.completions.create(model="gpt-3.5-turbo-instruct", prompt="Hi", stream=True)
    assert "".join([chunk.choices[0].text async for chunk in stream]).startswith("Answer")


@pytest.mark.parametrize(
    ("orders", "error"),
    [
        ("status=400", openai.BadRequestError),
        ("status=401", openai.AuthenticationError),
        ("status=403", openai.PermissionDeniedError),
        ("status=404", openai.NotFoundError),
        ("status=409", openai.ConflictError),
        ("status=422", openai.UnprocessableEntityError),
        ("status=429; retry_after=1", openai.RateLimitError),
        ("status=500", openai.InternalServerError),
        ("status=529", openai.InternalServerError),
        ("cut_before_answer", openai.APIConnectionError),
        ("status_line=garbage", openai.APIConnectionError),
    ],
)
async def test_an_error_raises_the_class_of_the_sdk(
    client: openai.AsyncOpenAI, simulator: Simulator, orders: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        await client.chat.completions.create(model="gpt-4o-mini", messages=HELLO, extra_headers=ordered(orders))
    assert len(simulator.calls) == 1


async def test_a_leaked_member_is_a_bad_request(client: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="Unrecognized request argument supplied: switchback"):
        await client.chat.completions.create(
            model="gpt-4o-mini", messages=HELLO, extra_body={"switchback": {"agent": "a"}}
        )


@pytest.mark.parametrize("orders", ["cut_after_events=2", "close_after_events=2", "error_after_events=2"])
async def test_a_broken_stream_raises_after_the_pieces_that_came(client: openai.AsyncOpenAI, orders: str) -> None:
    stream = await client.chat.completions.create(
        model="gpt-4o-mini", messages=HELLO, stream=True, extra_headers=ordered(orders)
    )
    texts: list[str] = []

    async def read() -> None:
        async for chunk in stream:
            texts.append(chunk.choices[0].delta.content or "")  # noqa: PERF401 - what came before the break matters

    with pytest.raises(openai.APIError):
        await read()
    assert len([text for text in texts if text]) == 2


async def test_a_clean_end_without_done_looks_complete_to_the_sdk(client: openai.AsyncOpenAI) -> None:
    stream = await client.chat.completions.create(
        model="gpt-4o-mini", messages=HELLO, stream=True, extra_headers=ordered("end_after_events=2")
    )
    chunks = [chunk async for chunk in stream]
    assert chunks[-1].choices[0].finish_reason is None


async def test_a_compressed_answer_is_unpacked_by_the_sdk(client: openai.AsyncOpenAI) -> None:
    answer = await client.chat.completions.create(model="gpt-4o-mini", messages=HELLO, extra_headers=ordered("gzip"))
    assert answer.choices[0].message.content
