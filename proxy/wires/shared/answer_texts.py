"""The text of a whole answer that is kept, for whoever judges it: its documents, one after another.

Belongs here: cutting a kept answer into JSON documents and looking into them with suspicion. Does not belong here: where a wire keeps
its text (each wire's `text.py`). Off the path of calls: nothing here has to be fast.
"""

from collections.abc import Callable, Iterator
from typing import Any, cast

import msgspec

from proxy.wires.shared.event_stream import BYTE_ORDER_MARK, EventSplitter, data_of

#: The end marker that some wires send as data.
DONE = b"[DONE]"


class UnreadableText(Exception):
    """A part of the answer cannot be read, so that nobody knows its text."""


def text_of(
    answer: bytes,
    of_document: Callable[[dict[str, Any]], str | None],
    of_events: Callable[[Iterator[bytes]], str | None],
) -> str | None:
    """The text of a finished answer, one document or a stream; None where it cannot be read, or is not finished. The two functions say
    where a wire keeps it, given the document, or the data of each event."""
    try:
        if answer.removeprefix(BYTE_ORDER_MARK).lstrip().startswith(b"{"):
            return of_document(document_of(answer))
        return of_events(_data_of_events(answer))
    except UnreadableText:
        return None


def document_of(data: bytes) -> dict[str, Any]:
    """One JSON object. Raises UnreadableText for anything else, and for an error in its place."""
    try:
        found: Any = msgspec.json.decode(data)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise UnreadableText from None
    if not isinstance(found, dict):
        raise UnreadableText
    document = cast("dict[str, Any]", found)
    if document.get("error"):
        raise UnreadableText
    return document


def objects_in(value: Any) -> list[dict[str, Any]]:
    """The objects of a list; none where it is no list."""
    if not isinstance(value, list):
        return []
    return [cast("dict[str, Any]", item) for item in cast("list[Any]", value) if isinstance(item, dict)]


def object_in(value: Any) -> dict[str, Any]:
    """An object; an empty one where it is none."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def text_in(value: Any) -> str:
    """A text; nothing where it is none."""
    return value if isinstance(value, str) else ""


def _data_of_events(answer: bytes) -> Iterator[bytes]:
    splitter = EventSplitter()
    for raw, _ in [*splitter.feed(answer), *splitter.finish()]:
        data = data_of(raw)
        if data is not None:
            yield data
