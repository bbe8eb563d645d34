"""B23: fewer descriptors than clients, and a crowd at the admin port that says nothing.

Calls, health and the kill switch must go on beside the crowd, without a loop that turns idly.
"""

import asyncio
import resource

from benchmarks import machine
from benchmarks.hostile.figures import Figure
from benchmarks.hostile.product import Product, Trial, installed
from benchmarks.hostile.traffic import request, status_of
from tests.harness import Refused
from tests.hostile.conversation import HostileClient

_FEW, _USUAL = 64, 1024
_ADMIN_CROWD = 1_100
_CPU_SHARE = 0.2
_WATCHED_SECONDS = 3


async def attack(trial: Trial) -> list[Figure]:
    """Both crowds."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    try:
        return [await _calls_crowd(trial), await _admin_crowd(trial)]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def _limited_to(descriptors: int) -> tuple[str, ...]:
    return ("bash", "-c", f'ulimit -n {descriptors}; exec "$@"', "bash")


async def _calls_crowd(trial: Trial) -> Figure:
    few = _FEW * trial.workers
    async with installed(trial.folder / "few", trial.workers, prefix=_limited_to(few)) as product:
        crowd = await _crowd(product.address, 4 * few, b"POST /v1/chat/completions HTTP/1.1\r\n")
        health = [await product.status_of(path) for path in ("/livez", "/readyz", "/metrics")]
        used = machine.cpu_seconds(product.pids)
        await asyncio.sleep(_WATCHED_SECONDS)  # what is measured: idle turning
        share = (machine.cpu_seconds(product.pids) - used) / _WATCHED_SECONDS
        await _gone(crowd)
        served = await _served(product)
    text = f"{trial.who}, {few} descriptors: health {health}, {share * 100:.0f} % CPU under pressure, {served} of 20 calls served afterwards"
    return Figure("B23", text, health == [200, 200, 200] and share < _CPU_SHARE and served == 20)


async def _admin_crowd(trial: Trial) -> Figure:
    async with installed(trial.folder / "admin", trial.workers, prefix=_limited_to(_USUAL)) as product:
        host, port = product.admin.removeprefix("http://").split(":")
        crowd = await _crowd((host, int(port)), _ADMIN_CROWD, b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX: ")
        served = await _served(product)
        try:
            await product.operator.post("/switches", scope={}, mode="observe", why="hostile")
            switch = "taken"
        except (Refused, OSError, TimeoutError) as error:
            switch = f"not taken ({error})"
        await _gone(crowd)
    return Figure(
        "B23",
        f"{_ADMIN_CROWD} idle at the admin port: {served} of 20 calls, switch {switch}",
        served == 20 and switch == "taken",
    )


async def _crowd(address: tuple[str, int], size: int, said: bytes) -> list[HostileClient]:
    crowd: list[HostileClient] = []
    for _ in range(size):
        try:
            client = await asyncio.wait_for(HostileClient.connect(address), 2)
        except (OSError, TimeoutError):
            break
        crowd.append(client)
        await client.send(said)
    return crowd


async def _gone(crowd: list[HostileClient]) -> None:
    for client in crowd:
        client.reset()
    await asyncio.gather(*(client.close() for client in crowd))
    await asyncio.sleep(0.2)


async def _served(product: Product) -> int:
    return [await status_of(product.address, request()) for _ in range(20)].count(200)
