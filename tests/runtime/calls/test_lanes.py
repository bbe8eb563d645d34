"""What calls resolved alike have in common, and that it never outlives the snapshot it was worked out from."""

from dataclasses import replace
from typing import Any

from proxy.core.calls.caller import Caller
from proxy.core.calls.resolution import Resolution
from proxy.core.calls.resolving import resolve
from proxy.core.scopes import Scope
from proxy.core.snapshot import Agent, AgentState, Label, Rollout, Snapshot
from proxy.core.spending.caps import Cap
from proxy.core.versions.components import parse_bundle
from proxy.core.versions.versions import Version
from proxy.runtime.calls.lanes import Lane, Lanes
from proxy.runtime.calls.routing import Routes
from proxy.runtime.providers import Provider, Providers
from proxy.runtime.state.live_snapshot import LiveSnapshot
from proxy.runtime.telemetry.metrics import Metrics
from proxy.wires.openai_chat.wire import OpenAIChat
from tests.two_arms import split

OPENAI = Provider(name="openai", family="openai", base_url="https://api.openai.com")
OTHER = Provider(name="other", family="openai", base_url="https://other.example", api_key="sk-other")
ROUTE = Routes((OpenAIChat(),)).route("POST", b"/v1/chat/completions", None)
FREE_ROUTE = Routes((OpenAIChat(),)).route("GET", b"/v1/files", None)


class NoVersions:
    async def version(self, agent: str, number: int) -> Version | None:
        del agent, number


def version(number: int, **model: Any) -> Version:
    return Version(
        agent="support",
        number=number,
        bundle=parse_bundle({"model": {"name": "gpt-4o-mini", **model}}),
        parent=None,
        author="",
        message="",
        created_at_microseconds=0,
    )


def cap(name: str, **scope: Any) -> Cap:
    return Cap(
        id=name,
        scope=Scope(**scope),
        window="day",
        unit="calls",
        limit_amount=1,
        at_limit="block",
        why="",
        created_by="",
        created_at_microseconds=0,
    )


def state(*versions: Version) -> AgentState:
    rollout = Rollout(id="r1", agent="support", label="prod", salt="s", arms=split(1, 2, 50_000), state="running")
    return AgentState(
        Agent(name="support", newest=2),
        {"prod": Label("prod", 1, 3)},
        {"prod": rollout},
        {found.number: found for found in versions},
    )


STATE = state(version(1), version(2, provider="other", name="gpt-4o"))
SNAPSHOT = Snapshot(revision=1, agents={"support": STATE})


def lanes_over(snapshot: Snapshot) -> tuple[Lanes, LiveSnapshot]:
    live = LiveSnapshot(NoVersions())
    live.replace(snapshot)
    return Lanes(live, Providers([OPENAI, OTHER]), Metrics("test")), live


def resolved(user: str) -> Resolution:
    return resolve(STATE, Caller(agent="support", user=user))


def users_by_arm() -> dict[str | None, str]:
    return {resolved(user).arm: user for user in ("a", "b", "c", "d", "e", "f", "g", "h")}


def caps_of(lane: Lane, **caller: Any) -> list[str]:
    facts = lane.facts_of(Caller(agent="support", **caller), OpenAIChat().read(b'{"model":"gpt-4o","messages":[]}'))
    return [found.id for found in lane.caps_of(facts).caps]


def test_each_arm_has_a_lane_of_its_own_with_its_provider_and_stamps() -> None:
    lanes, _ = lanes_over(SNAPSHOT)
    users = users_by_arm()
    stable, candidate = (lanes.of(resolved(users[arm]), ROUTE) for arm in ("stable", "candidate"))
    assert (stable.provider, candidate.provider) == (OPENAI, OTHER)
    assert b"switchback-version: support@1\r\n" in stable.stamps
    assert b"switchback-arm: candidate\r\n" in candidate.stamps
    assert b"switchback-release: 3\r\n" in candidate.stamps
    assert stable is lanes.of(resolved(users["stable"]), ROUTE)
    assert candidate.facts.model == "gpt-4o"


def test_a_new_snapshot_forgets_every_lane() -> None:
    lanes, live = lanes_over(SNAPSHOT)
    before = lanes.of(resolved("a"), ROUTE)
    assert before.caps.caps == ()
    live.replace(replace(SNAPSHOT, revision=2, caps=(cap("everything"),)))
    after = lanes.of(resolved("a"), ROUTE)
    assert [found.id for found in after.caps.caps] == ["everything"]


def test_caps_that_cannot_touch_the_lane_are_left_out_and_the_others_are_sure() -> None:
    users = users_by_arm()
    caps = (
        cap("agent", agent="support"),
        cap("version", agent="support", version=2),
        cap("arm", agent="support", rollout="r1", arm="stable"),
        cap("provider", provider="other"),
        cap("model", model="gpt-4o-mini"),
        cap("elsewhere", agent="billing"),
    )
    lanes, _ = lanes_over(replace(SNAPSHOT, caps=caps))
    stable, candidate = (lanes.of(resolved(users[arm]), ROUTE) for arm in ("stable", "candidate"))
    assert caps_of(stable) == ["agent", "arm", "model"]
    assert caps_of(candidate) == ["agent", "version", "provider"]
    assert stable.caps_are_certain
    assert candidate.caps_are_certain


def test_caps_on_users_and_tags_are_decided_call_by_call() -> None:
    caps = (cap("ann", user="ann"), cap("each", user="*"), cap("tenant", tag=("tenant", "acme")), cap("all"))
    lanes, _ = lanes_over(replace(SNAPSHOT, caps=caps))
    lane = lanes.of(resolved("a"), ROUTE)
    assert not lane.caps_are_certain
    assert caps_of(lane, user="ann") == ["ann", "each", "all"]
    assert caps_of(lane, user="bob", tags={"tenant": "acme"}) == ["each", "tenant", "all"]
    assert caps_of(lane) == ["all"]


def test_a_cap_on_a_model_is_decided_by_the_call_where_the_version_names_none() -> None:
    unnamed = state(version(1, name=None), version(2, name=None))
    lanes, _ = lanes_over(Snapshot(revision=1, agents={"support": unnamed}, caps=(cap("dear", model="o3"),)))
    lane = lanes.of(resolve(unnamed, Caller(agent="support")), ROUTE)
    wire = OpenAIChat()
    for model, expected in (("o3", ["dear"]), ("gpt-4o-mini", [])):
        request = wire.read(b'{"model":"%b","messages":[]}' % model.encode())
        facts = lane.facts_of(Caller(agent="support"), request)
        assert [found.id for found in lane.caps_of(facts).caps] == expected


def test_calls_that_cost_nothing_meet_no_cap() -> None:
    lanes, _ = lanes_over(replace(SNAPSHOT, caps=(cap("everything"),)))
    assert lanes.of(None, FREE_ROUTE).caps.caps == ()
    assert lanes.of(None, FREE_ROUTE).stamps == b""
    assert lanes.of(None, FREE_ROUTE).facts.agent == "unassigned"
