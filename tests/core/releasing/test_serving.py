"""What each version serves, by labels, rollouts and fallbacks."""

from dataclasses import replace

from proxy.core.releasing.serving import serving
from proxy.core.scopes import Scope
from proxy.core.snapshot import Agent, AgentState, Label, Rollout
from proxy.core.switches import Switch
from tests.two_arms import split

ROLLOUT = Rollout(id="r1", agent="a", label="prod", salt="s", arms=split(1, 2, 10_000), state="running")
STATE = AgentState(
    agent=Agent(name="a", newest=3),
    labels={"staging": Label("staging", 2, 5), "prod": Label("prod", 1, 4)},
    rollouts={"prod": ROLLOUT},
)
FALLBACK = Switch(
    id="sw_1", scope=Scope(agent="a"), mode="fallback", why="", created_by="", created_at_microseconds=0,
    fallback_version=3, expires_at_microseconds=100,
)  # fmt: skip


def test_labels_are_told_with_the_share_of_each_arm() -> None:
    assert serving(STATE, [], 0) == {
        1: [{"label": "prod", "rollout": "r1", "arm": "stable", "percentage": 90.0}],
        2: [
            {"label": "prod", "rollout": "r1", "arm": "candidate", "percentage": 10.0},
            {"label": "staging", "rollout": None, "arm": None, "percentage": 100.0},
        ],
    }


def test_a_switch_that_falls_back_is_told_as_long_as_it_is_on_and_about_this_agent() -> None:
    assert serving(STATE, [FALLBACK], 99)[3] == [{"switch": "sw_1", "scope": {"agent": "a"}}]
    assert 3 not in serving(STATE, [FALLBACK], 100)
    assert 3 not in serving(STATE, [replace(FALLBACK, scope=Scope(agent="b"))], 0)
    assert 3 not in serving(STATE, [replace(FALLBACK, mode="block", fallback_version=None)], 0)


def test_an_archived_agent_serves_nothing() -> None:
    assert serving(replace(STATE, agent=replace(STATE.agent, archived=True)), [FALLBACK], 0) == {}
