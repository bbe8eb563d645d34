"""B15: the rows of tests/hostile/raw_cases.py, said to the real process many at a time in an order of chance.

Their exact answers are held by the test; here it is the crowd that is tried: no status of our own fault, no hang, the next call works.
"""

import asyncio
import time

from benchmarks.hostile.figures import Figure
from benchmarks.hostile.product import Trial, installed
from benchmarks.hostile.traffic import request, status_of
from tests.hostile.account import OUR_FAULT
from tests.hostile.case import Case
from tests.hostile.conversation import converse
from tests.hostile.raw_cases import CASES
from tests.hostile.stage import BODY_LIMIT_BYTES

_AT_ONCE = 20
#: Some rows wait for a deadline.
_IMPATIENT = {
    "limits": {"body_bytes": BODY_LIMIT_BYTES},
    "timeouts": {
        "drain_seconds": 2,
        "request_head_seconds": 3,
        "request_body_idle_seconds": 3,
        "request_body_seconds": 6,
        "keep_alive_seconds": 3,
    },
}


async def attack(trial: Trial) -> list[Figure]:
    """Again and again until the time is over, at least once each."""
    problems: list[str] = []
    said = 0
    ends = time.monotonic() + trial.seconds

    async with installed(trial.folder, trial.workers, settings=_IMPATIENT) as product:
        while True:
            order = trial.chance.sample(CASES, len(CASES))
            for start in range(0, len(order), _AT_ONCE):
                group = order[start : start + _AT_ONCE]
                problems += filter(None, await asyncio.gather(*(_problem(product.address, case) for case in group)))
                said += len(group)
            if await status_of(product.address, request()) != 200:
                problems.append("a call afterwards was not served")
            if time.monotonic() > ends:
                break
        log = product.home.with_suffix(".log").read_text(errors="replace")
        if "Traceback" in log or "internal_error" in log:
            problems.append("a traceback or an internal error in the log")
    found = ", ".join(sorted(set(problems))[:5])
    return [Figure("B15", f"{trial.who}: {said} of {len(CASES)} kinds" + (f", {found}" if found else ""), not problems)]


async def _problem(address: tuple[str, int], case: Case) -> str | None:
    try:
        talk = await converse(
            address, case.script, b"GET /last// HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", deadline_seconds=20
        )
    except OSError as error:
        return f"{case.name}: {error}"
    if talk.hung:
        return f"{case.name}: hangs"
    faults = [
        answer.status for answer in talk.answers if answer.status in OUR_FAULT and answer.status not in case.statuses
    ]
    return f"{case.name}: {faults}" if faults else None
