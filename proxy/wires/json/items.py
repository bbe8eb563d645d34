"""Raw editing of a JSON list: where its items lie, and what to change to replace or add some.

Belongs here: positions. Does not belong here: what an item means (the wires). Counterpart: json/members.py, for objects.

Decision: only as many items are measured as a change touches; one that replaces the first message of 100,000 costs as much
as in a list of two.
"""

from collections.abc import Callable

import msgspec
from msgspec.structs import astuple

from proxy.wires.json.counting import check_count
from proxy.wires.json.values import ABSENT, COMMA, RawJson, Splice, after_bracket, decode, past, wrong_kind

#: More items than any bound of a wire lets through, and from which size on a list can hold so many.
MAX_ITEMS = 100_000
LARGE_BYTES = 256 * 1024

_CLOSING = ord("]")


class _Head(msgspec.Struct, array_like=True, gc=False):
    """The first items of a list."""

    first: msgspec.Raw = ABSENT
    second: msgspec.Raw = ABSENT
    third: msgspec.Raw = ABSENT
    fourth: msgspec.Raw = ABSENT


_head: msgspec.json.Decoder[_Head] = msgspec.json.Decoder(_Head)
_raw_array: msgspec.json.Decoder[list[msgspec.Raw]] = msgspec.json.Decoder(list[msgspec.Raw])


class JsonItems:
    """The items of one JSON list, `values` being their bytes as sent."""

    __slots__ = ("_spans", "raw", "values")

    def __init__(self, raw: bytes, values: list[msgspec.Raw]) -> None:
        self.raw = raw
        self.values = values
        self._spans: list[tuple[int, int]] = []

    def span(self, index: int) -> tuple[int, int]:
        """Where an item begins and ends (exclusive) in `raw`."""
        spans = self._spans
        while len(spans) <= index:
            # Valid JSON without names: every value stands exactly where the walk arrives, so its length suffices.
            start = past(COMMA, self.raw, spans[-1][1]) if spans else after_bracket(self.raw)
            spans.append((start, start + len(self.values[len(spans)])))
        return spans[index]

    def replace_leading(self, count: int, new: bytes) -> Splice:
        """`new` in the place of the first `count` items (0: before the first)."""
        return (self.span(0)[0], self._end_of_leading(count), new) if count else self.insert(0, new)

    def insert(self, index: int, new: bytes) -> Splice:
        """`new` before the item at `index` (the number of items: at the end)."""
        if not index:
            return inserted_first(self.raw, new, is_empty=not self.values)
        end = self._end_of_leading(index)
        return end, end, b"," + new

    def _end_of_leading(self, count: int) -> int:
        if count < len(self.values):
            return self.span(count - 1)[1]
        return len(bytes(self.raw)[:-1].rstrip(b" \t\n\r"))


def leading_spans(raw: bytes, param: str, is_leading: Callable[[RawJson], bool]) -> list[tuple[int, int]]:
    """Where the first items of the list `param` lie, as long as `is_leading` says so of their bytes.

    What follows them is skipped, and nothing built of it. Raises BadInput(`wrong_kind`), `too_many_...`.
    """
    head = decode(raw, _head, param, "a list")
    items = JsonItems(raw, [item for item in astuple(head) if len(item)])
    leading = _count_leading(items, is_leading)
    if leading == len(_Head.__struct_fields__):
        items = parse_items(raw, param)
        leading = _count_leading(items, is_leading)
    return [items.span(index) for index in range(leading)]


def _count_leading(items: JsonItems, is_leading: Callable[[RawJson], bool]) -> int:
    for index, item in enumerate(items.values):
        if not is_leading(item):
            return index
    return len(items.values)


def is_empty_list(raw: bytes) -> bool:
    """Whether a valid list has no item."""
    return memoryview(raw)[after_bracket(raw)] == _CLOSING


def is_list(data: bytes) -> bool:
    """Whether bytes are one valid JSON list."""
    try:
        _raw_array.decode(data)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return False
    return True


def inserted_first(raw: bytes, new: bytes, *, is_empty: bool) -> Splice:
    """`new` before the first item of the list."""
    start = after_bracket(raw)
    return start, start, new if is_empty else new + b","


def parse_items(raw: bytes, param: str) -> JsonItems:
    """The items of the list `param`. Raises BadInput(`wrong_kind`) for anything else, `too_many_...` for a long one."""
    if len(raw) > LARGE_BYTES and not check_count(raw, MAX_ITEMS, param):
        raise wrong_kind(param, "a list of objects")
    return JsonItems(raw, decode(raw, _raw_array, param, "a list"))
