"""The wire of OpenAI Chat Completions, also spoken by many other servers.

Belongs here: its paths, what is read from a request body, its error and fixed-text shapes. Injecting a version is
openai_chat/request.py, reading answers openai_chat/answer.py. Its counterpart is anthropic_messages/wire.py.
"""

from typing import Any, Final, cast

import orjson

from proxy.core.calls.caller import BodyClaims
from proxy.wires.json.members import JsonMembers
from proxy.wires.openai_chat.answer import ChatBody, ChatEvents
from proxy.wires.openai_chat.input import first_role, input_bound
from proxy.wires.openai_chat.request import SYSTEM_ROLES, EditedChat, inject_version, read_output_bound
from proxy.wires.openai_chat.text import text_of
from proxy.wires.shared.alike_requests import Style
from proxy.wires.shared.answer_reading import StreamReader, WholeReader
from proxy.wires.shared.openai_wire import OpenAIWire
from proxy.wires.shared.request_bounds import RequestBounds, is_dense
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

_COMPLETIONS: Final = Operation(
    "chat_completions", "/v1/chat/completions", "generates", is_metered=True, is_in_force=True, has_output=True
)
_OPERATIONS: Final = {
    ("POST", "/v1/chat/completions"): _COMPLETIONS,
    ("POST", "/chat/completions"): _COMPLETIONS,
}
#: The provider's own limit of answers to one call.
_MAX_CHOICES: Final = 128

#: What asks for an answer in sound, and how sound is sent.
_AUDIO_MEMBERS: Final = ("audio", "modalities")
_AUDIO_PART: Final = b'"input_audio"'


def _facts(members: JsonMembers) -> RequestFacts:
    model = read_model(members)
    user = read_identifier(members, "safety_identifier") or read_identifier(members, "user")
    return RequestFacts(
        claims=BodyClaims(model=model, user=user, switchback=read_switchback_member(members)),
        model=model,
        streamed=members.decoded("stream", FLAG, "true or false") or False,
        choices=read_whole_number(members, "n", 1, _MAX_CHOICES) or 1,
        max_output_tokens=read_output_bound(members),
        tool_names=offered_tools(members),
        document=members,
        further_models=further_models(members),
    )


def _bound(injection: Injection) -> int | None:
    # What a search finds is read as well.
    if injection.web_searches or is_dense(injection.body):
        return None
    edited = cast("EditedChat", injection.document)
    return input_bound(edited.edits, len(injection.body), messages_are_text=edited.messages_are_text)


def _apart(injection: Injection) -> BilledApart:
    edits = cast("EditedChat", injection.document).edits
    has_audio = any(edits.has(name) for name in _AUDIO_MEMBERS) or edits.may_mention(_AUDIO_PART)
    return BilledApart(has_audio, injection.web_searches)


_STYLES: Final = (
    Style(b'"messages":[', (b'{"role":"system"', b'{"role":"developer"'), b'},{"role":"'),
    Style(b'"messages": [', (b'{"role": "system"', b'{"role": "developer"'), b'}, {"role": "'),
)


class OpenAIChat(OpenAIWire):
    """Implements Wire for `/v1/chat/completions`. Remembers nothing that it could not work out again."""

    name: str = "openai_chat"
    family: WireFamily = "openai"
    stream_type: bytes = EVENT_STREAM
    is_conversation: bool = True

    def __init__(self, bounds: RequestBounds | None = None) -> None:
        super().__init__(
            bounds,
            facts=_facts,
            inject=inject_version,
            bound=_bound,
            apart=_apart,
            first_role=first_role,
            styles=_STYLES,
            leading_roles=SYSTEM_ROLES,
            marks=(("messages", _AUDIO_PART),),
        )

    def operation(self, method: str, path: str) -> Operation | None:
        """The operation of an exact raw path, with or without `/v1`."""
        return _OPERATIONS.get((method, path))

    def answer_reader(self, *, streamed: bool, removes_usage_event: bool) -> AnswerReader:
        """A reader for one 2xx answer."""
        if streamed:
            return StreamReader(ChatEvents(), removes_usage_event=removes_usage_event)
        return WholeReader(ChatBody())

    def answer_text(self, answer: bytes) -> str | None:
        """The text of a finished answer; None where nobody can tell it."""
        return text_of(answer)

    def smallest_call(self, model: str) -> bytes:
        """One message, and room for one token."""
        return orjson.dumps({"model": model, "max_tokens": 1, "messages": [{"role": "user", "content": "x"}]})

    def text_reply(self, text: str, *, model: str, reply_id: str, created: int, streamed: bool) -> bytes:
        """`text` as a chat completion, or as a stream of four events."""
        head: dict[str, Any] = {"id": reply_id, "created": created, "model": model}
        if streamed:
            chunks: list[tuple[dict[str, Any], str | None]] = [
                ({"role": "assistant", "content": ""}, None),
                ({"content": text}, None),
                ({}, "stop"),
            ]
            events = [
                {
                    **head,
                    "object": "chat.completion.chunk",
                    "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
                }
                for delta, finish in chunks
            ]
            return b"".join(b"data: " + orjson.dumps(event) + b"\n\n" for event in events) + b"data: [DONE]\n\n"
        message = {"role": "assistant", "content": text, "refusal": None}
        return orjson.dumps(
            {
                **head,
                "object": "chat.completion",
                "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0},
            }
        )
