"""Values and changes the store tests begin with, each in one call."""

from collections.abc import Mapping
from contextlib import asynccontextmanager
from typing import Any

from proxy.core.calls.runs import Attempt, Run
from proxy.core.proof.audit import AuditDraft
from proxy.core.releasing.releases import Release, whole
from proxy.core.scopes import Scope
from proxy.core.snapshot import Agent, Rollout
from proxy.core.spending.caps import Cap, CapUnit, CounterKey
from proxy.core.spending.ledger import SettledBatch, Settlement
from proxy.core.switches import Switch
from proxy.core.versions.components import parse_bundle
from proxy.core.versions.versions import Version
from proxy.store.sqlite import SqliteStore
from tests.two_arms import split

NOON = 1_700_000_000_000_000
MINUTE = 60_000_000


def draft(what: str = "test.change", **members: Any) -> AuditDraft:
    values: dict[str, Any] = {"who": "ada", "subject": "test", "why": "because", "at_microseconds": NOON}
    return AuditDraft(what=what, **{**values, **members})


def settled(attempt: str, key: CounterKey, amount: int, spent: int, **members: Any) -> Settlement:
    """A settled row of the ledger."""
    values = {"unit": "usd", "settled_by": "reported", **members}
    counter = (key.cap, key.window_start_microseconds, key.part)
    return Settlement(*counter, attempt, values["unit"], amount, NOON, spent, values["settled_by"], NOON)


def batch(key: CounterKey, *spent: tuple[str, int], unit: CapUnit = "usd") -> SettledBatch:
    """Attempts of one counter that ended with what they spent."""
    return SettledBatch(key, unit, [(attempt, 1_000, NOON, amount, "reported", NOON) for attempt, amount in spent])


@asynccontextmanager
async def audited(store: SqliteStore):
    """A change that ends with its audit entry."""
    async with store.change() as change:
        yield change
        await change.append_audit(draft())


def version(agent: str, number: int, text: str | None = None, **components: Any) -> Version:
    contents: Mapping[str, Any] = {"prompt": {"text": text if text is not None else f"prompt {number}"}, **components}
    return Version(
        agent=agent,
        number=number,
        bundle=parse_bundle(contents),
        parent=number - 1 or None,
        author="ada",
        message=f"version {number}",
        created_at_microseconds=NOON + number,
        tested_against={"score": 0.95},
        source={"git": {"commit": "abc"}},
    )


def release(
    agent: str, number: int, serves: int, *, label: str = "prod", kind: str = "label_moved", **members: Any
) -> Release:
    values: dict[str, Any] = {
        "arms": whole(serves),
        "salt": None,
        "rollout": None,
        "who": "ada",
        "approved_by": None,
        "why": "because",
        "created_at_microseconds": NOON + number,
    }
    return Release(agent=agent, number=number, kind=kind, label=label, **{**values, **members})  # type: ignore[arg-type]


def rollout(
    agent: str, rollout_id: str, candidate: int, *, stable: int = 1, buckets: int = 10_000, **members: Any
) -> Rollout:
    values: dict[str, Any] = {
        "label": "prod",
        "salt": f"{agent}/{rollout_id}",
        "arms": split(stable, candidate, buckets),
        "state": "running",
        "eligible": {"tenant": "acme"},
        "created_by": "ada",
        "why": "try it",
        "created_at_microseconds": NOON,
    }
    return Rollout(id=rollout_id, agent=agent, **{**values, **members})


def switch(switch_id: str, **members: Any) -> Switch:
    values: dict[str, Any] = {"scope": Scope(), "mode": "block", "why": "stop", "created_by": "ada"}
    return Switch(id=switch_id, **{**values, "created_at_microseconds": NOON, **members})


def cap(cap_id: str, **members: Any) -> Cap:
    values: dict[str, Any] = {
        "scope": Scope(),
        "window": "total",
        "unit": "usd",
        "limit_amount": 1_000,
        "at_limit": "block",
        "why": "money",
        "created_by": "ada",
        "created_at_microseconds": NOON,
    }
    return Cap(id=cap_id, **{**values, **members})


def run(run_id: str, **members: Any) -> Run:
    values: dict[str, Any] = {
        "agent": "support",
        "version": 1,
        "wire": "openai_chat",
        "operation": "chat",
        "status": 200,
        "result": "ok",
        "duration_microseconds": 250_000,
        "started_at_microseconds": NOON,
    }
    return Run(id=run_id, **{**values, **members})


def attempt(run_id: str, number: int = 1) -> Attempt:
    return Attempt(
        run=run_id,
        number=number,
        provider="openai",
        model="gpt-4o-mini",
        status=200,
        error_class=None,
        started_at_microseconds=NOON,
        duration_microseconds=200_000,
        cost_nanodollars=12_345,
    )


async def an_agent(store: SqliteStore, name: str = "support", versions: int = 1, **members: Any) -> None:
    """An agent with so many versions, `prod` at the first of them."""
    async with audited(store) as change:
        await change.insert_agent(Agent(name=name, created_at_microseconds=NOON, **members))
        for number in range(1, versions + 1):
            await change.insert_version(version(name, number))
        if versions:
            await change.append_release(release(name, 1, 1))


async def a_rollout(store: SqliteStore, name: str = "support", candidate: int = 2, **members: Any) -> Rollout:
    """A rollout of `candidate` on `prod`, started by the agent's next release."""
    async with audited(store) as change:
        started = rollout(name, await change.next_rollout_id(name), candidate, **members)
        number = await change.next_release_number(name)
        await change.insert_rollout(started)
        await change.append_release(
            release(
                name,
                number,
                1,
                label=started.label,
                kind="rollout_started",
                arms=started.arms,
                salt=started.salt,
                rollout=started.id,
            )
        )
    return started
