"""Raw editing of a JSON object: exact spans of its top-level members, and splicing that leaves every other byte alone.

Belongs here: where members and array items lie, and replacing, removing, adding them. Does not belong here: what any
member means (the wires). Whitespace, order, escapes, large integers and floats of what is not edited stay as sent.

Decision: msgspec validates the body and hands back every value as a raw slice; walking the body once with the lengths of
those slices gives exact spans (4 MB in a few ms, parse and dump takes three times as long and changes bytes). A value
that is not where the walk expects it belongs to a repeated name: msgspec keeps only the last one.
"""

import math
import re
from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec
import orjson

from proxy.core.errors import BadInput

T = TypeVar("T")

NULL = b"null"
#: More top-level members than any provider format has; it keeps the walk short whatever is sent.
MAX_MEMBERS = 1000
_MAX_MISPLACED = 16
_MAX_NUMBER = 400

_WHITESPACE = rb"[ \t\n\r]*"
_KEY = re.compile(_WHITESPACE + rb'"([^"\\]*(?:\\.[^"\\]*)*)"' + _WHITESPACE + b":" + _WHITESPACE, re.DOTALL)
_COMMA = re.compile(_WHITESPACE + b",?" + _WHITESPACE)
_OPEN = re.compile(_WHITESPACE + rb"[{\[]" + _WHITESPACE)
#: How a value begins that brings content: a text, a list, an object.
_CONTENT = b'"[{'
_VALUE_ENDS = b" \t\n\r,}]"

_raw_object: msgspec.json.Decoder[dict[str, msgspec.Raw]] = msgspec.json.Decoder(dict[str, msgspec.Raw])
_raw_array: msgspec.json.Decoder[list[msgspec.Raw]] = msgspec.json.Decoder(list[msgspec.Raw])
_anything: msgspec.json.Decoder[Any] = msgspec.json.Decoder()


class Member(msgspec.Struct, frozen=True):
    """Where one member lies: its key from `key_start`, its value from `value_start` to `value_end` (exclusive)."""

    name: str
    key_start: int
    value_start: int
    value_end: int


class JsonMembers:
    """The members of one JSON object. A name that occurs twice is an error only where it is asked for."""

    __slots__ = ("_by_name", "_repeated", "body", "members")

    def __init__(self, body: bytes, members: Sequence[Member]) -> None:
        self.body = body
        self.members = members
        self._by_name: dict[str, Member] = {}
        self._repeated: set[str] = set()
        for member in members:
            if member.name in self._by_name:
                self._repeated.add(member.name)
            self._by_name[member.name] = member

    @property
    def has_repeated_names(self) -> bool:
        return bool(self._repeated)

    @property
    def names(self) -> frozenset[str]:
        return frozenset(self._by_name)

    def find(self, name: str) -> Member | None:
        """The member of that name, None where it is absent. Raises BadInput(`duplicate_key`) where it occurs twice."""
        if name in self._repeated:
            raise _duplicate(name)
        return self._by_name.get(name)

    def raw(self, name: str) -> bytes | None:
        """The value's bytes as sent; None where absent. Raises BadInput(`duplicate_key`)."""
        member = self.find(name)
        return None if member is None else self.body[member.value_start : member.value_end]

    def given(self, name: str) -> bytes | None:
        """Like `raw`, but None also for `null`: the caller says nothing about it."""
        raw = self.raw(name)
        return None if raw == NULL else raw

    def decoded(self, name: str, kind: msgspec.json.Decoder[T], wanted: str) -> T | None:
        """The value read by `kind`, None where absent or null. Raises BadInput(`wrong_kind`, `duplicate_key`)."""
        raw = self.given(name)
        return None if raw is None else decode(raw, kind, name, wanted)

    def edit(self) -> "MemberEdits":
        """A fresh, empty set of edits over this object."""
        return MemberEdits(self)


class MemberEdits:
    """Edits of one object, rendered in one go; what is not edited keeps its bytes and its place."""

    __slots__ = ("_changes", "_members")

    def __init__(self, members: JsonMembers) -> None:
        self._members = members
        self._changes: dict[str, bytes | None] = {}

    def given(self, name: str) -> bytes | None:
        """The value as it would be sent now; None where absent or `null`."""
        raw = self._changes[name] if name in self._changes else self._members.raw(name)
        return None if raw == NULL else raw

    def has(self, name: str) -> bool:
        """Whether the member is there, be it as `null`."""
        if name in self._changes:
            return self._changes[name] is not None
        return self._members.find(name) is not None

    @property
    def has_repeated_names(self) -> bool:
        return self._members.has_repeated_names

    @property
    def names(self) -> frozenset[str]:
        """The names of the members as they would be sent now."""
        taken_out = {name for name, raw in self._changes.items() if raw is None}
        return (self._members.names | self._changes.keys()) - taken_out

    def brings_only(self, known: frozenset[str]) -> bool:
        """Whether every member is a known one, or a mere number, flag or null, which brings no content with it."""
        changes = self._changes
        return all(raw is None or name in known or raw[0] not in _CONTENT for name, raw in changes.items()) and all(
            member.name in known or member.name in changes or self._members.body[member.value_start] not in _CONTENT
            for member in self._members.members
        )

    def set(self, name: str, raw: bytes) -> None:
        """Replace the value in place, or add the member at the end. Raises BadInput(`duplicate_key`)."""
        self._members.find(name)
        self._changes[name] = raw

    def remove(self, name: str) -> None:
        """Take the member out, with the comma that belongs to it. Raises BadInput(`duplicate_key`)."""
        if self._members.find(name) is not None or name in self._changes:
            self._changes[name] = None

    def render(self) -> bytes:
        """The object's bytes with the edits; the very same bytes object where there are none."""
        if not self._changes:
            return self._members.body
        body, members = memoryview(self._members.body), self._members.members
        start = members[0].key_start if members else _after_bracket(self._members.body)
        parts: list[bytes | memoryview] = [body[:start]]
        position = start
        for member in members:
            if member.name in self._changes:
                position = self._render_changed(parts, body, member, position, start)
            else:
                position = _keep(parts, body, member, position, start)
        original = {member.name for member in members}
        for name, raw in self._changes.items():
            if raw is not None and name not in original:
                parts.append((b"," if len(parts) > 1 else b"") + orjson.dumps(name) + b":" + raw)
        parts.append(body[position:])
        return b"".join(parts)

    def _render_changed(
        self, parts: list[bytes | memoryview], body: memoryview, member: Member, position: int, start: int
    ) -> int:
        raw = self._changes[member.name]
        if raw is not None:
            # A kept first member begins right behind the bracket, whatever stood before it.
            parts.append(body[member.key_start if len(parts) == 1 else position : member.value_start])
            parts.append(raw)
        return member.value_end


def _keep(parts: list[bytes | memoryview], body: memoryview, member: Member, position: int, start: int) -> int:
    parts.append(body[member.key_start if len(parts) == 1 else position : member.value_end])
    return member.value_end


def parse_members(body: bytes, param: str | None = None) -> JsonMembers:
    """The members of a JSON object: the request body, or the member named `param`.

    Raises BadInput: `malformed_json`, `body_must_be_object` (`wrong_kind` for a member), `duplicate_key` for a body made
    of repeated names, `too_many_members`.
    """
    try:
        if not body.isascii():
            body.decode("utf-8")  # msgspec does not look inside the texts it skips
        values = _raw_object.decode(body)
    except msgspec.ValidationError:
        raise _not_an_object(param) from None
    except RecursionError:
        raise BadInput("malformed_json", "the body is nested too deeply", param=param) from None
    except (msgspec.DecodeError, ValueError) as error:
        raise BadInput("malformed_json", f"the body is not valid JSON: {_reason(error)}", param=param) from None
    if len(values) > MAX_MEMBERS:
        raise BadInput("too_many_members", f"the body has more than {MAX_MEMBERS} members", param=param)
    return JsonMembers(body, _walk(body, values))


def decode(raw: bytes, kind: msgspec.json.Decoder[T], param: str, wanted: str) -> T:
    """`raw` read by `kind`. Raises BadInput(`wrong_kind`) that names `param` and what is `wanted` there."""
    try:
        return kind.decode(raw)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise wrong_kind(param, wanted) from None


def wrong_kind(param: str, wanted: str) -> BadInput:
    """The refusal for a member of the wrong kind."""
    return BadInput("wrong_kind", f"{param} must be {wanted}", param=param)


def json_text(text: str) -> bytes:
    """`text` as a JSON string. Raises BadInput(`malformed_text`) for lone surrogates, which no JSON text may carry."""
    try:
        return orjson.dumps(text)
    except TypeError:
        raise BadInput("malformed_text", "a text holds half of a surrogate pair, which is not valid Unicode") from None


class JsonItems(msgspec.Struct, frozen=True):
    """The items of one JSON array: `spans` are (start, end) in `raw`."""

    raw: bytes
    spans: Sequence[tuple[int, int]]

    def item(self, index: int) -> bytes:
        """The bytes of one item as sent."""
        start, end = self.spans[index]
        return self.raw[start:end]

    def replace_leading(self, count: int, new: bytes) -> bytes:
        """The array with `new` in the place of its first `count` items (0: inserted before the first)."""
        if not count:
            return self.insert(0, new)
        return self.raw[: self.spans[0][0]] + new + self.raw[self.spans[count - 1][1] :]

    def insert(self, index: int, new: bytes) -> bytes:
        """The array with `new` before the item at `index` (the number of items: at the end)."""
        if not self.spans:
            after = _after_bracket(self.raw)
            return self.raw[:after] + new + self.raw[after:]
        if index:
            end = self.spans[index - 1][1]
            return self.raw[:end] + b"," + new + self.raw[end:]
        start = self.spans[0][0]
        return self.raw[:start] + new + b"," + self.raw[start:]


def parse_items(raw: bytes, param: str) -> JsonItems:
    """The items of the array `param`. Raises BadInput(`wrong_kind`) for anything else."""
    values = decode(raw, _raw_array, param, "a list")
    spans: list[tuple[int, int]] = []
    start = _after_bracket(raw)
    for value in values:
        # Valid JSON without names: every value stands exactly where the walk arrives, so its length suffices.
        end = start + len(value)
        spans.append((start, end))
        start = _past(_COMMA, raw, end)
    return JsonItems(raw, spans)


def _walk(body: bytes, values: dict[str, msgspec.Raw]) -> list[Member]:
    members: list[Member] = []
    misplaced = 0
    position = _after_bracket(body)
    while (match := _KEY.match(body, position)) is not None:
        key = match[1]
        name = key.decode() if b"\\" not in key else str(_anything.decode(b'"' + key + b'"'))
        value = values[name]
        start, end = match.end(), match.end() + len(value)
        if not body.startswith(bytes(value), start) or body[end] not in _VALUE_ENDS:
            misplaced += 1
            if misplaced > _MAX_MISPLACED:
                raise _duplicate(name)
            end = _end_of_overridden(body, start, name)
        _check_number(name, body, start, end)
        members.append(Member(name, match.start(1) - 1, start, end))
        if len(members) > MAX_MEMBERS:
            raise _duplicate(name)
        position = _past(_COMMA, body, end)
    return members


def _end_of_overridden(body: bytes, start: int, name: str) -> int:
    """Where a value ends that a later member of the same name hides: read once more, under a name of its own."""
    alone = _raw_object.decode(b'{"\\u0000":' + body[start:])["\0"]
    end = start + len(alone)
    if not body.startswith(bytes(alone), start) or body[end] not in _VALUE_ENDS:
        raise _duplicate(name)
    return end


def _check_number(name: str, body: bytes, start: int, end: int) -> None:
    # Valid by grammar, but parsers disagree about such a number: one reads infinity, another an exact integer.
    if body[start] in b"-0123456789" and (end - start > _MAX_NUMBER or math.isinf(float(body[start:end]))):
        raise BadInput("malformed_json", f"the number {name} is out of range", param=name)


def _after_bracket(raw: bytes) -> int:
    return _past(_OPEN, raw, 0)


def _past(pattern: re.Pattern[bytes], raw: bytes, position: int) -> int:
    match = pattern.match(raw, position)
    return position if match is None else match.end()


def _duplicate(name: str) -> BadInput:
    shown = name if name.isprintable() and len(name) <= 64 else "(a name)"
    return BadInput("duplicate_key", f"the member {shown} occurs twice in the body", param=shown)


def _not_an_object(param: str | None) -> BadInput:
    if param is not None:
        return wrong_kind(param, "an object")
    return BadInput("body_must_be_object", "the body must be a JSON object")


def _reason(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return f"invalid UTF-8 (byte {error.start})"
    return str(error).removeprefix("JSON is malformed: ")
