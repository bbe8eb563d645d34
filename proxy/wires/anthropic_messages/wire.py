"""The wire of Anthropic Messages.

Belongs here: its paths, what is read from a request body, its error and fixed-text shapes. Injecting a version is
anthropic_messages/request.py, reading answers anthropic_messages/answer.py. Its counterpart is openai_chat/wire.py.

Protocol fact: SDKs ignore stream events without an `event:` line, so ours carry one.
"""

from typing import Any, Final, cast

import orjson

from proxy.core.calls.caller import BodyClaims
from proxy.core.errors import Refusal
from proxy.wires.anthropic_messages.answer import MessageBody, MessageEvents
from proxy.wires.anthropic_messages.input import first_role, input_bound, searches_bound
from proxy.wires.anthropic_messages.request import inject_version
from proxy.wires.anthropic_messages.text import text_of
from proxy.wires.json.edits import MemberEdits
from proxy.wires.json.members import JsonMembers, parse_members
from proxy.wires.shared.alike_requests import Style
from proxy.wires.shared.answer_reading import StreamReader, WholeReader
from proxy.wires.shared.json_wire import JsonWire
from proxy.wires.shared.metadata_user import user_and_conversation
from proxy.wires.shared.request_bounds import RequestBounds, is_dense
from proxy.wires.shared.tool_names import further_models, offered_tools
from proxy.wires.shared.version_parts import (
    FLAG,
    MAX_OUTPUT_TOKENS,
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

_MESSAGES: Final = Operation(
    "messages", "/v1/messages", "generates", is_metered=True, is_in_force=True, has_output=True
)
_OPERATIONS: Final = {
    ("POST", "/v1/messages"): _MESSAGES,
    ("POST", "/messages"): _MESSAGES,
}

#: Decision (2026-11-28): a call that is switched off is told with 400. Claude Code shows any 403 of this format, whatever its type,
#: as "Failed to authenticate" and asks people to log in again, which hides who switched the agent off and why; 400 is shown with
#: its message, and no SDK tries it again either.
_STATUSES: Final = {403: 400}
_ERROR_TYPES: Final = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    404: "not_found_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}


def _facts(members: JsonMembers) -> RequestFacts:
    model = read_model(members)
    metadata = members.given("metadata") if "metadata" in members.values else None
    user_id = None if metadata is None else read_identifier(parse_members(metadata, "metadata"), "user_id")
    user, conversation = user_and_conversation(user_id)
    return RequestFacts(
        claims=BodyClaims(
            model=model, user=user, conversation=conversation, switchback=read_switchback_member(members)
        ),
        model=model,
        streamed=members.decoded("stream", FLAG, "true or false") or False,
        choices=1,
        # 0 is allowed: it only warms the cache.
        max_output_tokens=read_whole_number(members, "max_tokens", 0, MAX_OUTPUT_TOKENS),
        tool_names=offered_tools(members),
        document=members,
        further_models=further_models(members),
    )


def _bound(injection: Injection) -> int | None:
    if is_dense(injection.body):
        return None
    return input_bound(cast("MemberEdits", injection.document), len(injection.body))


def _apart(injection: Injection) -> BilledApart:
    return BilledApart(has_audio=False, web_searches=searches_bound(cast("MemberEdits", injection.document)))


_STYLES: Final = (Style(b'"messages":[', (), b""), Style(b'"messages": [', (), b""))


class AnthropicMessages(JsonWire):
    """Implements Wire for `/v1/messages`. Remembers nothing that it could not work out again."""

    name: str = "anthropic_messages"
    family: WireFamily = "anthropic"
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
            leading_roles=frozenset(),
        )

    def operation(self, method: str, path: str) -> Operation | None:
        """The operation of an exact raw path, with or without `/v1`."""
        return _OPERATIONS.get((method, path))

    def answer_reader(self, *, streamed: bool, removes_usage_event: bool) -> AnswerReader:
        """A reader for one 2xx answer."""
        if streamed:
            return StreamReader(MessageEvents(), removes_usage_event=removes_usage_event)
        return WholeReader(MessageBody())

    def answer_text(self, answer: bytes) -> str | None:
        """The text of a finished answer; None where nobody can tell it."""
        return text_of(answer)

    def error_status(self, refusal: Refusal) -> int:
        """The refusal's own, but for 403."""
        return _STATUSES.get(refusal.status, refusal.status)

    def error_body(self, refusal: Refusal, request_id: str) -> bytes:
        """`{"type": "error", "error": {type, message, details: {error_code}}, "request_id"}`."""
        otherwise = "api_error" if refusal.status >= 500 else "invalid_request_error"
        error = {
            "type": _ERROR_TYPES.get(self.error_status(refusal), otherwise),
            "message": refusal.message,
            "details": {"error_code": refusal.code},
        }
        return orjson.dumps({"type": "error", "error": error, "request_id": request_id})

    def error_event(self, refusal: Refusal, request_id: str) -> bytes:
        """The error JSON as an event named `error`; the SDKs raise on it."""
        return b"event: error\ndata: %b\n\n" % self.error_body(refusal, request_id)

    def smallest_call(self, model: str) -> bytes:
        """One message, and room for one token."""
        return orjson.dumps({"model": model, "max_tokens": 1, "messages": [{"role": "user", "content": "x"}]})

    def text_reply(self, text: str, *, model: str, reply_id: str, created: int, streamed: bool) -> bytes:
        """`text` as a message, or as a whole stream; this format has no place for `created`."""
        message: dict[str, Any] = {
            "id": reply_id,
            "type": "message",
            "role": "assistant",
            "model": model,
            "content": [{"type": "text", "text": text}],
            "stop_reason": "end_turn",
            "stop_sequence": None,
            "usage": {"input_tokens": 0, "output_tokens": 0},
        }
        if not streamed:
            return orjson.dumps(message)
        events: list[dict[str, Any]] = [
            {"type": "message_start", "message": {**message, "content": [], "stop_reason": None}},
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}},
            {"type": "content_block_stop", "index": 0},
            {
                "type": "message_delta",
                "delta": {"stop_reason": "end_turn", "stop_sequence": None},
                "usage": {"output_tokens": 0},
            },
            {"type": "message_stop"},
        ]
        return b"".join(
            b"event: " + event["type"].encode() + b"\ndata: " + orjson.dumps(event) + b"\n\n" for event in events
        )
