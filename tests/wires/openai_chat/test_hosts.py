"""What servers that speak Chat Completions tell in ways of their own, recorded shapes cut at every byte."""

import json
from typing import Any

import pytest

from proxy.core.spending.usage import Usage, UsageParts
from proxy.wires.openai_chat.wire import OpenAIChat
from proxy.wires.shared.openai_usage import told_cost
from proxy.wires.wire import AnswerFacts
from tests.wires.recorded import chat_chunk, chat_stream, cuttings, read_all

WIRE = OpenAIChat()
PLAIN = {"prompt_tokens": 20, "completion_tokens": 9, "total_tokens": 29}
GROQ = chat_stream(
    chat_chunk({"role": "assistant", "content": ""}, x_groq={"id": "req_1"}),
    chat_chunk({"content": "Hi"}),
    chat_chunk({}, "stop", x_groq={"id": "req_1", "usage": {"queue_time": 0.01, **PLAIN}}),
)
TOGETHER = chat_stream(chat_chunk({"content": "Hi"}), chat_chunk({"content": "!"}, "stop", usage=PLAIN))
DEEPSEEK = b": keep-alive\n\n" + chat_stream(
    chat_chunk({"content": "Hi"}, usage=None),
    chat_chunk({"content": ""}, "stop", usage={**PLAIN, "prompt_cache_hit_tokens": 16, "prompt_cache_miss_tokens": 4}),
)
OPENROUTER = (
    b": OPENROUTER PROCESSING\n\n: OPENROUTER PROCESSING\n\n"
    + chat_stream(chat_chunk({"content": "Hi"}), chat_chunk({"content": ""}, "stop"), done=False)
    + chat_stream(chat_chunk({"role": "assistant", "content": ""}, usage={**PLAIN, "cost": 1.25e-05, "is_byok": False}))
)
XAI = chat_stream(
    chat_chunk({"content": "Hi"}, "stop"),
    chat_chunk(
        usage={
            "prompt_tokens": 20,
            "completion_tokens": 9,
            "total_tokens": 129,
            "completion_tokens_details": {"reasoning_tokens": 100},
        }
    ),
)
GEMINI = chat_stream(
    chat_chunk({"content": "Hi"}, usage={"prompt_tokens": 20, "completion_tokens": 0, "total_tokens": 90}),
    chat_chunk({"content": "!"}, "stop", usage={"prompt_tokens": 20, "completion_tokens": 9, "total_tokens": 129}),
)
STREAMS = {
    "groq": (GROQ, Usage(20, output_tokens=9)),
    "together": (TOGETHER, Usage(20, output_tokens=9)),
    "deepseek": (DEEPSEEK, Usage(20, cached_tokens=16, output_tokens=9)),
    "openrouter": (OPENROUTER, Usage(20, output_tokens=9, parts=UsageParts(told_nanodollars=12_500))),
    "xai": (XAI, Usage(20, output_tokens=109, reasoning_tokens=100)),
    "gemini": (GEMINI, Usage(20, output_tokens=109)),
}


def whole(usage: Any, **more: Any) -> AnswerFacts:
    message = {"role": "assistant", "content": "Hi"}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    body = json.dumps({"model": "m", "choices": [choice], "usage": usage, **more}).encode()
    passed, facts = read_all(WIRE.answer_reader(streamed=False, removes_usage_event=False), [body[:9], body[9:]])
    assert passed == body
    return facts


@pytest.mark.parametrize("removes", [False, True])
@pytest.mark.parametrize("host", STREAMS)
def test_the_usage_is_found_wherever_the_stream_is_cut(host: str, removes: bool) -> None:
    stream, usage = STREAMS[host]
    for pieces in cuttings(stream):
        passed, facts = read_all(WIRE.answer_reader(streamed=True, removes_usage_event=removes), pieces)
        assert passed == stream or (removes and host == "xai")  # there the usage has an event of its own
        assert (facts.usage, facts.finish, facts.is_complete, facts.unreadable) == (usage, "stop", True, 0)


@pytest.mark.parametrize("host", ["groq", "together", "deepseek", "openrouter", "gemini"])
def test_before_its_end_a_stream_has_no_usage(host: str) -> None:
    stream = STREAMS[host][0]
    end = stream.rindex(b'"finish_reason":"stop"')
    begun = stream[: stream.rindex(b"data:", 0, end)]
    _, facts = read_all(WIRE.answer_reader(streamed=True, removes_usage_event=False), [begun])
    assert facts.usage is None


@pytest.mark.parametrize("odd", ["x", 7, [], {"usage": "x"}, {"usage": {"prompt_tokens": -1}}, {"usage": None}])
def test_an_odd_member_beside_hides_nothing_and_says_nothing(odd: Any) -> None:
    stream = chat_stream(chat_chunk({"content": "Hi"}, "stop", x_groq=odd))
    passed, facts = read_all(WIRE.answer_reader(streamed=True, removes_usage_event=True), [stream])
    assert (passed, facts.usage, facts.finish, facts.output_bytes) == (stream, None, "stop", 2)
    stream = chat_stream(chat_chunk({"content": "Hi"}, "stop", x_groq=odd), chat_chunk(usage=PLAIN))
    _, facts = read_all(WIRE.answer_reader(streamed=True, removes_usage_event=False), [stream])
    assert facts.usage == Usage(20, output_tokens=9)


def test_cached_tokens_have_one_of_two_names() -> None:
    assert whole({**PLAIN, "prompt_cache_hit_tokens": 16}).usage == Usage(20, cached_tokens=16, output_tokens=9)
    both = {**PLAIN, "prompt_cache_hit_tokens": 16, "prompt_tokens_details": {"cached_tokens": 16}}
    assert whole(both).usage == Usage(20, cached_tokens=16, output_tokens=9)
    odd = {**PLAIN, "prompt_tokens": 20.0, "prompt_cache_hit_tokens": 16}
    assert whole(odd).usage == Usage(20, cached_tokens=16, output_tokens=9)


@pytest.mark.parametrize(
    ("told", "nanodollars"),
    [
        ({"cost": 0.00001234}, 12_340),
        ({"cost": 0.000000000_1}, 1),
        ({"cost": 0.95, "cost_details": {"upstream_inference_cost": 19}}, 19_950_000_000),
        ({"cost": 0.95, "is_byok": True, "cost_details": {"upstream_inference_cost": 19}}, 19_950_000_000),
        ({"cost": 0.95, "is_byok": False, "cost_details": {"upstream_inference_cost": 0.9}}, 950_000_000),
        ({"cost": 2}, 2_000_000_000),
        ({"cost": 0}, 0),
        ({"cost": None}, 0),
        ({"cost": -1}, 0),
        ({"cost": "0.5"}, 0),
        ({"cost": True}, 0),
        ({"cost": 1e300}, 0),
        ({"cost": [1]}, 0),
        ({"cost": 0.5, "cost_details": "x", "is_byok": 7}, 500_000_000),
    ],
)
@pytest.mark.parametrize("prompt", [20, 20.0])
def test_a_cost_that_is_told_is_read_with_suspicion(told: Any, nanodollars: int, prompt: float) -> None:
    facts = whole({**PLAIN, "prompt_tokens": prompt, **told})
    assert facts.usage is not None
    assert (facts.usage.input_tokens, facts.usage.output_tokens) == (20, 9)
    assert (facts.usage.parts.told_nanodollars if facts.usage.parts else 0) == nanodollars


@pytest.mark.parametrize("nonsense", [float("nan"), float("inf"), -0.0])
def test_no_number_is_no_cost(nonsense: float) -> None:
    assert told_cost(nonsense, None, None) == 0
