"""The wire of OpenAI Responses.

Belongs here: its paths, what is read from a request body, its error and fixed-text shapes. Injecting a version is
openai_responses/request.py, reading answers openai_responses/answer.py. Its counterpart is openai_chat/wire.py.

Not met here: what is asked of a response that is there already (retrieving, cancelling, deleting, its input items), which costs
nothing and has no place for a version (families.py).
"""

from typing import Any, Final, cast

import orjson

from proxy.core.calls.caller import BodyClaims
from proxy.core.errors import BadInput, Refusal
from proxy.wires.json.edits import MemberEdits
from proxy.wires.json.members import JsonMembers
from proxy.wires.json.values import RAW_NULL
from proxy.wires.openai_responses.answer import MAX_ID_CHARACTERS, ResponseBody, ResponseEvents
from proxy.wires.openai_responses.input import (
    first_role,
    has_no_fee,
    input_bound,
    is_file_search,
    is_search,
    most_uses,
    own_tools,
)
from proxy.wires.openai_responses.request import (
    NESTING_MARKS,
    SYSTEM_ROLES,
    conversation_of,
    inject_version,
    nested_tool_names,
    prompt_of,
)
from proxy.wires.openai_responses.text import text_of
from proxy.wires.shared.alike_requests import Style
from proxy.wires.shared.answer_reading import StreamReader, WholeReader
from proxy.wires.shared.openai_errors import error_of
from proxy.wires.shared.openai_wire import OpenAIWire
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

_RESPONSES: Final = Operation(
    "responses", "/v1/responses", "generates", is_metered=True, is_in_force=True, has_output=True, begins_chains=True
)
_OPERATIONS: Final = {
    ("POST", "/v1/responses"): _RESPONSES,
    ("POST", "/responses"): _RESPONSES,
}
_CONVERSATION: Final = "input"


def _facts(members: JsonMembers) -> RequestFacts:
    model = read_model(members)
    user = read_identifier(members, "safety_identifier") or read_identifier(members, "user")
    conversation = conversation_of(members)
    nested = nested_tool_names(members)
    tool_names = offered_tools(members).union(nested) if nested else offered_tools(members)
    return RequestFacts(
        claims=BodyClaims(
            model=model,
            user=user,
            conversation=conversation,
            chain=_chain_of(read_identifier(members, "previous_response_id") or conversation),
            switchback=read_switchback_member(members),
            prompt=prompt_of(members),
        ),
        model=model,
        streamed=members.decoded("stream", FLAG, "true or false") or False,
        choices=1,
        max_output_tokens=read_whole_number(members, "max_output_tokens", 1, MAX_OUTPUT_TOKENS),
        tool_names=tool_names,
        document=members,
        further_models=further_models(members),
    )


def _chain_of(identifier: str | None) -> str | None:
    """What a call goes on with. No provider gives longer ids: what is longer is nobody's."""
    return None if identifier is None or len(identifier) > MAX_ID_CHARACTERS else identifier


def _bound(injection: Injection) -> int | None:
    if is_dense(injection.body):
        return None
    return input_bound(cast("MemberEdits", injection.document), len(injection.body))


def _apart(injection: Injection) -> BilledApart:
    """The fees of the provider's own tools, and how often the model reads its input anew because of them."""
    edits = cast("MemberEdits", injection.document)
    tools = own_tools(edits)
    if not tools:
        return BilledApart(has_audio=False, web_searches=0)
    uses = most_uses(edits)
    return BilledApart(
        has_audio=False,
        web_searches=uses if any(map(is_search, tools)) else 0,
        rounds=None if uses is None else uses + 1,
        unpriced=next(
            (tool for tool in tools if not (is_search(tool) or is_file_search(tool) or has_no_fee(tool))), None
        ),
        file_searches=(uses or 0) if any(map(is_file_search, tools)) else 0,
    )


_STYLES: Final = (
    Style(b'"input":[', (b'{"role":"system"', b'{"role":"developer"'), b'},{"role":"'),
    Style(b'"input": [', (b'{"role": "system"', b'{"role": "developer"'), b'}, {"role": "'),
)


class OpenAIResponses(OpenAIWire):
    """Implements Wire for `/v1/responses`. Remembers nothing that it could not work out again."""

    name: str = "openai_responses"
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
            conversation=_CONVERSATION,
            marks=NESTING_MARKS,
        )

    def operation(self, method: str, path: str) -> Operation | None:
        """The operation of an exact raw path, with or without `/v1`."""
        return _OPERATIONS.get((method, path))

    def _facts_of(self, members: JsonMembers, objects: int | None = None) -> RequestFacts:
        """Raises BadInput; Refusal of the same code where the body names a prompt: the provider must not see that name, so it cannot
        be left to judge the rest."""
        try:
            return super()._facts_of(members, objects)
        except BadInput as refusal:
            if members.values.get("prompt", RAW_NULL) == RAW_NULL:
                raise
            raise Refusal(refusal.code, refusal.message, status=refusal.status, param=refusal.param) from None

    def answer_reader(self, *, streamed: bool, removes_usage_event: bool) -> AnswerReader:
        """A reader for one 2xx answer. Its usage is always told, so no event is ever taken out."""
        if streamed:
            return StreamReader(ResponseEvents(), removes_usage_event=False)
        return WholeReader(ResponseBody())

    def answer_text(self, answer: bytes) -> str | None:
        """The text of a finished answer; None where nobody can tell it."""
        return text_of(answer)

    def error_event(self, refusal: Refusal, request_id: str) -> bytes:
        """An `error` event with the error in an object of its own: a flat one the SDKs hand on as an event like any other."""
        return b"event: error\ndata: %b\n\n" % orjson.dumps({"type": "error", "error": error_of(refusal)})

    def smallest_call(self, model: str) -> bytes:
        """One word, and room for as little as there may be."""
        return orjson.dumps({"model": model, "max_output_tokens": 16, "input": "x"})

    def text_reply(self, text: str, *, model: str, reply_id: str, created: int, streamed: bool) -> bytes:
        """`text` as a whole response, or as the events of one."""
        part: dict[str, Any] = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
        item: dict[str, Any] = {
            "id": f"msg_{reply_id}",
            "type": "message",
            "status": "completed",
            "role": "assistant",
            "content": [part],
        }
        whole = _response(model, reply_id, created, "completed", [item])
        if not streamed:
            return orjson.dumps(whole)
        begun = _response(model, reply_id, created, "in_progress", [])
        at: dict[str, Any] = {"item_id": item["id"], "output_index": 0, "content_index": 0}
        events: list[dict[str, Any]] = [
            {"type": "response.created", "response": begun},
            {"type": "response.in_progress", "response": begun},
            {
                "type": "response.output_item.added",
                "output_index": 0,
                "item": {**item, "status": "in_progress", "content": []},
            },
            {"type": "response.content_part.added", **at, "part": {**part, "text": ""}},
            {"type": "response.output_text.delta", **at, "delta": text, "logprobs": []},
            {"type": "response.output_text.done", **at, "text": text, "logprobs": []},
            {"type": "response.content_part.done", **at, "part": part},
            {"type": "response.output_item.done", "output_index": 0, "item": item},
            {"type": "response.completed", "response": whole},
        ]
        return b"".join(
            b"event: %b\ndata: %b\n\n"
            % (event["type"].encode(), orjson.dumps({"type": event["type"], "sequence_number": number, **event}))
            for number, event in enumerate(events)
        )


def _response(model: str, reply_id: str, created: int, status: str, output: list[Any]) -> dict[str, Any]:
    usage = {
        "input_tokens": 0,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": 0,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 0,
    }
    return {
        "id": f"resp_{reply_id}",
        "object": "response",
        "created_at": created,
        "status": status,
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "model": model,
        "output": output,
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "temperature": None,
        "tool_choice": "auto",
        "tools": [],
        "top_p": None,
        "usage": usage if status == "completed" else None,
    }
