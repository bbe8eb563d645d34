"""How much of each kind one request may hold, counted before anything is built of it.

Belongs here: the bounds. Does not belong here: counting (json/counting.py), what is counted (the wires).

Decision: a body of the greatest size may hold ten million objects, each of which costs more memory and time than it has bytes. Only a
list with more braces than the bound (texts may hold some) is counted, by a decoder that makes nothing of an object and stops at the
bound: 0.6 ms a megabyte and 0.1 µs an object, against 60 to 300 ms for what would be built.
"""

from dataclasses import dataclass
from typing import Final

from proxy.core.steps import Steps
from proxy.wires.json.counting import check_count, check_counts, count_up_to, has_more_than
from proxy.wires.json.members import STRUCTURE_BYTES, JsonMembers

#: No shorter list is worth counting.
_SMALL_BYTES: Final = 64 * 1024
#: So many objects take a decoder 5 ms, and as many bytes hold no more.
_DENSE_OBJECTS: Final = 50_000
_DENSE_BYTES: Final = 512 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestBounds:
    """The most messages and tools of one request, and of bytes beside its long texts. Long sessions of coding agents have thousands,
    hundreds, and a few million."""

    messages: int = 20_000
    tools: int = 2_000
    structure_bytes: int = STRUCTURE_BYTES

    def check_unread(self, body: bytes, conversation: str = "messages") -> Steps[int]:
        """As `check`, of a large body that is not parsed yet, with pauses: no more of it is read than shows that there is too much.
        How many braces open in it, up to one more than the greatest bound."""
        most = max(self.messages, self.tools)
        objects = yield from count_up_to(body, b"{", most + 1)
        if objects > most and len(body) > _DENSE_BYTES:
            check_counts(body, {conversation: self.messages, "tools": self.tools, "functions": self.tools})
        return objects

    def check(self, members: JsonMembers, conversation: str = "messages", objects: int | None = None) -> None:
        """`conversation`: the member that holds it; `objects`: what `check_unread` found in the body. Raises
        BadInput(`too_many_messages`, or after that member's name, `too_many_tools`, `too_many_functions`)."""
        if len(members.body) <= _SMALL_BYTES:
            return
        for name, most in ((conversation, self.messages), ("tools", self.tools), ("functions", self.tools)):
            if objects is not None and objects <= most:
                continue
            span = members.span(name)
            if span is not None:
                _check_list(members.body, *span, most, name)


def is_dense(body: bytes) -> bool:
    """Whether a body may hold so many objects that making them all takes too long."""
    return len(body) > _DENSE_BYTES and has_more_than(body, b"{", _DENSE_OBJECTS, 0, len(body))


def _check_list(body: bytes, start: int, end: int, most: int, param: str) -> None:
    """Raises BadInput(`too_many_...`) where the list between these positions has more than `most` objects."""
    if end - start > _SMALL_BYTES and has_more_than(body, b"{", most, start, end):
        check_count(body[start:end], most, param)
