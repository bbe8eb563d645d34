"""Runs, attempts and outcomes as rows: one tuple a row, made for batches. A run is two: its own row, and its lane's.

Column names are the values' own member names, but for those that an engine reserves; tags, dropped parameters and tool calls are
JSON text. Nothing a provider or caller sends can make a batch unwritable: what no database can hold is made to fit. The other
values are in rows/values.py.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

import orjson
from msgspec.structs import astuple, replace

from proxy.core.calls.outcomes import Outcome
from proxy.core.calls.runs import Attempt, Run
from proxy.store.rows.columns import Row, json_text

_RUN_MEMBERS: Final = Run.__struct_fields__
_OWN: Final = _RUN_MEMBERS.index("wire")
_NAMED_OTHERWISE: Final = {"user": "user_id"}
#: What differs from run to run, in the order of `run_parts`; the rest of a run is its lane's.
RECORD_COLUMNS: Final = tuple(_NAMED_OTHERWISE.get(name, name) for name in _RUN_MEMBERS[:_OWN])
#: What runs have in common that went the same way to the same end.
LANE_COLUMNS: Final = _RUN_MEMBERS[_OWN:]
ATTEMPT_COLUMNS: Final = Attempt.__struct_fields__
OUTCOME_COLUMNS: Final = tuple(Outcome.__dataclass_fields__)
_LANE_LISTS: Final = ("dropped_parameters", "tool_calls", "sent_variables")
_LANE_FLAGS: Final = ("in_analysis", "refusal", "streamed")
_TAGS: Final = RECORD_COLUMNS.index("tags")
_QUARANTINED: Final = RECORD_COLUMNS.index("quarantined")


def run_parts(run: Run, null: Any) -> tuple[list[Any], tuple[Any, ...]]:
    """One run's own values in the order of RECORD_COLUMNS, with `null` for None; and those of LANE_COLUMNS, as they are. On the
    recorder's path: nothing is looked at twice.

    Raises BadInput(`unrepresentable`) for tags that are not Unicode text.
    """
    values: tuple[Any, ...] = astuple(run)
    own = [null if value is None else value for value in values[:_OWN]]
    own[_TAGS] = json_text(run.tags) if run.tags else "{}"
    own[_QUARANTINED] = 1 if run.quarantined else 0
    return own, values[_OWN:]


def lane_values(lane: Sequence[Any]) -> tuple[Any, ...]:
    """As they are stored, from a run's values of LANE_COLUMNS. Raises BadInput(`unrepresentable`) for names that are not Unicode
    text."""
    return tuple(json_text(value) if isinstance(value, tuple) else value for value in lane)


def lane_of(row: Row) -> tuple[Any, ...]:
    """A run's values of LANE_COLUMNS, from a row that has them."""
    values = {name: row[name] for name in LANE_COLUMNS}
    for flag in _LANE_FLAGS:
        values[flag] = bool(values[flag])
    for names in _LANE_LISTS:
        values[names] = None if values[names] is None else tuple(orjson.loads(values[names]))
    return tuple(values.values())


def run_of(row: Row) -> Run:
    values = {name: row[name] for name in RECORD_COLUMNS}
    values["tags"] = orjson.loads(values["tags"])
    values["quarantined"] = bool(values["quarantined"])
    return Run(*values.values(), *lane_of(row))


def attempt_values(attempt: Attempt, null: Any) -> list[Any]:
    """One attempt's values in the order of ATTEMPT_COLUMNS, with `null` for None."""
    return [null if value is None else value for value in astuple(attempt)]


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
    return replace(run, **{name: _storable(getattr(run, name)) for name in _RUN_MEMBERS})


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
