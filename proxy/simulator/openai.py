"""The OpenAI wire: Chat Completions, errors, headers and models. Embeddings, legacy completions and files: `openai_extras.py`.

Framing: `data: {json}` and a blank line, no event names, `data: [DONE]` at the end; with `stream_options.include_usage`
every chunk carries `usage: null` and one more before the end has no choices and the usage. Pure: `app.py` does the I/O.
Counterpart of `anthropic.py`; what is answered is decided in `answering.py`.
"""

from collections.abc import Sequence

import orjson

from proxy.simulator.answering import Answer, Choice, made_id, pieces_of
from proxy.simulator.asking import Ask, JsonObject, Refused
from proxy.simulator.openai_extras import COMPLETIONS, EMBEDDINGS, stored_file, training_job
from proxy.simulator.openai_reading import read_chat
from proxy.simulator.openai_usage import usage_chunk, usage_member
from proxy.simulator.scenario import Scenario
from proxy.simulator.wire import Frame, Generation, Headers, Models, Request, Wire

DONE = b"data: [DONE]\n\n"
FINISH = {"tool": "tool_calls", "stop_sequence": "stop", "refusal": "stop"}
FINGERPRINT = "fp_simulated"
ERROR_KINDS = {401: "invalid_request_error", 429: "requests"}
ERROR_CODES = {401: "invalid_api_key", 429: "rate_limit_exceeded"}
PAD = "q7Zk2mXw9RbT4cYh"


def check_caller(headers: Headers) -> None:
    """Raises Refused with 401 unless there is a bearer key."""
    scheme, _, key = headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not key.strip():
        raise Refused(
            401, "You didn't provide an API key: send it as `Authorization: Bearer YOUR_KEY`.", code="missing_api_key"
        )


def whole_chat(_body: JsonObject, ask: Ask, answer: Answer) -> JsonObject:
    """The body of an answer that is not streamed."""
    return {
        "id": answer.id("chatcmpl-"),
        "object": "chat.completion",
        "created": answer.created,
        "model": answer.model,
        "choices": [
            {"index": index, "message": _message(choice), "logprobs": None, "finish_reason": _finish(choice)}
            for index, choice in enumerate(answer.choices)
        ],
        **usage_member(answer),
        "service_tier": "default",
        "system_fingerprint": FINGERPRINT,
    }


def chat_frames(_body: JsonObject, ask: Ask, answer: Answer) -> Sequence[Frame]:
    """The stream: a role chunk for each choice, the pieces of all choices in turn, finishes, usage, `[DONE]`."""
    opening: JsonObject = {"role": "assistant", "content": "", "refusal": None}
    frames = [Frame(_chunk(ask, answer, index, opening), False) for index in range(len(answer.choices))]
    deltas = [_deltas(choice, answer.pieces_per_choice) for choice in answer.choices]
    for turn in range(max(map(len, deltas))):
        for index, of_choice in enumerate(deltas):
            if turn < len(of_choice):
                frames.append(Frame(_chunk(ask, answer, index, of_choice[turn]), True))
    for index, choice in enumerate(answer.choices):
        frames.append(Frame(_chunk(ask, answer, index, {}, _finish(choice)), False))
    if ask.include_usage:
        base = _chunk_base(ask, answer)
        frames.extend(Frame(_data(chunk), False) for chunk in usage_chunk(base, answer))
    frames.append(Frame(DONE, False))
    return frames


def error_body(refused: Refused, number: int) -> JsonObject:
    """The error JSON for `refused`."""
    default = "server_error" if refused.status >= 500 else "invalid_request_error"
    return {
        "error": {
            "message": refused.message,
            "type": refused.kind or ERROR_KINDS.get(refused.status, default),
            "param": refused.param,
            "code": refused.code or ERROR_CODES.get(refused.status),
        }
    }


def answer_headers(number: int, ask: Ask | None, scenario: Scenario) -> dict[str, str]:
    """Request id, processing time and what is left of the rate limits."""
    headers = {
        "x-request-id": made_id("req_", number, 32),
        "openai-processing-ms": str(round(scenario.first_delay_ms) or 1),
        "openai-version": "2020-10-01",
        "openai-organization": "org-simulated",
    }
    if ask is not None:
        headers |= {
            "x-ratelimit-limit-requests": "10000",
            "x-ratelimit-limit-tokens": "2000000",
            "x-ratelimit-remaining-requests": "9999",
            "x-ratelimit-remaining-tokens": str(max(0, 2_000_000 - ask.input_tokens)),
            "x-ratelimit-reset-requests": "6ms",
            "x-ratelimit-reset-tokens": "0s",
        }
    return headers


def other(request: Request, models: Models) -> JsonObject:
    """The models, files, and 404 or 405 for the rest."""
    if request.path == "/v1/models" and request.method == "GET":
        ids = [name for name, model in models.items() if model.wire == "openai"]
        return {"object": "list", "data": [_model(name) for name in ids]}
    if request.path.startswith("/v1/models/") and request.method == "GET":
        name = request.path.removeprefix("/v1/models/")
        if name not in models or models[name].wire != "openai":
            raise Refused(404, f"The model '{name}' does not exist", param="model", code="model_not_found")
        return _model(name)
    if request.path == "/v1/files" and request.method == "POST":
        return stored_file(request)
    if request.path == "/v1/fine_tuning/jobs" and request.method == "POST":
        return training_job(request)
    if request.path in (*GENERATIONS, "/v1/models", "/v1/files"):
        message = f"Not allowed to {request.method} on {request.path}."
        raise Refused(405, message, code="method_not_supported")
    raise Refused(404, f"Invalid URL ({request.method} {request.path})")


def _model(name: str) -> JsonObject:
    return {"id": name, "object": "model", "created": 1_715_367_049, "owned_by": "system"}


def _finish(choice: Choice) -> str:
    return FINISH.get(choice.finish, choice.finish)


def _message(choice: Choice) -> JsonObject:
    message: JsonObject = {
        "role": "assistant",
        "content": None if choice.refusal or choice.tool_calls else choice.text,
        "refusal": choice.refusal or None,
        "annotations": [],
    }
    if choice.tool_calls:
        message["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in choice.tool_calls
        ]
    return message


def _deltas(choice: Choice, pieces: int | None) -> list[JsonObject]:
    if choice.refusal:
        return [{"refusal": piece} for piece in pieces_of(choice.refusal, pieces)]
    deltas: list[JsonObject] = [{"content": piece} for piece in pieces_of(choice.text, pieces) if choice.text]
    for index, call in enumerate(choice.tool_calls):
        function = {"name": call.name, "arguments": ""}
        first: JsonObject = {"index": index, "id": call.id, "type": "function", "function": function}
        deltas.append({"tool_calls": [first]})
        deltas.extend(
            {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}
            for piece in pieces_of(call.arguments, pieces)
        )
    return deltas


def _chunk_base(ask: Ask, answer: Answer) -> JsonObject:
    base: JsonObject = {
        "id": answer.id("chatcmpl-"),
        "object": "chat.completion.chunk",
        "created": answer.created,
        "model": answer.model,
        "service_tier": "default",
        "system_fingerprint": FINGERPRINT,
    }
    if ask.include_usage:
        base["usage"] = None
    return base


def _chunk(ask: Ask, answer: Answer, index: int, delta: JsonObject, finish: str | None = None) -> bytes:
    chunk = _chunk_base(ask, answer)
    chunk["choices"] = [{"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}]
    if ask.obfuscate:
        # The real one evens out the lengths of chunks, so that they do not betray the text on the network.
        chunk["obfuscation"] = PAD[len(str(delta)) % len(PAD) :]
    return _data(chunk)


def _data(value: JsonObject) -> bytes:
    return b"data: " + orjson.dumps(value) + b"\n\n"


GENERATIONS = {
    "/v1/chat/completions": Generation(read_chat, whole_chat, chat_frames),
    "/v1/completions": COMPLETIONS,
    "/v1/embeddings": EMBEDDINGS,
}

OPENAI = Wire(
    name="openai",
    answers=lambda _path, _headers: True,
    check_caller=check_caller,
    generations=GENERATIONS,
    other=other,
    headers=answer_headers,
    error_body=error_body,
    error_frame=_data(
        {
            "error": {
                "message": "The server had an error while processing your request.",
                "type": "server_error",
                "param": None,
                "code": None,
            }
        }
    ),
    malformed_frame=b'data: {"id":"chatcmpl-broken","choices":[{"index":0,"delta":{"con\n\n',
)
