"""The Gemini wire: how `generateContent` answers, streams, errors and headers look.

Framing: with `alt=sse` a stream is events of `data:` lines that end with CR LF, without names and without an end marker; without it
one JSON list, an answer an item. Every piece has `usageMetadata`, of totals so far; the last one has `finishReason`. Prompts are counted
with what was cached, answers without thoughts, and a count of zero is left out. Pure: `app.py` does the I/O, `google_reading.py` the
checks. Counterpart of `anthropic.py`.
"""

import functools
import re
from collections.abc import Sequence
from typing import Any

import orjson

from proxy.simulator.answering import Answer, Choice, made_id, pieces_of
from proxy.simulator.asking import Ask, JsonObject, Refused, tokens_of
from proxy.simulator.google_embeddings import embedding_generations
from proxy.simulator.google_reading import check_caller, model_of, read_count, read_generation
from proxy.simulator.models import MODELS, Model
from proxy.simulator.scenario import Scenario
from proxy.simulator.wire import Frame, Generation, Headers, Models, Request, Wire

STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
FINISH = {"stop": "STOP", "length": "MAX_TOKENS", "tool": "STOP", "stop_sequence": "STOP", "refusal": "SAFETY"}
VERSIONS = ("v1", "v1beta", "v1alpha")
EVENTS = "?alt=sse"
JSON = "application/json; charset=UTF-8"
#: A finish that stands for a prompt that is blocked before anything is answered.
BLOCKED = "BLOCKED"
PATH = re.compile(r"/v1(?:alpha|beta)?/models/(?P<model>[^/]+):(?P<method>[A-Za-z]+)\Z")
LIST_PATH = re.compile(r"/v1(?:alpha|beta)?/models\Z")
MODEL_PATH = re.compile(r"/v1(?:alpha|beta)?/models/(?P<model>[^/:]+)\Z")


def whole_answer(_body: JsonObject, _ask: Ask, answer: Answer) -> JsonObject:
    """The body of an answer that is not streamed."""
    candidates = (
        []
        if _is_blocked(answer)
        else [_candidate(index, _all_parts(choice), choice) for index, choice in enumerate(answer.choices)]
    )
    return _document(answer, candidates, _usage(answer, answer.output_tokens))


def pieces(answer: Answer) -> list[tuple[JsonObject, bool]]:
    """The documents of a stream, and whether each is a piece of content; the last one says why it ends."""
    if _is_blocked(answer):
        return [(_document(answer, [], _usage(answer, 0)), False)]
    documents: list[tuple[JsonObject, bool]] = []
    written = 0
    for index, choice in enumerate(answer.choices):
        text = choice.text or choice.refusal
        for piece in pieces_of(text, answer.pieces_per_choice) if text else []:
            written = min(written + tokens_of(len(piece.encode())), answer.output_tokens)
            candidate = _candidate(index, [{"text": piece}], None)
            early = _usage(answer, written if answer.usage_order != "twice" else written // 2)
            documents.append((_document(answer, [candidate], early), True))
        called = [_candidate(index, [call], None) for call in _calls(choice)]
        documents += [(_document(answer, [candidate], _usage(answer, written)), True) for candidate in called]
        usage = _usage(answer, answer.output_tokens)
        documents.append((_document(answer, [_candidate(index, [{"text": ""}], choice)], usage), False))
    return documents


def event_frames(_body: JsonObject, _ask: Ask, answer: Answer) -> Sequence[Frame]:
    """The stream of events."""
    return [Frame(_event(document), is_piece) for document, is_piece in pieces(answer)]


def list_frames(_body: JsonObject, _ask: Ask, answer: Answer) -> Sequence[Frame]:
    """The stream as a list; its last bracket is a frame of its own."""
    frames = [
        Frame((b"[" if index == 0 else b",\r\n") + orjson.dumps(document, option=orjson.OPT_INDENT_2), is_piece)
        for index, (document, is_piece) in enumerate(pieces(answer))
    ]
    return [*frames, Frame(b"\n]\n", is_piece=False)]


def error_body(refused: Refused, _number: int) -> JsonObject:
    """The error JSON for `refused`."""
    otherwise = "INTERNAL" if refused.status >= 500 else "FAILED_PRECONDITION"
    status = refused.kind or STATUSES.get(refused.status, otherwise)
    return {"error": {"code": refused.status, "message": refused.message, "status": status}}


def answer_headers(number: int, _ask: Ask | None, _scenario: Scenario) -> dict[str, str]:
    """What Google says of its servers."""
    return {"server": "scaffolding on HTTPServer2", "server-timing": f"gfet4t7; dur={100 + number}", "vary": "Origin"}


def other(request: Request, models: Models) -> JsonObject:
    """Counting of tokens, the models, and 404 for the rest."""
    asked = PATH.match(request.path)
    if asked is not None and asked["method"] == "countTokens" and request.method == "POST":
        return _counted(request, asked["model"], models)
    own = {name: model for name, model in models.items() if model.wire == "google" and name == model.id}
    if LIST_PATH.match(request.path) and request.method == "GET":
        return {"models": [_model(model) for model in own.values()]}
    named = MODEL_PATH.match(request.path)
    if named is not None and request.method == "GET":
        return _model(model_of(named["model"], models))
    if asked is not None:
        model_of(asked["model"], models)
    raise Refused(404, "Requested entity was not found.", kind="NOT_FOUND")


def _counted(request: Request, model: str, models: Models) -> JsonObject:
    try:
        body = orjson.loads(request.body)
    except orjson.JSONDecodeError:
        raise Refused(400, "Invalid JSON payload received.") from None
    tokens = tokens_of(read_count(body, model, models))
    return {"totalTokens": tokens, "promptTokensDetails": [{"modality": "TEXT", "tokenCount": tokens}]}


def _model(model: Model) -> JsonObject:
    return {
        "name": f"models/{model.id}",
        "version": "001",
        "displayName": model.id.replace("-", " ").title(),
        "inputTokenLimit": 1_048_576,
        "outputTokenLimit": 65_536,
        "supportedGenerationMethods": ["embedContent"]
        if model.kind == "embedding"
        else ["generateContent", "countTokens"],
    }


def _is_blocked(answer: Answer) -> bool:
    return answer.choices[0].finish == BLOCKED


def _calls(choice: Choice) -> list[JsonObject]:
    calls: list[JsonObject] = []
    for call in choice.tool_calls:
        try:
            arguments = orjson.loads(call.arguments)
        except orjson.JSONDecodeError:
            # Cut short by the output limit: the real one leaves such a call out.
            continue
        calls.append({"functionCall": {"name": call.name, "args": arguments}, "thoughtSignature": "c2lnbmF0dXJl"})
    return calls


def _all_parts(choice: Choice) -> list[JsonObject]:
    text = choice.text or choice.refusal
    return ([{"text": text}] if text else []) + _calls(choice)


def _candidate(index: int, parts: list[JsonObject], ending: Choice | None) -> JsonObject:
    candidate: JsonObject = {
        "content": {"parts": parts, "role": "model"} if parts else {"role": "model"},
        "index": index,
    }
    if ending is not None:
        candidate["finishReason"] = FINISH.get(ending.finish, ending.finish)
        if ending.finish == "refusal":
            candidate["safetyRatings"] = [{"category": "HARM_CATEGORY_DANGEROUS_CONTENT", "probability": "HIGH"}]
    return candidate


def _document(answer: Answer, candidates: list[JsonObject], usage: JsonObject | None) -> JsonObject:
    document: JsonObject = {"candidates": candidates} if candidates else {"promptFeedback": {"blockReason": "SAFETY"}}
    if usage is not None:
        document["usageMetadata"] = usage
    return document | {"modelVersion": answer.model, "responseId": made_id("", answer.number, 22)}


def _usage(answer: Answer, output_tokens: int) -> Any:
    match answer.usage_order:
        case "none":
            return None
        case "null":
            return None
        case "weird":
            return {"promptTokenCount": -5, "candidatesTokenCount": "many", "cachedContentTokenCount": [1]}
        case _:
            output = 0 if _is_blocked(answer) else output_tokens
            thoughts = min(answer.reasoning_tokens, output)
            counts = {
                "promptTokenCount": answer.input_tokens,
                "candidatesTokenCount": output - thoughts,
                "totalTokenCount": answer.input_tokens + output,
                "cachedContentTokenCount": answer.cached_tokens,
                "thoughtsTokenCount": thoughts,
            }
            told: JsonObject = {name: count for name, count in counts.items() if count}
            return told | {"promptTokensDetails": [{"modality": "TEXT", "tokenCount": answer.input_tokens}]}


def _event(document: JsonObject) -> bytes:
    return b"data: " + orjson.dumps(document) + b"\r\n\r\n"


def _read(body: JsonObject, _headers: Headers, models: Models, *, model: str, stream: bool) -> Ask:
    return read_generation(body, model, models, stream=stream)


def _generations(models: Models) -> dict[str, Generation]:
    """By path; of a stream of events with its query."""
    found: dict[str, Generation] = {}
    for version in VERSIONS:
        for name, model in models.items():
            if model.wire == "google" and model.kind == "embedding":
                found |= embedding_generations(version, model)
            elif model.wire == "google":
                path = f"/{version}/models/{name}:"
                whole = functools.partial(_read, model=name, stream=False)
                streamed = functools.partial(_read, model=name, stream=True)
                found[path + "generateContent"] = Generation(whole, whole_answer)
                found[path + "streamGenerateContent" + EVENTS] = Generation(streamed, whole_answer, event_frames)
                found[path + "streamGenerateContent"] = Generation(
                    streamed,
                    whole_answer,
                    list_frames,
                    JSON,
                    b",\r\n" + _ERROR + b"\n]",
                    b',\r\n{"candidates": [{"cont\n',
                )
    return found


_ERROR = orjson.dumps(
    {"error": {"code": 503, "message": "The model is overloaded. Please try again later.", "status": "UNAVAILABLE"}}
)

GOOGLE = Wire(
    name="google",
    answers=lambda path, headers: PATH.match(path) is not None or ("x-goog-api-key" in headers),
    check_caller=check_caller,
    generations=_generations(MODELS),
    other=other,
    headers=answer_headers,
    error_body=error_body,
    error_frame=b"data: " + _ERROR + b"\r\n\r\n",
    malformed_frame=b'data: {"candidates": [{"content": {"par\r\n\r\n',
)
