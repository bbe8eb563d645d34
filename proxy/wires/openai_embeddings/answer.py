"""Reading answers of OpenAI Embeddings: the model, and how much was read. They are never streamed.

Protocol facts: `usage` has `prompt_tokens` and `total_tokens`, which are the same; some servers tell only one of them, some a
`completion_tokens` of 0. An answer of thousands of vectors is large, with the usage behind them.
"""

from typing import Final

import msgspec

from proxy.core.spending.usage import Usage
from proxy.wires.json.values import RAW_NULL, RawJson
from proxy.wires.openai_embeddings.shapes import EmbeddingList
from proxy.wires.shared.answer_reading import error_type_of, parts_of
from proxy.wires.shared.openai_usage import suspicious_counts
from proxy.wires.wire import AnswerFacts

_list: Final[msgspec.json.Decoder[EmbeddingList]] = msgspec.json.Decoder(EmbeddingList)


class EmbeddingsBody:
    """Reads one whole answer (a BodyReader)."""

    __slots__ = ("facts",)

    def __init__(self) -> None:
        self.facts = AnswerFacts()

    def read_body(self, body: bytes) -> None:
        """Fill the facts from the body."""
        facts = self.facts
        try:
            answer = _list.decode(body)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            facts.unreadable += 1
            return
        if isinstance(answer.model, str) and answer.model:
            facts.model = answer.model
        if isinstance(answer.service_tier, str):
            facts.service_tier = answer.service_tier
        if answer.error:
            facts.error_type = error_type_of(answer.error)
        if len(answer.usage) and answer.usage != RAW_NULL:
            facts.usage, is_sound = _usage_of(answer.usage)
            facts.unreadable += not is_sound


def _usage_of(raw: RawJson) -> tuple[Usage | None, bool]:
    """What was read, the larger of what is told of it, and whether every count was sound; None where nothing is told."""
    counts = suspicious_counts(raw)
    if counts is None:
        return None, False
    told = [count for count in (counts.get("prompt_tokens"), counts.get("total_tokens")) if count is not None]
    details = counts.inner("prompt_tokens_details")
    parts = parts_of(details.get("audio_tokens") or 0, details.get("image_tokens") or 0, 0, 0)
    is_sound = counts.is_sound and details.is_sound
    return (Usage(input_tokens=max(told), parts=parts) if told else None), is_sound
