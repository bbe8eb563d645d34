"""Which figures the report shows, under which headings: medians of a run arranged in tables, for terminal and README alike.

A table has one row per target and one column per figure; what was not measured is a dash.
"""

from dataclasses import dataclass
from typing import Any

RATES = (100, 200, 1000)


@dataclass(frozen=True, slots=True)
class Column:
    """One figure: its heading and metric. `added` shows what the target adds to the direct path."""

    heading: str
    metric: str
    digits: int = 1
    added: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    title: str
    measure: str
    columns: tuple[Column, ...]
    #: A column shown once more in multiples of Switchback's, where that helps.
    ratio_of: str | None = None


TABLES = (
    Table(
        "Plain calls, 64 connections, as many as are answered",
        "calls",
        (
            Column("CPU µs per call", "cpu_us_per_call"),
            Column("calls/s", "calls_per_s", 0),
            Column("core used", "cpu_share", 2),
        ),
        ratio_of="cpu_us_per_call",
    ),
    Table(
        "Latency added to the direct path, ms",
        "latency",
        tuple(
            Column(f"{name} at {rate}/s", f"{name}_ms_at_{rate}", 2, added=True)
            for rate in RATES
            for name in ("p50", "p99")
        ),
    ),
    Table(
        "Request bodies: CPU µs per call and calls/s",
        "bodies",
        tuple(
            Column(f"{size} {heading}", f"{metric}_{key}", digits)
            for size, key in (("1 KB", "1kb"), ("100 KB", "100kb"), ("5 MB", "5mb"))
            for heading, metric, digits in (("µs", "cpu_us_per_call", 0), ("calls/s", "calls_per_s", 0))
        ),
    ),
    Table(
        "Small calls (100/s) while bodies of 5 MB pass, ms",
        "blocking",
        (Column("p50", "p50_ms", 2), Column("p99", "p99_ms", 2), Column("longest", "max_ms", 1)),
    ),
    Table(
        "Relayed events: 64 streams, an event each every 10 ms (gateways: 200 ms)",
        "events",
        (
            Column("CPU µs per event", "cpu_us_per_event"),
            Column("events/s", "events_per_s", 0),
            Column("offered/s", "offered_per_s", 0),
            Column("p50 delay, ms", "p50_ms", 2),
            Column("p99 delay, ms", "p99_ms", 2),
        ),
        ratio_of="cpu_us_per_event",
    ),
    Table(
        "Time to first event added to the direct path, ms",
        "first_event",
        (
            Column("p50 alone", "p50_ms_with_0", 2, added=True),
            Column("p99 alone", "p99_ms_with_0", 2, added=True),
            Column("p50 beside 1,000 streams", "p50_ms_with_1000", 2, added=True),
            Column("p99 beside 1,000 streams", "p99_ms_with_1000", 2, added=True),
        ),
    ),
    Table(
        "Resident memory",
        "memory",
        (
            Column("idle, MB", "idle_mb"),
            Column("after calls, MB", "after_calls_mb"),
            Column("KB per stream, 1,000 open", "kb_per_stream_1000"),
            Column("KB per stream, 5,000 open", "kb_per_stream_5000"),
        ),
    ),
    Table(
        "1,000 slow readers of a provider that is as fast as it can be",
        "slow_readers",
        (Column("idle, MB", "idle_mb"), Column("peak, MB", "peak_mb"), Column("read by clients, MB", "read_mb")),
    ),
)

#: Figures that only Switchback has, as lines.
LINES = (
    ("resolution", "us_10_agents_10_users", "resolution, 10 agents, 10 users", "µs", 1),
    ("resolution", "us_10_agents_10000_users", "resolution, 10 agents, 10,000 users", "µs", 1),
    ("resolution", "us_10_agents_1000000_users", "resolution, 10 agents, 1,000,000 users", "µs", 1),
    ("resolution", "us_10000_agents_10_users", "resolution, 10,000 agents, 10 users", "µs", 1),
    ("resolution", "us_10000_agents_1000000_users", "resolution, 10,000 agents, 1,000,000 users", "µs", 1),
    ("resolution", "us_1000_versions", "resolution, 1,000 versions of an agent in memory", "µs", 1),
    ("rollback", "api_to_last_old_answer_ms", "rollback by the API, call to last old answer", "ms", 1),
    ("rollback", "command_to_last_old_answer_ms", "rollback by the command, start of it to last old answer", "ms", 0),
)


def median(found: dict[str, Any], measure: str, target: str, metric: str) -> float | None:
    """One median of a run, None where it was not measured."""
    figure = found["figures"].get(measure, {}).get(target, {}).get(metric)
    return None if figure is None else figure["median"]


def rows(found: dict[str, Any], table: Table) -> list[list[str]]:
    """Heading first, then a row for each target that has any figure of this table."""
    headings = ["", *(column.heading for column in table.columns)]
    if table.ratio_of:
        headings.append("in Switchback's")
    lines = [headings]
    for target in found["targets"]:
        if not found["figures"].get(table.measure, {}).get(target):
            continue
        cells = [_cell(found, table, target, column) for column in table.columns]
        if table.ratio_of:
            own = median(found, table.measure, "switchback", table.ratio_of)
            other = median(found, table.measure, target, table.ratio_of)
            cells.append("–" if not own or other is None else f"{other / own:.2f} ×")
        lines.append([target, *cells])
    return lines if len(lines) > 1 else []


def own_lines(found: dict[str, Any]) -> list[tuple[str, str]]:
    """The figures only Switchback has, as name and value."""
    lines: list[tuple[str, str]] = []
    for measure, metric, name, unit, digits in LINES:
        value = median(found, measure, "switchback", metric)
        if value is not None:
            lines.append((name, f"{value:,.{digits}f} {unit}"))
    return lines


def _cell(found: dict[str, Any], table: Table, target: str, column: Column) -> str:
    value = median(found, table.measure, target, column.metric)
    if value is None:
        return "–"
    if column.added and target != "direct":
        base = median(found, table.measure, "direct", column.metric)
        return "–" if base is None else f"{value - base:+,.{column.digits}f}"
    return f"{value:,.{column.digits}f}"
