"""Spend caps on a deployment, and what one call holds under one."""

import asyncio
from collections.abc import Awaitable
from typing import Any

from tests.harness import Deployment, Operator


async def cap(
    operator: Operator, unit: str, limit: Any, *, agent: str | None = "support", window: str = "day", **more: Any
) -> Any:
    scope = {"agent": agent} if agent else {}
    return await operator.post("/caps", scope=scope, window=window, unit=unit, limit=limit, why="a test", **more)


async def one_hold(deployment: Deployment, call: Awaitable[Any]) -> float:
    """What this call holds, in dollars, as a cap shows it while the provider thinks."""
    wide = await cap(deployment.operator, "usd", 1000)
    deployment.simulator.hold_answers()
    running = asyncio.ensure_future(call)
    await deployment.simulator.wait_for_calls(1)
    shown = next(item for item in (await deployment.operator.get("/caps"))["items"] if item["id"] == wide["id"])
    deployment.simulator.release_answers()
    await running
    await deployment.operator.request("DELETE", f"/caps/{wide['id']}", {"why": "measured"})
    return shown["held"]
