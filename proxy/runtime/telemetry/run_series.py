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

from proxy.core.calls.runs import Finish, Run, RunResult
from proxy.core.characters import plain
from proxy.runtime.telemetry.declared import DECLARED

OTHER: Final = "other"
_FIRST_BYTE: Final = "switchback_time_to_first_byte_seconds"
_MAX_COMBINATIONS = 20_000  # not Final, which compiled code would take for granted: a test makes it small
#: In seconds, up to the time a provider has for its first byte. What the proxy adds is told apart by the tenth of a millisecond.
_BOUNDS: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80, 160, 300, 600)
_OVERHEAD_BOUNDS: Final = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)
_End = tuple[RunResult, int, str | None, Finish | None]


class RunLabels(NamedTuple):
    """The label values of one run's series."""

    agent: str
    version: str
    arm: str
    provider: str
    model: str


class _Durations:
    """A histogram: how many fell behind each bound in seconds, and their sum in microseconds."""

    __slots__ = ("_bounds_microseconds", "_les", "counts", "total_microseconds")

    def __init__(self, bounds: tuple[float, ...] = _BOUNDS) -> None:
        self._bounds_microseconds = [round(bound * 1e6) for bound in bounds]
        self._les = (*(floatToGoString(bound) for bound in bounds), "+Inf")
        self.counts = [0] * len(self._les)
        self.total_microseconds = 0

    def observe(self, microseconds: int) -> None:
        self.counts[bisect_left(self._bounds_microseconds, microseconds)] += 1
        self.total_microseconds += microseconds

    def buckets(self) -> list[tuple[str, float]]:
        """Cumulative, as the exposition format has them."""
        total = 0
        buckets: list[tuple[str, float]] = []
        for le, count in zip(self._les, self.counts, strict=True):
            total += count
            buckets.append((le, total))
        return buckets


class RunSeries:
    """The counts of one combination of labels."""

    __slots__ = ("_overhead", "cost_nanodollars", "duration", "ends", "first_byte", "tokens", "tool_calls", "unmetered")

    def __init__(self, overhead: _Durations) -> None:
        #: How runs ended, counted at one place: the families that tell parts of it are made at a scrape.
        self.ends: dict[_End, int] = {}
        self._overhead = overhead
        self.tool_calls = 0
        self.duration = _Durations()
        self.first_byte = _Durations()
        self.tokens: dict[str, int] = {}
        self.cost_nanodollars = 0
        #: Runs that may have cost money nobody here can tell, and so are no part of the cost.
        self.unmetered = 0

    def finished(self, run: Run) -> None:
        """Count one finished run."""
        end = run.result, run.status, run.error_class, run.finish
        self.ends[end] = self.ends.get(end, 0) + 1
        duration = run.duration_microseconds
        self.duration.observe(duration)
        if run.provider_duration_microseconds is not None:
            self._overhead.observe(duration - run.provider_duration_microseconds)
        if run.time_to_first_byte_microseconds is not None:
            self.first_byte.observe(run.time_to_first_byte_microseconds)
        if run.usage_source == "reported":
            self._count_tokens(run)
        elif run.usage_source == "unmetered":
            self.unmetered += 1
        if run.tool_call_count:
            self.tool_calls += run.tool_call_count
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
        self._overhead = _Durations(_OVERHEAD_BOUNDS)

    def series(self, labels: RunLabels) -> RunSeries:
        """The counts of these labels; beyond a bound of combinations those of `other`."""
        series = self._series.get(labels)
        if series is None:
            if len(self._series) >= _MAX_COMBINATIONS:
                labels = RunLabels(OTHER, OTHER, OTHER, OTHER, OTHER)
            shown = RunLabels(*[plain(label) for label in labels])
            series = self._series.setdefault(shown, RunSeries(self._overhead))
        return series

    def collect(self) -> Iterator[Metric]:
        """The families of the exposition format, from a copy of what series there are."""
        runs, finishes = _counter("switchback_runs"), _counter("switchback_finishes")
        duration, first_byte = _histogram("switchback_run_duration_seconds"), _histogram(_FIRST_BYTE)
        overhead = _histogram("switchback_proxy_overhead_seconds")
        tokens, cost = _counter("switchback_tokens"), _counter("switchback_cost_usd")
        tool_calls = _counter("switchback_tool_calls")
        for labels, series in list(self._series.items()):
            ended, finished = _ends(series)
            for end, count in ended.items():
                runs.add_metric((*labels, *end), count)
            for finish, count in finished.items():
                finishes.add_metric((*labels, finish), count)
            for kind, count in list(series.tokens.items()):
                tokens.add_metric((*labels, kind), count)
            for family, durations in ((duration, series.duration), (first_byte, series.first_byte)):
                family.add_metric(labels, durations.buckets(), durations.total_microseconds / 1e6)
            cost.add_metric(labels, series.cost_nanodollars / 1e9)
            tool_calls.add_metric(labels, series.tool_calls)
        overhead.add_metric((), self._overhead.buckets(), self._overhead.total_microseconds / 1e6)
        yield from (runs, duration, first_byte, overhead, tokens, cost, finishes, tool_calls, self._unmetered())

    def _unmetered(self) -> Metric:
        """By agent and provider alone: what was not read has no model."""
        counts: dict[tuple[str, str], int] = {}
        for labels, series in list(self._series.items()):
            if series.unmetered:
                key = (labels.agent, labels.provider)
                counts[key] = counts.get(key, 0) + series.unmetered
        family = _counter("switchback_unmetered_runs")
        for key, count in counts.items():
            family.add_metric(key, count)
        return family


def _ends(series: RunSeries) -> tuple[dict[tuple[str, str, str], int], dict[str, int]]:
    """How runs ended by result, class of status and class of error; and by what the model said."""
    ended: dict[tuple[str, str, str], int] = {}
    finished: dict[str, int] = {}
    for (result, status, error_class, finish), count in list(series.ends.items()):
        end = result, f"{status // 100}xx" if status else "none", error_class or ""
        ended[end] = ended.get(end, 0) + count
        if finish is not None:
            finished[finish] = finished.get(finish, 0) + count
    return ended, finished


def _counter(name: str) -> CounterMetricFamily:
    family = DECLARED[name]
    return CounterMetricFamily(name, family.help, labels=family.labels)


def _histogram(name: str) -> HistogramMetricFamily:
    family = DECLARED[name]
    return HistogramMetricFamily(name, family.help, labels=family.labels)
