"""Runs, attempts and outcomes as rows: one tuple a row, made for batches.

Column names are the values' own member names; tags, dropped parameters and tool calls are JSON text. Nothing a provider or
caller sends can make a batch unwritable: what no database can hold is made to fit. The other values are in rows.py.
"""

from collections.abc import Mapping
from typing import Any, cast

import orjson
from msgspec.structs import astuple, replace

from proxy.core.outcomes import Outcome
from proxy.core.runs import Attempt, Run
from proxy.store.rows import Row, json_text

#: Every column of a run, in the order of `run_values`.
RUN_COLUMNS = Run.__struct_fields__
ATTEMPT_COLUMNS = Attempt.__struct_fields__
OUTCOME_COLUMNS = tuple(Outcome.__dataclass_fields__)
_JSON_COLUMNS = ("tags", "dropped_parameters", "tool_calls")
_RUN_FLAGS = ("in_analysis", "refusal", "streamed", "quarantined")
_PLAIN_RUN_COLUMNS = tuple(name for name in RUN_COLUMNS if name not in _JSON_COLUMNS)
_TAGS, _DROPPED, _TOOL_CALLS = (RUN_COLUMNS.index(name) for name in _JSON_COLUMNS)
_FLAGS = tuple(RUN_COLUMNS.index(name) for name in _RUN_FLAGS)


def run_values(run: Run, null: Any) -> list[Any]:
    """One run's values in the order of RUN_COLUMNS, with `null` for None. On the recorder's path: nothing is looked at twice.

    Raises BadInput(`unrepresentable`) for tags and names that are not Unicode text.
    """
    values = [null if value is None else value for value in astuple(run)]
    for flag in _FLAGS:
        values[flag] = 1 if values[flag] else 0
    values[_TAGS] = json_text(run.tags) if run.tags else "{}"
    values[_DROPPED] = json_text(run.dropped_parameters) if run.dropped_parameters else "[]"
    values[_TOOL_CALLS] = json_text(run.tool_calls) if run.tool_calls else "[]"
    return values


def attempt_values(attempt: Attempt, null: Any) -> list[Any]:
    """One attempt's values in the order of ATTEMPT_COLUMNS, with `null` for None."""
    return [null if value is None else value for value in astuple(attempt)]


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
