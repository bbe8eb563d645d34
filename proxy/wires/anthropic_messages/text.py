"""The text of a kept answer of Anthropic Messages: its text blocks, without thinking and uses of tools."""

from collections.abc import Iterator
from typing import Any

from proxy.wires.shared import answer_texts
from proxy.wires.shared.answer_texts import document_of, object_in, objects_in, text_in


def text_of(answer: bytes) -> str | None:
    """The text of a finished message, whole or streamed; None where it cannot be read, or has no end."""
    return answer_texts.text_of(answer, _whole, _streamed)


def _whole(message: dict[str, Any]) -> str:
    return "".join(_of_block(block) for block in objects_in(message.get("content")))


def _streamed(events: Iterator[bytes]) -> str | None:
    texts: list[str] = []
    for data in events:
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
