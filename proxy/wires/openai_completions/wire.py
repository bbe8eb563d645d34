"""The wire of OpenAI's legacy Completions: a text, or several, that a model goes on with.

Belongs here: its path, what is read from a request body, its error and fixed-text shapes. There is no place for a version's prompt, so
none is in force: calls are metered, capped and stopped, and an agent whose version has a prompt or a model is refused. What becomes of
a request is openai_completions/request.py, reading answers openai_completions/answer.py. Counterpart: openai_chat/wire.py.
"""

from typing import Any, Final, cast

import orjson

from proxy.core.calls.caller import BodyClaims
from proxy.wires.json.edits import MemberEdits
from proxy.wires.json.members import JsonMembers
from proxy.wires.openai_completions.answer import CompletionBody, CompletionEvents
from proxy.wires.openai_completions.input import count_prompts, input_bound
from proxy.wires.openai_completions.request import MAX_CHOICES, bound_output, read_output_bound
from proxy.wires.shared.answer_reading import StreamReader, WholeReader
from proxy.wires.shared.openai_wire import OpenAIWire
from proxy.wires.shared.request_bounds import RequestBounds
from proxy.wires.shared.tool_names import further_models, offered_tools
from proxy.wires.shared.version_parts import (
    FLAG,
    read_identifier,
    read_model,
    read_switchback_member,
    read_whole_number,
)
from proxy.wires.wire import (
    EVENT_STREAM,
    AnswerReader,
    BilledApart,
    Injection,
    Operation,
    RequestFacts,
    WireFamily,
)

_COMPLETIONS: Final = Operation("completions", "/v1/completions", "generates", is_metered=True, has_output=True)
_OPERATIONS: Final = {
    ("POST", "/v1/completions"): _COMPLETIONS,
    ("POST", "/completions"): _COMPLETIONS,
}


def _facts(members: JsonMembers) -> RequestFacts:
    model = read_model(members)
    user = read_identifier(members, "safety_identifier") or read_identifier(members, "user")
    answers = read_whole_number(members, "n", 1, MAX_CHOICES) or 1
    tried = read_whole_number(members, "best_of", 1, MAX_CHOICES) or 1
    return RequestFacts(
        claims=BodyClaims(model=model, user=user, switchback=read_switchback_member(members)),
        model=model,
        streamed=members.decoded("stream", FLAG, "true or false") or False,
        choices=max(answers, tried) * count_prompts(members),
        max_output_tokens=read_output_bound(members),
        tool_names=offered_tools(members),
        document=members,
        further_models=further_models(members),
    )


def _bound(injection: Injection) -> int | None:
    return input_bound(cast("MemberEdits", injection.document), len(injection.body))


def _apart(_injection: Injection) -> BilledApart:
    return BilledApart(has_audio=True, web_searches=None)


class OpenAICompletions(OpenAIWire):
    """Implements Wire for `/v1/completions`. Remembers nothing that it could not work out again."""

    name: str = "openai_completions"
    family: WireFamily = "openai"
    stream_type: bytes = EVENT_STREAM
    is_conversation: bool = False

    def __init__(self, bounds: RequestBounds | None = None) -> None:
        super().__init__(
            bounds,
            facts=_facts,
            inject=bound_output,
            bound=_bound,
            apart=_apart,
            conversation="prompt",
        )

    def operation(self, method: str, path: str) -> Operation | None:
        """The operation of an exact raw path, with or without `/v1`."""
        return _OPERATIONS.get((method, path))

    def answer_reader(self, *, streamed: bool, removes_usage_event: bool) -> AnswerReader:
        """A reader for one 2xx answer."""
        if streamed:
            return StreamReader(CompletionEvents(), removes_usage_event=removes_usage_event)
        return WholeReader(CompletionBody())

    def answer_text(self, answer: bytes) -> str | None:
        """No version is in force here, so that none has validators to judge one by."""
        del answer
        return None

    def smallest_call(self, model: str) -> bytes:
        """One letter, and room for one token."""
        return orjson.dumps({"model": model, "max_tokens": 1, "prompt": "x"})

    def text_reply(self, text: str, *, model: str, reply_id: str, created: int, streamed: bool) -> bytes:
        """`text` as a completion, or as a stream of two events."""
        head: dict[str, Any] = {"id": reply_id, "object": "text_completion", "created": created, "model": model}
        if streamed:
            events = [{**head, "choices": [_choice(text, None)]}, {**head, "choices": [_choice("", "stop")]}]
            return b"".join(b"data: " + orjson.dumps(event) + b"\n\n" for event in events) + b"data: [DONE]\n\n"
        usage = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
        return orjson.dumps({**head, "choices": [_choice(text, "stop")], "usage": usage})


def _choice(text: str, finish: str | None) -> dict[str, Any]:
    return {"text": text, "index": 0, "logprobs": None, "finish_reason": finish}
