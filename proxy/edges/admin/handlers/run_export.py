"""Runs as lines of a file: JSON lines for programs, CSV for spreadsheets.

A spreadsheet takes a cell that begins with `=`, `+`, `-` or `@` for a formula, and a user id or tag may be anybody's text: such
a cell gets an apostrophe in front. So does one that begins with a tab or a line end, which some of them skip.
"""

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

import orjson

from proxy.core.calls.runs import Run, run_document

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")
#: Members of a run whose own members are columns; other objects and lists are JSON in one cell.
_SPREAD = ("tokens",)


@dataclass(frozen=True, slots=True)
class RunFormat:
    """How runs are written; `head` stands before the first."""

    content_type: str
    head: bytes
    render: Callable[[Sequence[Run]], bytes]


def json_lines(runs: Sequence[Run]) -> bytes:
    """One document of `GET /runs/{id}` a line, without attempts and outcomes."""
    return b"".join(orjson.dumps(run_document(run), option=orjson.OPT_APPEND_NEWLINE) for run in runs)


def csv_rows(runs: Sequence[Run]) -> bytes:
    """The same members as cells, in the order of the head."""
    return _written([cell for _, cell in _cells(run_document(run))] for run in runs)


def _cells(document: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in document.items():
        if name in _SPREAD:
            for inner, cell in cast("dict[str, Any]", value).items():
                yield f"{name}.{inner}", _safe(cell)
        else:
            yield name, _safe(value)


def _safe(value: Any) -> Any:
    if isinstance(value, dict | list):
        return orjson.dumps(value).decode()
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA_STARTS) else value


def _written(rows: Iterator[list[Any]] | list[list[str]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\r\n").writerows(rows)
    return text.getvalue().encode("utf-8", "replace")


_ANY_RUN = Run(
    id="", agent="", wire="", operation="", status=0, outcome="ok", duration_microseconds=0, started_at_microseconds=0
)
_HEAD = [name for name, _ in _cells(run_document(_ANY_RUN))]

RUN_FORMATS: dict[Literal["jsonl", "csv"], RunFormat] = {
    "jsonl": RunFormat("application/x-ndjson", b"", json_lines),
    "csv": RunFormat("text/csv; charset=utf-8", _written([_HEAD]), csv_rows),
}
