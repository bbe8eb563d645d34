"""What changed between two JSON values, field by field: the path of each difference with its value before and after.

Equality is that of the canonical JSON, so that a difference is shown exactly where hashes differ (`1` and `1.0` are two
values, member order is none). Which fields belong to which group is diffing.py's matter, tools are matched in tools_diff.py.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypedDict, cast

from proxy.core.canonical import canonical_json

ChangeKind = Literal["added", "removed", "changed"]
_PLAIN_KEY = re.compile(r"[^.\[\]\"\s]+\Z")


class FieldChangeDocument(TypedDict):
    """One field that differs; `before` is null where it was added, `after` where it was removed."""

    path: str
    kind: ChangeKind
    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field that differs. `before` is None where it was added, `after` where it was removed."""

    path: str
    kind: ChangeKind
    before: Any
    after: Any

    def document(self) -> FieldChangeDocument:
        return {"path": self.path, "kind": self.kind, "before": self.before, "after": self.after}


def joined(path: str, key: str) -> str:
    """The path of member `key` below `path`; a key that would be ambiguous stands as `["a.b"]`."""
    if not _PLAIN_KEY.match(key):
        return f"{path}[{json.dumps(key)}]"
    return f"{path}.{key}" if path else key


def is_same(before: Any, after: Any) -> bool:
    """True where both have the same canonical JSON."""
    return canonical_json(before) == canonical_json(after)


def value_changes(path: str, before: Any, after: Any) -> Iterator[FieldChange]:
    """The differences of two values that both exist: member by member in objects, item by item in lists of objects."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        yield from member_changes(path, cast("Mapping[str, Any]", before), cast("Mapping[str, Any]", after))
    elif _has_structure(before) and _has_structure(after):
        yield from _item_changes(path, cast("list[Any]", before), cast("list[Any]", after))
    elif not is_same(before, after):
        yield FieldChange(path, "changed", before, after)


def member_changes(path: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[FieldChange]:
    """The differences of two objects, members of `before` first, in their order."""
    for key in [*before, *(key for key in after if key not in before)]:
        place = joined(path, key)
        if key not in after:
            yield FieldChange(place, "removed", before[key], None)
        elif key not in before:
            yield FieldChange(place, "added", None, after[key])
        else:
            yield from value_changes(place, before[key], after[key])


def _has_structure(value: Any) -> bool:
    """A list that holds objects or lists; lists of plain values (`required`, `enum`, `stop`) read better whole."""
    return isinstance(value, list) and any(isinstance(item, dict | list) for item in cast("list[Any]", value))


def _item_changes(path: str, before: list[Any], after: list[Any]) -> Iterator[FieldChange]:
    for index in range(max(len(before), len(after))):
        place = f"{path}[{index}]"
        if index >= len(after):
            yield FieldChange(place, "removed", before[index], None)
        elif index >= len(before):
            yield FieldChange(place, "added", None, after[index])
        else:
            yield from value_changes(place, before[index], after[index])
