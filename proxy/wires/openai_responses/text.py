"""The text of a kept answer of OpenAI Responses: what its messages say, without reasoning and calls of tools."""

from collections.abc import Iterator
from typing import Any

from proxy.wires.shared import answer_texts
from proxy.wires.shared.answer_texts import DONE, document_of, object_in, objects_in, text_in

_ENDS = frozenset({"response.completed", "response.incomplete"})
_ENDED = frozenset({"completed", "incomplete"})
_DELTA = "response.output_text.delta"


def text_of(answer: bytes) -> str | None:
    """The text of a finished response, whole or streamed; None where it cannot be read, or is not finished."""
    return answer_texts.text_of(answer, _whole, _streamed)


def _whole(response: dict[str, Any]) -> str | None:
    return _output(response) if response.get("status", "completed") in _ENDED else None


def _streamed(events: Iterator[bytes]) -> str | None:
    deltas: list[str] = []
    for data in events:
        if data.strip() == DONE:
            break
        event = document_of(data)
        if event.get("type") == _DELTA:
            deltas.append(text_in(event.get("delta")))
        elif event.get("type") in _ENDS:
            # Some servers end with a response that holds nothing of what came before.
            return _output(object_in(event.get("response"))) or "".join(deltas)
    return None


def _output(response: dict[str, Any]) -> str:
    parts = [
        part
        for item in objects_in(response.get("output"))
        if item.get("type") == "message"
        for part in objects_in(item.get("content"))
    ]
    return "".join(text_in(part.get("text")) for part in parts if part.get("type") == "output_text")
