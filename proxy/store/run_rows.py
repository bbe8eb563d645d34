"""Runs, attempts and outcomes as rows: one tuple a row, made for batches.

Column names are the values' own member names; tags, dropped parameters and tool calls are JSON text. Nothing a provider or
caller sends can make a batch unwritable: what no database can hold is made to fit. The other values are in rows.py.
"""

from collections.abc import Mapping
from operator import attrgetter
from typing import Any, cast

import orjson
from msgspec.structs import replace

from proxy.core.outcomes import Outcome
from proxy.core.runs import Attempt, Run
from proxy.store.rows import Row, json_text

_JSON_COLUMNS = ("tags", "dropped_parameters", "tool_calls")
_EMPTY_OBJECT = "{}"
_EMPTY_ARRAY = "[]"
_PLAIN_RUN_COLUMNS = tuple(name for name in Run.__struct_fields__ if name not in _JSON_COLUMNS)
#: Every column of a run, in the order of `run_values`.
RUN_COLUMNS = (*_PLAIN_RUN_COLUMNS, *_JSON_COLUMNS)
ATTEMPT_COLUMNS = tuple(Attempt.__struct_fields__)
_RUN_FLAGS = ("in_analysis", "refusal", "streamed", "quarantined")
_plain_run_values = attrgetter(*_PLAIN_RUN_COLUMNS)
attempt_values = attrgetter(*ATTEMPT_COLUMNS)
OUTCOME_COLUMNS = tuple(Outcome.__dataclass_fields__)


def run_values(run: Run) -> tuple[Any, ...]:
    """One run's values in the order of RUN_COLUMNS. On the recorder's path, so almost all of it is one C call.

    Raises BadInput(`unrepresentable`) for tags and names that are not Unicode text.
    """
    return (
        *_plain_run_values(run),
        json_text(run.tags) if run.tags else _EMPTY_OBJECT,
        json_text(run.dropped_parameters) if run.dropped_parameters else _EMPTY_ARRAY,
        json_text(run.tool_calls) if run.tool_calls else _EMPTY_ARRAY,
    )


def run_of(row: Row) -> Run:
    values = {name: row[name] for name in _PLAIN_RUN_COLUMNS}
    for flag in _RUN_FLAGS:
        values[flag] = bool(values[flag])
    return Run(
        **values,
        tags=orjson.loads(row["tags"]),
        dropped_parameters=tuple(orjson.loads(row["dropped_parameters"])),
        tool_calls=tuple(orjson.loads(row["tool_calls"])),
    )


def attempt_of(row: Row) -> Attempt:
    return Attempt(**{name: row[name] for name in ATTEMPT_COLUMNS})


def outcome_values(outcome: Outcome) -> tuple[Any, ...]:
    """One outcome's values in the order of OUTCOME_COLUMNS. Raises BadInput(`unrepresentable`)."""
    values = {name: getattr(outcome, name) for name in OUTCOME_COLUMNS}
    return tuple({**values, "value": json_text(outcome.value)}.values())


def outcome_of(row: Row) -> Outcome:
    values = {name: row[name] for name in OUTCOME_COLUMNS}
    return Outcome(**{**values, "value": orjson.loads(row["value"])})


def storable_run(run: Run) -> Run:
    """The run with what a database cannot hold made to fit: text without lone surrogates, integers within 64 bits."""
    return replace(run, **{name: _storable(getattr(run, name)) for name in RUN_COLUMNS})


def storable_attempt(attempt: Attempt) -> Attempt:
    """As storable_run, for an attempt."""
    return replace(attempt, **{name: _storable(getattr(attempt, name)) for name in ATTEMPT_COLUMNS})


def _storable(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return max(-(2**63), min(value, 2**63 - 1))
    if isinstance(value, tuple):
        return tuple(_storable(item) for item in cast("tuple[Any, ...]", value))
    if isinstance(value, Mapping):
        return {_storable(key): _storable(item) for key, item in cast("Mapping[Any, Any]", value).items()}
    return value
