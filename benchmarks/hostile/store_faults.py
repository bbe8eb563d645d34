"""B1 and B4: what can befall the store's files and disk while calls flow; then everything acknowledged is looked for.

While a fault lasts, changes are tried and the kill switch is pulled. Afterwards it must come back by itself, or say what it needs.
"""

import asyncio
import shutil
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from benchmarks.hostile.disk import Disk, is_available
from benchmarks.hostile.faults import FAULTS, Fault, copied
from benchmarks.hostile.figures import Figure
from benchmarks.hostile.product import AGENT, VICTIM, Product, Trial, installed
from benchmarks.hostile.traffic import Traffic, flowing, request, status_of
from tests.harness import Refused

PER_SECOND = 50
_FAULT_SECONDS, _WARM_SECONDS = 20.0, 12.0
_RECOVERY_SECONDS = 30.0
#: On the wire of VICTIM.
_SWITCHED_OFF_STATUS = 400
_WRITE_BAR_SECONDS = 5.0
_IN_FORCE_BAR_SECONDS, _ANSWER_BAR_SECONDS = 0.1, 1.0


@dataclass
class _Seen:
    """Of one fault."""

    agents: set[str]
    """Acknowledged so far, in all faults of this home."""
    refused: set[str] = field(default_factory=set[str])
    """Answered as not changed."""
    made: int = 0
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
    wanted = [fault for fault in FAULTS if not trial.faults or fault.name in trial.faults]
    faults = trial.chance.sample(wanted, len(wanted))
    seconds = trial.fault_seconds or min(_FAULT_SECONDS, max(6.0, trial.seconds / len(faults) - 4))
    report = _Report(trial, seconds)
    ends = float("inf") if trial.fault_seconds else time.monotonic() + trial.seconds
    while faults and time.monotonic() < ends:
        await _one_home(report, faults, ends)
    return report.figures()


class _Report:
    """Over all faults."""

    def __init__(self, trial: Trial, seconds: float) -> None:
        self.trial, self.seconds = trial, seconds
        self.homes = self.done = self.served = self.calls = 0
        self.trouble: list[str] = []
        self._write = self._in_force = self._answered = 0.0

    def add(self, fault: Fault, traffic: Traffic, seen: _Seen) -> None:
        total = sum(traffic.statuses.values())
        self.done += 1
        self.served, self.calls = self.served + traffic.statuses[200], self.calls + total
        self._write = max(self._write, seen.slowest_write_seconds)
        self._in_force = max(self._in_force, seen.in_force_seconds)
        self._answered = max(self._answered, seen.answered_seconds)
        if traffic.statuses[200] < total:
            seen.say(f"calls {dict(traffic.statuses)}")
        if seen.problems:
            self.trouble.append(fault.name)
        line = (
            f"  {fault.name} ({self.trial.who}): {traffic.served_percent:.1f} % of {total} calls, 99 % within {traffic.slowest_ms():.0f} ms; "
            f"{seen.made} changes made, {len(seen.refused)} refused, the slowest after {seen.slowest_write_seconds:.1f} s, switch in force {seen.in_force_seconds * 1000:.0f} ms, "
            f"answered {seen.answered_seconds * 1000:.0f} ms"
        )
        print("; ".join([line, *seen.problems]), flush=True)

    def figures(self) -> list[Figure]:
        share = 100 * self.served / self.calls if self.calls else 0
        who = f"{self.trial.who}, {self.done} of {len(FAULTS)} faults of {self.seconds:.0f} s"
        text = f"{who}: {share:.2f} % of {self.calls} calls, writes ≤ {self._write:.1f} s"
        if self.trouble:
            text += f"; not well: {', '.join(self.trouble)}"
        stop = f"{who}: in force ≤ {self._in_force * 1000:.0f} ms, answered ≤ {self._answered * 1000:.0f} ms"
        return [
            Figure("B1", text, not self.trouble and self._write <= _WRITE_BAR_SECONDS),
            Figure("B4", stop, self._in_force <= _IN_FORCE_BAR_SECONDS and self._answered <= _ANSWER_BAR_SECONDS),
        ]


async def _one_home(report: _Report, faults: list[Fault], ends: float) -> None:
    """Fault after fault on one home, as long as all goes well; then a restart, and everything is looked for once more."""
    trial = report.trial
    report.homes += 1
    folder = trial.folder / str(report.homes)
    await asyncio.to_thread(folder.mkdir, parents=True)
    disk = Disk(folder, folder / "home")
    acknowledged: set[str] = set()
    async with installed(folder, trial.workers, environment=disk.environment) as product:
        copied(product.database, product.database.with_name("older"))
        for number in range(10):
            name = f"before-{number}"
            await product.operator.post("/agents", agent=name, description="acknowledged")
            acknowledged.add(name)
        async with flowing(product, trial.chance, per_second=PER_SECOND):
            await asyncio.sleep(_WARM_SECONDS)  # a lease follows the rate that was seen
        seen = _Seen(acknowledged)
        while faults and not seen.problems and time.monotonic() < ends:
            seen = _Seen(acknowledged)
            fault = faults.pop()
            traffic = await _suffered(trial, product, disk, fault, report.seconds, seen)
            await _looked_for(product, seen)
            is_last = bool(seen.problems) or not faults or time.monotonic() > ends
            if is_last:
                await _looked_for_again(product, seen)
            report.add(fault, traffic, seen)
            if not fault.keeps_changes:
                return
    await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


async def _suffered(trial: Trial, product: Product, disk: Disk, fault: Fault, seconds: float, seen: _Seen) -> Traffic:
    operator = product.operator  # the token file may be away later
    for switch in await product.listed("/switches"):  # of the fault before
        await operator.request("DELETE", f"/switches/{switch['id']}", {"why": "hostile"})
    async with flowing(product, trial.chance, per_second=PER_SECOND) as traffic:
        await asyncio.sleep(1)
        what = await asyncio.to_thread(fault.begin, product, disk)
        await _tried(product, operator, seen, seconds)
        await asyncio.to_thread(fault.end, product, disk, what)
        await _recovered(operator, seen)
    if product.process is None or product.process.returncode is not None:
        seen.problems = ["the process is gone"]
        await product.start()
    return traffic


async def _tried(product: Product, operator: Any, seen: _Seen, seconds: float) -> None:
    """Changes all the time, and the kill switch in the middle."""
    ends = time.monotonic() + seconds
    pulled = False
    while time.monotonic() < ends:
        await _written(operator, f"during-{time.monotonic_ns()}", seen)
        if not pulled and time.monotonic() > ends - seconds * 2 / 3:
            pulled = True
            await _pulled(product, operator, seen)
        await asyncio.sleep(0.5)


async def _written(operator: Any, name: str, seen: _Seen) -> None:
    began = time.monotonic()
    try:
        await operator.post("/agents", agent=name, description="acknowledged")
        seen.agents.add(name)
        seen.made += 1
    except Refused as refusal:
        if refusal.status != 503:
            seen.say(f"a change got {refusal.status}")
        elif refusal.code != "store_outcome_unknown":
            seen.refused.add(name)
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
            if await status_of(product.address, request(VICTIM), seconds=5) == _SWITCHED_OFF_STATUS:
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


async def _looked_for_again(product: Product, seen: _Seen) -> None:
    """After a restart."""
    try:
        await product.stop()
        await product.start()
    except (RuntimeError, TimeoutError) as error:
        seen.say(f"it does not start again: {error}")
        return
    await _looked_for(product, seen, " after a restart")


async def _looked_for(product: Product, seen: _Seen, moment: str = "") -> None:
    operator = product.operator
    try:
        proof = await operator.get("/audit/verify")
        if not proof["ok"]:
            seen.say(f"the audit log does not hold{moment}")
        charged, billed = await product.counted(AGENT), await product.openai.received()
        if charged < billed:
            seen.say(f"a cap counted {charged} of {billed}{moment}")
        switches = [one["scope"] for one in await product.listed("/switches")]
        if {"agent": VICTIM} not in switches:
            seen.say(f"the switch is gone{moment}")
        missing = [name for name in sorted(seen.agents) if not await _is_there(operator, name)]
        if missing:
            seen.say(f"{len(missing)} acknowledged changes are gone{moment}: {missing[0]}")
        came = [name for name in sorted(seen.refused) if await _is_there(operator, name)]
        if came:
            seen.say(f"{len(came)} refused changes are there{moment}: {came[0]}")
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
