"""Shows what a server sent: tables for people, JSON for programs. What lines and JSON go through is telling.py."""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from proxy.cli.admin_client import Document
from proxy.cli.telling import clean, note, print_json, say

#: Column title to what stands in it.
Columns = Mapping[str, Callable[[Document], object]]
#: Titles of columns a narrow terminal does without, those that belong together in a group, the dearest group first.
Spare = Sequence[Sequence[str]]

#: Wide enough that a table in a pipe or file is never wrapped.
_PIPE_COLUMNS = 2000
#: How many characters of an id are shown at least.
_SHORT_ID = 12
_RUN = "run_"
#: The microsecond it was made in.
_SHORT_RUN_ID = len(_RUN) + 13
#: Longer ones of a list have a line each.
_SHORT_VALUE = 40
#: What a column of free text needs to be read when it is folded.
_FOLDED_COLUMNS = 16


def member(path: str) -> Callable[[Document], object]:
    """A column that shows the member at a dotted path; empty where there is none."""
    names = path.split(".")

    def read(document: Document) -> object:
        value: Any = document
        for name in names:
            value = cast("Document", value).get(name) if isinstance(value, dict) else None
        return value

    return read


def moment(path: str) -> Callable[[Document], object]:
    """A column that shows a time: RFC 3339 text or microseconds since 1970, to the second, in UTC."""
    read = member(path)

    def shown(document: Document) -> object:
        value = read(document)
        if isinstance(value, int):
            return datetime.fromtimestamp(value // 1_000_000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
        return f"{str(value)[:19].replace('T', ' ')}Z" if value else None

    return shown


def dollars(amount: object) -> str:
    """An amount in dollars, with the digits that small sums need: `$50.00`, `$0.000014`."""
    if not isinstance(amount, int | float):
        return ""
    if amount >= 100:
        return f"${amount:,.2f}"
    whole, _, part = f"{amount:.6f}".partition(".")
    return f"${whole}.{part.rstrip('0'):0<2}"


def shown_value(value: object) -> str:
    """A value of a document in one line."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.9f}".rstrip("0").rstrip(".")
    if isinstance(value, dict | list):
        return json.dumps(value)
    return clean(value)


@dataclass(frozen=True, slots=True)
class Show:
    """How this command's result is shown."""

    as_json: bool = False

    def document(self, document: Document, *lines: str) -> None:
        """A result that is told in a few sentences, or as it came."""
        if self.as_json:
            print_json(document)
        else:
            for line in lines:
                say(line)

    def fields(self, document: Document, remark: Callable[[str, Any], str] = lambda path, value: "") -> None:
        """All members that are set, one a line; `remark`: what is said behind a member, by its dotted path and its value."""
        if self.as_json:
            print_json(document)
            return
        table = Table(box=None, show_header=False, pad_edge=False)
        table.add_column(no_wrap=True)
        table.add_column(overflow="fold")
        for name, whole, value in _flat(document):
            said = remark(name, whole)
            table.add_row(Text(clean(name)), Text(f"{shown_value(value)} ({said})" if said else shown_value(value)))
        _print(table)

    def items(
        self, page: Document, columns: Columns, none: str, *, spare: Spare = (), short: str | None = None
    ) -> None:
        """A list as a table; `none` is said where it is empty. `spare` as in `print_table`. `short`: the member that holds an
        id; on a terminal it is cut to what tells it apart, which the verbs that take one understand."""
        if self.as_json:
            print_json(page)
            return
        items = cast("list[Document]", page.get("items") or [])
        if not items:
            say(none)
            return
        if short is not None and sys.stdout.isatty():
            items = _with_short_ids(items, short)
        print_table(items, columns, spare)
        if page.get("next") is not None:
            note("there are more: raise --limit")


def print_table(items: Sequence[Document], columns: Columns, spare: Spare = ()) -> None:
    """One row an item; where the terminal is too narrow for that, one line a member. Columns that are `spare` are only shown
    where there is room."""
    shown = _that_fit(items, columns, spare)
    if _is_too_narrow(items, shown):
        _print_upright(items, columns)
        return
    _print(_table_of(items, shown))
    left_out = [title for title in columns if title not in shown]
    if left_out:
        note(f"left out for want of room: {', '.join(left_out)}; a wider terminal shows them, and --json everything")


def _that_fit(items: Sequence[Document], columns: Columns, spare: Spare) -> Columns:
    """The columns that are not spare, and of the others those that fit beside them without folding."""
    room = _console().width
    # Measured without limits: what has to be folded seems to fit everywhere.
    endless = Console(file=sys.stdout, width=_PIPE_COLUMNS)
    titles = set(columns).difference(*spare)
    for group in spare:
        wider = {name: read for name, read in columns.items() if name in titles or name in group}
        if endless.measure(_table_of(items, wider)).maximum <= room:
            titles.update(group)
    return {name: read for name, read in columns.items() if name in titles}


def _with_short_ids(items: Sequence[Document], name: str) -> list[Document]:
    ids = [str(item.get(name)) for item in items]
    longest, distinct = max(map(len, ids)), set(ids)
    # There are more runs than a list shows.
    least = _SHORT_RUN_ID if ids[0].startswith(_RUN) else _SHORT_ID
    sizes = range(least, longest)
    length = next((size for size in sizes if len({text[:size] for text in distinct}) == len(distinct)), longest)
    return [{**item, name: text[:length]} for item, text in zip(items, ids, strict=True)]


def _is_too_narrow(items: Sequence[Document], columns: Columns) -> bool:
    """Whether more would have to be folded than the last column, which is where free text stands."""
    if not sys.stdout.isatty() or len(columns) == 1:
        return False
    endless = Console(file=sys.stdout, width=_PIPE_COLUMNS)
    *titles, last = columns
    needed = endless.measure(_table_of(items, {title: columns[title] for title in titles})).maximum
    widest = endless.measure(_table_of(items, {last: columns[last]})).maximum
    return needed + min(_FOLDED_COLUMNS, widest) > _console().width


def _print_upright(items: Sequence[Document], columns: Columns) -> None:
    """An item under the other, a line for each member that is there."""
    width = max(map(len, columns))
    for number, item in enumerate(items):
        if number:
            say("")
        for title, read in columns.items():
            text = shown_value(read(item))
            if text:
                sys.stdout.write(f"{title:<{width}}  {text}\n")


def _table_of(items: Sequence[Document], columns: Columns) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for position, title in enumerate(columns):
        # The first names the item: it stays in one piece, to be copied.
        table.add_column(title, overflow="fold", no_wrap=position == 0)
    for item in items:
        table.add_row(*(Text(shown_value(read(item))) for read in columns.values()))
    return table


def _console() -> Console:
    width = None if sys.stdout.isatty() else _PIPE_COLUMNS
    return Console(file=sys.stdout, width=width, markup=False, highlight=False, emoji=False)


def _print(table: Table) -> None:
    console = _console()
    with console.capture() as captured:
        console.print(table)
    # Cells are padded to the widest of their column: blanks that would stand at the end of lines in a pipe or file.
    sys.stdout.writelines(f"{line.rstrip(' ')}\n" for line in captured.get().splitlines())


def _flat(document: Mapping[str, object], prefix: str = "") -> list[tuple[str, object, object]]:
    """Path, value, and what is shown of it on one line; a list may take several."""
    flat: list[tuple[str, object, object]] = []
    for name, value in document.items():
        if isinstance(value, dict):
            flat += _flat(cast("Mapping[str, object]", value), f"{prefix}{name}.")
        elif isinstance(value, list):
            flat += [(prefix + name, value, line) for line in _lines(cast("list[object]", value))]
        elif value is not None:
            flat.append((prefix + name, value, value))
    return flat


def _lines(values: Sequence[object]) -> list[object]:
    """A list as people read it: short values in one line, sentences and documents of plain values a line each, anything deeper
    as JSON."""
    if not all(isinstance(value, str | int | float) for value in values):
        documents = [cast("Document", value) for value in values if isinstance(value, dict)]
        is_plain = all(not isinstance(inner, dict | list) for document in documents for inner in document.values())
        return (
            [_in_a_line(document) for document in documents] if len(documents) == len(values) and is_plain else [values]
        )
    texts = [shown_value(value) for value in values]
    if all(len(text) <= _SHORT_VALUE for text in texts):
        return [", ".join(texts)] if texts else []
    return list(texts)


def _in_a_line(document: Document) -> str:
    """`worker-1: pid 7, serving yes`."""
    title = document.get("name")
    rest = [
        (name, value) for name, value in document.items() if value is not None and (name != "name" or title is None)
    ]
    told = ", ".join(f"{name} {shown_value(value)}" for name, value in rest)
    return told if title is None else f"{shown_value(title)}: {told}"
