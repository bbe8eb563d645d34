"""B11 and B12: large and nested requests, and answers that inflate; the loop is asked for a sign of life all the while.

Each input is said up to three times and the shortest of its longest waits counts: other programs of the machine make waits longer, never
shorter.
"""

import asyncio
import gzip
import json
import time
from collections.abc import Callable
from random import Random

from benchmarks import machine
from benchmarks.hostile.figures import Figure
from benchmarks.hostile.product import AGENT, Product, Trial, installed
from benchmarks.hostile.traffic import framed, status_of

_TIMES = 3
_BLOCK_BAR_SECONDS = 0.05
_MEMORY_TIMES = 100
_FREE_BYTES = 20_000_000
"""Grown by any first large call: buffers, and memory that is given back later."""
_PATH = f"/a/{AGENT}/v1/chat/completions"


def _chat(**members: object) -> bytes:
    return json.dumps(
        {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}], **members}
    ).encode()


def _repeated(before: bytes, one: bytes, count: int, after: bytes) -> bytes:
    return before + b",".join([one] * count) + after


_MESSAGES = b'{"model":"m","messages":['
INPUTS: dict[str, Callable[[Random], tuple[bytes, tuple[str, ...]]]] = {
    "inflating": lambda chance: (
        gzip.compress(_chat(x="a" * chance.randrange(20_000_000, 60_000_000)), 9), ("Content-Encoding: gzip",)
    ),
    "one long message": lambda chance: (
        _chat(messages=[{"role": "user", "content": "a" * chance.randrange(4_000_000, 31_000_000)}]), ()
    ),
    "escapes": lambda chance: (_chat(x="\u0001" * chance.randrange(500_000, 5_000_000)), ()),
    "members": lambda chance: (
        b'{"model":"m","messages":[],' + b",".join(b'"k%d":1' % n for n in range(chance.randrange(200_000, 1_000_000))) + b"}", ()
    ),
    "messages": lambda chance: (
        _repeated(_MESSAGES, b'{"role":"system","content":"x"}', chance.randrange(100_000, 800_000), b"]}"), ()
    ),
    "tools": lambda chance: (
        _repeated(_MESSAGES + b'{"role":"user","content":"x"}],"tools":[', b'{"type":"function","function":{"name":"t"}}',
                  chance.randrange(100_000, 500_000), b"]}"), ()
    ),
    "nesting": lambda chance: (_chat()[:-1] + b',"x":' + b"[" * (depth := chance.randrange(1000, 5_000_000)) + b"]" * depth + b"}", ()),
    "empty objects": lambda chance: (
        _repeated(_MESSAGES, b"{}", chance.randrange(500_000, 5_000_000), b"]}"), ()
    ),
    "numbers": lambda chance: (_chat()[:-1] + b',"x":[' + b"1," * chance.randrange(1_000_000, 10_000_000) + b"1]}", ()),
}  # fmt: skip


async def attack(trial: Trial) -> list[Figure]:
    """All kinds, of sizes by chance."""
    worst_block, worst_times, problems = ("", 0.0), ("", 0.0), list[str]()
    ends = time.monotonic() + trial.seconds
    done = 0
    async with installed(trial.folder, trial.workers) as product:
        for name in trial.chance.sample(list(INPUTS), len(INPUTS)):
            if time.monotonic() > ends:
                break
            body, lines = INPUTS[name](trial.chance)
            size, said = len(body), framed(_PATH, body, *lines)
            block, grown, status = await _least(product, said)
            times = max(0, grown - _FREE_BYTES) / size
            print(
                f"  {name} ({trial.who}): {size / 1e6:.2f} MB, status {status}, blocked {block * 1000:.0f} ms, memory {grown / 1e6:+.0f} MB",
                flush=True,
            )
            worst_block, worst_times = (
                max(worst_block, (name, block), key=_second),
                max(worst_times, (name, times), key=_second),
            )
            if status in (0, 500, 502):
                problems.append(f"{name}: {status}")
            done += 1
    memory = f"{trial.who}: {done} inputs, at most {worst_times[1]:.0f} × ({worst_times[0] or 'none'})"
    loop = f"{trial.who}: {done} inputs, at most {worst_block[1] * 1000:.0f} ms ({worst_block[0]})"
    return [
        Figure("B11", ", ".join([memory, *problems]), worst_times[1] <= _MEMORY_TIMES and not problems),
        Figure("B12", loop, worst_block[1] <= _BLOCK_BAR_SECONDS),
    ]


def _second(pair: tuple[str, float]) -> float:
    return pair[1]


async def _least(product: Product, said: bytes) -> tuple[float, int, int]:
    """The least of three: how long the loop was blocked in seconds, and by how much memory grew; and the status."""
    blocks, growths, status = list[float](), list[int](), 0
    for _ in range(_TIMES):
        block, grown, status = await _watched(product, said)
        blocks.append(block)
        growths.append(grown)
        if block <= _BLOCK_BAR_SECONDS:
            break
    return min(blocks), growths[0], status


async def _watched(product: Product, said: bytes) -> tuple[float, int, int]:
    pids = product.pids
    before = machine.resident_bytes(pids)
    peak, longest = before, 0.0
    # From another thread: sending megabytes takes this one's time.
    call = asyncio.create_task(asyncio.to_thread(asyncio.run, status_of(product.address, said, seconds=60)))
    while not call.done():
        began = time.monotonic()
        await status_of(product.address, b"GET /nothing HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", seconds=30)
        longest = max(longest, time.monotonic() - began)
        peak = max(peak, machine.resident_bytes(pids))
        await asyncio.sleep(0.002)
    return longest, peak - before, await call
