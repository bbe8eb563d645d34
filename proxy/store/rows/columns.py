"""An entity's columns, said once: what writes a value and what reads it back follow from the same table.

A member is kept in a column of its own name, as it is, but for what a table says otherwise. What the audit log says a row must be is
spelled apart from this (sealed.py, changing.py), so that a mistake here does not prove itself right.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

import orjson

from proxy.core.canonical import canonical_json

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Columns = dict[str, Any]
Value = TypeVar("Value", bound="DataclassInstance")


class Row(Protocol):
    """A row read by column name."""

    def __getitem__(self, column: str, /) -> Any: ...


def json_text(value: Any) -> str:
    """`value` as canonical JSON text. Raises BadInput(`unrepresentable`)."""
    return canonical_json(value).decode()


def loaded_json(text: str) -> Any:
    """What `json_text` wrote."""
    return orjson.loads(text)


def _as_it_is(value: Any) -> Any:
    return value


@dataclass(frozen=True, slots=True)
class Kept:
    """How a member is kept that is not kept as it is. `column`: its name, where that is not the member's."""

    write: Callable[[Any], Any] = _as_it_is
    read: Callable[[Any], Any] = _as_it_is
    column: str | None = None


FLAG = Kept(read=bool)
JSON = Kept(json_text, loaded_json)
JSON_LIST = Kept(lambda items: json_text(list(items)), lambda text: tuple(orjson.loads(text)))
OPTIONAL_JSON = Kept(
    lambda value: None if value is None else json_text(value), lambda text: None if text is None else orjson.loads(text)
)


class ColumnTable(Generic[Value]):
    """The columns of one entity."""

    def __init__(self, kind: type[Value], *, apart: Collection[str] = (), **otherwise: Kept) -> None:
        """`apart`: members that are not columns of its row. `otherwise`: members that are not kept as they are."""
        self._kind = kind
        #: By member: its column, how it is written, how it is read.
        self._members = {
            one.name: (kept.column or one.name, kept.write, kept.read)
            for one in fields(kind)
            if one.name not in apart
            for kept in (otherwise.get(one.name, Kept()),)
        }

    def columns(self, value: Value) -> Columns:
        """Raises BadInput(`unrepresentable`) for what is no JSON."""
        return {column: write(getattr(value, name)) for name, (column, write, _) in self._members.items()}

    def value(self, row: Row, **apart: Any) -> Value:
        """The value a row tells of, with the members that are not in it."""
        return self._kind(**{name: read(row[column]) for name, (column, _, read) in self._members.items()}, **apart)
