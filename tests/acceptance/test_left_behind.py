"""However a call ends, it leaves no circle of references: the collector looks too seldom for such to be free."""

import asyncio
import gc
from collections import Counter
from collections.abc import Iterator
from typing import Any

import aiohttp
import pytest

from tests.harness import Deployment

CHAT = "/a/support/v1/chat/completions"
BODY: dict[str, Any] = {"model": "x", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 50}
CALLS = 5
OF_A_CALL = {"Flight", "Asked", "Resolved", "Sendable", "AttemptUnderWay", "Answered", "HttpAnswer", "HttpReply"} | {
    "ClientGone",
    "UpstreamError",
    "ProviderFailed",
    "Refusal",
    "BadInput",
}


@pytest.fixture
def circles() -> Iterator[list[Any]]:
    """What circles hold from here on, filled when the collector looks."""
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        yield gc.garbage
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


async def _call(deployment: Deployment, orders: str, *, streamed: bool, leaves_after: float | None = None) -> None:
    body = {**BODY, "stream": streamed}
    try:
        async with (
            asyncio.timeout(leaves_after),
            deployment.post(CHAT, body, X_Simulate=orders) as answer,
        ):
            if streamed and leaves_after is not None:
                await answer.content.readany()
                answer.close()
            else:
                await answer.read()
    except (aiohttp.ClientError, TimeoutError):
        pass


@pytest.mark.parametrize(
    ("orders", "streamed", "leaves_after"),
    [
        ("events=3", False, None),
        ("events=3", True, None),
        ("stall_after_events=2", True, 20.0),
        ("delay_ms=60000", True, 0.2),
        ("delay_ms=60000", False, 0.2),
        ("cut_after_events=1", True, None),
        ("cut_before_answer", False, None),
        ("error_after_events=2", True, None),
        ("status=500", False, None),
        ("status=529", True, None),
    ],
)
async def test_no_end_of_a_call_leaves_a_circle_behind(
    over_either: Deployment, circles: list[Any], orders: str, streamed: bool, leaves_after: float | None
) -> None:
    await over_either.operator.agent("support", "Be brief.")
    for _ in range(CALLS):
        await _call(over_either, orders, streamed=streamed, leaves_after=leaves_after)
    await over_either.operator.runs(CALLS)
    assert await _ours(circles) == Counter()


@pytest.mark.parametrize("path", ["/a/nobody/v1/chat/completions", "/nowhere", "/a/support/v1/responses"])
async def test_no_refusal_leaves_a_circle_behind(over_either: Deployment, circles: list[Any], path: str) -> None:
    await over_either.operator.agent("support", "Be brief.")
    for body in (BODY, b"{not json", b""):
        async with over_either.post(path, body) as answer:
            assert answer.status >= 400
    assert await _ours(circles) == Counter()


async def test_a_call_whose_values_the_provider_judges_leaves_no_circle_behind(
    over_either: Deployment, circles: list[Any]
) -> None:
    unusual = {**BODY, "max_tokens": "many"}
    for limit in (None, 1):
        if limit is not None:
            await over_either.operator.post("/caps", scope={}, window="day", unit="usd", limit=limit, why="")
        for _ in range(CALLS):
            async with over_either.post("/v1/chat/completions", unusual) as answer:
                await answer.read()
    runs = await over_either.operator.runs(2 * CALLS)
    assert {run["result"] for run in runs[CALLS:]} != {"refused"}
    assert {run["result"] for run in runs[:CALLS]} == {"refused"}
    assert await _ours(circles) == Counter()


async def _ours(circles: list[Any]) -> Counter[str]:
    """What the collector finds that every call has of its own: servers of tests before this one may leave more."""
    await asyncio.sleep(0)
    gc.collect()
    return Counter(name for one in circles if (name := type(one).__name__) in OF_A_CALL)
