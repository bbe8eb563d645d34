"""The text of a kept Gemini answer: of its first candidate, without thoughts, calls of tools and files."""

from collections.abc import Iterable, Iterator
from typing import Any, cast

import msgspec

from proxy.wires.shared import answer_texts
from proxy.wires.shared.answer_texts import document_of, object_in, objects_in, text_in
from proxy.wires.shared.event_stream import BYTE_ORDER_MARK


def text_of(answer: bytes) -> str | None:
    """The text of a finished answer: one document, events, or a list; None where it cannot be read, or has no end."""
    if answer.removeprefix(BYTE_ORDER_MARK).lstrip().startswith(b"["):
        return _listed(answer)
    return answer_texts.text_of(answer, _of_document, _streamed)


def _listed(answer: bytes) -> str | None:
    try:
        found: Any = msgspec.json.decode(answer.removeprefix(BYTE_ORDER_MARK))
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    items = objects_in(found)
    if len(items) != len(cast("list[Any]", found)) or any(item.get("error") for item in items):
        return None
    return _of_all(items)


def _of_document(document: dict[str, Any]) -> str | None:
    return _of_all([document])


def _streamed(events: Iterator[bytes]) -> str | None:
    return _of_all(document_of(data) for data in events)


def _of_all(answers: Iterable[dict[str, Any]]) -> str | None:
    texts: list[str] = []
    has_ended = False
    for answer in answers:
        has_ended = has_ended or bool(object_in(answer.get("promptFeedback")).get("blockReason"))
        for candidate in objects_in(answer.get("candidates")):
            if candidate.get("index", 0) == 0:
                texts += [_of_part(part) for part in objects_in(object_in(candidate.get("content")).get("parts"))]
                has_ended = has_ended or bool(candidate.get("finishReason"))
    return "".join(texts) if has_ended else None


def _of_part(part: dict[str, Any]) -> str:
    return "" if part.get("thought") is True else text_in(part.get("text"))
