"""The real command over a home of one size: `switchback serve` until /readyz answers 200, its memory, its admin API.

A start is timed from the launch of the process. Memory is what the kernel says of the process: what it allocated itself, and
pages of files (the interpreter and its libraries) that it shares with others.
"""

import http.client
import json
import math
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.processes import free_port
from benchmarks.scale.building import components, name_of
from benchmarks.scale.operations import PAGE, PASSES, Costs, cursor, summary

_ROOT = Path(__file__).resolve().parents[2]
_POLL_SECONDS = 0.002
_START_SECONDS = 60.0
_SETTLED_SECONDS = 1.5
_STARTS = 3


class Served:
    """One running server."""

    def __init__(self, home: Path) -> None:
        """Launch it and wait until it is ready. Raises RuntimeError where it does not get so far."""
        self._home = home
        self._admin = free_port()
        environment = {
            **os.environ,
            "SWITCHBACK_HOME": str(home),
            "SWITCHBACK_LISTEN": f"127.0.0.1:{free_port()}",
            "SWITCHBACK_ADMIN__LISTEN": f"127.0.0.1:{self._admin}",
        }
        began = time.perf_counter()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "proxy", "serve"],
            cwd=_ROOT,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        while not self._is_ready():
            if self._process.poll() is not None or time.perf_counter() - began > _START_SECONDS:
                self.stop()
                raise RuntimeError("switchback serve did not become ready")
            time.sleep(_POLL_SECONDS)
        seconds, cpu_seconds = time.perf_counter() - began, machine.cpu_seconds([self._process.pid])
        self.start = {"seconds": round(seconds, 3), "cpu_seconds": round(cpu_seconds, 3)}

    def stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait()

    def memory_mib(self) -> dict[str, float]:
        """Resident now: in all, of its own, of files."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        kib = {
            line.split(":")[0]: int(line.split()[1])
            for line in status.splitlines()
            if line.startswith(("VmRSS", "Rss"))
        }
        return {
            "resident": round(kib["VmRSS"] / 1024, 1),
            "own": round(kib["RssAnon"] / 1024, 1),
            "of_files": round(kib["RssFile"] / 1024, 1),
        }

    def settle(self) -> None:
        """Returns when the last known good file has not changed for a while: what is read behind the start is read."""
        file = self._home / "last-known-good.json"
        changed, since = -1.0, time.monotonic()
        while time.monotonic() - since < _SETTLED_SECONDS:
            with suppress(FileNotFoundError):
                if file.stat().st_mtime != changed:
                    changed, since = file.stat().st_mtime, time.monotonic()
            time.sleep(0.05)

    @contextmanager
    def api(self) -> Iterator["AdminApi"]:
        """One connection to the admin API, kept."""
        token = (self._home / "admin-token").read_text().strip()
        with closing(http.client.HTTPConnection("127.0.0.1", self._admin, timeout=30)) as connection:
            yield AdminApi(connection, token)

    def _is_ready(self) -> bool:
        try:
            with closing(http.client.HTTPConnection("127.0.0.1", self._admin, timeout=5)) as connection:
                connection.request("GET", "/readyz")
                return connection.getresponse().status == 200
        except OSError:
            return False


class AdminApi:
    """Operations of the admin API over agents drawn at random, timed as a client has to wait for them."""

    def __init__(self, connection: http.client.HTTPConnection, token: str) -> None:
        self._connection = connection
        self._token = token
        self._random = random.Random(11)
        self._newest: dict[str, int] = {}

    def costs(self, agents: int, rounds: int) -> Costs:
        """Of each operation what `summary` tells."""
        operations = {
            "create a version": self._create,
            "list versions, first page": lambda name: self._ask("GET", f"/agents/{name}/versions?limit={PAGE}"),
            "list versions, last page": lambda name: self._ask(
                "GET", f"/agents/{name}/versions?limit={PAGE}&cursor={cursor(PAGE + 1)}"
            ),
            "diff newest with first": lambda name: self._ask(
                "GET", f"/agents/{name}/versions/1/diff/{self._newest[name]}"
            ),
            "show a version": lambda name: self._ask(
                "GET", f"/agents/{name}/versions/{self._random.randint(1, self._newest[name])}"
            ),
        }
        passes: dict[str, list[list[float]]] = {what: [] for what in operations}
        for _ in range(PASSES):
            for what, operation in operations.items():
                passes[what].append([self._timed(operation, agents) for _ in range(rounds // PASSES)])
        return {what: summary(taken) for what, taken in passes.items()}

    def _timed(self, operation: Callable[[str], object], agents: int) -> float:
        name = name_of(self._random.randrange(agents))
        if name not in self._newest:
            self._newest[name] = self._ask("GET", f"/agents/{name}")["newest_version"]
        began = time.perf_counter()
        operation(name)
        return (time.perf_counter() - began) * 1e6

    def _create(self, name: str) -> None:
        parent = self._newest[name]
        body = {**components(name, parent + 1), "parent": parent, "message": "measured"}
        self._newest[name] = self._ask("POST", f"/agents/{name}/versions", body)["version"]

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        self._connection.request(method, f"/api/v1{path}", None if body is None else json.dumps(body), headers)
        answer = self._connection.getresponse()
        content = json.loads(answer.read())
        assert answer.status < 300, content
        return content


@contextmanager
def serving(home: Path) -> Iterator[Served]:
    served = Served(home)
    try:
        yield served
    finally:
        served.stop()


def starts(home: Path, agents: int, rounds: int) -> dict[str, Any]:
    """Starts of every kind, memory, and the admin API's costs. The home has a database and nothing else."""
    database, known_good = home / "switchback.db", home / "last-known-good.json"
    first = _quickest(home, lambda: known_good.unlink(missing_ok=True))
    with serving(home) as served:
        served.settle()
    usual = _quickest(home, lambda: None)
    uncached = _quickest(home, lambda: forget_cached(database))
    with serving(home) as served:
        memory = served.memory_mib()
        served.settle()
        settled = served.memory_mib()
        with served.api() as api:
            costs = api.costs(agents, rounds)
    with _locked(database):
        locked = _quickest(home, lambda: None)
    return {
        "usual_start": usual,
        "first_start": first,
        "uncached_start": uncached,
        "store_locked_start": locked,
        "memory_mib_at_ready": memory,
        "memory_mib_settled": settled,
        "last_known_good_bytes": known_good.stat().st_size,
        "admin_api": costs,
    }


def _quickest(home: Path, prepare: Callable[[], None]) -> dict[str, float]:
    """Seconds until ready, and of CPU by then, of the quickest of a few starts: the one least disturbed."""
    quickest = {"seconds": math.inf, "cpu_seconds": math.inf}
    for _ in range(_STARTS):
        prepare()
        with serving(home) as served:
            quickest = min(quickest, served.start, key=lambda start: start["seconds"])
    return quickest


@contextmanager
def _locked(database: Path) -> Iterator[None]:
    """Another program has the whole file."""
    with closing(sqlite3.connect(database, isolation_level=None)) as plain:
        plain.execute("PRAGMA locking_mode = EXCLUSIVE")
        plain.execute("BEGIN EXCLUSIVE")
        yield


def forget_cached(file: Path) -> None:
    """Let the operating system forget what it has of a file in memory, so that it is read from the disk."""
    descriptor = os.open(file, os.O_RDONLY)
    try:
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)
