"""Google's SDK through the proxy, with nothing changed but its base URL: what it says is what it says without the proxy.

Needs `.clients`, as test_clients.py says.
"""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from proxy.simulator.app import Simulator
from tests.clients.test_clients import HERE, TOOLS, run
from tests.harness import Deployment, deployed

PROMPT, MODEL = "Be kind.", "gemini-2.5-pro"
pytestmark = [pytest.mark.clients, pytest.mark.timeout(240)]


@pytest.fixture
async def gemini(tmp_path: Path) -> AsyncIterator[Deployment]:
    simulator = Simulator()
    await simulator.start()
    provider = {"wire": "google", "base_url": simulator.url}
    async with deployed(tmp_path / "home", simulator=simulator, providers={"google": provider}) as running:
        await running.operator.agent("support", PROMPT, model=MODEL)
        yield running
    await simulator.stop()


async def said_by(tmp_path: Path, *arguments: str) -> dict[str, Any]:
    return json.loads(await run(TOOLS / "bin" / "python", HERE / "gemini_app.py", *arguments, cwd=tmp_path))


async def test_what_the_sdk_says_is_what_it_says_without_the_proxy(gemini: Deployment, tmp_path: Path) -> None:
    direct = await said_by(tmp_path, gemini.simulator.url, MODEL, PROMPT)
    billed = gemini.simulator.billed_nanodollars
    calls = len(gemini.simulator.calls)
    through = await said_by(tmp_path, gemini.base_url("support"), "gemini-2.5-flash", "Be rude.")
    # A count covers the version's prompt, which the SDK has no place for here.
    assert through.pop("counted") > direct.pop("counted")
    assert through == direct
    assert through["called"] == ["lookup", {"city": "Please call the tool lookup"}]
    assert "sunny" in through["result"]
    assert [code for code, *_ in through["errors"]] == [429, 503, 503]

    runs = await gemini.operator.runs(calls)
    assert {run["version"] for run in runs} == {1}
    generated = [run for run in runs if run["operation"] != "count_tokens" and run["result"] == "ok"]
    spent = sum(run["cost_usd"] for run in generated)
    broken = gemini.simulator.calls[-1].billed_nanodollars
    assert round(spent * 1e9) == gemini.simulator.billed_nanodollars - billed - broken > 0


async def test_a_refusal_is_an_error_of_the_sdks(gemini: Deployment, tmp_path: Path) -> None:
    await gemini.operator.post("/switches", scope={}, mode="block", why="a test")
    script = (
        "import sys; from google import genai; from google.genai import errors\n"
        "client = genai.Client(api_key='AIza-a-key', http_options={'base_url': sys.argv[1]})\n"
        "for call in (client.models.generate_content, client.models.generate_content_stream):\n"
        "    try: list(call(model='gemini-2.5-flash', contents='hello'))\n"
        "    except errors.ClientError as error: print(error.code, error.status, error.message)\n"
    )
    told = await run(TOOLS / "bin" / "python", "-c", script, gemini.base_url("support"), cwd=tmp_path)
    assert [line.split(" ")[:2] for line in told.splitlines()] == [["403", "PERMISSION_DENIED"]] * 2
    assert "a test" in told
    assert not gemini.simulator.calls
