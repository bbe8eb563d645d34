"""Recorded runs added up as they are written or read, one after the other: what those of one lane, agent and hour come to.

Apart from what their lane says of them all (counting.py), which is asked once for thousands. Compiled: every call passes through it.
"""

from typing import Final

from proxy.core.calls.latency import latency_bucket
from proxy.core.evidence.distinct import BITS, distinct_hash

#: What tokens and money of a run are bounded by, so that no run breaks the sums of the others.
MOST_OF_A_RUN: Final = 2**50
#: The upper six of 32 bits; the lower sixteen say which bit of the map of users is set.
_CLUSTER_SHIFT: Final = 26


class AlikeRuns:
    """Sums of runs. Clusters are groups of users; `users` are bits of their map (core/evidence/distinct)."""

    def __init__(self) -> None:
        self.runs = 0
        self.anonymous = 0
        self.users: set[int] = set()
        #: By bucket, how many took so long.
        self.latency: dict[int, int] = {}
        self.first_byte: dict[int, int] = {}
        self.unpriced = 0
        self.cost_nanodollars = 0
        self.output_untold = 0
        self.output_tokens = 0
        self.empty = 0
        self.input_untold = 0
        self.input_tokens = 0
        self.cached_tokens = 0
        #: By cluster.
        self.cluster_runs: dict[int, int] = {}
        self.cluster_unpriced: dict[int, int] = {}
        self.cluster_cost: dict[int, int] = {}

    def add(
        self,
        user: str | None,
        duration_microseconds: int,
        first_byte_microseconds: int | None,
        input_tokens: int | None,
        cached_tokens: int | None,
        output_tokens: int | None,
        cost_nanodollars: int | None,
    ) -> None:
        """Count one run. `user`: or the conversation, where there is no user."""
        self.runs += 1
        bucket = latency_bucket(duration_microseconds)
        self.latency[bucket] = self.latency.get(bucket, 0) + 1
        if first_byte_microseconds is not None:
            bucket = latency_bucket(first_byte_microseconds)
            self.first_byte[bucket] = self.first_byte.get(bucket, 0) + 1
        if output_tokens is None:
            self.output_untold += 1
        else:
            self.output_tokens += bounded(output_tokens)
            if output_tokens <= 0:
                self.empty += 1
        if input_tokens is None:
            self.input_untold += 1
        else:
            self.input_tokens += bounded(input_tokens)
            self.cached_tokens += bounded(cached_tokens or 0)
        cost = 0
        if cost_nanodollars is None:
            self.unpriced += 1
        else:
            cost = bounded(cost_nanodollars)
            self.cost_nanodollars += cost
        if user:
            self._add_to_cluster(self.saw(user), cost, cost_nanodollars is None)
        else:
            self.anonymous += 1

    def saw(self, user: str) -> int:
        """Count one user, who was there; the cluster of it."""
        hashed = distinct_hash(user)
        self.users.add(hashed % BITS)
        return hashed >> _CLUSTER_SHIFT

    def _add_to_cluster(self, cluster: int, cost: int, is_unpriced: bool) -> None:
        self.cluster_runs[cluster] = self.cluster_runs.get(cluster, 0) + 1
        if is_unpriced:
            self.cluster_unpriced[cluster] = self.cluster_unpriced.get(cluster, 0) + 1
        else:
            self.cluster_cost[cluster] = self.cluster_cost.get(cluster, 0) + cost


def bounded(amount: int) -> int:
    """What a run says of itself, as far as it is counted."""
    return min(max(amount, 0), MOST_OF_A_RUN)
