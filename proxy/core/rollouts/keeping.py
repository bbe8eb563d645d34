"""Tallies as a document, so that a rollout goes on after a restart with what it knew. Counterpart of counting.Tallies.

Keys of cells are `step/side/cluster`; floats are exact in JSON.
"""

import base64
from collections.abc import Mapping
from typing import Any

from proxy.core.evidence.bernoulli import MarginEvidence, OddsEvidence
from proxy.core.evidence.clustering import ClusterCount, StepClusters
from proxy.core.evidence.distinct import DistinctCount
from proxy.core.evidence.ratio import StepSums, Sums
from proxy.core.evidence.tallies import RateTally, RatioTally, Side, by_step
from proxy.core.releasing.releases import CANDIDATE
from proxy.core.rollouts.counting import Tallies
from proxy.core.rollouts.measuring import Thresholds

_FORMAT = 1
#: Of several arms: `arms` are documents of the other format by name.
_FORMAT_OF_ARMS = 2


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
    if document["format"] != _FORMAT:
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
        "cells": {
            f"{step}/{side}/{cluster}": [count.runs, count.bad]
            for (step, side), clusters in rate.steps.items()
            for cluster, count in clusters.counts.items()
        },
    }


def _rate(document: Mapping[str, Any]) -> RateTally:
    margin = document["margin"]
    cells = {_key(text): ClusterCount(int(runs), int(bad)) for text, (runs, bad) in document["cells"].items()}
    return RateTally(
        OddsEvidence(float(document["tolerance"]), tuple(map(float, document["log_sums"]))),
        None if margin is None else MarginEvidence(float(margin[0]), float(margin[1])),
        {key: StepClusters(counts) for key, counts in by_step(cells).items()},
    )


def _ratio_document(ratio: RatioTally) -> dict[str, Any]:
    cells = {
        f"{step}/{side}/{cluster}": [sums.numerator, sums.denominator]
        for (step, side), arm in ratio.steps.items()
        for cluster, sums in arm.by_cluster.items()
    }
    return {"deviation": ratio.deviation, "candidate_runs": ratio.candidate_runs, "cells": cells}


def _ratio(document: Mapping[str, Any]) -> RatioTally:
    deviation = document["deviation"]
    cells = {_key(text): Sums(float(above), float(below)) for text, (above, below) in document["cells"].items()}
    return RatioTally(
        None if deviation is None else float(deviation),
        int(document["candidate_runs"]),
        {key: StepSums(sums) for key, sums in by_step(cells).items()},
    )


def _key(text: str) -> tuple[int, Side, int]:
    step, side, cluster = text.split("/")
    if side not in ("candidate", "stable"):
        raise ValueError(f"a side named {side!r}")
    return int(step), side, int(cluster)


def _packed(count: DistinctCount) -> str:
    return base64.b64encode(count.packed()).decode("ascii")


def _unpacked(text: str) -> DistinctCount:
    return DistinctCount.unpacked(base64.b64decode(text, validate=True))
