"""Ten percent means ten percent, the same user stays where it is, and rollback is one action."""

import asyncio
from collections import Counter

from proxy.core.bucketing import bucket_of
from tests.harness import Deployment

CHAT = "/a/support/v1/chat/completions"
BODY = {"model": "x", "messages": [{"role": "user", "content": "hi"}]}


async def versions_of(deployment: Deployment, users: list[str]) -> dict[str, str]:
    """Which version each user gets, asked 50 at a time."""
    gate = asyncio.Semaphore(50)

    async def ask(user: str) -> tuple[str, str]:
        async with gate, deployment.post(CHAT, BODY, Switchback_User=user) as answer:
            assert answer.status == 200
            await answer.read()
            return user, answer.headers["switchback-version"]

    return dict(await asyncio.gather(*(ask(user) for user in users)))


async def test_a_canary_gets_its_share_keeps_its_users_and_is_rolled_back_at_once(deployment: Deployment) -> None:
    operator = deployment.operator
    await operator.agent("support", "one", "two")
    rollout = await operator.post("/agents/support/rollouts", label="prod", candidate=2, percentage=10, why="a canary")
    users = [f"user-{number}" for number in range(10_000)]
    first = await versions_of(deployment, users)
    expected = {user for user in users if bucket_of(rollout["salt"], user) < 10_000}
    assert {user for user, version in first.items() if version == "support@2"} == expected
    assert 0.088 < len(expected) / len(users) < 0.112
    assert await versions_of(deployment, users[:200]) == {user: first[user] for user in users[:200]}
    users = users[:1500]
    expected &= set(users)

    path = f"/agents/support/rollouts/{rollout['id']}"
    await operator.post(f"{path}/set-percentage", percentage=25, why="looks good")
    second = await versions_of(deployment, users)
    moved_to_candidate = {user for user, version in second.items() if version == "support@2"}
    assert expected < moved_to_candidate

    answer = await operator.post("/agents/support/rollback", label="prod", why="it is bad")
    assert (answer["changed"], answer["version"]) == (True, 1)
    assert set((await versions_of(deployment, sorted(moved_to_candidate)[:100])).values()) == {"support@1"}

    again = await operator.post("/agents/support/rollback", label="prod", undoes=answer["undoes"], why="me too")
    assert again["changed"] is False
    assert "no longer in force" in again["reason"]
    kinds = [row["kind"] for row in (await operator.get("/agents/support/releases"))["items"]]
    assert kinds == ["rolled_back", "share_changed", "rollout_started", "label_moved"]


async def test_the_answer_says_arm_bucket_and_reason(deployment: Deployment) -> None:
    await deployment.operator.agent("support", "one", "two")
    rollout = await deployment.operator.post(
        "/agents/support/rollouts", label="prod", candidate=2, percentage=50, why=""
    )
    async with deployment.post(CHAT, BODY, Switchback_User="user-1") as answer:
        bucket = bucket_of(rollout["salt"], "user-1")
        assert answer.headers["switchback-bucket"] == str(bucket)
        assert answer.headers["switchback-arm"] == ("candidate" if bucket < 50_000 else "stable")
        assert answer.headers["switchback-reason"] == "rollout"
    async with deployment.post(CHAT, BODY) as anonymous:
        assert anonymous.headers["switchback-arm"] == "stable"
        assert "switchback-bucket" not in anonymous.headers
    async with deployment.post("/a/support@2/v1/chat/completions", BODY) as pinned:
        assert (pinned.headers["switchback-version"], pinned.headers["switchback-reason"]) == ("support@2", "pinned")
        assert "switchback-arm" not in pinned.headers


async def test_a_conversation_that_began_on_an_arm_stays_on_it_while_the_share_grows(deployment: Deployment) -> None:
    operator = deployment.operator
    await operator.agent("support", "one", "two")
    rollout = await operator.post("/agents/support/rollouts", label="prod", candidate=2, percentage=1, why="")
    users = [
        user for user in (f"u{number}" for number in range(2000)) if 1000 < bucket_of(rollout["salt"], user) < 50_000
    ][:20]
    for user in users:
        async with deployment.post(CHAT, BODY, Switchback_User=user, Switchback_Conversation=f"c-{user}") as answer:
            assert answer.headers["switchback-arm"] == "stable"
    await operator.post(f"/agents/support/rollouts/{rollout['id']}/set-percentage", percentage=50, why="")
    seen = Counter()
    for user in users:
        async with deployment.post(CHAT, BODY, Switchback_User=user, Switchback_Conversation=f"c-{user}") as kept:
            seen[kept.headers["switchback-arm"], kept.headers["switchback-reason"]] += 1
        async with deployment.post(CHAT, BODY, Switchback_User=user, Switchback_Conversation="a new one") as fresh:
            seen[fresh.headers["switchback-arm"], fresh.headers["switchback-reason"]] += 1
        await operator.get("/status")
    assert seen["stable", "conversation"] == len(users)
    assert seen["candidate", "rollout"] + seen["candidate", "conversation"] == len(users)


async def test_a_call_in_flight_keeps_the_version_it_began_with(deployment: Deployment) -> None:
    await deployment.operator.agent("support", "one", "two")
    deployment.simulator.hold_answers()

    async def call() -> str:
        async with deployment.post(CHAT, BODY) as answer:
            return answer.headers["switchback-version"]

    running = asyncio.ensure_future(call())
    await deployment.simulator.wait_for_calls(1)
    await deployment.operator.label("support", "prod", 2)
    deployment.simulator.release_answers()
    assert await running == "support@1"
    assert await call() == "support@2"
