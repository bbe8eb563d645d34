"""The wire of Gemini's embeddings: `embedContent` and `batchEmbedContents`. No place for a prompt, and no output but the vectors.

Belongs here: all of it, from the path to the answer's usage. Of a version the model that it names for embeddings goes in. Counterpart:
openai_embeddings.

Protocol facts: of a batch each request names its model, which must be that of the path. Usage is told with newer models alone
(`usageMetadata`), on Vertex AI by `statistics` of each vector; where it is not, the cost is an estimate.
"""

from typing import Any, Final, cast

import msgspec
import orjson

from proxy.core.calls.caller import BodyClaims
from proxy.core.errors import BadInput, Refusal
from proxy.core.spending.usage import Usage
from proxy.core.steps import Steps
from proxy.wires.google_gemini.errors import error_body
from proxy.wires.google_gemini.input import is_text_content
from proxy.wires.google_gemini.places import ModelPath, place_of, place_of_target, plain_model
from proxy.wires.google_gemini.request import model_json
from proxy.wires.google_gemini.spelling import Spelled
from proxy.wires.json.counting import check_count
from proxy.wires.json.items import parse_items
from proxy.wires.json.members import JsonMembers, parse_in_steps, parse_members
from proxy.wires.json.values import decode
from proxy.wires.shared.answer_reading import TokenCounts, WholeReader, error_type_of
from proxy.wires.shared.request_bounds import RequestBounds, is_dense
from proxy.wires.shared.version_parts import final_model, read_model, read_switchback_member
from proxy.wires.wire import (
    EVENT_STREAM,
    NO_HEAD,
    AnswerFacts,
    AnswerReader,
    BilledApart,
    Injection,
    InjectionPlan,
    Operation,
    RequestFacts,
    RequestHead,
    WireFamily,
)

_OPERATIONS: Final = {"embedContent": "embed_content", "batchEmbedContents": "batch_embed_contents"}
_REQUESTS: Final = "requests"
_OVERHEAD_TOKENS: Final = 64
#: Of one request, members that bring no input of their own, or only text that stands in the body.
_TEXT_MEMBERS: Final = frozenset(
    {
        "content",
        "model",
        "outputDimensionality",
        "output_dimensionality",
        "taskType",
        "task_type",
        "title",
    }
)


class _NamesModel(msgspec.Struct, gc=False):
    model: str | None = None


class _Vector(msgspec.Struct, gc=False):
    statistics: Any = None


class _Answer(msgspec.Struct, gc=False):
    """Of an answer what is not numbers."""

    usage_metadata: Any = msgspec.field(name="usageMetadata", default=None)
    embedding: _Vector | None = None
    embeddings: list[_Vector] | None = None
    error: Any = None


class EmbeddingRequest:
    """What was read of a request: where it goes, and its members."""

    __slots__ = ("members", "place")

    def __init__(self, place: ModelPath | None, members: JsonMembers) -> None:
        self.place = place
        self.members = members


_models: Final[msgspec.json.Decoder[list[_NamesModel]]] = msgspec.json.Decoder(list[_NamesModel])
_answer: Final[msgspec.json.Decoder[_Answer]] = msgspec.json.Decoder(_Answer)


class GoogleEmbeddings:
    """Implements Wire for Gemini's embeddings. Remembers nothing that it could not work out again."""

    name: str = "google_embeddings"
    family: WireFamily = "google"
    stream_type: bytes = EVENT_STREAM
    is_conversation: bool = False

    def __init__(self, bounds: RequestBounds | None = None) -> None:
        self._bounds = RequestBounds() if bounds is None else bounds

    def operation(self, method: str, path: str) -> Operation | None:
        """The operation of a raw path, with or without its version."""
        place = place_of(path) if method == "POST" else None
        name = None if place is None else _OPERATIONS.get(place.method)
        if place is None or name is None:
            return None
        return Operation(name, place.path(), "embeds", is_metered=True, takes_embeddings_model=True)

    def read(self, body: bytes, head: RequestHead = NO_HEAD, /) -> RequestFacts:
        """Facts of a request. Raises BadInput: `malformed_json`, `duplicate_key`, `wrong_kind`, `too_many_requests`, ..."""
        return self._facts(parse_members(body), head)

    def read_in_steps(self, body: bytes, head: RequestHead = NO_HEAD, /) -> Steps[RequestFacts]:
        """As `read`, with pauses."""
        members = yield from parse_in_steps(body, self._bounds.structure_bytes)
        yield
        return self._facts(members, head)

    def _facts(self, members: JsonMembers, head: RequestHead) -> RequestFacts:
        place = place_of_target(head.target)
        named = [read_model(members) or ""]
        requests = members.given(_REQUESTS)
        if requests is not None:
            check_count(bytes(requests), self._bounds.messages, _REQUESTS)
            named += [one.model or "" for one in decode(requests, _models, _REQUESTS, "a list of requests")]
        model = plain_model(named[0]) or None if place is None else place.model
        return RequestFacts(
            claims=BodyClaims(model=model, switchback=read_switchback_member(members)),
            model=model,
            streamed=False,
            choices=1,
            max_output_tokens=None,
            tool_names=frozenset(),
            document=EmbeddingRequest(place, members),
            further_models=frozenset(plain_model(name) for name in named if name),
        )

    def inject(self, request: RequestFacts, plan: InjectionPlan) -> Injection:
        """The request with the version's model for embeddings in it. Raises BadInput(`model_missing`, `wrong_kind`)."""
        asked: EmbeddingRequest = request.document
        named = None if plan.bundle is None else plan.bundle.model.embeddings
        model = plain_model(final_model(None, request.model) or "") or None if named is None else plain_model(named)
        body = Spelled(asked.members)
        body.edits.remove("switchback")
        target = None
        if model is not None and model != request.model:
            _set_model(body, model)
            target = None if asked.place is None else asked.place.target(model)
        # Nothing is written.
        return Injection(body=body.edits.render(), model=model, max_output_tokens=0, target=target, document=body)

    def input_tokens_bound(self, injection: Injection) -> int | None:
        """An upper bound of the input tokens; None where there is more than text."""
        body: Spelled = injection.document
        try:
            if is_dense(injection.body) or not _is_text(body):
                return None
        except (BadInput, msgspec.MsgspecError, ValueError, RecursionError):
            return None
        return len(injection.body) + _OVERHEAD_TOKENS

    def billed_apart(self, injection: Injection) -> BilledApart:
        """Whatever it is, nothing bounds it."""
        del injection
        return BilledApart(has_audio=True, web_searches=None)

    def answer_reader(self, *, streamed: bool, removes_usage_event: bool) -> AnswerReader:
        """A reader for one 2xx answer, which is never a stream here."""
        del streamed, removes_usage_event
        return WholeReader(EmbeddingAnswer())

    def answer_text(self, answer: bytes) -> str | None:
        """Vectors are no text."""
        del answer
        return None

    def error_status(self, refusal: Refusal) -> int:
        """The refusal's own."""
        return refusal.status

    def error_body(self, refusal: Refusal, request_id: str) -> bytes:
        """As Google's other methods tell errors."""
        return error_body(refusal, request_id)

    def error_event(self, refusal: Refusal, request_id: str) -> bytes:
        """The error JSON as an event, though nothing is streamed here."""
        return b"data: %b\n\n" % error_body(refusal, request_id)

    def smallest_call(self, model: str) -> bytes:
        """One letter."""
        return orjson.dumps({"model": f"models/{model}", "content": {"parts": [{"text": "x"}]}})

    def text_reply(self, text: str, *, model: str, reply_id: str, created: int, streamed: bool) -> bytes:
        """No vector says what a text says: an answer without any."""
        del text, model, reply_id, created, streamed
        return orjson.dumps({"embeddings": []})


class EmbeddingAnswer:
    """Reads one whole answer (a BodyReader)."""

    __slots__ = ("facts",)

    def __init__(self) -> None:
        self.facts = AnswerFacts()

    def read_body(self, body: bytes) -> None:
        """Fill the facts from the body."""
        facts = self.facts
        try:
            answer = _answer.decode(body)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            facts.unreadable += 1
            return
        if answer.error:
            facts.error_type = error_type_of(answer.error)
        told = [_told(answer.usage_metadata, "promptTokenCount"), _told(answer.usage_metadata, "totalTokenCount")]
        vectors = [vector for vector in (answer.embedding, *(answer.embeddings or ())) if vector is not None]
        counted = [_told(vector.statistics, "tokenCount") for vector in vectors]
        if vectors and None not in counted:
            told.append(sum(count or 0 for count in counted))
        known = [count for count in told if count is not None]
        if known:
            facts.usage = Usage(input_tokens=max(known))


def _told(counts: Any, name: str) -> int | None:
    return TokenCounts(cast("dict[str, Any]", counts)).get(name) if isinstance(counts, dict) else None


def _set_model(body: Spelled, model: str) -> None:
    """Name the model wherever the body names one."""
    if body.has("model"):
        body.set("model", model_json(model))
    raw = body.given(_REQUESTS)
    if raw is None:
        return
    requests: list[bytes] = []
    for index, item in enumerate(parse_items(raw, _REQUESTS).values):
        request = Spelled(parse_members(bytes(item), f"{_REQUESTS}[{index}]"))
        request.set("model", model_json(model))
        requests.append(request.edits.render())
    body.set(_REQUESTS, b"[" + b",".join(requests) + b"]")


def _is_text(body: Spelled) -> bool:
    """Raises BadInput, and what decoders raise, for some that are not."""
    edits = body.edits
    if edits.has_repeated_names or not edits.brings_only(_TEXT_MEMBERS | {_REQUESTS}):
        return False
    raw = body.given(_REQUESTS)
    requests = (
        []
        if raw is None
        else [Spelled(parse_members(bytes(item), _REQUESTS)) for item in parse_items(raw, _REQUESTS).values]
    )
    if not all(not one.edits.has_repeated_names and one.edits.brings_only(_TEXT_MEMBERS) for one in requests):
        return False
    return all(is_text_content(one.given("content")) for one in (body, *requests))
