"""OpenAI's Responses: whole and as events, refusals, calls of functions and of the web search, errors, background.

Framing: `event: NAME`, `data: {json}` and a blank line; each event has its name as `type` and a `sequence_number`; there is no
terminator but the last event, `response.completed`, `response.incomplete` or `response.failed`, which holds the whole response.
A user who writes `search the web` gets one search per wish if the request has that tool. Pure: `app.py` does the I/O. Counterpart
of `openai.py`, whose headers, errors and callers these are.
"""

from collections.abc import Iterator, Sequence

import orjson

from proxy.simulator.answering import Answer, Choice, ToolCall, made_id, pieces_of
from proxy.simulator.asking import Ask, JsonObject, Refused, tokens_of
from proxy.simulator.openai import PAD, answer_headers, check_caller, error_body
from proxy.simulator.openai_responses_reading import read_responses
from proxy.simulator.wire import Frame, Generation, Models, Request, Wire

PATH = "/v1/responses"
SEARCH_WISH = "search the web"
INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}
ECHOED = (
    "background conversation instructions max_output_tokens max_tool_calls metadata parallel_tool_calls"
    " previous_response_id reasoning safety_identifier store temperature text tool_choice tools top_p truncation user"
)
DEFAULTS: JsonObject = {
    "background": False,
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "reasoning": {"effort": None, "summary": None},
    "store": True,
    "temperature": 1.0,
    "text": {"format": {"type": "text"}, "verbosity": "medium"},
    "tool_choice": "auto",
    "tools": [],
    "top_p": 1.0,
    "truncation": "disabled",
    "user": None,
}


def whole_response(body: JsonObject, ask: Ask, answer: Answer) -> JsonObject:
    """The body of an answer that is not streamed; of one that is made in the background, its beginning."""
    if body.get("background") is True:
        return _response(body, answer, "queued", [])
    status, items = _outcome(ask, answer)
    return _response(body, answer, status, items)


def frames_of(body: JsonObject, ask: Ask, answer: Answer) -> Sequence[Frame]:
    """The stream: its beginning twice, each item with its parts, the whole response."""
    status, items = _outcome(ask, answer)
    events: list[tuple[JsonObject, bool]] = [
        ({"type": "response.created", "response": _response(body, answer, "in_progress", [])}, False),
        ({"type": "response.in_progress", "response": _response(body, answer, "in_progress", [])}, False),
    ]
    for index, item in enumerate(items):
        events += _item_events(index, item, ask, answer)
    events.append(({"type": f"response.{status}", "response": _response(body, answer, status, items)}, False))
    return [
        Frame(_event({"type": event["type"], "sequence_number": number, **event}), is_piece)
        for number, (event, is_piece) in enumerate(events)
    ]


def _outcome(ask: Ask, answer: Answer) -> tuple[str, list[JsonObject]]:
    choice = answer.choices[0]
    status = "incomplete" if choice.finish in INCOMPLETE else "completed"
    if choice.finish == "failed":
        status = "failed"
    items = [*_reasoning(answer), *_searches(ask, answer)]
    if choice.tool_calls:
        items += [_call(call, status) for call in choice.tool_calls]
    else:
        items.append(_message(answer, choice, status))
    return status, items


def _response(body: JsonObject, answer: Answer, status: str, items: list[JsonObject]) -> JsonObject:
    finish = answer.choices[0].finish
    is_over = status in ("completed", "incomplete", "failed")
    echoed = {name: body.get(name, DEFAULTS.get(name)) for name in ECHOED.split()}
    tier = body.get("service_tier") or "auto"
    response: JsonObject = {
        "id": answer.id("resp_", 48),
        "object": "response",
        "created_at": answer.created,
        "status": status,
        "error": {"code": "server_error", "message": "The model failed."} if status == "failed" else None,
        "incomplete_details": {"reason": INCOMPLETE[finish]} if status == "incomplete" else None,
        "model": answer.model,
        "output": items,
        "service_tier": ("default" if tier == "auto" else tier) if is_over else tier,
        **echoed,
        "usage": None,
    }
    if is_over and answer.usage_order != "none":
        response["usage"] = _usage(answer)
    searches = sum(item["type"] == "web_search_call" for item in items)
    if searches and is_over:
        response["tool_usage"] = {
            "image_gen": {
                "input_tokens": 0,
                "input_tokens_details": {"image_tokens": 0, "text_tokens": 0},
                "output_tokens": 0,
                "total_tokens": 0,
            },
            "web_search": {"num_requests": searches},
        }
    return response


def _usage(answer: Answer) -> JsonObject | None:
    if answer.usage_order == "null":
        return None
    if answer.usage_order == "weird":
        return {"input_tokens": -5, "output_tokens": "many", "total_tokens": None, "surprise": [1]}
    return {
        "input_tokens": answer.input_tokens,
        "input_tokens_details": {
            "cached_tokens": answer.cached_tokens,
            "cache_write_tokens": 0,
        },
        "output_tokens": answer.output_tokens,
        "output_tokens_details": {"reasoning_tokens": answer.reasoning_tokens},
        "total_tokens": answer.input_tokens + answer.output_tokens,
    }


def _reasoning(answer: Answer) -> list[JsonObject]:
    return [{"id": answer.id("rs_", 48), "type": "reasoning", "summary": []}] if answer.reasoning_tokens else []


def _searches(ask: Ask, answer: Answer) -> list[JsonObject]:
    wished = min(ask.user.lower().count(SEARCH_WISH), 8) if ask.searches_web else 0
    return [
        {
            "id": made_id("ws_", answer.number * 10 + number, 48),
            "type": "web_search_call",
            "status": "completed",
            "action": {"type": "search", "query": "news"},
        }
        for number in range(wished)
    ]


def _call(call: ToolCall, status: str) -> JsonObject:
    return {
        "id": "fc_" + call.id.removeprefix("call_"),
        "type": "function_call",
        "status": status,
        "arguments": call.arguments,
        "call_id": call.id,
        "name": call.name,
    }


def _message(answer: Answer, choice: Choice, status: str) -> JsonObject:
    part: JsonObject = {"type": "output_text", "annotations": [], "logprobs": [], "text": choice.text}
    if choice.refusal:
        part = {"type": "refusal", "refusal": choice.refusal}
    return {
        "id": answer.id("msg_", 48),
        "type": "message",
        "status": status,
        "content": [part],
        "role": "assistant",
    }


def _item_events(index: int, item: JsonObject, ask: Ask, answer: Answer) -> Iterator[tuple[JsonObject, bool]]:
    begun: JsonObject = {**item, "status": "in_progress"} if "status" in item else item
    if item["type"] == "message":
        begun["content"] = []
    elif item["type"] == "function_call":
        begun["arguments"] = ""
    yield {"type": "response.output_item.added", "output_index": index, "item": begun}, False
    at: JsonObject = {"item_id": item["id"], "output_index": index}
    if item["type"] == "message":
        yield from _part_events({**at, "content_index": 0}, item["content"][0], ask, answer)
    elif item["type"] == "function_call":
        kind = "response.function_call_arguments"
        for piece in pieces_of(item["arguments"], answer.pieces_per_choice):
            yield {"type": f"{kind}.delta", **at, "delta": piece, **_padding(ask, piece)}, True
        yield {"type": f"{kind}.done", **at, "arguments": item["arguments"]}, False
    elif item["type"] == "web_search_call":
        for stage in ("in_progress", "searching", "completed"):
            yield {"type": f"response.web_search_call.{stage}", **at}, False
    yield {"type": "response.output_item.done", "output_index": index, "item": item}, False


def _part_events(at: JsonObject, part: JsonObject, ask: Ask, answer: Answer) -> Iterator[tuple[JsonObject, bool]]:
    is_refusal = part["type"] == "refusal"
    member, kind = ("refusal", "response.refusal") if is_refusal else ("text", "response.output_text")
    more: JsonObject = {} if is_refusal else {"logprobs": []}
    yield {"type": "response.content_part.added", **at, "part": {**part, member: ""}}, False
    for piece in pieces_of(part[member], answer.pieces_per_choice):
        yield {"type": f"{kind}.delta", **at, "delta": piece, **more, **_padding(ask, piece)}, True
    yield {"type": f"{kind}.done", **at, member: part[member], **more}, False
    yield {"type": "response.content_part.done", **at, "part": part}, False


def _padding(ask: Ask, piece: str) -> JsonObject:
    return {"obfuscation": PAD[len(piece) % len(PAD) :]} if ask.obfuscate else {}


def _event(event: JsonObject) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (event["type"].encode(), orjson.dumps(event))


def stored(request: Request, models: Models) -> JsonObject:
    """What is asked of a response that is there already; every id is there."""
    response, _, more = request.path.removeprefix(f"{PATH}/").partition("/")
    match request.method, more:
        case "GET", "":
            return {
                "id": response,
                "object": "response",
                "status": "completed",
                "model": next(iter(models)),
                "output": [],
            }
        case "DELETE", "":
            return {"id": response, "object": "response", "deleted": True}
        case "POST", "cancel":
            return {"id": response, "object": "response", "status": "cancelled", "output": []}
        case "GET", "input_items":
            return {"object": "list", "data": [], "has_more": False}
        case "POST", "":
            tokens = tokens_of(len(request.body))
            return {"object": "response.input_tokens", "input_tokens": tokens}
        case _:
            raise Refused(404, f"Invalid URL ({request.method} {request.path})")


OPENAI_RESPONSES = Wire(
    name="openai_responses",
    answers=lambda path, _headers: path.startswith(f"{PATH}/"),
    check_caller=check_caller,
    generations={PATH: Generation(read_responses, whole_response, frames_of)},
    other=stored,
    headers=answer_headers,
    error_body=error_body,
    error_frame=_event(
        {
            "type": "error",
            "code": "server_error",
            "message": "The server had an error while processing your request.",
            "param": None,
            "sequence_number": 99,
        }
    ),
    malformed_frame=b'event: response.output_text.delta\ndata: {"type":"response.output_text.delta","del\n\n',
)
