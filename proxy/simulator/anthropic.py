"""The Anthropic wire: how Messages answers, streams, errors and headers look.

Framing: every event has an `event:` line and a `data:` line of JSON whose `type` repeats the name; usage in
`message_start` and, cumulative, in `message_delta`; `message_stop` ends it, there is no `[DONE]`. `input_tokens` excludes
cached tokens. Pure: `app.py` does the I/O, `anthropic_reading.py` the checks. Counterpart of `openai.py`.
"""

from collections.abc import Sequence
from typing import Any

import orjson

from proxy.simulator.answering import Answer, Choice, made_id, pieces_of
from proxy.simulator.anthropic_reading import check_caller, read_count, read_messages
from proxy.simulator.asking import Ask, JsonObject, Refused
from proxy.simulator.models import Model
from proxy.simulator.scenario import Scenario
from proxy.simulator.wire import Frame, Generation, Models, Request, Wire

ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}
FINISH = {"stop": "end_turn", "length": "max_tokens", "tool": "tool_use"}
COUNT_PATH = "/v1/messages/count_tokens"


def whole_message(_body: JsonObject, _ask: Ask, answer: Answer) -> JsonObject:
    """The body of an answer that is not streamed."""
    choice = answer.choices[0]
    content = [_block(kind, block, text) for kind, block, text in _contents(choice)]
    message = _message(answer, content, choice)
    return message | _usage_member(answer, _start_usage(answer, answer.output_tokens))


def message_frames(_body: JsonObject, _ask: Ask, answer: Answer) -> Sequence[Frame]:
    """The stream from `message_start` to `message_stop`, with one `ping` after the first block has begun."""
    choice = answer.choices[0]
    start = _message(answer, [], None) | _usage_member(answer, _start_usage(answer, min(1, answer.output_tokens)))
    frames = [_frame("message_start", {"message": start})]
    for index, (kind, block, text) in enumerate(_contents(choice)):
        opening = _block(kind, block, "")
        frames.append(_frame("content_block_start", {"index": index, "content_block": opening}))
        if index == 0:
            frames.append(_frame("ping", {}))
        for piece in pieces_of(text, answer.pieces_per_choice):
            delta = (
                {"type": "text_delta", "text": piece}
                if kind == "text"
                else {"type": "input_json_delta", "partial_json": piece}
            )
            frames.append(_frame("content_block_delta", {"index": index, "delta": delta}, is_piece=True))
        frames.append(_frame("content_block_stop", {"index": index}))
    if answer.usage_order == "twice":
        early: JsonObject = {"stop_reason": None, "stop_sequence": None}
        usage = {"output_tokens": answer.output_tokens // 2}
        frames.append(_frame("message_delta", {"delta": early, "usage": usage}))
    delta = {"container": None, **_ending(choice)}
    frames.append(_frame("message_delta", {"delta": delta} | _usage_member(answer, _end_usage(answer))))
    frames.append(_frame("message_stop", {}))
    return frames


def error_body(refused: Refused, number: int) -> JsonObject:
    """The error JSON for `refused`."""
    default = "api_error" if refused.status >= 500 else "invalid_request_error"
    error: JsonObject = {
        "type": refused.kind or ERROR_TYPES.get(refused.status, default),
        "message": refused.message,
    }
    if refused.code:
        error["details"] = {"error_code": refused.code}
    return {"type": "error", "error": error, "request_id": request_id(number)}


def request_id(number: int) -> str:
    """The id of call `number`, in headers and error bodies."""
    return made_id("req_", number)


def answer_headers(number: int, ask: Ask | None, _scenario: Scenario) -> dict[str, str]:
    """Request id, organization and what is left of the rate limits."""
    headers = {
        "request-id": request_id(number),
        "anthropic-organization-id": "00000000-0000-4000-8000-000000000001",
        "anthropic-workspace-id": "wrkspc_simulated",
    }
    if ask is not None:
        for kind, limit, used in (
            ("requests", 4_000, 1),
            ("tokens", 480_000, ask.input_tokens),
            ("input-tokens", 400_000, ask.input_tokens),
            ("output-tokens", 80_000, 0),
        ):
            prefix = f"anthropic-ratelimit-{kind}"
            headers[f"{prefix}-limit"] = str(limit)
            headers[f"{prefix}-remaining"] = str(max(0, limit - used))
            headers[f"{prefix}-reset"] = "2026-11-20T12:00:00Z"
    return headers


def other(request: Request, models: Models) -> JsonObject:
    """Counting of tokens, the models, and 404 or 405 for the rest."""
    if request.path == COUNT_PATH and request.method == "POST":
        return {"input_tokens": read_count(request, models).input_tokens}
    if request.path == "/v1/models" and request.method == "GET":
        listed = [_model(name, model) for name, model in models.items() if model.wire == "anthropic"]
        return {"data": listed, "has_more": False, "first_id": listed[0]["id"], "last_id": listed[-1]["id"]}
    if request.path.startswith("/v1/models/") and request.method == "GET":
        name = request.path.removeprefix("/v1/models/")
        if name not in models or models[name].wire != "anthropic":
            raise Refused(404, f"model: {name}")
        return _model(name, models[name])
    if request.path in (*GENERATIONS, COUNT_PATH, "/v1/models"):
        raise Refused(405, "Method Not Allowed")
    raise Refused(404, "Not Found")


def _model(name: str, model: Model) -> JsonObject:
    return {
        "type": "model",
        "id": name,
        "display_name": name.replace("-", " ").title(),
        "created_at": "2026-01-01T00:00:00Z",
        "lifecycle": "active",
        "deprecated_at": None,
        "retires_at": None,
        "line": next((line for line in ("haiku", "sonnet", "opus") if line in model.id), None),
        "max_input_tokens": 200_000,
        "max_tokens": 64_000,
        "capabilities": None,
    }


def _contents(choice: Choice) -> list[tuple[str, JsonObject, str]]:
    """Kind, opening and streamed text of each content block; the text of a tool call is its JSON."""
    text = choice.text or choice.refusal
    blocks: list[tuple[str, JsonObject, str]] = [("text", {"type": "text", "citations": None}, text)] if text else []
    for call in choice.tool_calls:
        tool = {"type": "tool_use", "id": call.id.replace("call_", "toolu_"), "name": call.name}
        blocks.append(("tool_use", tool, call.arguments))
    return blocks


def _block(kind: str, opening: JsonObject, text: str) -> JsonObject:
    if kind == "text":
        return opening | {"text": text}
    try:
        return opening | {"input": orjson.loads(text) if text else {}}
    except orjson.JSONDecodeError:
        # Arguments that the output limit cut short are no JSON; the real one answers with what it has.
        return opening | {"input": {}}


def _message(answer: Answer, content: list[JsonObject], choice: Choice | None) -> JsonObject:
    return {
        "model": answer.model,
        "id": answer.id("msg_"),
        "type": "message",
        "role": "assistant",
        "content": content,
        **_ending(choice),
    }


def _ending(choice: Choice | None) -> JsonObject:
    if choice is None:
        return {"stop_reason": None, "stop_sequence": None, "stop_details": None}
    details: JsonObject = {"type": "refusal", "category": None, "explanation": "The request was declined."}
    return {
        "stop_reason": FINISH.get(choice.finish, choice.finish),
        "stop_sequence": choice.stop_sequence,
        "stop_details": details if choice.finish == "refusal" else None,
    }


def _usage_member(answer: Answer, usage: JsonObject) -> dict[str, Any]:
    match answer.usage_order:
        case "none":
            return {}
        case "null":
            return {"usage": None}
        case "weird":
            return {"usage": {"input_tokens": -5, "output_tokens": "many", "cache_read_input_tokens": [1]}}
        case _:
            return {"usage": usage}


def _input_usage(answer: Answer) -> JsonObject:
    return {
        "input_tokens": answer.input_tokens - answer.cached_tokens - answer.cache_write_tokens,
        "cache_creation_input_tokens": answer.cache_write_tokens,
        "cache_read_input_tokens": answer.cached_tokens,
    }


def _start_usage(answer: Answer, output_tokens: int) -> JsonObject:
    return {
        **_input_usage(answer),
        "cache_creation": {
            "ephemeral_5m_input_tokens": answer.cache_write_tokens,
            "ephemeral_1h_input_tokens": 0,
        },
        "output_tokens": output_tokens,
        "service_tier": "standard",
        "inference_geo": "not_available",
    }


def _end_usage(answer: Answer) -> JsonObject:
    usage = {**_input_usage(answer), "output_tokens": answer.output_tokens}
    if answer.reasoning_tokens:
        usage["output_tokens_details"] = {"thinking_tokens": answer.reasoning_tokens}
    return usage


def _frame(name: str, members: JsonObject, *, is_piece: bool = False) -> Frame:
    data = orjson.dumps({"type": name, **members})
    return Frame(b"event: " + name.encode() + b"\ndata: " + data + b"\n\n", is_piece)


GENERATIONS = {"/v1/messages": Generation(read_messages, whole_message, message_frames)}

ANTHROPIC = Wire(
    name="anthropic",
    answers=lambda path, headers: path.startswith("/v1/messages/") or "anthropic-version" in headers,
    check_caller=check_caller,
    generations=GENERATIONS,
    other=other,
    headers=answer_headers,
    error_body=error_body,
    error_frame=_frame("error", {"error": {"type": "overloaded_error", "message": "Overloaded"}}).data,
    malformed_frame=b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"del\n\n',
)
