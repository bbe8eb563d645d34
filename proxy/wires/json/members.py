"""Reading a JSON object without parsing its values: exact spans of its top-level members.

Belongs here: where members lie, and whether a name occurs twice. Does not belong here: editing them (json/edits.py), lists
(json/items.py), what any member means (the wires).

Decision: msgspec validates the body and hands back every value as a view; lengths then give exact spans. Measured for a
small chat request: 2 µs where the body is written without spaces, which one sum of lengths proves (it is the shortest
spelling there is, so nothing can hide in it); 6 µs by the walk for other spellings, which took 11 for all of them before; a
repeated name, of which msgspec keeps the last value only, is read once more with every name kept apart. 5 MB take 3 ms.
"""

import math
import re
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence, Set
from contextlib import suppress

import msgspec

from proxy.core.errors import BadInput
from proxy.core.steps import Steps
from proxy.wires.json.escapes import is_found, may_spell_names, may_spell_names_in_steps
from proxy.wires.json.long_lists import shorten_lists
from proxy.wires.json.long_texts import Shortened, shorten
from proxy.wires.json.values import (
    RAW_NULL,
    WHITESPACE,
    JsonDecoder,
    RawJson,
    T,
    check_utf8,
    check_utf8_in_steps,
    wrong_kind,
)

#: More top-level members than any provider format has; it keeps the walk short whatever is sent.
MAX_MEMBERS = 1000
#: What takes a decoder 30 ms, in which nobody else has a turn. Ten million tokens of texts that are short are no more.
STRUCTURE_BYTES = 12 * 1024 * 1024
#: From this size on members are counted while they are read; smaller bodies cannot hold many.
LARGE_BYTES = 64 * 1024
#: Longer than any name; matching a long one that is full of escapes takes much memory.
MAX_NAME = 4096
_MAX_HIDDEN = 16
_MAX_NUMBER = 400
#: No number that short is beyond a float.
_SAFE_NUMBER = 4
#: Everything between two values: bracket or comma, the next member's name, the colon.
_KEY = re.compile(
    WHITESPACE + b"[{,]" + WHITESPACE + rb'"([^"\\]*(?:\\.[^"\\]*)*)"' + WHITESPACE + b":" + WHITESPACE, re.DOTALL
)
_END = re.compile(WHITESPACE + rb"\{?" + WHITESPACE + rb"\}" + WHITESPACE + rb"\Z")
_NUMBER = b"-0123456789"
_SPACE, _QUOTE, _LAST_DIGIT = b' "9'
_VALUE_ENDS = b" \t\n\r,}]"
#: What stands for all that may be spelled with escapes, where it is noted what was looked for.
_ESCAPES = b"\\u"

_raw_object: msgspec.json.Decoder[dict[str, msgspec.Raw]] = msgspec.json.Decoder(dict[str, msgspec.Raw])

#: Where one member lies: its name, where its key begins, where its value begins and ends (exclusive).
Span = tuple[str, int, int, int]


class JsonMembers:
    """The members of one JSON object. A name that occurs twice is an error only where it is asked for."""

    __slots__ = ("_mentioned", "body", "repeated", "spans", "values")

    def __init__(
        self, body: bytes, values: Mapping[str, msgspec.Raw], spans: Sequence[Span], repeated: Set[str] = frozenset()
    ) -> None:
        self.body = body
        #: By name, the last one of a repeated name.
        self.values = values
        self.spans = spans
        self.repeated = repeated
        #: What was looked for already: large values are gone through once.
        self._mentioned: dict[tuple[str, bytes], bool] | None = None

    def span(self, name: str) -> tuple[int, int] | None:
        """Where a value begins and ends (exclusive), the last one of a repeated name; None where it is absent."""
        found = None
        for member, _, start, end in self.spans:
            if member == name:
                found = start, end
        return found

    def may_mention(self, name: str, words: bytes) -> bool:
        """Whether these bytes stand anywhere in a value, the last one of a repeated name, or may stand there as escapes."""
        known = self._mentioned = self._mentioned or {}
        found = known.get((name, words))
        if found is None:
            span = self.span(name)
            found = span is not None and (self.body.find(words, *span) >= 0 or self._may_spell_names(name, *span))
            known[name, words] = found
        return found

    def look_for(self, name: str, words: bytes) -> Steps[None]:
        """Find out, with pauses, what `may_mention` says then at once. A search through 30 MB takes 10 to 50 ms."""
        known = {} if self._mentioned is None else self._mentioned
        span = self.span(name)
        if span is None or (name, words) in known:
            return
        found = yield from is_found(self.body, words, *span)
        if not found:
            if (name, _ESCAPES) not in known:
                known[name, _ESCAPES] = yield from may_spell_names_in_steps(self.body, *span)
            found = known[name, _ESCAPES]
        known[name, words] = found
        self._mentioned = known

    def _may_spell_names(self, name: str, start: int, end: int) -> bool:
        known = self._mentioned = self._mentioned or {}
        found = known.get((name, _ESCAPES))
        if found is None:
            found = known[name, _ESCAPES] = may_spell_names(self.body, start, end)
        return found

    def given(self, name: str) -> RawJson | None:
        """The value as sent (a view); None where absent or `null`: the caller says nothing. Raises BadInput(`duplicate_key`)."""
        raw = self.values.get(name)
        if raw is None:
            return None
        if self.repeated and name in self.repeated:
            raise duplicate(name)
        return None if raw == RAW_NULL else raw

    def decoded(self, name: str, kind: JsonDecoder[T | None], wanted: str) -> T | None:
        """The value read by `kind`, None where absent or null. Raises BadInput(`wrong_kind`, `duplicate_key`)."""
        raw = self.values.get(name)
        if raw is None:
            return None
        if self.repeated and name in self.repeated:
            raise duplicate(name)
        try:
            return kind.decode(raw)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            raise wrong_kind(name, wanted) from None


def parse_members(body: bytes, param: str | None = None) -> JsonMembers:
    """The members of a JSON object: the request body, or the member named `param`.

    Raises BadInput: `malformed_json`, `body_must_be_object` (`wrong_kind` for a member), `duplicate_key` for a body made
    of repeated names, `too_many_members`.
    """
    if param is None:
        check_utf8(body, param)
    else:
        body = bytes(body)
    return _members_of_large(body, param) if len(body) > LARGE_BYTES else _members_of(body, param)


def parse_in_steps(body: bytes, structure_bytes: int = STRUCTURE_BYTES) -> Steps[JsonMembers]:
    """As `parse_members` of a large request body, with pauses. `structure_bytes`: the most there may be beside long texts.

    Raises BadInput: also `too_much_structure`.
    """
    yield from check_utf8_in_steps(body)
    shortened = yield from shorten(body)
    left = len(body if shortened is None else shortened.short)
    if left > structure_bytes:
        raise BadInput("too_much_structure", f"beside its long texts the body holds more than {structure_bytes} bytes")
    yield
    members = None if shortened is None else (yield from _members_of_short(body, shortened))
    return (yield from _members_of_lists(body)) if members is None else members


def _members_of_short(body: bytes, shortened: Shortened) -> Steps[JsonMembers | None]:
    """The members of a body by its short form; None where that is not valid, or does not tell: the body itself has to be read."""
    try:
        short = yield from _members_of_lists(shortened.short)
    except BadInput as refusal:
        if refusal.code == "malformed_json":
            return None
        raise
    yield
    return _members_by(short, body, shortened)


def _members_of_lists(body: bytes) -> Steps[JsonMembers]:
    """The members of a body that may have long lists."""
    shortened = yield from shorten_lists(body)
    yield
    members: JsonMembers | None = None
    if shortened is not None:
        with suppress(BadInput):  # the whole one says what is wrong with it
            members = _members_by(_members_of_large(shortened.short, None), body, shortened)
        yield
    return _members_of_large(body, None) if members is None else members


def _members_by(short: JsonMembers, body: bytes, shortened: Shortened) -> JsonMembers | None:
    """The members of a body, of which those of its short form are known; None where these do not tell."""
    whole, view = shortened.whole_position, memoryview(body)
    spans = [(name, whole(key), whole(start), whole(end)) for name, key, start, end in short.spans]
    values: dict[str, msgspec.Raw] = {}
    begins = [begin for begin, _ in shortened.left_out]
    left_out = len(begins)
    for name, _, start, end in spans:
        within = bisect_left(begins, end) - bisect_right(begins, start)
        left_out -= within
        # Of a repeated name the last one stays.
        values[name] = msgspec.Raw(view[start:end]) if within else short.values[name]
    if left_out:  # in a name
        return None
    return JsonMembers(body, values, spans, short.repeated)


def _members_of_large(body: bytes, param: str | None) -> JsonMembers:
    """The members of a body of which a million members could be made: they are counted while they are read."""
    try:
        spans, repeated, values = _spans_of_all(body)
    except BadInput:
        raise
    except Exception as error:
        raise _unreadable(error, param) from None
    return JsonMembers(body, values, spans, repeated)


def _members_of(body: bytes, param: str | None) -> JsonMembers:
    try:
        values = _raw_object.decode(body)
    except Exception as error:
        raise _unreadable(error, param) from None
    if len(values) > MAX_MEMBERS:
        raise BadInput("too_many_members", f"the body has more than {MAX_MEMBERS} members", param=param)
    if max(map(len, values), default=0) > MAX_NAME:
        raise BadInput("malformed_json", f"a member's name has more than {MAX_NAME} characters", param=param)
    spans = _compact_spans(body, values) or _walked_spans(body, values)
    if spans is not None:
        return JsonMembers(body, values, spans)
    spans, repeated, values = _spans_of_all(body)
    return JsonMembers(body, values, spans, repeated)


def _unreadable(error: Exception, param: str | None) -> BadInput:
    """The refusal for what is no JSON object. Raises any other error again."""
    if isinstance(error, RecursionError):
        return BadInput("too_deeply_nested", "the body is nested too deeply", param=param)
    if isinstance(error, msgspec.ValidationError):
        return _not_an_object(param)
    if isinstance(error, msgspec.DecodeError | ValueError):
        reason = str(error).removeprefix("JSON is malformed: ")
        return BadInput("malformed_json", f"the body is not valid JSON: {reason}", param=param)
    raise error


def _compact_spans(body: bytes, values: Mapping[str, msgspec.Raw]) -> list[Span] | None:
    """The spans in a body without any space around its members; None for any other.

    Names, values, quotes, colons and commas of all members have to be there, and no object is shorter than these together:
    where they make up the whole body, no space, no escape in a name and no member of a repeated name is left in it.
    """
    spans: list[Span] = []
    position, has_long_number = 1, False
    try:
        for name, raw in values.items():
            start = position + len(name) + 3
            end = start + len(raw)
            first = body[start]
            if first != _QUOTE and first <= _LAST_DIGIT:
                if first <= _SPACE:
                    return None
                has_long_number = has_long_number or end - start > _SAFE_NUMBER
            spans.append((name, position, start, end))
            position = end + 1
    except IndexError:
        return None
    if position != len(body):
        return None
    if has_long_number:
        for name, _, start, end in spans:
            _check_number(name, body, start, end)
    return spans


def _walked_spans(body: bytes, values: Mapping[str, msgspec.Raw]) -> list[Span] | None:
    """The spans in a body with spaces; None where a name occurs twice, or is written with escapes.

    Every position is sure as long as the value there is the one that was decoded: texts, lists and objects end themselves.
    """
    spans: list[Span] = []
    view = memoryview(body)
    position = 0
    for name, raw in values.items():
        usual = b'%b"%b": ' % (b", " if spans else b"{", name.encode()) if name.isidentifier() else b"\0"
        if body.startswith(usual, position):
            key_start = position + (2 if spans else 1)
            start = position + len(usual)
        else:
            key = _KEY.match(body, position)
            if key is None or key[1] != name.encode():
                return None
            key_start, start = key.start(1) - 1, key.end()
        position = start + len(raw)
        if msgspec.Raw(view[start:position]) != raw:
            return None
        if body[start] in _NUMBER:
            if body[position] not in _VALUE_ENDS:
                return None
            _check_number(name, body, start, position)
        spans.append((name, key_start, start, position))
    return spans if _END.match(body, position) is not None else None


class _Name:
    """A member's name that equals no other, so that a decoder keeps the values of repeated names apart."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text


def _spans_of_all(body: bytes) -> tuple[list[Span], frozenset[str], dict[str, msgspec.Raw]]:
    """The spans of all members, the names that occur twice, and the values by name.

    Raises BadInput(`duplicate_key`, `too_many_members`) where there are too many, and what the decoder raises.
    """
    names: list[str] = []
    seen: set[str] = set()
    repeated: set[str] = set()
    refusals: list[BadInput] = []

    def named(_: type, text: str) -> _Name:
        if text in seen:
            repeated.add(text)
        seen.add(text)
        names.append(text)
        if len(names) > len(seen) + _MAX_HIDDEN:
            refusals.append(duplicate(text))
        elif len(seen) > MAX_MEMBERS:
            refusals.append(BadInput("too_many_members", f"the body has more than {MAX_MEMBERS} members"))
        elif len(text) > MAX_NAME:
            refusals.append(BadInput("malformed_json", f"a member's name has more than {MAX_NAME} characters"))
        if refusals:
            raise ValueError(text)
        return _Name(text)

    try:
        members = msgspec.json.Decoder(dict[_Name, msgspec.Raw], dec_hook=named).decode(body)
    except msgspec.ValidationError:
        if refusals:
            raise refusals[0] from None
        raise
    spans: list[Span] = []
    position = 0
    for name, raw in zip(names, members.values(), strict=True):
        key = _KEY.match(body, position)
        assert key is not None
        start, position = key.end(), key.end() + len(raw)
        _check_number(name, body, start, position)
        spans.append((name, key.start(1) - 1, start, position))
    return spans, frozenset(repeated), dict(zip(names, members.values(), strict=True))


def _check_number(name: str, body: bytes, start: int, end: int) -> None:
    # Valid by grammar, but parsers disagree about such a number: one reads infinity, another an exact integer.
    if body[start] in _NUMBER and (end - start > _MAX_NUMBER or math.isinf(float(body[start:end]))):
        raise BadInput("malformed_json", f"the number {name} is out of range", param=name)


def duplicate(name: str) -> BadInput:
    """The refusal for a name that occurs twice and has to be read or edited."""
    shown = name if name.isprintable() and len(name) <= 64 else "(a name)"
    return BadInput("duplicate_key", f"the member {shown} occurs twice in the body", param=shown)


def _not_an_object(param: str | None) -> BadInput:
    if param is not None:
        return wrong_kind(param, "an object")
    return BadInput("body_must_be_object", "the body must be a JSON object")
