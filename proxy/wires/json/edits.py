"""Edits of a JSON object, rendered in one go: what is not edited keeps its bytes and its place.

Belongs here: replacing, removing, adding members, and changing a part of one, such as the first items of a list. Does not
belong here: where members lie (json/members.py), what any of them means (the wires). Whitespace, order, escapes, large
integers and floats of what is not edited stay as sent.

Decision: a change inside a large member is kept as positions, so that a body of 5 MB is copied once, in half a millisecond.
"""

import functools
from typing import Final

import orjson

from proxy.wires.json.escapes import may_hold
from proxy.wires.json.members import JsonMembers, duplicate
from proxy.wires.json.values import NULL, Splice, after_bracket, first_byte, spliced

#: From this size on, pieces of a body are joined without a copy of each.
_LARGE = 64 * 1024
#: How a value begins that brings content: a text, a list, an object.
_CONTENT = b'"[{'

#: What becomes of a member: new bytes, a change inside it, or None: taken out.
Change = bytes | Splice | None
_UNCHANGED: Final = b""


class MemberEdits:
    """Edits of one object, rendered in one go; what is not edited keeps its bytes and its place."""

    __slots__ = ("_changes", "_members")

    def __init__(self, members: JsonMembers) -> None:
        self._members = members
        self._changes: dict[str, Change] = {}

    def given(self, name: str) -> bytes | None:
        """The value as it would be sent now; None where absent or `null`. Raises BadInput(`duplicate_key`)."""
        if name not in self._changes:
            return self._members.given(name)
        change = self._changes[name]
        if isinstance(change, tuple):
            return spliced(self._members.values[name], change)
        return None if change == NULL else change

    def has(self, name: str) -> bool:
        """Whether the member is there, be it as `null`."""
        if name in self._changes:
            return self._changes[name] is not None
        return name in self._members.values

    @property
    def has_repeated_names(self) -> bool:
        return bool(self._members.repeated)

    def brings_only(self, known: frozenset[str]) -> bool:
        """Whether every member is a known one, or a mere number, flag or null, which brings no content with it."""
        for name, change in self._changes.items():
            if name not in known and change is not None and (isinstance(change, tuple) or change[0] in _CONTENT):
                return False
        for name, raw in self._members.values.items():
            if name not in known and name not in self._changes and first_byte(raw) in _CONTENT:
                return False
        return True

    def may_mention(self, words: bytes) -> bool:
        """Whether these bytes may stand in a member that is sent, however they are spelled there."""
        members = self._members
        if members.repeated:
            return may_hold(members.body, words)
        for name in members.values:
            change = self._changes.get(name, _UNCHANGED)
            is_sent = change is _UNCHANGED or isinstance(change, tuple)
            if is_sent and (words in name.encode() or members.may_mention(name, words)):
                return True
        changes = self._changes.values()
        return any(may_hold(one[2] if isinstance(one, tuple) else one, words) for one in changes if one is not None)

    def set(self, name: str, change: bytes | Splice) -> None:
        """Replace the value in place or a part of it, or add the member at the end. Raises BadInput(`duplicate_key`)."""
        self._refuse_repeated(name)
        self._changes[name] = change

    def remove(self, name: str) -> None:
        """Take the member out, with the comma that belongs to it. Raises BadInput(`duplicate_key`)."""
        if name in self._members.values or name in self._changes:
            self._refuse_repeated(name)
            self._changes[name] = None

    def render(self) -> bytes:
        """The object's bytes with the edits; the very same bytes object where there are none."""
        members, changes = self._members, self._changes
        if not changes:
            return members.body
        body = members.body if len(members.body) < _LARGE else memoryview(members.body)
        parts: list[bytes | memoryview] = []
        end = members.spans[0][1] if members.spans else after_bracket(members.body)
        copied, has_kept = 0, False
        for name, key_start, value_start, value_end in members.spans:
            change = changes.get(name, _UNCHANGED)
            if change is None:
                parts.append(body[copied:end])
                copied = value_end
            else:
                if not has_kept and copied:
                    copied = key_start  # all before it went: it is the first now, and takes no comma along
                has_kept = True
                if isinstance(change, tuple):
                    parts.append(body[copied : value_start + change[0]])
                    parts.append(change[2])
                    copied = value_start + change[1]
                elif change is not _UNCHANGED:
                    parts.append(body[copied:value_start])
                    parts.append(change)
                    copied = value_end
            end = value_end
        parts.append(body[copied:end])
        for name, change in changes.items():
            if name not in members.values and change is not None:
                assert isinstance(change, bytes)
                parts += (_key(name) if has_kept else _key(name)[1:], change)
                has_kept = True
        parts.append(body[end:])
        return b"".join(parts)

    def _refuse_repeated(self, name: str) -> None:
        if self._members.repeated and name in self._members.repeated:
            raise duplicate(name)


@functools.lru_cache(maxsize=256)
def _key(name: str) -> bytes:
    return b"," + orjson.dumps(name) + b":"
