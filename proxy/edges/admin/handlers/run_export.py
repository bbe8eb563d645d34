"""Runs as lines of a file: JSON lines for programs, CSV for spreadsheets.

A spreadsheet takes a cell that begins with `=`, `+`, `-` or `@` for a formula, and a user id or tag may be anybody's text: such
a cell gets an apostrophe in front. So does one that begins with white space before it, which some of them skip, with the wide
and small forms of these signs, which some of them take for the same, or with a pipe. Characters that deceive are replaced.
"""

import csv
import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

import orjson

from proxy.core.calls.outcomes import OutcomesOfRun
from proxy.core.calls.runs import Run
from proxy.core.characters import escaped_json, plain_text
from proxy.edges.admin.handlers.outcomes import judged_run_document

_FORMULA = re.compile(
    r"[\t\r\n]|[\s\ufffd]*[=+\-@|%\u2212\ufe62\ufe63\ufe66\ufe6b\uff05\uff0b\uff0d\uff1d\uff20\uff5c]"
)
#: Members of a run whose own members are columns; other objects and lists are JSON in one cell.
_SPREAD = ("tokens",)


@dataclass(frozen=True, slots=True)
class RunFormat:
    """How runs are written; `head` stands before the first."""

    content_type: str
    head: bytes
    render: Callable[[Sequence[Run], Mapping[str, OutcomesOfRun]], bytes]


def json_lines(runs: Sequence[Run], outcomes: Mapping[str, OutcomesOfRun]) -> bytes:
    """One document of `GET /runs` a line."""
    documents = (judged_run_document(run, outcomes) for run in runs)
    return b"".join(orjson.dumps(document, option=orjson.OPT_APPEND_NEWLINE) for document in documents)


def csv_rows(runs: Sequence[Run], outcomes: Mapping[str, OutcomesOfRun]) -> bytes:
    """The same members as cells, in the order of the head."""
    return _written([cell for _, cell in _cells(judged_run_document(run, outcomes))] for run in runs)


def _cells(document: Mapping[str, object]) -> Iterator[tuple[str, Any]]:
    for name, value in document.items():
        if name in _SPREAD:
            for inner, cell in cast("dict[str, Any]", value).items():
                yield f"{name}.{inner}", _safe(cell)
        else:
            yield name, _safe(value)


def _safe(value: Any) -> Any:
    if isinstance(value, dict | list):
        return escaped_json(orjson.dumps(value)).decode()
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str):
        return value
    shown = "\r\n".join(map(plain_text, value.split("\r\n")))
    return f"'{shown}" if _FORMULA.match(shown) or _FORMULA.match(value) else shown


def _written(rows: Iterator[list[Any]] | list[list[str]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\r\n").writerows(rows)
    return text.getvalue().encode("utf-8", "replace")


_ANY_RUN = Run(
    id="", agent="", wire="", operation="", status=0, result="ok", duration_microseconds=0, started_at_microseconds=0
)
_HEAD = [name for name, _ in _cells(judged_run_document(_ANY_RUN, {}))]

RUN_FORMATS: dict[Literal["jsonl", "csv"], RunFormat] = {
    "jsonl": RunFormat("application/x-ndjson", b"", json_lines),
    "csv": RunFormat("text/csv; charset=utf-8", _written([_HEAD]), csv_rows),
}
