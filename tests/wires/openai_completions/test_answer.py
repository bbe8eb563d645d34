import json
from typing import Any

import pytest

from proxy.core.spending.usage import Usage
from proxy.wires.openai_completions.wire import OpenAICompletions
from proxy.wires.wire import AnswerFacts
from tests.wires.recorded import cuttings, read_all

WIRE = OpenAICompletions()
TOLD = {"prompt_tokens": 20, "completion_tokens": 9, "total_tokens": 29}
USAGE = Usage(input_tokens=20, output_tokens=9)


def chunk(text: str | None = None, finish: str | None = None, index: int = 0, **more: Any) -> dict[str, Any]:
    choices = [] if text is None else [{"text": text, "index": index, "logprobs": None, "finish_reason": finish}]
    return {"id": "cmpl-1", "object": "text_completion", "model": "gpt-3.5-turbo-instruct", "choices": choices, **more}


def stream(*chunks: dict[str, Any], done: bool = True, end: str = "\n\n") -> bytes:
    lines = [json.dumps(one, ensure_ascii=False) for one in chunks] + ["[DONE]"] * done
    return "".join(f"data: {line}{end}" for line in lines).encode()


def streamed(*pieces: bytes, removes: bool = False) -> tuple[bytes, AnswerFacts]:
    return read_all(WIRE.answer_reader(streamed=True, removes_usage_event=removes), pieces)


def body_facts(body: bytes) -> AnswerFacts:
    passed, facts = read_all(WIRE.answer_reader(streamed=False, removes_usage_event=False), [body[:7], body[7:]])
    assert passed == body
    return facts


TEXT = (chunk("Grüße 🙂", usage=None), chunk(" there"), chunk("", "stop"))
SENT = stream(*TEXT)
WHOLE = stream(*TEXT, chunk(usage=TOLD))


@pytest.mark.parametrize("end", ["\n\n", "\r\n\r\n", "\r\r"])
@pytest.mark.parametrize("removes", [False, True])
def test_a_stream_is_read_wherever_it_is_cut_and_only_the_usage_chunk_goes(removes: bool, end: str) -> None:
    sent = stream(*TEXT, chunk(usage=TOLD), end=end)
    for pieces in cuttings(sent):
        passed, facts = streamed(*pieces, removes=removes)
        assert passed == (stream(*TEXT, end=end) if removes else sent)
        assert (facts.usage, facts.finish, facts.model) == (USAGE, "stop", "gpt-3.5-turbo-instruct")
        assert (facts.output_bytes, facts.is_complete, facts.unreadable) == (len("Grüße 🙂 there".encode()), True, 0)


def test_streamed_or_not_the_usage_is_the_same() -> None:
    facts = body_facts(json.dumps(chunk("Hi", "length", usage=TOLD)).encode())
    assert (facts.usage, facts.finish, facts.output_bytes) == (USAGE, "length", 2)
    assert streamed(stream(chunk("Hi", "length"), chunk(usage=TOLD)))[1].usage == USAGE


def test_many_plain_pieces_count_like_any() -> None:
    facts = streamed(
        *(stream(chunk(f' {number}\\n"é'), done=False) for number in range(50)), stream(chunk("", "stop"))
    )[1]
    assert facts.output_bytes == sum(len(f' {number}\\n"é'.encode()) for number in range(50))


def test_a_running_usage_counts_only_once_the_answer_is_through() -> None:
    running = [
        chunk(text, usage={"prompt_tokens": 20, "completion_tokens": count}) for text, count in (("a", 1), ("b", 2))
    ]
    assert streamed(stream(*running, done=False))[1].usage is None
    assert streamed(stream(*running))[1].usage == Usage(input_tokens=20, output_tokens=2)
    last = chunk("c", "stop", usage={"prompt_tokens": 20, "completion_tokens": 3})
    assert streamed(stream(*running, last, done=False))[1].usage == Usage(input_tokens=20, output_tokens=3)


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"[]", b"data: {", b'{"choices":[{"text":"x"', b"<html>", b'"text"', b'{"choices":7,"usage":{}}',
        b'{"choices":[],"usage":{"prompt_tokens":-1,"completion_tokens":"many"}}',
    ],
)  # fmt: skip
def test_a_malformed_answer_is_never_a_clean_success(body: bytes) -> None:
    facts = body_facts(body)
    assert facts.usage is None
    passed, of_stream = streamed(body)
    assert passed == body
    assert of_stream.usage is None


def test_an_odd_choice_does_not_hide_what_it_cost() -> None:
    odd = {"model": "m", "choices": [7], "usage": TOLD}
    facts = body_facts(json.dumps(odd).encode())
    assert (facts.usage, facts.unreadable > 0) == (USAGE, True)


def test_errors_are_seen_in_the_stream_and_in_one_answer_of_several() -> None:
    error = b'data: {"error":{"message":"x","type":"server_error"}}\n\n'
    assert streamed(stream(TEXT[0], done=False) + error)[1].error_type == "server_error"
    failed = {"text": "", "index": 0, "finish_reason": "error", "error": {"code": "overloaded"}}
    assert streamed(stream({"choices": [failed]}))[1].error_type == "overloaded"


def test_without_its_end_a_stream_is_not_complete() -> None:
    assert not streamed(stream(TEXT[0], done=False))[1].is_complete
    assert streamed(stream(TEXT[0]) + stream(chunk("more", usage=TOLD)))[1].usage is None


def test_the_first_of_several_answers_says_how_it_ended() -> None:
    sent = stream(chunk("a", "length", index=1), chunk("b", "content_filter", index=0))
    assert streamed(sent)[1].finish == "filtered"
