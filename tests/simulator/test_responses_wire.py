"""OpenAI's Responses as the simulator speaks it: what it refuses, and the order of its events."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from openai import APIStatusError, AsyncOpenAI

from proxy.simulator.app import Simulator

MODEL = "gpt-4.1-mini"


@pytest.fixture
async def app(simulator: Simulator) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=f"{simulator.url}/v1", api_key="sk-x", max_retries=0) as client:
        yield client


@pytest.mark.parametrize(
    "asked",
    [
        {"input": []},
        {"input": [{"role": "tool", "content": "x"}]},
        {"input": [{"type": "function_call_output", "call_id": "c", "output": "x"}]},
        {"input": "x", "messages": []},
        {"input": "x", "max_output_tokens": 15},
        {"input": "x", "reasoning": {"effort": "low"}},
        {"input": "x", "temperature": 1, "model": "o3"},
        {"input": "x", "stream_options": {"include_obfuscation": False}},
        {"input": "x", "tools": [{"type": "function", "function": {"name": "f"}}]},
        {"input": "x", "tools": [{"type": "mcp"}]},
        {"input": "x", "previous_response_id": "r", "conversation": "c"},
        {"input": "x", "instructions": ["y"]},
    ],
)
async def test_what_the_real_one_refuses_is_refused(app: AsyncOpenAI, asked: dict[str, Any]) -> None:
    with pytest.raises(APIStatusError) as caught:
        await app.post("/responses", cast_to=object, body={"model": MODEL, **asked})
    assert caught.value.status_code == 400


async def test_events_come_numbered_and_in_their_order(app: AsyncOpenAI) -> None:
    stream = await app.responses.create(
        model=MODEL,
        input="search the web",
        tools=[{"type": "web_search"}],
        stream=True,
        extra_headers={"X-Simulate": "reasoning_tokens=3; events=2"},
    )
    events = [event async for event in stream]
    assert [getattr(event, "sequence_number", None) for event in events] == list(range(len(events)))
    assert [event.type.removeprefix("response.") for event in events] == [
        "created",
        "in_progress",
        "output_item.added",
        "output_item.done",
        "output_item.added",
        "web_search_call.in_progress",
        "web_search_call.searching",
        "web_search_call.completed",
        "output_item.done",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]
    last: Any = events[-1]
    assert last.response.usage.output_tokens_details.reasoning_tokens == 3
    assert last.response.tool_usage.web_search.num_requests == 1
    assert [item.type for item in last.response.output] == ["reasoning", "web_search_call", "message"]
