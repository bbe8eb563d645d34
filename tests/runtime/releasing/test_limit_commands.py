"""Switches and caps: in force in the snapshot before the command returns, exactly as the store has them."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from proxy.core.errors import BadInput, NotFound, Unavailable
from proxy.core.snapshot import Agent, Snapshot
from proxy.core.switches import Switch
from proxy.runtime.process.clock import Identifiers
from proxy.runtime.releasing.limit_commands import CapDraft, LimitCommands, SwitchDraft
from proxy.runtime.releasing.release_commands import VersionDraft
from proxy.runtime.state.changes import Changes
from tests.edges.admin.composition import AN_HOUR, Commands, SetClock, commands


@pytest.fixture
async def control(tmp_path: Path) -> AsyncIterator[Commands]:
    """An agent `a` with two versions, `prod` on 2."""
    async with commands(tmp_path) as made:
        await made.releases.create_agent("ann", Agent(name="a"), "")
        for number, text in enumerate(("one", "two")):
            wanted = VersionDraft(components={"prompt": {"text": text}}, parent=number or None, message="")
            await made.releases.create_version("ann", "a", wanted)
        await made.releases.move_label("ann", "a", "prod", 2, "")
        yield made


CAP = CapDraft(scope={"agent": "a"}, window="day", unit="usd", limit=5)
BLOCK = SwitchDraft(scope={}, mode="block")


async def test_switches_and_caps_are_in_the_snapshot_when_the_command_returns(control: Commands) -> None:
    limits, live = control.limits, control.live
    first = await limits.switch_on("ann", BLOCK, "stop")
    second = await limits.switch_on("ann", SwitchDraft(scope={"agent": "a"}, mode="observe"), "")
    assert live.current.switches == (first, second)
    cap = await limits.set_cap("ann", CAP, "budget")
    other = await limits.set_cap("ann", CapDraft(scope={}, window="total", unit="calls", limit="7"), "")
    assert live.current.caps == (cap, other)
    changed = await limits.change_cap("ann", cap.id, 6, None, "more")
    assert (changed.limit_amount, changed.at_limit, changed.created_at_microseconds) == (
        6_000_000_000,
        "block",
        cap.created_at_microseconds,
    )
    assert live.current.caps == (changed, other)
    assert await control.store.load_snapshot() == live.current
    await limits.switch_off("bob", first.id, "fixed")
    await limits.end_cap("bob", other.id, "over")
    assert (live.current.switches, live.current.caps) == ((second,), (changed,))
    assert await control.store.load_snapshot() == live.current
    assert (await control.audit_entries())[4:] == [
        "switch.on",
        "switch.on",
        "cap.set",
        "cap.set",
        "cap.changed",
        "switch.off",
        "cap.ended",
    ]


async def test_the_version_a_switch_falls_back_to_is_at_hand(control: Commands) -> None:
    assert set(control.live.current.agents["a"].versions) == {2}
    wanted = SwitchDraft(scope={"agent": "a"}, mode="fallback", fallback_version=1)
    await control.limits.switch_on("ann", wanted, "")
    assert set(control.live.current.agents["a"].versions) == {1, 2}
    assert await control.store.load_snapshot() == control.live.current


async def test_what_is_refused_leaves_no_trace(control: Commands) -> None:
    before, entries = control.live.current, await control.audit_entries()
    limits = control.limits
    for refused, kind, code in (
        (limits.switch_on("b", SwitchDraft(scope={"agent": "x"}, mode="block"), ""), NotFound, "agent_not_found"),
        (limits.switch_on("b", SwitchDraft(scope={"agent": "a", "version": 3}, mode="block"), ""), NotFound, "version_not_found"),
        (limits.switch_on("b", SwitchDraft(scope={"agent": "a", "label": "x"}, mode="block"), ""), NotFound, "label_not_set"),
        (limits.switch_on("b", SwitchDraft(scope={"user": "u"}, mode="block"), ""), BadInput, "bad_scope"),
        (limits.switch_on("b", SwitchDraft(scope={}, mode="reply"), ""), BadInput, "bad_switch"),
        (limits.switch_on("b", SwitchDraft(scope={}, mode="block", reply_text="x"), ""), BadInput, "bad_switch"),
        (limits.switch_on("b", SwitchDraft(scope={}, mode="reply", reply_text="x" * 20_001), ""), BadInput, "bad_switch"),
        (limits.switch_on("b", SwitchDraft(scope={}, mode="fallback", fallback_version=1), ""), BadInput, "bad_switch"),
        (
            limits.switch_on("b", SwitchDraft(scope={"agent": "a"}, mode="fallback", fallback_version=3), ""),
            NotFound,
            "version_not_found",
        ),
        (limits.switch_on("b", SwitchDraft(scope={}, mode="block", expires_at_microseconds=control.clock.now), ""), BadInput, "bad_switch"),
        (limits.switch_off("b", "sw_1", ""), NotFound, "switch_not_found"),
        (limits.set_cap("b", CapDraft(scope={}, window="day", unit="usd", limit=-1), ""), BadInput, "bad_limit"),
        (limits.set_cap("b", CapDraft(scope={"tool": "t"}, window="day", unit="usd", limit=1), ""), BadInput, "bad_scope"),
        (limits.set_cap("b", CapDraft(scope={"rollout": "r1"}, window="rollout", unit="usd", limit=1), ""), BadInput, "bad_scope"),
        (limits.change_cap("b", "cap_1", 1, None, ""), NotFound, "cap_not_found"),
        (limits.end_cap("b", "cap_1", ""), NotFound, "cap_not_found"),
    ):  # fmt: skip
        with pytest.raises(kind) as raised:
            await refused
        assert raised.value.code == code
    assert control.live.current is before
    assert await control.audit_entries() == entries


async def test_a_switch_with_an_end_counts_until_then(control: Commands) -> None:
    until = control.clock.now + AN_HOUR
    switch = await control.limits.switch_on(
        "ann", SwitchDraft(scope={}, mode="block", expires_at_microseconds=until), ""
    )
    assert switch.is_active(until - 1)
    assert not switch.is_active(until)


async def test_streams_are_cut_once_the_switch_is_in_force(control: Commands) -> None:
    cut: list[tuple[Switch, Snapshot]] = []

    class Path:
        def cut(self, switch: Switch) -> None:
            cut.append((switch, control.live.current))

    limits = LimitCommands(Changes(control.store, control.live, control.clock), Identifiers(SetClock(), 8), Path())
    await limits.switch_on("ann", BLOCK, "")
    switch = await limits.switch_on("ann", SwitchDraft(scope={}, mode="block", cut_streams=True), "")
    ((cut_by, snapshot),) = cut
    assert cut_by == switch
    assert switch in snapshot.switches


async def test_a_committed_change_is_in_force_even_if_the_store_goes_away_right_after(control: Commands) -> None:
    class GoneAfterCommit:
        """The store, whose whole snapshot cannot be read any more."""

        change = staticmethod(control.store.change)

        async def load_snapshot(self) -> Snapshot:
            raise Unavailable("store_unavailable", "gone")

    changes = Changes(GoneAfterCommit(), control.live, control.clock)
    limits = LimitCommands(changes, Identifiers(SetClock(), 9), control.data_path)
    switch = await limits.switch_on("ann", BLOCK, "")
    assert control.live.current.switches == (switch,)


async def test_switches_and_caps_survive_a_restart(tmp_path: Path) -> None:
    async with commands(tmp_path) as before:
        await before.limits.switch_on(
            "ann", SwitchDraft(scope={"tag": "tenant=acme"}, mode="reply", reply_text="no"), "why"
        )
        await before.limits.set_cap("ann", CapDraft(scope={"user": "*"}, window="month", unit="tokens", limit=10), "")
        snapshot = before.live.current
    async with commands(tmp_path) as after:
        assert after.live.current == snapshot
