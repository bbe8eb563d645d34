"""Whatever is ordered in whatever sequence: what is in force is what loading the store anew gives, and so is what somebody holds who
reads only what was changed since."""

import random
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from proxy.core.errors import Refusal
from proxy.core.releasing.arms import RolloutDraft, candidate_arm
from proxy.core.snapshot import Agent, AgentState, Snapshot, with_changes
from proxy.runtime.releasing.limit_commands import CapDraft, SwitchDraft
from proxy.runtime.releasing.release_commands import VersionDraft
from tests.edges.admin.composition import AN_HOUR, Commands, commands

STEPS = 120
AGENTS = ("a", "b", "c")
LABELS = ("prod", "staging")


class Operators:
    """Order everything there is at random; most of it is about what is there."""

    def __init__(self, control: Commands, seed: int) -> None:
        self.control = control
        self.random = random.Random(seed)
        self.done: Counter[str] = Counter()
        self.orders = (
            *[self.create_version] * 4, *[self.move_label] * 8, *[self.start_rollout] * 6, *[self.switch_on] * 4,
            *[self.unarchive] * 5, *[self.set_cap] * 4, self.create_agent, self.allow_latest, self.archive, self.delete_label, self.share, self.pause,
            self.promote, self.abort, self.rollback, self.switch_off, self.expire, self.change_cap, self.end_cap,
            self.create_token, self.revoke_token,
        )  # fmt: skip

    async def act(self) -> None:
        """One order; what is refused changes nothing."""
        self.control.clock.now += self.random.choice((0, 1, AN_HOUR))
        order = self.random.choice(self.orders)
        before = self.snapshot
        try:
            await order()
            self.done[order.__name__] += 1
        except Refusal:
            assert self.snapshot is before

    @property
    def snapshot(self) -> Snapshot:
        return self.control.live.current

    @property
    def agent(self) -> str:
        return self.random.choice(AGENTS)

    @property
    def label(self) -> str:
        return self.random.choice(LABELS)

    def state(self, agent: str) -> AgentState:
        return self.snapshot.agents.get(agent) or AgentState(Agent(name=agent))

    def version(self, agent: str) -> int:
        return self.random.randint(1, self.state(agent).agent.newest + 1)

    def rollout(self) -> tuple[str, str]:
        running = [(name, one.id) for name in AGENTS for one in self.state(name).rollouts.values()]
        return self.random.choice(running or [("a", "r1")])

    async def create_agent(self) -> None:
        await self.control.releases.create_agent("ann", Agent(name=self.agent), "")

    async def allow_latest(self) -> None:
        changed = {"allow_latest": self.random.random() < 0.5, "description": str(self.random.random())}
        await self.control.releases.update_agent("ann", self.agent, changed, "")

    async def archive(self) -> None:
        await self.control.releases.archive_agent("ann", self.agent, "")

    async def unarchive(self) -> None:
        await self.control.releases.unarchive_agent("ann", self.agent, "")

    async def create_version(self) -> None:
        agent = self.agent
        text, newest = str(self.random.random()), self.state(agent).agent.newest
        draft = VersionDraft(components={"prompt": {"text": text}}, parent=newest or None, message="")
        await self.control.releases.create_version("ann", agent, draft)

    async def move_label(self) -> None:
        agent = self.agent
        await self.control.releases.move_label("ann", agent, self.label, self.version(agent), "", force=True)

    async def delete_label(self) -> None:
        await self.control.releases.delete_label("ann", self.agent, self.label, "")

    async def start_rollout(self) -> None:
        agent = self.agent
        draft = RolloutDraft(label=self.label, arms=candidate_arm(self.version(agent), 10))
        await self.control.rollouts.start_rollout("ann", agent, draft, "", force=True)

    async def share(self) -> None:
        await self.control.rollouts.set_percentage("ann", *self.rollout(), self.random.choice((1, 20, 50)), "")

    async def pause(self) -> None:
        await self.control.rollouts.pause("ann", *self.rollout(), "")

    async def promote(self) -> None:
        await self.control.rollouts.promote("ann", *self.rollout(), "", force=True)

    async def abort(self) -> None:
        await self.control.rollouts.abort("ann", *self.rollout(), "")

    async def rollback(self) -> None:
        await self.control.releases.rollback("ann", self.agent, self.label, "")

    async def switch_on(self) -> None:
        """Half of them fall back to a version that nothing else may reach."""
        agent = self.agent
        until = self.random.choice((None, self.control.clock.now + AN_HOUR))
        if self.random.random() < 0.5:
            draft = SwitchDraft(scope={}, mode="observe", expires_at_microseconds=until)
        else:
            back_to = self.version(agent)
            draft = SwitchDraft(scope={"agent": agent}, mode="fallback", fallback_version=back_to)
        await self.control.limits.switch_on("ann", draft, "", force=True)

    async def switch_off(self) -> None:
        switches = self.snapshot.switches
        await self.control.limits.switch_off("ann", self.random.choice(switches).id if switches else "sw_none", "")

    async def expire(self) -> None:
        for switch in self.snapshot.switches:
            await self.control.limits.expire_switch(switch.id)

    def cap(self) -> str:
        return self.random.choice(self.snapshot.caps).id if self.snapshot.caps else "cap_none"

    async def set_cap(self) -> None:
        draft = CapDraft(scope={"agent": self.agent}, window="day", unit="calls", limit=5)
        await self.control.limits.set_cap("ann", draft, "")

    async def change_cap(self) -> None:
        await self.control.limits.change_cap("ann", self.cap(), self.random.randint(1, 9), None, "")

    async def end_cap(self) -> None:
        await self.control.limits.end_cap("ann", self.cap(), "")

    async def create_token(self) -> None:
        await self.control.tokens.create_token("ann", "bob", "author", "")

    async def revoke_token(self) -> None:
        ids = sorted(token.id for token in self.snapshot.tokens.values())
        await self.control.tokens.revoke_token("ann", self.random.choice(ids) if ids else "tok_none", "")


class Follower:
    """Holds a snapshot, and reads now and then what was changed since."""

    def __init__(self, control: Commands, snapshot: Snapshot) -> None:
        self.control = control
        self.snapshot = snapshot

    async def catch_up(self) -> None:
        async with self.control.store.change() as change:
            # One that writes nothing is no change, and is at the revision before.
            changes = await change.changes_since(self.snapshot.revision)
        after = with_changes(self.snapshot, changes)
        loaded = await self.control.store.load_snapshot()
        assert (after.agents, after.switches, after.caps, after.tokens) == (
            loaded.agents,
            loaded.switches,
            loaded.caps,
            loaded.tokens,
        )
        self.snapshot = loaded


@pytest.mark.parametrize("seed", range(6))
async def test_what_is_in_force_is_what_loading_anew_gives_after_every_order(seed: int, tmp_path: Path) -> None:
    async with commands(tmp_path) as control, AsyncExitStack() as stack:
        stack.push_async_callback(control.changes.close)
        stack.push_async_callback(control.standby.journal.close)
        operators, follower = Operators(control, seed), Follower(control, control.live.current)
        for name in AGENTS:
            await control.releases.create_agent("ann", Agent(name=name), "")
        for _ in range(STEPS):
            await operators.act()
            await control.standby.journal.emptied()
            assert await control.store.load_snapshot() == operators.snapshot
            if operators.random.random() < 0.2:
                await follower.catch_up()
    # Without many kinds of orders among what was done, it would say little.
    assert len(operators.done) >= 12
