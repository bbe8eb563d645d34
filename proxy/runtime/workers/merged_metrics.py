"""One view of /metrics over several processes: workers send what changed, the owner adds it to its own registry.

What becomes of each family is declared with it (telemetry/declared.py); one that is not declared is the owner's own. What a worker
had counted stays counted when it has ended (what it counted after its last message is lost with a killed one: at most some
seconds); its gauges end with it.
"""

from collections.abc import Iterable, Iterator, Mapping

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.registry import Collector

from proxy.runtime.telemetry.declared import DECLARED, PROCESS_LABEL
from proxy.runtime.workers.messages import SampleKey, labels_of

#: What the process with the store is called beside its workers.
OWNER = "owner"
_MERGED = {name: family for name, family in DECLARED.items() if family.merge != "owner"}


class WorkerSamples:
    """The last values of one worker."""

    def __init__(self) -> None:
        self.values: dict[SampleKey, float] = {}

    def update(self, changed: Iterable[tuple[SampleKey, float]]) -> None:
        """Take over what a worker sent."""
        self.values.update(changed)


class ChangedSamples:
    """A worker's own registry, read for what changed since the last time."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._sent: dict[SampleKey, float] = {}

    def read(self) -> tuple[tuple[SampleKey, float], ...]:
        """Takes some milliseconds per thousand series: run it in a thread, one at a time."""
        changed: list[tuple[SampleKey, float]] = []
        for family in self._registry.collect():
            if not _is_merged(family):
                continue
            for sample in family.samples:
                key = (family.name, sample.name, labels_of(sample.labels))
                if self._sent.get(key) != sample.value:
                    self._sent[key] = sample.value
                    changed.append((key, sample.value))
        return tuple(changed)


class EndedSamples:
    """What workers that have ended had counted."""

    def __init__(self) -> None:
        self.values: dict[SampleKey, float] = {}

    def add(self, samples: WorkerSamples) -> None:
        """Keep a worker's counts; its gauges end with it, and so does what is its alone."""
        for key, value in samples.values.items():
            family = _MERGED[key[0]]
            if family.kind != "gauge" and family.merge != "each":
                self.values[key] = _combined(key, self.values.get(key), value)


class MergedRegistry(Collector):
    """The owner's registry with the workers' values in it. Made for one scrape, from copies, so that a thread may read it."""

    def __init__(
        self, own: CollectorRegistry, ended: EndedSamples, workers: Mapping[str, Mapping[SampleKey, float]]
    ) -> None:
        """`workers`: the values of each, by its name."""
        self._own = own
        self._others: dict[str, dict[SampleKey, float]] = {}
        self._of_each: dict[str, list[tuple[str, SampleKey, float]]] = {}
        self._add(ended.values)
        for name, values in workers.items():
            self._add(values, name)

    def _add(self, values: Mapping[SampleKey, float], process: str = "") -> None:
        for key, value in values.items():
            if _MERGED[key[0]].merge == "each":
                self._of_each.setdefault(key[0], []).append((process, key, value))
            else:
                family = self._others.setdefault(key[0], {})
                family[key] = _combined(key, family.get(key), value)

    def collect(self) -> Iterator[Metric]:
        """Every family of the owner, merged."""
        for family in self._own.collect():
            if not _is_merged(family):
                yield family
            elif _MERGED[family.name].merge == "each":
                yield self._beside_each_other(family)
            else:
                yield self._as_one(family)

    def _as_one(self, family: Metric) -> Metric:
        values: dict[SampleKey, float] = {
            (family.name, sample.name, labels_of(sample.labels)): sample.value for sample in family.samples
        }
        for key, value in self._others.get(family.name, {}).items():
            values[key] = _combined(key, values.get(key), value)
        merged = Metric(family.name, family.documentation, family.type, family.unit)
        for (_, name, labels), value in values.items():
            merged.add_sample(name, dict(labels), value)
        return merged

    def _beside_each_other(self, family: Metric) -> Metric:
        found = Metric(family.name, family.documentation, family.type, family.unit)
        for sample in family.samples:
            found.add_sample(sample.name, {**sample.labels, PROCESS_LABEL: OWNER}, sample.value)
        for process, (_, name, labels), value in self._of_each.get(family.name, ()):
            found.add_sample(name, {**dict(labels), PROCESS_LABEL: process}, value)
        return found


def _is_merged(family: Metric) -> bool:
    return family.name in _MERGED


def _combined(key: SampleKey, one: float | None, other: float) -> float:
    if one is None:
        return other
    return max(one, other) if _MERGED[key[0]].merge == "greatest" else one + other
