"""Cells as the rows of a report: one for each version and arm, with what it did hour by hour or day by day, and, where it was the
candidate of a rollout, how it differs from the stable arm that ran beside it."""

from collections.abc import Sequence
from typing import Final, Literal, TypedDict

from proxy.core.reports.comparing import ComparedMetric, blocks_of, compared
from proxy.core.reports.figures import (
    QuantilesDocument,
    RateDocument,
    RunFigures,
    costs_of,
    figures,
    quantiles_of,
    rate_of,
)
from proxy.core.reports.sums import DAY_MICROSECONDS, HOUR_MICROSECONDS, Cell, RunSums, merged, summed
from proxy.core.shapes import AgentName, Count, Moment, Usd, VersionNumber
from proxy.core.times import rfc3339

#: Windows up to this long are shown by hour.
_MOST_HOURS: Final = 48 * HOUR_MICROSECONDS
Span = Literal["hour", "day"]
Cells = Sequence[tuple[Cell, RunSums]]


class WindowDocument(TypedDict):
    """Of which time a report is, `until` exclusive: whole hours where what they are made of is gone. Runs that began before
    `unfilled_before` are being added up and are not all in it yet; null: all are."""

    since: Moment
    until: Moment
    unfilled_before: Moment | None


class PointDocument(TypedDict):
    """One hour or day that had runs."""

    start: Moment
    runs: Count
    errors: RateDocument
    latency: QuantilesDocument
    cost_usd: Usd | None


class DifferenceDocument(TypedDict):
    """How one side differs from the other. `is_randomised`: who got which was drawn by a rollout; else whoever had the one may be
    others than those who had the other. `blocks`: of how many hours, days or steps there are runs of both."""

    is_randomised: bool
    blocks: Count
    metrics: dict[str, ComparedMetric]


class RowDocument(RunFigures):
    """A version and arm; `arm` is null outside rollouts, `against_stable` is of the candidates of rollouts alone."""

    version: VersionNumber | None
    arm: str | None
    series: list[PointDocument]
    against_stable: DifferenceDocument | None


class ReportDocument(TypedDict):
    """What an agent's runs come to. `rollout` and `label` say what they were narrowed by."""

    agent: AgentName
    label: str | None
    rollout: str | None
    window: WindowDocument
    by: Span
    rows: list[RowDocument]


class ComparisonSide(RunFigures):
    """One of two versions."""

    version: VersionNumber


class ComparisonDocument(TypedDict):
    """Two versions beside each other; the difference is the candidate's from stable."""

    agent: AgentName
    window: WindowDocument
    candidate: ComparisonSide
    stable: ComparisonSide
    difference: DifferenceDocument


def span_of(from_microseconds: int, to_microseconds: int) -> Span:
    """By what a window of this length is shown."""
    return "hour" if to_microseconds - from_microseconds <= _MOST_HOURS else "day"


def rows_of(cells: Cells, by: Span) -> list[RowDocument]:
    """By version, then arm."""
    rows: dict[tuple[int, str], list[tuple[Cell, RunSums]]] = {}
    for cell, sums in cells:
        rows.setdefault((cell.version, cell.arm), []).append((cell, sums))
    return [_row(version, arm, of, cells, by) for (version, arm), of in sorted(rows.items())]


def difference_of(candidate: Cells, stable: Cells) -> DifferenceDocument:
    """The candidate's from stable."""
    blocks, is_randomised = blocks_of(candidate, stable)
    return {"is_randomised": is_randomised, "blocks": len(blocks), "metrics": dict(compared(blocks))}


def side_of(version: int, cells: Cells) -> ComparisonSide:
    """All runs of one version."""
    return {"version": version, **figures(merged(sums for cell, sums in cells if cell.version == version))}


def window_document(from_microseconds: int, to_microseconds: int, unfilled_before: int | None) -> WindowDocument:
    return {
        "since": rfc3339(from_microseconds),
        "until": rfc3339(to_microseconds),
        "unfilled_before": None
        if unfilled_before is None or unfilled_before <= from_microseconds
        else rfc3339(unfilled_before),
    }


def _row(version: int, arm: str, of: Cells, everything: Cells, by: Span) -> RowDocument:
    beside = {cell.rollout for cell, _ in of if cell.rollout}
    stable = [(cell, sums) for cell, sums in everything if cell.arm == "stable" and cell.rollout in beside]
    return {
        "version": version or None,
        "arm": arm or None,
        **figures(merged(sums for _, sums in of)),
        "series": _series(of, by),
        "against_stable": difference_of(of, stable) if arm not in ("", "stable") else None,
    }


def _series(cells: Cells, by: Span) -> list[PointDocument]:
    length = HOUR_MICROSECONDS if by == "hour" else DAY_MICROSECONDS
    points: dict[int, list[RunSums]] = {}
    for cell, sums in cells:
        start = cell.start_microseconds - cell.start_microseconds % length
        points.setdefault(start, []).append(sums)
    return [_point(start, points[start]) for start in sorted(points)]


def _point(start: int, cells: Sequence[RunSums]) -> PointDocument:
    """Of all figures only those that are shown of a point: there are hundreds of points."""
    counts = summed([sums.of("counts") for sums in cells])
    errors, runs = sum([sums.get("bad", "errors") for sums in cells]), counts.get("runs", 0)
    return {
        "start": rfc3339(start),
        "runs": runs,
        "errors": rate_of(errors, runs),
        "latency": quantiles_of(summed([sums.of("latency") for sums in cells])),
        "cost_usd": costs_of(counts)["total_usd"],
    }
