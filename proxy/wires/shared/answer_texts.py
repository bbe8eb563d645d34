"""The text of a whole answer that is kept, for whoever judges it: its documents, one after another.

Belongs here: cutting a kept answer into JSON documents and looking into them with suspicion. Does not belong here: where a wire keeps
its text (each wire's `text.py`). Off the path of calls: nothing here has to be fast.
"""

from collections.abc import Iterator
from typing import Any, cast

import msgspec

from proxy.wires.shared.event_stream import BYTE_ORDER_MARK, EventSplitter, data_of

#: The end marker that some wires send as data.
DONE = b"[DONE]"


class UnreadableText(Exception):
    """A part of the answer cannot be read, so that nobody knows its text."""


def is_document(answer: bytes) -> bool:
    """Whether an answer is one document and no stream."""
    return answer.removeprefix(BYTE_ORDER_MARK).lstrip().startswith(b"{")


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


def events_of(answer: bytes) -> Iterator[bytes]:
    """The data of each event of a stream."""
    splitter = EventSplitter()
    for raw, _ in [*splitter.feed(answer), *splitter.finish()]:
        data = data_of(raw)
        if data is not None:
            yield data


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
