"""What a scope names that nothing known goes by is said; what is known is not."""

import pytest

from proxy.core.releasing.unmatched import unmatched
from proxy.core.scopes import Scope
from proxy.core.snapshot import Agent, AgentState, Arm, Rollout, Snapshot
from proxy.core.versions.components import parse_bundle
from proxy.core.versions.versions import Version

_TOOL = {"name": "refund", "description": "Pays back", "parameters": {"type": "object"}}


def _version(number: int, model: dict[str, object], tools: list[object]) -> Version:
    bundle = parse_bundle({"model": model, "tools": {"mode": "merge", "items": tools}})
    return Version(
        agent="support", number=number, bundle=bundle, parent=None, author="ann", message="", created_at_microseconds=0
    )


_ROLLOUT = Rollout(
    id="r2",
    agent="support",
    label="prod",
    salt="support/r2",
    arms=(Arm("stable", 1, ((0, 90_000),)), Arm("candidate", 2, ((90_000, 100_000),))),
    state="running",
)
SNAPSHOT = Snapshot(
    revision=7,
    agents={
        "support": AgentState(
            Agent(name="support", newest=2),
            rollouts={"prod": _ROLLOUT},
            versions={
                1: _version(1, {"provider": "openai", "name": "gpt-4o-mini"}, []),
                2: _version(2, {"name": "our-own"}, [_TOOL]),
            },
        ),
        "sales": AgentState(Agent(name="sales")),
    },
)


def _priced(model: str) -> bool:
    return model == "gpt-5"


def _said(scope: Scope) -> list[str]:
    return unmatched(scope, SNAPSHOT, _priced)


@pytest.mark.parametrize(
    "scope",
    [
        Scope(),
        Scope(agent="support", user="u1", tag=("tenant", "acme"), provider="openai"),
        Scope(model="gpt-4o-mini"),
        Scope(model="GPT-4o-Mini"),
        Scope(model="gpt-4o-mini-2024-07-18"),
        Scope(model="openai/gpt-4o-mini"),
        Scope(model="our-own"),
        Scope(model="gpt-5"),
        Scope(agent="sales", model="our-own"),
        Scope(tool="refund"),
        Scope(agent="support", tool="refund"),
        Scope(agent="support", rollout="r2"),
        Scope(agent="support", rollout="r2", arm="candidate"),
    ],
)
def test_what_is_known_is_not_spoken_of(scope: Scope) -> None:
    assert _said(scope) == []


@pytest.mark.parametrize(
    ("scope", "parts"),
    [
        (Scope(model="gpt-4o-mni"), ("'gpt-4o-mni'", "did you mean gpt-4o-mini?")),
        (Scope(model="azure/gpt-4o-mini"), ("'azure/gpt-4o-mini'",)),
        (Scope(model="zzz"), ("no version and no price list",)),
        (Scope(tool="refnd"), ("'refnd'", "did you mean refund?")),
        (Scope(agent="sales", tool="refund"), ("'refund'",)),
        (Scope(agent="support", rollout="r3"), ("rollout 'r3'", "'support'")),
        (Scope(agent="sales", rollout="r2"), ("rollout 'r2'", "'sales'")),
        (Scope(agent="support", rollout="r2", arm="candidat"), ("arm 'candidat'", "candidate, stable")),
        (Scope(agent="sales", arm="candidate"), ("no rollout of agent 'sales'",)),
    ],
)
def test_what_nothing_known_goes_by_is_named(scope: Scope, parts: tuple[str, ...]) -> None:
    (sentence,) = _said(scope)
    for part in parts:
        assert part in sentence


def test_each_dimension_has_its_sentence() -> None:
    assert len(_said(Scope(agent="support", model="zzz", tool="zzz", rollout="zzz"))) == 3
