"""B1 and B4: what can befall the store's files and disk while calls flow; then everything acknowledged is looked for.

Each fault has a beginning and an end, as an operator or a machine would bring it about. While it lasts, changes are tried and
the kill switch is pulled. Afterwards it must come back by itself, or say what it needs.
"""

import asyncio
import errno
import os
import shutil
import sqlite3
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import aiohttp

from benchmarks.hostile.disk import Disk, is_available
from benchmarks.hostile.figures import Figure
from benchmarks.hostile.product import AGENT, VICTIM, Product, Trial, installed
from benchmarks.hostile.traffic import Traffic, flowing, request, status_of
from tests.harness import Refused

PER_SECOND = 50
_FAULT_SECONDS = 20.0
_RECOVERY_SECONDS = 30.0
_WRITE_BAR_SECONDS = 5.0
_IN_FORCE_BAR_SECONDS, _ANSWER_BAR_SECONDS = 0.1, 1.0


class Fault(NamedTuple):
    """`begin` gives back what `end` needs. `keeps_changes` False: the fault itself destroys what no file has any more."""

    name: str
    begin: Callable[[Product, Disk], Any]
    end: Callable[[Product, Disk, Any], None]
    keeps_changes: bool = True


def _locked(product: Product, _disk: Disk) -> sqlite3.Connection:
    other = sqlite3.connect(product.database, isolation_level=None, timeout=10, check_same_thread=False)
    other.execute("BEGIN EXCLUSIVE")
    return other


def _unlocked(_product: Product, _disk: Disk, other: sqlite3.Connection) -> None:
    other.rollback()
    other.close()


def _moved(product: Product, _disk: Disk) -> None:
    product.database.rename(product.database.with_name("right"))


def _moved_back(product: Product, _disk: Disk, _: object) -> None:
    product.database.unlink(missing_ok=True)
    product.database.with_name("right").rename(product.database)


def _replaced(content: bytes | None) -> Callable[[Product, Disk], None]:
    """By these bytes; None: by the older copy that was made before the calls began."""

    def begin(product: Product, disk: Disk) -> None:
        _moved(product, disk)
        if content is None:
            shutil.copyfile(product.database.with_name("older"), product.database)
        else:
            product.database.write_bytes(content)

    return begin


def _whole_copy(product: Product, disk: Disk) -> None:
    """A copy of the very moment, log included, takes the place of a moved file."""
    copy = product.database.with_name("copy")
    source, target = sqlite3.connect(product.database), sqlite3.connect(copy)
    source.backup(target)
    target.close()
    source.close()
    _moved(product, disk)
    copy.rename(product.database)


def _deleted(product: Product, _disk: Disk) -> None:
    product.database.unlink()


def _kept_put_back(product: Product, _disk: Disk, _: object) -> None:
    with suppress(ValueError):
        (kept,) = product.home.glob("switchback.db.kept-*")
        kept.rename(product.database)


def _nothing(_product: Product, _disk: Disk, _: object) -> None:
    return


def _beside(suffix: str, change: Callable[[Any], object]) -> Callable[[Product, Disk], None]:
    """The log or its index, changed in place or replaced."""

    def begin(product: Product, _disk: Disk) -> None:
        change(product.database.with_name(product.database.name + suffix))

    return begin


def _garbage_instead(file: Any) -> None:
    other = file.with_name("garbage")
    other.write_bytes(b"garbage" * 3000)
    other.replace(file)


def _disk(**trouble: int) -> Callable[[Product, Disk], None]:
    def begin(_product: Product, disk: Disk) -> None:
        disk.set(**trouble)

    return begin


def _disk_well(_product: Product, disk: Disk, _: object) -> None:
    disk.set()


def _home_moved(product: Product, _disk: Disk) -> None:
    product.home.rename(product.home.with_name("elsewhere"))


def _home_back(product: Product, _disk: Disk, _: object) -> None:
    if product.home.exists():  # something wrote there meanwhile
        shutil.rmtree(product.home)
    product.home.with_name("elsewhere").rename(product.home)


FAULTS = [
    Fault("locked", _locked, _unlocked),
    Fault("moved", _moved, _moved_back),
    Fault("replaced by nothing", _replaced(b""), _moved_back),
    Fault("replaced by garbage", _replaced(b"garbage" * 3000), _moved_back),
    Fault("replaced by an older copy", _replaced(None), _moved_back),
    Fault("replaced by a whole copy", _whole_copy, _nothing),
    Fault("deleted", _deleted, _kept_put_back),
    Fault("log deleted", _beside("-wal", os.unlink), _nothing),
    Fault("log replaced", _beside("-wal", _garbage_instead), _nothing),
    Fault("log truncated", _beside("-wal", lambda file: os.truncate(file, 0)), _nothing, keeps_changes=False),
    Fault("index deleted", _beside("-shm", os.unlink), _nothing),
    Fault("index replaced", _beside("-shm", _garbage_instead), _nothing),
    Fault("index truncated", _beside("-shm", lambda file: os.truncate(file, 0)), _nothing),
    Fault("disk full", _disk(error=errno.ENOSPC), _disk_well),
    Fault("disk broken", _disk(error=errno.EIO), _disk_well),
    Fault("read-only", _disk(error=errno.EROFS), _disk_well),
    Fault("slow by 300 ms", _disk(delay_ms=300), _disk_well),
    Fault("slow by 2 s", _disk(delay_ms=2000), _disk_well),
    Fault("hung", _disk(delay_ms=600_000), _disk_well),
    Fault("home moved", _home_moved, _home_back),
]


@dataclass
class _Seen:
    """Of one fault."""

    agents: set[str] = field(default_factory=set[str])
    slowest_write_seconds: float = 0.0
    in_force_seconds: float = float("inf")
    answered_seconds: float = float("inf")
    problems: list[str] = field(default_factory=list[str])

    def say(self, problem: str) -> None:
        """Once each."""
        if problem not in self.problems:
            self.problems.append(problem[:200])


async def attack(trial: Trial) -> list[Figure]:
    """Every fault as far as time allows, in an order of chance."""
    if not is_available():
        return [Figure("B1", "no gcc: the disk cannot be made slow or broken", None)]
    faults = trial.chance.sample(FAULTS, len(FAULTS))
    seconds = min(_FAULT_SECONDS, max(6.0, trial.seconds / len(faults) - 8))
    ends = time.monotonic() + trial.seconds
    served, calls, problems, done = 0, 0, list[str](), 0
    writes, in_force, answered = [0.0], [0.0], [0.0]
    for fault in faults:
        if time.monotonic() > ends:
            break
        traffic, seen = await _suffered(trial, fault, seconds)
        done += 1
        total = sum(traffic.statuses.values())
        served, calls = served + traffic.statuses[200], calls + total
        writes.append(seen.slowest_write_seconds)
        in_force.append(seen.in_force_seconds)
        answered.append(seen.answered_seconds)
        if traffic.statuses[200] < total:
            seen.say(f"calls {dict(traffic.statuses)}")
        line = (
            f"  {fault.name} ({trial.who}): {traffic.served_percent:.1f} % of {total} calls, 99 % within {traffic.slowest_ms():.0f} ms; "
            f"write {seen.slowest_write_seconds:.1f} s, switch in force {seen.in_force_seconds * 1000:.0f} ms, "
            f"answered {seen.answered_seconds * 1000:.0f} ms"
        )
        print(line + "".join(f"; {problem}" for problem in seen.problems), flush=True)
        if seen.problems:
            problems.append(fault.name)
    share = 100 * served / calls if calls else 0
    text = f"{trial.who}: {done} of {len(FAULTS)} faults of {seconds:.0f} s, {share:.2f} % of {calls} calls, writes ≤ {max(writes):.1f} s"
    stop = f"{trial.who}, {done} faults: in force ≤ {max(in_force) * 1000:.0f} ms, answered ≤ {max(answered) * 1000:.0f} ms"
    return [
        Figure(
            "B1",
            text + (f"; not all well: {', '.join(problems)}" if problems else ""),
            not problems and max(writes) <= _WRITE_BAR_SECONDS,
        ),
        Figure("B4", stop, max(in_force) <= _IN_FORCE_BAR_SECONDS and max(answered) <= _ANSWER_BAR_SECONDS),
    ]


async def _suffered(trial: Trial, fault: Fault, seconds: float) -> tuple[Traffic, _Seen]:
    folder = trial.folder / fault.name.replace(" ", "-")
    folder.mkdir(parents=True)
    disk = Disk(folder, folder / "home")
    seen = _Seen()
    async with installed(folder, trial.workers, environment=disk.environment) as product:
        source = sqlite3.connect(product.database)
        older = sqlite3.connect(product.database.with_name("older"))
        source.backup(older)
        older.close()
        source.close()
        for number in range(10):
            name = f"before-{number}"
            await product.operator.post("/agents", agent=name, description="acknowledged")
            seen.agents.add(name)
        token = product.operator  # the token file may be away
        async with flowing(product, trial.chance, per_second=PER_SECOND) as traffic:
            await asyncio.sleep(1)
            what = await asyncio.to_thread(fault.begin, product, disk)
            await _tried(product, token, seen, seconds)
            await asyncio.to_thread(fault.end, product, disk, what)
            await _recovered(token, seen)
        if product.process is None or product.process.returncode is not None:
            seen.problems = ["the process is gone"]
            await product.start()
        await _looked_for(product, fault, seen)
    shutil.rmtree(folder, ignore_errors=True)
    return traffic, seen


async def _tried(product: Product, operator: Any, seen: _Seen, seconds: float) -> None:
    """Changes all the time, and the kill switch in the middle."""
    ends = time.monotonic() + seconds
    pulled = False
    number = 0
    while time.monotonic() < ends:
        number += 1
        await _written(operator, f"during-{number}", seen)
        if not pulled and time.monotonic() > ends - seconds * 2 / 3:
            pulled = True
            await _pulled(product, operator, seen)
        await asyncio.sleep(0.5)


async def _written(operator: Any, name: str, seen: _Seen) -> None:
    began = time.monotonic()
    try:
        await operator.post("/agents", agent=name, description="acknowledged")
        seen.agents.add(name)
    except Refused as refusal:
        if refusal.status != 503:
            seen.say(f"a change got {refusal.status}")
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        seen.say(f"a change was not answered: {type(error).__name__}")
    seen.slowest_write_seconds = max(seen.slowest_write_seconds, time.monotonic() - began)


async def _pulled(product: Product, operator: Any, seen: _Seen) -> None:
    """The switch on an agent of its own; how soon its calls are refused, and how soon that is answered."""
    began = time.monotonic()

    async def answered() -> None:
        try:
            await operator.post("/switches", scope={"agent": VICTIM}, mode="block", why="hostile")
            seen.answered_seconds = time.monotonic() - began
        except (aiohttp.ClientError, OSError, TimeoutError, Refused) as error:
            seen.say(f"the switch was not taken: {error}")

    async def in_force() -> None:
        while time.monotonic() - began < _WRITE_BAR_SECONDS * 2:
            sent = time.monotonic()
            if await status_of(product.address, request(VICTIM), seconds=5) == 403:
                seen.in_force_seconds = sent - began
                return
            await asyncio.sleep(0.005)

    await asyncio.gather(answered(), in_force())


async def _recovered(operator: Any, seen: _Seen) -> None:
    deadline = time.monotonic() + _RECOVERY_SECONDS
    store: dict[str, Any] = {}
    while time.monotonic() < deadline:
        with suppress(aiohttp.ClientError, OSError, TimeoutError, Refused):
            store = (await operator.get("/status"))["store"]
            if store["up"]:
                return
        await asyncio.sleep(0.2)
    seen.say(f"the store did not come back: {store.get('problem')}")


async def _looked_for(product: Product, fault: Fault, seen: _Seen) -> None:
    """In the running process, and after a restart."""
    for moment in ("", " after a restart"):
        if moment:
            try:
                await product.stop()
                await product.start()
            except (RuntimeError, TimeoutError) as error:
                seen.say(f"it does not start again: {error}")
                return
        operator = product.operator
        try:
            proof = await operator.get("/audit/verify")
            if not proof["ok"]:
                seen.say(f"the audit log does not hold{moment}")
            charged, billed = await product.counted(AGENT), await product.openai.received()
            if charged < billed:
                seen.say(f"a cap counted {charged} of {billed}{moment}")
            if {"agent": VICTIM} not in [one["scope"] for one in (await operator.get("/switches"))["items"]]:
                seen.say(f"the switch is gone{moment}")
            missing = [name for name in sorted(seen.agents) if not await _is_there(operator, name)]
            if missing and fault.keeps_changes:
                seen.say(f"{len(missing)} acknowledged changes are gone{moment}: {missing[0]}")
        except (Refused, aiohttp.ClientError, OSError, TimeoutError) as error:
            seen.say(f"{error}{moment}")


async def _is_there(operator: Any, name: str) -> bool:
    try:
        await operator.get(f"/agents/{name}")
    except Refused as refusal:
        if refusal.status == 404:
            return False
        raise
    return True
