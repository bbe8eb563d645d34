"""The kill switch: on, and the next call is refused in the wire's own shape; off, and it is served again."""

import asyncio
import contextlib
from pathlib import Path

import aiohttp
import anthropic
import openai
import pytest

from proxy.simulator.app import Simulator
from tests.harness import CLAUDE, PATIENCE_SECONDS, Deployment, deployed

USER = [{"role": "user", "content": "hi"}]
CHAT = "/a/support/v1/chat/completions"


@pytest.mark.parametrize(
    "scope", [{}, {"agent": "support"}, {"agent": "support", "version": 1}, {"model": "gpt-4o-mini"}]
)
async def test_a_switch_blocks_the_next_call_and_lifting_it_serves_again(
    deployment: Deployment, scope: dict[str, object]
) -> None:
    await deployment.operator.agent("support", "one")
    app = deployment.openai(max_retries=2)
    await app.chat.completions.create(model="x", messages=USER)
    switch = await deployment.operator.post("/switches", scope=scope, mode="block", why="bad answers")
    with pytest.raises(openai.PermissionDeniedError) as caught:
        await app.chat.completions.create(model="x", messages=USER)
    assert caught.value.code == "agent_disabled"
    assert "bad answers" in caught.value.message
    assert caught.value.response.headers["switchback-version"] == "support@1"
    assert deployment.simulator.record.received == 1
    await deployment.operator.request("DELETE", f"/switches/{switch['id']}", {"why": "mended"})
    await app.chat.completions.create(model="x", messages=USER)


async def test_a_switch_of_another_agent_or_version_leaves_the_call_alone(deployment: Deployment) -> None:
    await deployment.operator.agent("support", "one", "two")
    await deployment.operator.agent("other", "one")
    await deployment.operator.post("/switches", scope={"agent": "other"}, mode="block", why="a test")
    await deployment.operator.post("/switches", scope={"agent": "support", "version": 2}, mode="block", why="a test")
    await deployment.openai().chat.completions.create(model="x", messages=USER)
    with pytest.raises(openai.PermissionDeniedError):
        await deployment.openai("support@2").chat.completions.create(model="x", messages=USER)


async def test_an_anthropic_app_gets_the_error_of_its_own_wire(deployment: Deployment) -> None:
    await deployment.operator.agent("support", "one", model=CLAUDE)
    await deployment.operator.post("/switches", scope={}, mode="block", why="stop")
    with pytest.raises(anthropic.BadRequestError):  # a 403 would be shown as a failed login
        await deployment.anthropic().messages.create(model="x", max_tokens=9, messages=USER)


async def test_a_switch_survives_a_restart(tmp_path: Path) -> None:
    simulator = Simulator()
    await simulator.start()
    async with deployed(tmp_path / "home", simulator=simulator) as first:
        await first.operator.agent("support", "one")
        await first.operator.post("/switches", scope={"agent": "support"}, mode="block", why="stop")
    async with deployed(tmp_path / "home", simulator=simulator) as second:
        with pytest.raises(openai.PermissionDeniedError):
            await second.openai().chat.completions.create(model="x", messages=USER)
    await simulator.stop()


async def test_a_fixed_reply_is_a_valid_completion_and_a_valid_stream_on_both_wires(deployment: Deployment) -> None:
    await deployment.operator.agent("support", "one")
    await deployment.operator.agent("claude", "one", model=CLAUDE)
    await deployment.operator.post("/switches", scope={}, mode="reply", reply="We are closed.", why="maintenance")
    app, other = deployment.openai(), deployment.anthropic("claude")
    whole = await app.chat.completions.create(model="x", messages=USER)
    assert whole.choices[0].message.content == "We are closed."
    chunks = [chunk async for chunk in await app.chat.completions.create(model="x", messages=USER, stream=True)]
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "We are closed."
    message = await other.messages.create(model="x", max_tokens=9, messages=USER)
    assert message.content[0].text == "We are closed."
    async with other.messages.stream(model="x", max_tokens=9, messages=USER) as stream:
        assert await stream.get_final_text() == "We are closed."
    assert deployment.simulator.record.received == 0


async def test_a_fallback_serves_another_version_but_never_swaps_a_pin(deployment: Deployment) -> None:
    await deployment.operator.agent("support", "one", "two")
    scope = {"agent": "support", "version": 1}
    await deployment.operator.post("/switches", scope=scope, mode="fallback", fallback_version=2, why="a test")
    raw = await deployment.openai().chat.completions.with_raw_response.create(model="x", messages=USER)
    assert (raw.headers["switchback-version"], raw.headers["switchback-reason"]) == ("support@2", "fallback")
    with pytest.raises(openai.PermissionDeniedError):
        await deployment.openai("support@1").chat.completions.create(model="x", messages=USER)


async def test_an_observing_switch_only_counts(deployment: Deployment) -> None:
    await deployment.operator.agent("support", "one")
    await deployment.operator.post("/switches", scope={}, mode="observe", why="a test")
    await deployment.openai().chat.completions.create(model="x", messages=USER)
    async with deployment.session.get(f"{deployment.server.admin_url}/metrics") as answer:
        assert "switchback_switch_observed_total 1.0" in await answer.text()


async def test_a_switch_that_cuts_streams_breaks_those_in_flight(deployment: Deployment) -> None:
    await deployment.operator.agent("support", "[[simulate: stall_after_events=2]]")
    async with deployment.post(CHAT, {"model": "x", "messages": USER, "stream": True}) as answer:
        await answer.content.readany()
        await deployment.operator.post("/switches", scope={}, mode="block", cut_streams=True, why="now")
        with pytest.raises(aiohttp.ClientError):
            async with asyncio.timeout(PATIENCE_SECONDS):
                await answer.read()
    await deployment.simulator.wait_for_clients_left()
    assert (await deployment.operator.runs(1))[0]["error_class"] == "switched_off"


async def test_a_switch_on_a_model_stops_what_is_asked_about_it(deployment: Deployment) -> None:
    await deployment.operator.post("/switches", scope={"model": "gpt-4o"}, mode="block", why="w")
    app = deployment.openai(None)
    for asks in (app.models.retrieve, app.models.delete):
        for name in ("gpt-4o", "GPT-4o-2024-08-06"):
            with pytest.raises(openai.PermissionDeniedError):
                await asks(name)
    assert (await deployment.operator.runs(4))[0]["error_class"] == "agent_disabled"


async def test_a_switch_on_a_model_stops_the_form_that_names_it_and_no_other(deployment: Deployment) -> None:
    await deployment.operator.agent("support", "one")
    await deployment.operator.post("/switches", scope={"model": "gpt-4o-transcribe"}, mode="block", why="w")
    for agent in ("support", None):
        app, sound = deployment.openai(agent, max_retries=0), ("a.wav", b"\x00" * 400_000)
        with pytest.raises(openai.PermissionDeniedError):
            await app.audio.transcriptions.create(model="gpt-4o-transcribe", file=sound)
        with pytest.raises(openai.NotFoundError):  # the simulator's own answer
            await app.audio.transcriptions.create(model="whisper-1", file=sound)
        with pytest.raises(openai.PermissionDeniedError):  # which model edits where none is named, nobody here knows
            await app.images.edit(image=sound, prompt="a cat")
    runs = await deployment.operator.runs(6)
    assert [run["model_asked"] for run in runs] == [None, "whisper-1", "gpt-4o-transcribe"] * 2


async def test_a_cap_on_a_model_counts_no_form_that_names_another(deployment: Deployment) -> None:
    await deployment.operator.agent("support", "one")
    cap = {"window": "day", "unit": "usd", "limit": 5, "at_limit": "block", "why": "w"}
    await deployment.operator.post("/caps", scope={"model": "gpt-4o-transcribe"}, **cap)
    app = deployment.openai()
    with pytest.raises(openai.APIStatusError) as caught:
        await app.audio.transcriptions.create(model="gpt-4o-transcribe", file=("a.wav", b"a"))
    assert caught.value.code == "unpriceable"
    with pytest.raises(openai.NotFoundError):
        await app.audio.transcriptions.create(model="whisper-1", file=("a.wav", b"a"))
    with pytest.raises(openai.BadRequestError, match="Switchback-User"):
        await app.audio.transcriptions.create(
            model="whisper-1", file=("a.wav", b"a"), extra_body={"switchback": {"user": "ann"}}
        )


@pytest.mark.parametrize("stopped", ["refund", "web_search"])
async def test_a_switch_on_a_tool_stops_what_only_chooses_it_or_gets_it_from_the_version(
    deployment: Deployment, stopped: str
) -> None:
    await deployment.operator.agent("support", "one")
    await deployment.operator.agent(
        "searching", "one", tools={"mode": "merge", "items": [{"type": "web_search_2025_08_26"}]}
    )
    await deployment.operator.post("/switches", scope={"tool": stopped}, mode="block", why="w")
    function = {"type": "function", "function": {"name": "refund"}}
    choices = {
        "refund": ("support", {"tool_choice": function}),
        "web_search": ("searching", {}),
    }
    for name, (agent, asked) in choices.items():
        call = deployment.openai(agent, max_retries=0).chat.completions.create(model="x", messages=USER, **asked)
        if name == stopped:
            with pytest.raises(openai.PermissionDeniedError):
                await call
        else:
            with contextlib.suppress(openai.BadRequestError):  # the simulator's own: a choice without tools
                await call
