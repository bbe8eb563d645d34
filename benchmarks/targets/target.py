"""What a proxy under test is to the measures: how it is found, started, addressed and ended.

A target that cannot run says why (`missing`); it is then named in the report, never left out silently.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from benchmarks.processes import ServerProcess

#: `reference` is no proxy at all, `gateway` one of a class so slow that it gets less load, `variant` the subject in another
#: form, of which only the costs are measured.
Kind = Literal["subject", "variant", "proxy", "gateway", "reference"]

SUBJECT: frozenset[Kind] = frozenset({"subject"})
PROXIES: frozenset[Kind] = frozenset({"subject", "proxy"})
SERVERS: frozenset[Kind] = frozenset({"subject", "proxy", "gateway"})
REFERENCE: frozenset[Kind] = frozenset({"reference"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a target is to run: its core, the provider behind it (and the same over TLS), and a folder of its own."""

    core: int
    provider_port: int
    tls_provider_port: int
    folder: Path


@dataclass(slots=True, kw_only=True)
class Running:
    """A target that takes calls."""

    port: int
    path: str = "/v1/chat/completions"
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    process: ServerProcess | None = None

    @property
    def address(self) -> dict[str, object]:
        """For the load generator."""
        return {"port": self.port, "path": self.path, "headers": dict(self.headers)}

    @property
    def pids(self) -> list[int]:
        return [] if self.process is None else self.process.pids

    def pause(self) -> None:
        if self.process is not None:
            self.process.pause()

    def resume(self) -> None:
        if self.process is not None:
            self.process.resume()

    def stop(self) -> None:
        if self.process is not None:
            self.process.stop()


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One thing to measure."""

    name: str
    kind: Kind
    #: How it is set up, in a few words for the report.
    setup: str
    #: Why it cannot run here; None where it can.
    missing: Callable[[], str | None]
    version: Callable[[], str]
    start: Callable[[Place], Running]
