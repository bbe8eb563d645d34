"""Worlds to decide in: users who differ, rates that drift, outages that hit both arms. Every draw comes from one seed."""

import itertools
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """How traffic behaves. `icc`: how alike one user's runs are (0: independent); `activity_sigma`: how uneven users are.
    `odds`: the candidate's odds of an error beside stable's (1: no difference). `cost_factor` likewise for what a run costs."""

    name: str
    users: int | None = None
    icc: float = 0.0
    activity_sigma: float = 0.0
    error_rate: float = 0.05
    candidate_error_rate: float | None = None
    drifts: bool = False
    #: None: costs are not looked at, and not drawn.
    cost_sigma: float | None = None
    cost_factor: float = 1.0


class RunSeen(NamedTuple):
    """One run as the controller's counting sees it: whose, at which point of the hash, and how it went."""

    user: int
    bucket: float
    cluster: int
    #: Uniform; the run fails where it is below the arm's rate.
    error_draw: float
    cost: float


#: 15 ticks of an outage in the middle of a ramp.
_OUTAGE = range(60, 75)
_OUTAGE_RATE = 0.3


class Traffic:
    """The runs of one world, tick by tick."""

    def __init__(self, world: World, seed: int, runs_per_tick: int) -> None:
        self._random = random.Random(seed)
        self._world = world
        self._runs_per_tick = runs_per_tick
        draw = self._random
        count = world.users or 0
        self._buckets = [draw.random() for _ in range(count)]
        self._clusters = [draw.randrange(64) for _ in range(count)]
        weights = [math.exp(draw.gauss(0, world.activity_sigma)) for _ in range(count)]
        self._cumulative = list(itertools.accumulate(weights))
        self._leaning = [self._lean() for _ in range(count)]

    def _lean(self) -> float:
        """A user's own error rate beside the world's, so that runs of one user have the world's intraclass correlation."""
        p, icc = self._world.error_rate, self._world.icc
        if icc == 0:
            return 1.0
        nu = (1 - icc) / icc
        return self._random.betavariate(p * nu, (1 - p) * nu) / p

    def error_rate(self, run: RunSeen, tick: int, is_candidate: bool) -> float:
        """The probability that this run fails on this arm."""
        world = self._world
        base = world.error_rate if not is_candidate else world.candidate_error_rate or world.error_rate
        rate = base * (self._leaning[run.user] if world.users else 1.0)
        if world.drifts:
            rate *= 1 + 0.5 * math.sin(tick / 20)
            rate = max(rate, _OUTAGE_RATE) if tick in _OUTAGE else rate
        return min(rate, 1.0)

    def tick(self) -> Iterator[RunSeen]:
        """The next tick's runs."""
        draw, world = self._random, self._world
        if world.users is None:
            for index in range(self._runs_per_tick):
                yield RunSeen(index, draw.random(), draw.randrange(64), draw.random(), self._cost())
            return
        for user in draw.choices(range(world.users), cum_weights=self._cumulative, k=self._runs_per_tick):
            yield RunSeen(user, self._buckets[user], self._clusters[user], draw.random(), self._cost())

    def _cost(self) -> float:
        sigma = self._world.cost_sigma
        return 1.0 if sigma is None else self._random.lognormvariate(0, sigma)
