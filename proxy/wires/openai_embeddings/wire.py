"""The wire of OpenAI Embeddings: vectors of texts. There is no place for a prompt, and no output but the vectors.

Belongs here: its path, what is read from a request body, its error shape. The model a version names for embeddings, and nothing else
of it, is put in by openai_embeddings/request.py; reading answers is openai_embeddings/answer.py.
"""

from typing import Final

import orjson

from proxy.core.calls.caller import BodyClaims
from proxy.wires.json.members import JsonMembers
from proxy.wires.openai_embeddings.answer import EmbeddingsBody
from proxy.wires.openai_embeddings.input import input_bound
from proxy.wires.openai_embeddings.request import inject_model
from proxy.wires.shared.answer_reading import WholeReader
from proxy.wires.shared.openai_wire import OpenAIWire
from proxy.wires.shared.request_bounds import RequestBounds
from proxy.wires.shared.tool_names import further_models, offered_tools
from proxy.wires.shared.version_parts import read_identifier, read_model, read_switchback_member
from proxy.wires.wire import (
    EVENT_STREAM,
    AnswerReader,
    BilledApart,
    Injection,
    Operation,
    RequestFacts,
    WireFamily,
)

_EMBEDDINGS: Final = Operation("embeddings", "/v1/embeddings", "embeds", is_metered=True, takes_embeddings_model=True)
_OPERATIONS: Final = {
    ("POST", "/v1/embeddings"): _EMBEDDINGS,
    ("POST", "/embeddings"): _EMBEDDINGS,
}


def _facts(members: JsonMembers) -> RequestFacts:
    model = read_model(members)
    user = read_identifier(members, "safety_identifier") or read_identifier(members, "user")
    return RequestFacts(
        claims=BodyClaims(model=model, user=user, switchback=read_switchback_member(members)),
        model=model,
        streamed=False,
        choices=1,
        max_output_tokens=None,
        tool_names=offered_tools(members),
        document=members,
        further_models=further_models(members),
    )


def _apart(_injection: Injection) -> BilledApart:
    return BilledApart(has_audio=True, web_searches=None)


class OpenAIEmbeddings(OpenAIWire):
    """Implements Wire for `/v1/embeddings`. Remembers nothing that it could not work out again."""

    name: str = "openai_embeddings"
    family: WireFamily = "openai"
    stream_type: bytes = EVENT_STREAM
    is_conversation: bool = False

    def __init__(self, bounds: RequestBounds | None = None) -> None:
        super().__init__(
            bounds,
            facts=_facts,
            inject=inject_model,
            bound=input_bound,
            apart=_apart,
            conversation="input",
        )

    def operation(self, method: str, path: str) -> Operation | None:
        """The operation of an exact raw path, with or without `/v1`."""
        return _OPERATIONS.get((method, path))

    def answer_reader(self, *, streamed: bool, removes_usage_event: bool) -> AnswerReader:
        """A reader for one 2xx answer, which is never a stream here."""
        del streamed, removes_usage_event
        return WholeReader(EmbeddingsBody())

    def answer_text(self, answer: bytes) -> str | None:
        """Vectors are no text."""
        del answer
        return None

    def smallest_call(self, model: str) -> bytes:
        """One letter."""
        return orjson.dumps({"model": model, "input": "x"})

    def text_reply(self, text: str, *, model: str, reply_id: str, created: int, streamed: bool) -> bytes:
        """No vector says what a text says: an answer without any."""
        del text, reply_id, created, streamed
        usage = {"prompt_tokens": 0, "total_tokens": 0}
        return orjson.dumps({"object": "list", "data": [], "model": model, "usage": usage})
