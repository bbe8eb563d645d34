"""The text of a kept answer of OpenAI Chat Completions. Of several choices the first one speaks, as it does for the run."""

from typing import Any

from proxy.wires.shared.answer_texts import (
    DONE,
    UnreadableText,
    document_of,
    events_of,
    is_document,
    object_in,
    objects_in,
    text_in,
)


def text_of(answer: bytes) -> str | None:
    """The text of a finished completion, whole or streamed; None where it cannot be read, or has no end."""
    try:
        if is_document(answer):
            choice = _first(document_of(answer))
            return None if choice is None else _content(object_in(choice.get("message")).get("content"))
        return _streamed(answer)
    except UnreadableText:
        return None


def _streamed(answer: bytes) -> str | None:
    texts: list[str] = []
    is_over = False
    for data in events_of(answer):
        if data.strip() == DONE:
            is_over = True
            break
        choice = _first(document_of(data))
        if choice is not None:
            texts.append(_content(object_in(choice.get("delta")).get("content")))
            is_over = is_over or choice.get("finish_reason") is not None
    return "".join(texts) if is_over else None


def _first(document: dict[str, Any]) -> dict[str, Any] | None:
    return next((choice for choice in objects_in(document.get("choices")) if choice.get("index", 0) == 0), None)


def _content(content: Any) -> str:
    return text_in(content) or "".join(text_in(part.get("text")) for part in objects_in(content))
