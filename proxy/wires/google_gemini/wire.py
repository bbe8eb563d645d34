"""The wire of Google Gemini: `generateContent`, its streams, and `countTokens`.

Belongs here: its methods, what is read from a request, its error and fixed-text shapes. Injecting a version is
google_gemini/request.py, reading answers google_gemini/answer.py. Its counterpart is anthropic_messages/wire.py.

Protocol facts: the model and the method stand in the path. Nothing in the format says whose user asks; Vertex's `labels` are a bill's.
A body may name a model too, which the path overrides. Google's SDKs raise by the status, and show `message` and `status`.
"""

from typing import Any, Final

import orjson

from proxy.core.calls.caller import BodyClaims
from proxy.core.errors import Refusal
from proxy.core.steps import Steps
from proxy.wires.google_gemini.answer import GeminiAnswer
from proxy.wires.google_gemini.errors import error_body
from proxy.wires.google_gemini.input import SOUND_MARKS, billed_apart, input_bound
from proxy.wires.google_gemini.lists import GeminiStream
from proxy.wires.google_gemini.parameters import CONFIG
from proxy.wires.google_gemini.places import ModelPath, place_of, place_of_target, plain_model
from proxy.wires.google_gemini.request import GeminiRequest, counted_request, inject_into_count, inject_version
from proxy.wires.google_gemini.spelling import Spelled
from proxy.wires.google_gemini.text import text_of
from proxy.wires.google_gemini.tools import labels_of
from proxy.wires.json.members import JsonMembers, parse_in_steps, parse_members
from proxy.wires.shared.answer_reading import WholeReader
from proxy.wires.shared.json_wire import look_for
from proxy.wires.shared.request_bounds import RequestBounds, is_dense
from proxy.wires.shared.version_parts import (
    MAX_OUTPUT_TOKENS,
    read_model,
    read_switchback_member,
    read_whole_number,
)
from proxy.wires.wire import (
    EVENT_STREAM,
    NO_HEAD,
    AnswerReader,
    BilledApart,
    Injection,
    InjectionPlan,
    Operation,
    RequestFacts,
    RequestHead,
    WireFamily,
)

_CONVERSATION: Final = "contents"
_STREAM: Final = "streamGenerateContent"
_COUNT: Final = "countTokens"
#: No model answers more often at once.
_MOST_CANDIDATES: Final = 128


class GoogleGemini:
    """Implements Wire for the Gemini API. Remembers nothing that it could not work out again."""

    name: str = "google_gemini"
    family: WireFamily = "google"
    stream_type: bytes = EVENT_STREAM
    is_conversation: bool = True

    def __init__(self, bounds: RequestBounds | None = None) -> None:
        self._bounds = RequestBounds() if bounds is None else bounds

    def operation(self, method: str, path: str) -> Operation | None:
        """The operation of a raw path, with or without its version."""
        place = place_of(path) if method == "POST" else None
        return None if place is None else _operation(place)

    def read(self, body: bytes, head: RequestHead = NO_HEAD, /) -> RequestFacts:
        """Facts of a request. Raises BadInput: `malformed_json`, `body_must_be_object`, `duplicate_key`, `wrong_kind`,
        `too_many_tools`, ..."""
        return self._facts(parse_members(body), head)

    def read_in_steps(self, body: bytes, head: RequestHead = NO_HEAD, /) -> Steps[RequestFacts]:
        """As `read`, with pauses."""
        objects = yield from self._bounds.check_unread(body, _CONVERSATION)
        yield
        members = yield from parse_in_steps(body, self._bounds.structure_bytes)
        yield from look_for(members, SOUND_MARKS)
        yield
        return self._facts(members, head, objects)

    def _facts(self, outer: JsonMembers, head: RequestHead, objects: int | None = None) -> RequestFacts:
        """`objects`: how many a large body has at most."""
        self._bounds.check(outer, _CONVERSATION, objects)
        place = place_of_target(head.target)
        counts = place is not None and place.method == _COUNT
        asked = counted_request(place, outer) if counts else GeminiRequest(place, outer)
        self._bounds.check(asked.members, _CONVERSATION, objects)
        body = Spelled(asked.members)
        named = read_model(asked.members)
        model = plain_model(named or "") or None if place is None else place.model
        config = body.given(CONFIG)
        limits = _config_facts(config) if config is not None else (1, None)
        streamed = place is not None and place.method == _STREAM
        return RequestFacts(
            claims=BodyClaims(model=model, switchback=read_switchback_member(outer)),
            model=model,
            streamed=streamed,
            choices=limits[0],
            max_output_tokens=limits[1],
            tool_names=labels_of(body.given("tools"), self._bounds.tools),
            document=asked,
            further_models=frozenset() if named is None else frozenset({plain_model(named)}),
            streams_list=streamed and place is not None and not place.is_event_stream,
        )

    def inject(self, request: RequestFacts, plan: InjectionPlan) -> Injection:
        """The request with the version in it. Raises BadInput: `model_missing`, `variable_missing`, `wrong_kind`, ..."""
        place = request.document.place
        if place is not None and place.method == _COUNT:
            return inject_into_count(request, plan, takes_bare=False)
        return inject_version(request, plan)

    def input_tokens_bound(self, injection: Injection) -> int | None:
        """An upper bound of the input tokens; None where there is more than text."""
        if is_dense(injection.body):
            return None
        return input_bound(injection.document, injection.model, len(injection.body))

    def billed_apart(self, injection: Injection) -> BilledApart:
        """What an injected body may be billed beside text."""
        return billed_apart(injection.document, injection.model)

    def answer_reader(self, *, streamed: bool, removes_usage_event: bool) -> AnswerReader:
        """A reader for one 2xx answer."""
        del removes_usage_event  # the usage comes unasked
        return GeminiStream() if streamed else WholeReader(GeminiAnswer())

    def answer_text(self, answer: bytes) -> str | None:
        """The text of a finished answer; None where nobody can tell it."""
        return text_of(answer)

    def error_status(self, refusal: Refusal) -> int:
        """The refusal's own."""
        return refusal.status

    def error_body(self, refusal: Refusal, request_id: str) -> bytes:
        """`{"error": {code, message, status, details: [{"@type": ErrorInfo, reason, domain, metadata}]}}`."""
        return error_body(refusal, request_id)

    def error_event(self, refusal: Refusal, request_id: str) -> bytes:
        """The error JSON as an event; the SDKs raise on it."""
        return b"data: %b\n\n" % self.error_body(refusal, request_id)

    def smallest_call(self, model: str) -> bytes:
        """One content, and room for one token."""
        contents = [{"role": "user", "parts": [{"text": "x"}]}]
        body = {"model": f"models/{model}", _CONVERSATION: contents, CONFIG: {"maxOutputTokens": 1}}
        return orjson.dumps(body)

    def text_reply(self, text: str, *, model: str, reply_id: str, created: int, streamed: bool) -> bytes:
        """`text` as an answer, or as a stream of one; this format has no place for `created`."""
        del created
        content = {"role": "model", "parts": [{"text": text}]}
        answer: dict[str, Any] = {
            "candidates": [{"content": content, "finishReason": "STOP", "index": 0}],
            "usageMetadata": {"promptTokenCount": 0, "candidatesTokenCount": 0, "totalTokenCount": 0},
            "modelVersion": model,
            "responseId": reply_id,
        }
        body = orjson.dumps(answer)
        return b"data: %b\r\n\r\n" % body if streamed else body


def _operation(place: ModelPath) -> Operation | None:
    path = place.path()
    match place.method:
        case "generateContent":
            return Operation("generate_content", path, "generates", is_metered=True, is_in_force=True, has_output=True)
        case "streamGenerateContent":
            return Operation(
                "stream_generate_content", path, "generates", is_metered=True, is_in_force=True, has_output=True
            )
        case "countTokens":
            return Operation("count_tokens", path, "counts", is_metered=True, is_in_force=True)
        case _:
            return None


def _config_facts(raw: bytes) -> tuple[int, int | None]:
    """Answers asked for, and the caller's output bound. Raises BadInput(`wrong_kind`, `duplicate_key`)."""
    config = parse_members(raw, CONFIG)
    names = Spelled(config)
    choices = read_whole_number(config, names.name("candidateCount"), 1, _MOST_CANDIDATES)
    return choices or 1, read_whole_number(config, names.name("maxOutputTokens"), 0, MAX_OUTPUT_TOKENS)
