"""Everything the data path is decided on crosses the link unchanged."""

import msgspec
import pytest

from proxy.core.calls.runs import Attempt, Run
from proxy.core.errors import CapReached, Limited
from proxy.core.scopes import CallFacts, Scope
from proxy.core.snapshot import Agent, AgentState, Arm, Label, Rollout, Snapshot
from proxy.core.spending.caps import Cap, CounterKey
from proxy.core.switches import Switch
from proxy.core.versions.components import parse_bundle
from proxy.core.versions.versions import Version
from proxy.runtime.spending.holding import HoldBound, Spent
from proxy.runtime.workers.messages import (
    HoldWanted,
    LeaseGiven,
    LeasesEnded,
    Leaving,
    OwnHold,
    OwnHolds,
    Refused,
    RunsFinished,
    SnapshotIs,
    decode_from_owner,
    decode_from_worker,
    encode,
)

VERSION = Version(
    agent="support",
    number=3,
    bundle=parse_bundle(
        {
            "prompt": {
                "text": "You serve {{product}} {{name}}.",
                "variables": {"product": {"default": "X"}, "name": {}},
            },
            "model": {
                "name": "m",
                "parameters": {
                    "temperature": {"default": 0.2},
                    "seed": 7,
                    "extra": {"a": [1, {"b": None}], "c": 1e300},
                },
            },
            "tools": {"mode": "merge", "items": [{"name": "look_up", "parameters": {"type": "object"}}]},
            "retrieval": {"index": "kb"},
            "policy": {"max_tool_calls": 3, "tone": "kind"},
        }
    ),
    parent=2,
    author="ann",
    message="ünïcode",
    created_at_microseconds=1_700_000_000_000_000,
    source={"git": {"commit": "abc"}},
)
ROLLOUT = Rollout(
    id="r1",
    agent="support",
    label="prod",
    salt="support/r1",
    arms=(Arm("stable", 2, ((10_000, 100_000),)), Arm("candidate", 3, ((0, 5000), (7000, 10_000)))),
    state="running",
    eligible={"plan": "trial"},
)
STATE = AgentState(Agent(name="support", newest=3), {"prod": Label("prod", 2, 9)}, {"prod": ROLLOUT}, {3: VERSION})
CAP = Cap(
    id="c", scope=Scope(agent="support", tag=("a", "b")), window="day", unit="usd", limit_amount=2**62, at_limit="block",
    why="", created_by="ann", created_at_microseconds=1,
)  # fmt: skip
SWITCH = Switch(
    id="s", scope=Scope(), mode="reply", why="", created_by="ann", created_at_microseconds=1, reply_text="closed"
)


def test_a_snapshot_arrives_as_it_is_with_versions_ready_to_be_used() -> None:
    sent = SnapshotIs(Snapshot(revision=4, switches=(SWITCH,), caps=(CAP,)), (STATE,), ("gone",))
    received = decode_from_owner(encode(sent))
    assert received == sent
    assert isinstance(received, SnapshotIs)
    bundle = received.agents[0].versions[3].bundle
    assert bundle.prompt.template.render({"name": "Bo"}, bundle.prompt.variables) == "You serve X Bo."


def test_holds_and_runs_arrive_as_they_are() -> None:
    facts = CallFacts(agent="support", provider="p", model="m", user="u", tags={"a": "b"}, tools=frozenset({"t"}))
    wanted = HoldWanted(1, "run_1", facts, HoldBound(nanodollars=None, tokens=5, unbounded_because="no price"))
    assert decode_from_worker(encode(wanted)) == wanted
    run = Run(
        id="run_1", agent="support", wire="openai", operation="chat", status=200, result="ok", tags={"a": "b"},
        duration_microseconds=5, started_at_microseconds=6, tool_calls=("t",), tool_call_count=1,
    )  # fmt: skip
    attempt = Attempt(
        run="run_1", number=1, provider="p", model=None, status=None, error_class="x", started_at_microseconds=1,
        duration_microseconds=2, cost_nanodollars=None,
    )  # fmt: skip
    finished = RunsFinished(2, (run,), (attempt,))
    assert decode_from_worker(encode(finished)) == finished


KEY = CounterKey("c", 1_700_000_000_000_000, "ann")


@pytest.mark.parametrize("message", [LeaseGiven(KEY, 2**62), LeasesEnded((KEY, CounterKey("d", 0)))])
def test_what_is_lent_and_asked_back_arrives_as_it_is(message: LeaseGiven | LeasesEnded) -> None:
    assert decode_from_owner(encode(message)) == message
    with pytest.raises(msgspec.DecodeError):
        decode_from_worker(encode(message))


@pytest.mark.parametrize(
    "message",
    [
        OwnHolds(
            (OwnHold("run_1", 5, ((KEY, 10), (CounterKey("d", 0), 1))),),
            (("run_1", Spent(nanodollars=4, tokens=2)), ("run_0", Spent(settled_by="held"))),
        ),
        Leaving(),
    ],
)
def test_what_a_worker_held_by_itself_and_that_it_leaves_arrives_as_it_is(message: OwnHolds | Leaving) -> None:
    assert decode_from_worker(encode(message)) == message
    with pytest.raises(msgspec.DecodeError):
        decode_from_owner(encode(message))


@pytest.mark.parametrize(
    "refusal",
    [
        CapReached("spend_cap_exceeded", "reached", param="x"),
        Limited("rate_limit_exceeded", "wait", retry_after_seconds=30),
    ],
)
def test_a_refusal_arrives_with_status_code_and_the_time_to_wait(refusal: CapReached | Limited) -> None:
    received = decode_from_owner(encode(Refused.of(1, refusal)))
    assert isinstance(received, Refused)
    again = received.refusal()
    assert [again.code, again.message, again.status, again.param, again.retry_after_seconds] == [
        refusal.code,
        refusal.message,
        refusal.status,
        refusal.param,
        refusal.retry_after_seconds,
    ]


def test_what_only_one_side_says_is_not_understood_from_the_other() -> None:
    with pytest.raises(msgspec.DecodeError):
        decode_from_owner(
            encode(
                HoldWanted(
                    1, "a", CallFacts(agent="a", provider="", model="", tags={}), HoldBound(nanodollars=1, tokens=1)
                )
            )
        )
    with pytest.raises(msgspec.DecodeError):
        decode_from_worker(b"\xc1 not a message")
