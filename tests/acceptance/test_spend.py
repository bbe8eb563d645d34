"""Hard caps hold however many calls run at once, and spend survives a crash without being under-counted."""

import asyncio
import os
import signal
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import aiohttp
import anthropic
import openai
import orjson
import pytest

from proxy.simulator.app import Simulator
from tests.acceptance.caps import cap, one_hold
from tests.harness import CLAUDE, PATIENCE_SECONDS, Deployment, Operator, deployed, eventually

CHAT = "/a/support/v1/chat/completions"
USER = [{"role": "user", "content": "hi"}]
BODY = {"model": "x", "messages": USER, "max_tokens": 100}


async def statuses(deployment: Deployment, count: int) -> list[int]:
    async def one() -> int:
        async with deployment.post(CHAT, BODY) as answer:
            await answer.read()
            return answer.status

    return await asyncio.gather(*(one() for _ in range(count)))


async def test_two_hundred_parallel_calls_against_a_cap_of_twenty_holds_admit_exactly_twenty(
    deployment: Deployment,
) -> None:
    await deployment.operator.agent("support", "one")
    hold = await one_hold(deployment, statuses(deployment, 1))
    limit = round(hold * 20 + hold / 2, 9)
    await cap(deployment.operator, "usd", limit)
    deployment.simulator.hold_answers()
    running = asyncio.ensure_future(statuses(deployment, 200))
    # The provider answers only when every call is decided: 20 reached it, 180 were refused.
    await eventually(lambda: deployment.simulator.record.received == 21)
    runs = await deployment.operator.runs(181)
    shown = (await deployment.operator.get("/caps"))["items"][0]
    assert shown["spent"] + shown["held"] <= limit
    deployment.simulator.release_answers()
    seen = await running
    assert (seen.count(200), seen.count(402)) == (20, 180)
    assert {run["error_class"] for run in runs if run["status"] == 402} == {"spend_cap_exceeded"}

    await deployment.operator.runs(201)
    after = (await deployment.operator.get("/caps"))["items"][0]
    billed = deployment.simulator.billed_nanodollars - deployment.simulator.calls[0].billed_nanodollars
    assert (after["spent"], after["held"]) == (pytest.approx(billed / 1e9), 0)


@pytest.mark.parametrize("agent", ["support", None])
async def test_a_cap_on_calls_counts_calls_of_its_scope(deployment: Deployment, agent: str | None) -> None:
    await deployment.operator.agent("support", "one")
    await cap(deployment.operator, "calls", 3, agent=agent)
    assert sorted(await statuses(deployment, 8)) == [200] * 3 + [402] * 5


async def test_a_cap_of_zero_allows_nothing_and_a_higher_limit_lets_calls_pass_again(deployment: Deployment) -> None:
    await deployment.operator.agent("support", "one")
    set_cap = await cap(deployment.operator, "usd", 0)
    assert await statuses(deployment, 1) == [402]
    await deployment.operator.request("PUT", f"/caps/{set_cap['id']}", {"limit": 5, "why": "paid"})
    assert await statuses(deployment, 1) == [200]


async def test_what_passes_within_a_minute_is_a_429_with_retry_after(deployment: Deployment) -> None:
    await deployment.operator.agent("support", "one")
    await cap(deployment.operator, "in_flight", 1, window="total")
    deployment.simulator.hold_answers()
    running = asyncio.ensure_future(statuses(deployment, 1))
    await deployment.simulator.wait_for_calls(1)
    async with deployment.post(CHAT, BODY) as answer:
        assert (answer.status, answer.headers["retry-after"]) == (429, "1")
    deployment.simulator.release_answers()
    assert await running == [200]
    assert await statuses(deployment, 1) == [200]


async def test_the_sdks_raise_a_sensible_error_and_do_not_retry(deployment: Deployment) -> None:
    await deployment.operator.agent("support", "one")
    await deployment.operator.agent("claude", "one", model=CLAUDE)
    await cap(deployment.operator, "calls", 0, agent=None)
    with pytest.raises(openai.APIStatusError) as caught:
        await deployment.openai(max_retries=2).chat.completions.create(model="x", messages=USER)
    assert (caught.value.status_code, caught.value.code) == (402, "spend_cap_exceeded")
    with pytest.raises(anthropic.PaymentRequiredError):
        await deployment.anthropic("claude", max_retries=2).messages.create(model="x", max_tokens=9, messages=USER)
    assert len(await deployment.operator.runs(2)) == 2
    assert deployment.simulator.record.received == 0


async def test_a_model_without_a_price_is_refused_under_a_hard_cap_and_free_when_settings_say_so(
    tmp_path: Path,
) -> None:
    prices = {"openai/gpt-4o-mini": "free"}
    async with deployed(tmp_path / "home", prices=prices) as deployment:
        await deployment.operator.agent("support", "one")
        await deployment.operator.agent("other", "one", model="nobody-knows-this-model")
        await cap(deployment.operator, "usd", 0.000001, agent=None)
        assert await statuses(deployment, 2) == [200, 200]
        async with deployment.post("/a/other/v1/chat/completions", BODY) as answer:
            assert answer.status == 402
            assert (await answer.json())["error"]["code"] == "unpriceable"


async def test_under_a_hard_cap_output_is_bounded_and_paths_nobody_meters_are_refused(deployment: Deployment) -> None:
    await deployment.operator.agent("support", "one")
    await cap(deployment.operator, "usd", 5, agent=None)
    async with deployment.post(CHAT, {"model": "x", "messages": USER}) as answer:
        assert answer.status == 200
    assert deployment.simulator.calls[-1].json["max_completion_tokens"] == 4096
    async with deployment.post("/v1/fine_tuning/jobs", {"model": "gpt-4.1-mini", "training_file": "file-1"}) as refused:
        assert refused.status == 402
    assert [model.id async for model in deployment.openai(None).models.list()]


async def test_a_provider_s_error_costs_nothing_and_frees_its_hold(deployment: Deployment) -> None:
    await deployment.operator.agent("support", "[[simulate: status=500]]")
    await cap(deployment.operator, "usd", 1)
    assert await statuses(deployment, 5) == [500] * 5
    shown = (await deployment.operator.get("/caps"))["items"][0]
    assert (shown["spent"], shown["held"]) == (0, 0)


async def test_after_kill_minus_nine_under_load_spent_is_at_least_what_was_billed(tmp_path: Path) -> None:
    simulator = Simulator()
    await simulator.start()
    home = tmp_path / "home"
    config = tmp_path / "switchback.yaml"
    config.write_bytes(
        orjson.dumps(
            {
                "listen": "127.0.0.1:0",
                "admin": {"listen": "127.0.0.1:0"},
                "providers": {"openai": {"wire": "openai", "base_url": simulator.url}},
            }
        )
    )
    process, urls = await start_serve(config, home)
    try:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            operator = Operator(urls[1], (home / "admin-token").read_text().strip(), session)
            await operator.agent("support", "one")
            await cap(operator, "usd", 1000)
            before = await operator.get("/agents/support")

            async def load() -> None:
                while True:
                    try:
                        async with session.post(
                            urls[0] + CHAT, json=BODY, headers={"authorization": "Bearer sk-x"}
                        ) as answer:
                            await answer.read()
                    except aiohttp.ClientError:
                        return

            clients = [asyncio.ensure_future(load()) for _ in range(30)]
            await simulator.wait_for_calls(500)
            process.send_signal(signal.SIGKILL)
            await process.wait()
            await asyncio.gather(*clients)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
    await simulator.wait_until_idle()
    async with deployed(home, simulator=simulator) as restarted:
        shown = (await restarted.operator.get("/caps"))["items"][0]
        billed = simulator.billed_nanodollars / 1e9
        assert shown["held"] == 0
        assert billed <= shown["spent"] < 1000
        assert await restarted.operator.get("/agents/support") == before
    await simulator.stop()
    # The over-count is one lease at most, and has a row that says so.
    assert rows(home, "SELECT * FROM leases") == []
    [(leased,)] = rows(home, "SELECT spent FROM holds WHERE settled_by = 'lease'")
    assert 0 < leased <= 1000 * 10**9 / 64


async def test_a_clean_stop_charges_nothing_but_what_was_billed(tmp_path: Path) -> None:
    simulator = Simulator()
    await simulator.start()
    async with deployed(tmp_path / "home", simulator=simulator) as deployment:
        await deployment.operator.agent("support", "one")
        await cap(deployment.operator, "usd", 1000)
        assert await statuses(deployment, 40) == [200] * 40
    assert rows(tmp_path / "home", "SELECT * FROM leases") == []
    async with deployed(tmp_path / "home", simulator=simulator) as restarted:
        shown = (await restarted.operator.get("/caps"))["items"][0]
        assert (shown["spent"], shown["held"]) == (pytest.approx(simulator.billed_nanodollars / 1e9), 0)
    await simulator.stop()
    assert rows(tmp_path / "home", "SELECT DISTINCT settled_by FROM holds") == [("reported",)]


def rows(home: Path, query: str) -> list[tuple[Any, ...]]:
    """What is in the database of a deployment that is not running."""
    with closing(sqlite3.connect(home / "switchback.db")) as plain:
        return plain.execute(query).fetchall()


async def start_serve(config: Path, home: Path) -> tuple[asyncio.subprocess.Process, tuple[str, str]]:
    """`switchback serve` as a process; its traffic and admin URLs once it says that it listens."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "proxy", "serve", "--config", str(config),
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "SWITCHBACK_HOME": str(home)},
    )  # fmt: skip
    assert process.stderr is not None
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while "LLM traffic on" not in (line := (await process.stderr.readline()).decode()):
                assert line, "the process ended before it listened"
    except BaseException:
        process.kill()
        raise
    words = line.replace(",", "").split()
    urls = [word for word in words if word.startswith("http://")]
    return process, (urls[0], urls[1])
