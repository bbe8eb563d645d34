"""Counts of finished runs, kept as plain integers and turned into Prometheus families when somebody scrapes.

One RunSeries per combination of labels, which the data path holds on to. The other series are in metrics.py.

Decision: a run moves up to ten of these counts. The client library locks and converts at each, 9 µs a run; adding to
integers on the event loop's thread costs 1.5 µs, and a scrape, which reads from another thread, may see a run in one
family a moment before the other.
"""

from bisect import bisect_left
from collections.abc import Iterator
from typing import Final, NamedTuple

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.utils import floatToGoString  # pyright: ignore[reportUnknownVariableType] it is untyped there

from proxy.core.calls.runs import Run, RunOutcome
from proxy.core.characters import plain

OTHER: Final = "other"
_LABELS: Final = ("agent", "version", "arm", "provider", "model")
_MAX_COMBINATIONS = 20_000  # not Final, which compiled code would take for granted: a test makes it small
_BOUNDS_SECONDS: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80, 160)
_BOUNDS_MICROSECONDS: Final = tuple(round(bound * 1e6) for bound in _BOUNDS_SECONDS)
_LE: Final = (*(floatToGoString(bound) for bound in _BOUNDS_SECONDS), "+Inf")


class RunLabels(NamedTuple):
    """The label values of one run's series."""

    agent: str
    version: str
    arm: str
    provider: str
    model: str


class _Durations:
    """A histogram: how many fell behind each bound, and their sum in microseconds."""

    __slots__ = ("counts", "total_microseconds")

    def __init__(self) -> None:
        self.counts = [0] * len(_LE)
        self.total_microseconds = 0

    def observe(self, microseconds: int) -> None:
        self.counts[bisect_left(_BOUNDS_MICROSECONDS, microseconds)] += 1
        self.total_microseconds += microseconds

    def buckets(self) -> list[tuple[str, float]]:
        """Cumulative, as the exposition format has them."""
        total = 0
        buckets: list[tuple[str, float]] = []
        for le, count in zip(_LE, self.counts, strict=True):
            total += count
            buckets.append((le, total))
        return buckets


class RunSeries:
    """The counts of one combination of labels."""

    __slots__ = ("cost_nanodollars", "duration", "first_byte", "outcomes", "tokens")

    def __init__(self) -> None:
        self.outcomes: dict[RunOutcome, int] = {}
        self.duration = _Durations()
        self.first_byte = _Durations()
        self.tokens: dict[str, int] = {}
        self.cost_nanodollars = 0

    def finished(self, run: Run) -> None:
        """Count one finished run."""
        self.outcomes[run.outcome] = self.outcomes.get(run.outcome, 0) + 1
        self.duration.observe(run.duration_microseconds)
        if run.time_to_first_byte_microseconds is not None:
            self.first_byte.observe(run.time_to_first_byte_microseconds)
        if run.usage_source == "reported":
            self._count_tokens(run)
        if run.cost_nanodollars:
            self.cost_nanodollars += run.cost_nanodollars

    def _count_tokens(self, run: Run) -> None:
        tokens = self.tokens
        if run.input_tokens:
            tokens["input"] = tokens.get("input", 0) + run.input_tokens
        if run.output_tokens:
            tokens["output"] = tokens.get("output", 0) + run.output_tokens
        if run.cached_tokens:
            tokens["cached"] = tokens.get("cached", 0) + run.cached_tokens
        if run.cache_write_tokens:
            tokens["cache_write"] = tokens.get("cache_write", 0) + run.cache_write_tokens
        if run.reasoning_tokens:
            tokens["reasoning"] = tokens.get("reasoning", 0) + run.reasoning_tokens


class RunCollector:
    """All series of runs of one process: a `Collector` of prometheus_client by what it does."""

    def __init__(self) -> None:
        self._series: dict[RunLabels, RunSeries] = {}

    def series(self, labels: RunLabels) -> RunSeries:
        """The counts of these labels; beyond a bound of combinations those of `other`."""
        series = self._series.get(labels)
        if series is None:
            if len(self._series) >= _MAX_COMBINATIONS:
                labels = RunLabels(OTHER, OTHER, OTHER, OTHER, OTHER)
            shown = RunLabels(*[plain(label) for label in labels])
            series = self._series.setdefault(shown, RunSeries())
        return series

    def collect(self) -> Iterator[Metric]:
        """The families of the exposition format, from a copy of what series there are."""
        runs = CounterMetricFamily("switchback_runs", "Finished runs by outcome.", labels=(*_LABELS, "outcome"))
        duration = HistogramMetricFamily(
            "switchback_run_duration_seconds", "From the call's arrival to the end of its answer.", labels=_LABELS
        )
        first_byte = HistogramMetricFamily(
            "switchback_time_to_first_byte_seconds",
            "From the call's arrival to the first byte of the provider's answer.",
            labels=_LABELS,
        )
        tokens = CounterMetricFamily("switchback_tokens", "Tokens by kind.", labels=(*_LABELS, "kind"))
        cost = CounterMetricFamily("switchback_cost_usd", "Cost in US dollars.", labels=_LABELS)
        for labels, series in list(self._series.items()):
            for outcome, count in list(series.outcomes.items()):
                runs.add_metric((*labels, outcome), count)
            for kind, count in list(series.tokens.items()):
                tokens.add_metric((*labels, kind), count)
            for family, durations in ((duration, series.duration), (first_byte, series.first_byte)):
                family.add_metric(labels, durations.buckets(), durations.total_microseconds / 1e6)
            cost.add_metric(labels, series.cost_nanodollars / 1e9)
        yield from (runs, duration, first_byte, tokens, cost)
