"""Tokens, protected labels and proposals in a whole deployment: over traffic, restarts and a store that is away."""

from pathlib import Path
from typing import Any

import pytest

from proxy.simulator.app import Simulator
from tests.harness import DATABASE_FILES, Deployment, Operator, Refused, deployed, saved


async def somebody(deployment: Deployment, name: str, role: str) -> str:
    """The token of a new person."""
    return (await deployment.operator.post("/tokens", name=name, role=role, why="a test"))["token"]


def with_token(deployment: Deployment, token: str) -> Operator:
    return Operator(deployment.server.admin_url, token, deployment.session)


async def version_served(deployment: Deployment) -> str:
    body = {"model": "x", "messages": [{"role": "user", "content": "hi"}]}
    async with deployment.post("/a/support/v1/chat/completions", body) as answer:
        return answer.headers["switchback-version"]


def move_database(source: Path, target: Path) -> None:
    target.mkdir(exist_ok=True)
    for name in DATABASE_FILES:
        if (source / name).exists():
            (source / name).rename(target / name)


async def test_traffic_changes_with_the_approval_and_not_before(deployment: Deployment) -> None:
    await deployment.operator.agent("support", "one", "two")
    await deployment.operator.request("PUT", "/agents/support/labels/prod/protection", {"approval_required": True})
    ann = with_token(deployment, await somebody(deployment, "ann", "author"))
    bob = with_token(deployment, await somebody(deployment, "bob", "operator"))
    proposal = await ann.post("/agents/support/proposals", label="prod", version=2, why="better")
    assert await version_served(deployment) == "support@1"
    await bob.post(f"/agents/support/proposals/{proposal['id']}/approve", why="read it")
    assert await version_served(deployment) == "support@2"
    await bob.post("/agents/support/rollback", why="worse after all")
    assert await version_served(deployment) == "support@1"
    assert (await deployment.operator.get("/audit/verify"))["ok"] is True


async def test_an_operators_token_works_in_an_emergency_without_the_store_also_after_a_restart(
    home: Path, simulator: Simulator, tmp_path: Path
) -> None:
    async with deployed(home, simulator=simulator) as first:
        await first.operator.agent("support", "one", "two")
        await first.operator.label("support", "prod", 2)
        await first.operator.request("PUT", "/agents/support/labels/prod/protection", {"approval_required": True})
        ann, bob = await somebody(first, "ann", "operator"), await somebody(first, "bob", "viewer")
        listed = await first.operator.get("/tokens")
        ended = await somebody(first, "cid", "operator")
        await first.operator.request("DELETE", f"/tokens/{(await first.operator.get('/tokens'))['items'][0]['id']}")
        assert len(listed["items"]) == 2
        await saved(first.operator)
    move_database(home, tmp_path / "away")
    async with deployed(home, simulator=simulator) as second:
        for token, status in ((bob, 403), (ended, 401)):
            with pytest.raises(Refused) as refused:
                await with_token(second, token).post("/agents/support/rollback", label="prod", why="bad")
            assert refused.value.status == status
        await with_token(second, ann).post("/agents/support/rollback", label="prod", why="bad")
        assert await version_served(second) == "support@1"
        move_database(tmp_path / "away", home)
    async with deployed(home, simulator=simulator) as third:
        newest: dict[str, Any] = (await third.operator.get("/agents/support/releases"))["items"][0]
        assert (newest["kind"], newest["who"], newest["version"]) == ("rolled_back", "ann", 1)
        assert (await third.operator.get("/audit/verify"))["ok"] is True


async def test_proposals_that_an_emergency_made_stale_do_not_double_it_after_a_crash(
    home: Path, simulator: Simulator, tmp_path: Path
) -> None:
    async with deployed(home, simulator=simulator) as first:
        await first.operator.agent("support", "one", "two", "three")
        await first.operator.label("support", "prod", 2)
        for label_version in (1, 3):
            await first.operator.post("/agents/support/proposals", label="prod", version=label_version, why="x")
        await saved(first.operator)
    move_database(home, tmp_path / "away")
    async with deployed(home, simulator=simulator) as second:
        await second.operator.post("/switches", scope={}, mode="observe", why="look")
        await second.operator.post("/agents/support/rollback", label="prod", why="bad")
    journal = (home / "journal").read_bytes()
    move_database(tmp_path / "away", home)
    for _ in range(2):
        async with deployed(home, simulator=simulator) as third:
            entries = (await third.operator.get("/audit?limit=500"))["items"][::-1]
            assert [entry["what"] for entry in entries][-4:] == [
                "switch.on",
                "proposal.stale",
                "proposal.stale",
                "label.rolled_back",
            ]
            states = {item["state"] for item in (await third.operator.get("/agents/support/proposals"))["items"]}
            assert states == {"stale"}
            assert await version_served(third) == "support@1"
        # As a process that died between the store's commit and the journal's end would leave it.
        (home / "journal").write_bytes(journal)
