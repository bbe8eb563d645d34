"""From rounds to results: medians with their spread, bars, the terminal's tables, and the files of a run.

`results` makes the content of results.json; `publish` prints and writes it, its charts and, for a full run, the generated part
of the README between its two marks.
"""

import json
import statistics
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table as RichTable

from benchmarks.report import tables
from benchmarks.report.bars import US, bars
from benchmarks.report.charts import bar_chart
from benchmarks.report.readme import rewrite

Rounds = dict[str, dict[str, list[dict[str, float]]]]

#: File, title, unit, measure, metric, added to direct, logarithmic.
_CHARTS = (
    ("cpu-per-call", "CPU per plain call", "µs", "calls", "cpu_us_per_call", False, True),
    ("calls-per-second", "Calls per second on one core", "calls/s", "calls", "calls_per_s", False, True),
    ("cpu-per-event", "CPU per relayed event", "µs", "events", "cpu_us_per_event", False, True),
    ("latency-p50-1000", "Added latency at 1,000 calls/s, p50", "ms", "latency", "p50_ms_at_1000", True, False),
    ("latency-p99-1000", "Added latency at 1,000 calls/s, p99", "ms", "latency", "p99_ms_at_1000", True, False),
    (
        "first-event-p50",
        "Added time to first event beside 1,000 open streams, p50",
        "ms",
        "first_event",
        "p50_ms_with_1000",
        True,
        False,
    ),
    ("memory-per-stream", "Memory per open stream, 1,000 open", "KB", "memory", "kb_per_stream_1000", False, False),
)


def results(about: dict[str, Any], rounds: Rounds) -> dict[str, Any]:
    """The whole of results.json."""
    figures = {
        measure: {target: _summary(found) for target, found in targets.items()} for measure, targets in rounds.items()
    }
    found = {**about, "figures": figures}
    found["bars"] = bars(lambda measure, target, metric: tables.median(found, measure, target, metric))
    return found


def publish(found: dict[str, Any], folder: Path, readme: Path, console: Console) -> None:
    """Print the report; write results.json, charts and, where the run was a full one, the README."""
    _print(found, console)
    (folder / "charts").mkdir(parents=True, exist_ok=True)
    (folder / "results.json").write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    for name, title, unit, measure, metric, is_added, logarithmic in _CHARTS:
        rows = _chart_rows(found, measure, metric, is_added)
        if rows:
            chart = bar_chart(title, unit, rows, highlight=US, logarithmic=logarithmic)
            (folder / "charts" / f"{name}.svg").write_text(chart)
    if found["kind"] == "full":
        rewrite(readme, found)
    console.print(f"written to {folder}", style="dim")


def _summary(rounds: list[dict[str, float]]) -> dict[str, dict[str, Any]]:
    metrics: dict[str, list[float]] = {}
    for figures in rounds:
        for metric, value in figures.items():
            metrics.setdefault(metric, []).append(value)
    return {
        metric: {
            "median": round(statistics.median(values), 4),
            "min": round(min(values), 4),
            "max": round(max(values), 4),
            "rounds": len(values),
        }
        for metric, values in metrics.items()
    }


def _chart_rows(found: dict[str, Any], measure: str, metric: str, is_added: bool) -> list[tuple[str, float]]:
    base = tables.median(found, measure, "direct", metric) if is_added else 0.0
    rows: list[tuple[str, float]] = []
    for target in found["targets"]:
        value = tables.median(found, measure, target, metric)
        if value is not None and base is not None and target != "direct":
            rows.append((target, max(0.0, value - base)))
    return rows


def _print(found: dict[str, Any], console: Console) -> None:
    for table in tables.TABLES:
        lines = tables.rows(found, table)
        if lines:
            shown = RichTable(title=table.title, title_justify="left")
            for number, heading in enumerate(lines[0]):
                shown.add_column(heading, justify="right" if number else "left")
            for line in lines[1:]:
                shown.add_row(*line, style="bold" if line[0] == US else None)
            console.print(shown)
    for name, value in tables.own_lines(found):
        console.print(f"{name}: {value}")
    shown = RichTable(title="Bars", title_justify="left")
    for heading in ("bar", "found", "limit", "holds"):
        shown.add_column(heading)
    for bar in found["bars"]:
        value = "not measured" if bar["found"] is None else f"{bar['found']:.2f} {bar['unit']}"
        holds = {True: "yes", False: "NO", None: "unknown"}[bar["holds"]]
        shown.add_row(bar["name"], value, bar["limit"], holds, style="red" if bar["holds"] is False else None)
    console.print(shown)
    for name, why in found["missing"].items():
        console.print(f"missing: {name}: {why}", style="bold", markup=False)
    for line in found["left_out"]:
        console.print(f"left out: {line}", style="bold", markup=False)
    for line in found["problems"]:
        console.print(f"problem: {line}", style="bold", markup=False)
