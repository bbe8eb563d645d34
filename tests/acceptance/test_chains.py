"""Chains of responses stay on the version that began them: by the ids that the provider gives, after restarts, on every worker."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from proxy.simulator.app import Simulator
from tests.harness import MODEL, Deployment, deployed, eventually

PATH = "/a/support/v1/responses"


@pytest.fixture
async def two(tmp_path: Path) -> AsyncIterator[Deployment]:
    """An agent of three versions, `prod` on the first."""
    async with deployed(tmp_path / "home") as running:
        await prepare(running)
        yield running


async def prepare(running: Deployment) -> None:
    await running.operator.agent("support", "one", "two", "three")
    await running.operator.label("support", "prod", 1)


async def ask(deployment: Deployment, path: str = PATH, **members: Any) -> tuple[str, str]:
    """The id of the response, and the version that gave it and why."""
    body = {"model": MODEL, "input": "hello", **members}
    async with deployment.post(path, body, connection="close") as answer:
        found = await answer.json()
        assert answer.status == 200, found
        stamp, reason = answer.headers["switchback-version"], answer.headers["switchback-reason"]
        return found["id"], f"{stamp.removeprefix('support@')} {reason}"


async def test_a_chain_goes_on_with_its_version_when_the_label_moves_on(two: Deployment) -> None:
    first, _ = await ask(two)
    await two.operator.label("support", "prod", 2)
    second, given = await ask(two, previous_response_id=first)
    assert given == "1 conversation"
    assert two.simulator.calls[-1].json["instructions"] == "one"
    await two.operator.label("support", "prod", 3)
    assert (await ask(two, previous_response_id=second))[1] == "1 conversation"
    assert (await ask(two, previous_response_id=first))[1] == "1 conversation", "a fork of it too"
    assert (await ask(two))[1] == "3 label"
    assert (await ask(two, previous_response_id="resp_of_nobody"))[1] == "3 label"
    run = (await two.operator.runs(6))[-2]
    assert (run["version"], run["reason"], run["label"]) == (1, "conversation", "prod")


@pytest.mark.parametrize("way", ["stream", "background", "conversation"])
async def test_however_its_turns_are_asked(two: Deployment, way: str) -> None:
    app = two.openai()
    if way == "conversation":
        await app.responses.create(model=MODEL, input="hello", conversation="conv_1")
        goes_on: Any = {"conversation": {"id": "conv_1"}}
    elif way == "background":
        begun = await app.responses.create(model=MODEL, input="hello", background=True)
        goes_on = {"previous_response_id": begun.id}
    else:
        async with app.responses.stream(model=MODEL, input="hello") as stream:
            first = await anext(aiter(stream))
            # A client may go on with what it has an id of.
            goes_on = {"previous_response_id": first.response.id}  # type: ignore[union-attr]
            await two.operator.label("support", "prod", 2)
            assert (await ask(two, **goes_on))[1] == "1 conversation"
            await stream.get_final_response()
    await two.operator.label("support", "prod", 2)
    assert (await ask(two, **goes_on))[1] == "1 conversation"


async def test_a_rollback_takes_its_chains_back_too(two: Deployment) -> None:
    await two.operator.label("support", "prod", 2)
    bad, _ = await ask(two)
    await two.operator.post("/agents/support/rollback", label="prod", why="it lies")
    again, given = await ask(two, previous_response_id=bad)
    assert given == "1 label"
    await two.operator.label("support", "prod", 3)
    assert (await ask(two, previous_response_id=again))[1] == "1 conversation", "from there on it stays again"


async def test_a_pin_or_another_label_is_what_was_asked_for(two: Deployment) -> None:
    first, _ = await ask(two)
    await two.operator.label("support", "prod", 2)
    await two.operator.label("support", "staging", 3)
    assert (await ask(two, "/a/support@2/v1/responses", previous_response_id=first))[1] == "2 pinned"
    assert (await ask(two, "/a/support@staging/v1/responses", previous_response_id=first))[1] == "3 label"


async def test_in_a_rollout_a_chain_stays_on_its_arm_and_one_from_before_stays_out_of_it(two: Deployment) -> None:
    before, _ = await ask(two, user="ann")
    rollout = await two.operator.post("/agents/support/rollouts", label="prod", candidate=2, percentage=0, why="x")
    within, given = await ask(two, user="ann")
    assert given == "1 rollout"
    path = f"/agents/support/rollouts/{rollout['id']}"
    await two.operator.post(f"{path}/set-percentage", percentage=100, why="x")
    assert (await ask(two, user="ann"))[1] == "2 rollout"
    assert (await ask(two, user="ann", previous_response_id=within))[1] == "1 conversation"
    assert (await ask(two, user="ann", previous_response_id=before))[1] == "1 conversation"
    outside, inside = (await two.operator.runs(5))[:2]
    assert (outside["rollout"], outside["in_analysis"], inside["rollout"]) == (None, False, rollout["id"])
    await two.operator.post(f"{path}/promote", why="good", force=True)
    assert (await ask(two, user="ann", previous_response_id=within))[1] == "1 conversation"


async def test_a_candidate_that_is_taken_back_keeps_no_chain(two: Deployment) -> None:
    rollout = await two.operator.post("/agents/support/rollouts", label="prod", candidate=2, percentage=100, why="x")
    first, given = await ask(two, user="ann")
    assert given == "2 rollout"
    await two.operator.post(f"/agents/support/rollouts/{rollout['id']}/abort", why="bad")
    assert (await ask(two, user="ann", previous_response_id=first))[1] == "1 label"


async def test_examples_stand_once_in_what_the_provider_keeps(two: Deployment) -> None:
    messages = [{"role": "system", "text": "four"}, {"role": "user", "text": "a"}, {"role": "assistant", "text": "b"}]
    await two.operator.version("support", "", parent=3, prompt={"messages": messages})
    await two.operator.label("support", "prod", 4)

    async def sent(**members: Any) -> tuple[str, int]:
        identifier, _ = await ask(two, **members)
        items = two.simulator.calls[-1].json["input"]
        return identifier, 1 if isinstance(items, str) else len(items)

    first, count = await sent()
    assert count == 3
    assert (await sent(previous_response_id=first))[1] == 1
    assert [(await sent(conversation="conv_1"))[1] for _ in range(3)] == [3, 1, 1]


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_chain_goes_on_after_a_restart(tmp_path: Path, workers: int) -> None:
    simulator = Simulator()
    await simulator.start()
    try:
        async with deployed(tmp_path / "home", simulator=simulator, workers=workers) as first:
            await prepare(first)
            begun, _ = await ask(first)
            await first.operator.label("support", "prod", 2)
        async with deployed(tmp_path / "home", simulator=simulator, workers=workers) as again:
            for _ in range(4 * workers):
                begun, given = await ask(again, previous_response_id=begun)
                assert given == "1 conversation"
    finally:
        await simulator.stop()


async def test_every_worker_knows_a_chain_as_soon_as_its_client_does(tmp_path: Path) -> None:
    async with deployed(tmp_path / "home", workers=3) as running:
        await prepare(running)

        async def goes_on() -> set[str]:
            identifier, _ = await ask(running)
            given: set[str] = set()
            for _ in range(8):
                identifier, reason = await ask(running, previous_response_id=identifier)
                given.add(reason)
            return given

        begun = await asyncio.gather(*(ask(running) for _ in range(20)))
        await running.operator.label("support", "prod", 2)
        answers = await asyncio.gather(*(ask(running, previous_response_id=first) for first, _ in begun))
        assert {given for _, given in answers} == {"1 conversation"}
        assert set().union(*await asyncio.gather(*(goes_on() for _ in range(6)))) == {"2 label"}
        await running.operator.label("support", "prod", 3)
        answers = await asyncio.gather(*(ask(running, previous_response_id=one) for one, _ in answers))
        assert {given for _, given in answers} == {"1 conversation"}


async def test_a_switch_that_falls_back_ends_no_chain(two: Deployment) -> None:
    await two.operator.label("support", "prod", 2)
    first, _ = await ask(two)
    switch = await two.operator.post(
        "/switches", scope={"agent": "support"}, mode="fallback", fallback_version=1, why="a test"
    )
    second, given = await ask(two, previous_response_id=first)
    assert given == "1 fallback"
    await two.operator.request("DELETE", f"/switches/{switch['id']}", {"why": "over"})
    await two.operator.label("support", "prod", 3)
    assert (await ask(two, previous_response_id=second))[1] == "2 conversation"


async def test_a_chain_is_in_the_store_soon_after_its_answer(two: Deployment) -> None:
    first, _ = await ask(two)
    kept, _ = await ask(two, store=False)
    await eventually(lambda: _is_kept(two, first))
    assert not await _is_kept(two, kept), "what its provider does not keep nobody can go on with"


async def _is_kept(deployment: Deployment, chain: str) -> bool:
    store = deployment.server._control.store
    return chain in {kept for kept, _, _ in await store.chains(0, 100)}
