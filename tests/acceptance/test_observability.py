"""What dashboards, logs and probes see; and what nobody must ever see there."""

from pathlib import Path

import orjson
import pytest

from tests.harness import CALLER_KEY, Deployment, deployed, eventually

CHAT = "/a/support/v1/chat/completions"
SECRET_PROMPT = "the-secret-prompt-text"
SECRET_USER_TEXT = "the-secret-user-text"
OWN_KEY = "sk-the-proxys-own-provider-key-987"
BODY = {"model": "x", "messages": [{"role": "user", "content": SECRET_USER_TEXT}]}


async def metrics(deployment: Deployment) -> str:
    async with deployment.session.get(f"{deployment.server.admin_url}/metrics") as answer:
        assert answer.status == 200
        return await answer.text()


async def test_each_run_is_one_json_line_with_the_facts_people_search_by(tmp_path: Path) -> None:
    lines: list[bytes] = []
    async with deployed(tmp_path / "home", log=lines.append) as deployment:
        await deployment.operator.agent("support", SECRET_PROMPT)
        trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
        async with deployment.post(CHAT, BODY, traceparent=trace) as answer:
            run_id = answer.headers["switchback-run-id"]
        await eventually(lambda: any(b'"event":"run"' in block for block in lines))
    told = [orjson.loads(line) for block in lines for line in block.splitlines()]
    logged = [line for line in told if line["event"] == "run"]
    assert len(logged) == 1
    line = logged[0]
    assert (line["run_id"], line["agent"], line["version"], line["release"], line["status"]) == (
        run_id,
        "support",
        1,
        1,
        200,
    )
    assert {
        "arm",
        "bucket",
        "input_tokens",
        "output_tokens",
        "cost_usd",
        "duration_ms",
        "time_to_first_byte_ms",
    } <= set(line)
    assert line["cost_usd"] > 0
    assert line["trace_id"] == "4bf92f3577b34da6a3ce929d0e0e4736"


async def test_metrics_tell_runs_tokens_and_cost_by_version(deployment: Deployment) -> None:
    await deployment.operator.agent("support", "one")
    for _ in range(3):
        async with deployment.post(CHAT, BODY) as answer:
            await answer.read()
    await deployment.operator.runs(3)
    text = await metrics(deployment)
    labels = 'agent="support",arm="",error_class="",model="gpt-4o-mini",provider="openai",result="ok",'
    assert f'switchback_runs_total{{{labels}status_class="2xx",version="1"}} 3.0' in text
    billed = deployment.simulator.billed_nanodollars / 1e9
    cost = next(line for line in text.splitlines() if line.startswith("switchback_cost_usd_total{"))
    assert float(cost.split()[-1]) == pytest.approx(billed)
    assert "switchback_tokens_total{" in text
    assert "switchback_store_up 1.0" in text


async def test_series_stay_bounded_whatever_callers_invent(deployment: Deployment) -> None:
    for number in range(50):
        async with deployment.post(f"/a/nobody-{number}/v1/chat/completions", BODY | {"model": f"m{number}"}) as answer:
            assert answer.status == 404
        async with deployment.post("/v1/chat/completions", BODY | {"model": f"m{number}"}) as answer:
            assert answer.status == 404
    text = await metrics(deployment)
    assert "nobody-" not in text
    assert "m49" not in text


async def test_probes_answer_without_a_token(deployment: Deployment) -> None:
    for path in ("/livez", "/readyz"):
        async with deployment.session.get(deployment.server.admin_url + path) as answer:
            assert answer.status == 200
    async with deployment.session.get(deployment.server.admin_url + "/readyz") as answer:
        before = (await answer.json())["revision"]
    await deployment.operator.agent("support", "one")
    async with deployment.session.get(deployment.server.admin_url + "/readyz") as answer:
        assert (await answer.json())["revision"] > before


async def test_no_key_and_no_text_of_a_conversation_is_ever_written_anywhere(tmp_path: Path) -> None:
    lines: list[bytes] = []
    home = tmp_path / "home"
    providers = {}
    async with deployed(home, log=lines.append) as first:
        providers = {
            "openai": {"wire": "openai", "base_url": first.simulator.url, "api_key": OWN_KEY},
            "anthropic": {"wire": "anthropic", "base_url": first.simulator.url},
        }
    async with deployed(home, log=lines.append, providers=providers) as deployment:
        await deployment.operator.agent("support", f"{SECRET_PROMPT} [[simulate: cut_after_events=1]]")
        errors: list[str] = []
        for body in (BODY, BODY | {"stream": True}, {"model": 7}, BODY | {"switchback": {"user": 5}}):
            async with deployment.post(CHAT, body) as answer:
                try:
                    errors.append(f"{answer.headers} {await answer.text()}" if answer.status >= 400 else "")
                except Exception as error:
                    errors.append(str(error))
        async with deployment.post("/a/support/v1/files?key=" + CALLER_KEY, b"x") as answer:
            await answer.read()
        runs = await deployment.operator.runs(5)
        shown = [
            await deployment.operator.get(path) for path in ("/status", "/audit", "/agents/support", "/openapi.json")
        ]
        everything = [repr(runs), repr(shown), await metrics(deployment), *errors, b"".join(lines).decode()]
        token = deployment.server.admin_token_path.read_text().strip()
    for text in everything:
        for secret in (CALLER_KEY, OWN_KEY, SECRET_USER_TEXT, token):
            assert secret not in text
    assert SECRET_PROMPT not in "".join(everything)
    for file in home.rglob("*"):
        if file.name != "admin-token":
            content = file.read_bytes()
            for secret in (CALLER_KEY, OWN_KEY, SECRET_USER_TEXT, token):
                assert secret.encode() not in content, file
