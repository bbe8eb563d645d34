"""The simulator as a service: it says where it listens, answers, and ends when it is cancelled."""

import asyncio
from pathlib import Path

import aiohttp
import pytest

from proxy.simulator.command import serve
from proxy.simulator.scenario import HEALTHY, REALISTIC
from tests.harness import PATIENCE_SECONDS

CHAT = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}]}


async def test_it_serves_until_cancelled_and_leaves_its_ledger(tmp_path: Path) -> None:
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    ledger = tmp_path / "ledger.jsonl"
    service = asyncio.create_task(serve("127.0.0.1", 0, HEALTHY, ledger, ready.set_result))
    url = await asyncio.wait_for(ready, PATIENCE_SECONDS)
    async with aiohttp.ClientSession(headers={"Authorization": "Bearer k"}) as session:
        async with session.post(f"{url}/v1/chat/completions", json=CHAT) as answer:
            assert answer.status == 200
        service.cancel()
        with pytest.raises(asyncio.CancelledError):
            await service
        with pytest.raises(aiohttp.ClientConnectionError):
            await session.get(f"{url}/v1/models")
    assert ledger.read_bytes().count(b"\n") == 1


async def test_a_port_in_use_is_said_at_once() -> None:
    taken = await asyncio.start_server(lambda _reader, _writer: None, "127.0.0.1", 0)
    async with taken:
        port = taken.sockets[0].getsockname()[1]
        with pytest.raises(OSError, match="address already in use"):
            await serve("127.0.0.1", port, HEALTHY, None, lambda _url: None)


def test_the_pace_for_demonstrations_is_that_of_a_small_hosted_model() -> None:
    assert (REALISTIC.first_delay_ms, REALISTIC.piece_delay_ms) == (30, 5)
