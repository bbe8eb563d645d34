"""The text of a kept answer of Anthropic Messages: its text blocks, without thinking and uses of tools."""

from typing import Any

from proxy.wires.shared.answer_texts import (
    UnreadableText,
    document_of,
    events_of,
    is_document,
    object_in,
    objects_in,
    text_in,
)


def text_of(answer: bytes) -> str | None:
    """The text of a finished message, whole or streamed; None where it cannot be read, or has no end."""
    try:
        if is_document(answer):
            return "".join(_of_block(block) for block in objects_in(document_of(answer).get("content")))
        return _streamed(answer)
    except UnreadableText:
        return None


def _streamed(answer: bytes) -> str | None:
    texts: list[str] = []
    for data in events_of(answer):
        event = document_of(data)
        match event.get("type"):
            case "content_block_start":
                texts.append(_of_block(object_in(event.get("content_block"))))
            case "content_block_delta":
                delta = object_in(event.get("delta"))
                if delta.get("type") == "text_delta":
                    texts.append(text_in(delta.get("text")))
            case "message_stop":
                return "".join(texts)
            case _:
                """Beginnings, ends of blocks, totals, pings."""
    return None


def _of_block(block: dict[str, Any]) -> str:
    return text_in(block.get("text")) if block.get("type") == "text" else ""
