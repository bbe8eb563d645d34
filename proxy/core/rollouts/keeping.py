"""Tallies as a document, so that a rollout goes on after a restart with what it knew. Counterpart of counting.Tallies.

By `step/side` two rows of 64 numbers, one a cluster: runs and bad runs, or the sums of a ratio's numerator and denominator. Floats are
exact in JSON. What earlier releases kept, a cell for each cluster by `step/side/cluster`, is read as well.
"""

import base64
from collections.abc import Mapping
from typing import Any, Final

from proxy.core.evidence.bernoulli import MarginEvidence, OddsEvidence
from proxy.core.evidence.clustering import CLUSTERS, StepClusters
from proxy.core.evidence.distinct import DistinctCount
from proxy.core.evidence.ratio import StepSums
from proxy.core.evidence.tallies import RateTally, RatioTally, Side
from proxy.core.releasing.releases import CANDIDATE
from proxy.core.rollouts.counting import Tallies
from proxy.core.rollouts.measuring import Thresholds

_FORMAT_OF_CELLS: Final = 1
#: Of several arms: `arms` are documents of the other formats by name.
_FORMAT_OF_ARMS: Final = 2
_FORMAT: Final = 3
_Row = tuple[Any, ...]


def arms_document(tallies: Mapping[str, Tallies]) -> dict[str, Any]:
    """The tallies of a rollout's arms, as JSON values; of one candidate its own document."""
    if list(tallies) == [CANDIDATE]:
        return tallies_document(tallies[CANDIDATE])
    return {"format": _FORMAT_OF_ARMS, "arms": {name: tallies_document(of) for name, of in tallies.items()}}


def read_arms(document: Mapping[str, Any]) -> dict[str, Tallies]:
    """As they were kept, by arm. Raises ValueError, LookupError or TypeError for anything else."""
    if document["format"] != _FORMAT_OF_ARMS:
        return {CANDIDATE: read_tallies(document)}
    return {str(name): read_tallies(of) for name, of in document["arms"].items()}


def tallies_document(tallies: Tallies) -> dict[str, Any]:
    """Everything of it, as JSON values."""
    limits = tallies.thresholds
    return {
        "format": _FORMAT,
        "thresholds": {
            "latency_microseconds": list(limits.latency_microseconds),
            "first_byte_microseconds": list(limits.first_byte_microseconds),
            "cost_nanodollars": limits.cost_nanodollars,
            "score_deviations": dict(limits.score_deviations),
        },
        "rates": {metric: [_rate_document(rate) for rate in rates] for metric, rates in tallies.rates.items()},
        "ratios": {metric: _ratio_document(ratio) for metric, ratio in tallies.ratios.items()},
        "step": tallies.step,
        "candidate_runs": tallies.candidate_runs,
        "stable_runs": tallies.stable_runs,
        "candidate_users": _packed(tallies.candidate_users),
        "stable_users": _packed(tallies.stable_users),
    }


def read_tallies(document: Mapping[str, Any]) -> Tallies:
    """As they were kept. Raises ValueError, LookupError or TypeError for anything else."""
    if document["format"] not in (_FORMAT, _FORMAT_OF_CELLS):
        raise ValueError(f"tallies of format {document['format']}")
    limits = document["thresholds"]
    return Tallies(
        thresholds=Thresholds(
            latency_microseconds=tuple(map(float, limits["latency_microseconds"])),
            first_byte_microseconds=tuple(map(float, limits["first_byte_microseconds"])),
            cost_nanodollars=limits["cost_nanodollars"],
            score_deviations={str(name): float(value) for name, value in limits["score_deviations"].items()},
        ),
        rates={metric: tuple(map(_rate, rates)) for metric, rates in document["rates"].items()},
        ratios={metric: _ratio(ratio) for metric, ratio in document["ratios"].items()},
        step=int(document["step"]),
        candidate_runs=int(document["candidate_runs"]),
        stable_runs=int(document["stable_runs"]),
        candidate_users=_unpacked(document["candidate_users"]),
        stable_users=_unpacked(document["stable_users"]),
    )


def _rate_document(rate: RateTally) -> dict[str, Any]:
    return {
        "tolerance": rate.odds.tolerance,
        "log_sums": list(rate.odds.log_sums),
        "margin": None if rate.margin is None else [rate.margin.margin, rate.margin.log_sum],
        "steps": {_text(place): [step.runs_of.tolist(), step.bad_of.tolist()] for place, step in rate.steps.items()},
    }


def _rate(document: Mapping[str, Any]) -> RateTally:
    margin = document["margin"]
    return RateTally(
        OddsEvidence(float(document["tolerance"]), tuple(map(float, document["log_sums"]))),
        None if margin is None else MarginEvidence(float(margin[0]), float(margin[1])),
        {place: StepClusters.of(*rows) for place, rows in _rows(document, int).items()},
    )


def _ratio_document(ratio: RatioTally) -> dict[str, Any]:
    steps = {
        _text(place): [step.numerator_of.tolist(), step.denominator_of.tolist()] for place, step in ratio.steps.items()
    }
    return {"deviation": ratio.deviation, "candidate_runs": ratio.candidate_runs, "steps": steps}


def _ratio(document: Mapping[str, Any]) -> RatioTally:
    deviation = document["deviation"]
    return RatioTally(
        None if deviation is None else float(deviation),
        int(document["candidate_runs"]),
        {place: StepSums.of(*rows) for place, rows in _rows(document, float).items()},
    )


def _text(place: tuple[int, Side]) -> str:
    return f"{place[0]}/{place[1]}"


def _rows(document: Mapping[str, Any], number: type[int] | type[float]) -> dict[tuple[int, Side], tuple[_Row, _Row]]:
    """The two rows of each step and side."""
    if "cells" in document:
        return _rows_of_cells(document["cells"], number)
    found: dict[tuple[int, Side], tuple[_Row, _Row]] = {}
    for text, (first, second) in document["steps"].items():
        if not len(first) == len(second) == CLUSTERS:
            raise ValueError(f"rows of {len(first)} and {len(second)} clusters")
        step, side = text.split("/")
        found[_place(step, side)] = tuple(map(number, first)), tuple(map(number, second))
    return found


def _rows_of_cells(
    cells: Mapping[str, Any], number: type[int] | type[float]
) -> dict[tuple[int, Side], tuple[_Row, _Row]]:
    columns: dict[tuple[int, Side], tuple[list[Any], list[Any]]] = {}
    for text, (first, second) in cells.items():
        step, side, cluster = text.split("/")
        if not 0 <= int(cluster) < CLUSTERS:
            raise ValueError(f"cluster {cluster}")
        rows = columns.setdefault(_place(step, side), ([number()] * CLUSTERS, [number()] * CLUSTERS))
        rows[0][int(cluster)], rows[1][int(cluster)] = number(first), number(second)
    return {place: (tuple(first), tuple(second)) for place, (first, second) in columns.items()}


def _place(step: str, side: str) -> tuple[int, Side]:
    if side not in ("candidate", "stable"):
        raise ValueError(f"a side named {side!r}")
    return int(step), side


def _packed(count: DistinctCount) -> str:
    return base64.b64encode(count.packed()).decode("ascii")


def _unpacked(text: str) -> DistinctCount:
    return DistinctCount.unpacked(base64.b64decode(text, validate=True))
