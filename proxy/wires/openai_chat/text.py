"""The text of a kept answer of OpenAI Chat Completions. Of several choices the first one speaks, as it does for the run."""

from collections.abc import Iterator
from typing import Any

from proxy.wires.shared import answer_texts
from proxy.wires.shared.answer_texts import DONE, document_of, object_in, objects_in, text_in


def text_of(answer: bytes) -> str | None:
    """The text of a finished completion, whole or streamed; None where it cannot be read, or has no end."""
    return answer_texts.text_of(answer, _whole, _streamed)


def _whole(completion: dict[str, Any]) -> str | None:
    choice = _first(completion)
    return None if choice is None else _content(object_in(choice.get("message")).get("content"))


def _streamed(events: Iterator[bytes]) -> str | None:
    texts: list[str] = []
    is_over = False
    for data in events:
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
