"""Ways to take a store away from a deployment and to put it back, and what is looked at meanwhile and afterwards."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from proxy.core.proof.audit_proof import verify_entries
from tests.harness import DATABASE_FILES, Deployment, Operator, saved

USER = [{"role": "user", "content": "hi"}]
BODY = {"model": "x", "messages": USER}


@asynccontextmanager
async def moved_away(deployment: Deployment, home: Path) -> AsyncIterator[None]:
    (home / "switchback.db").rename(home / "away")
    yield
    (home / "away").rename(home / "switchback.db")


@contextmanager
def files_elsewhere(home: Path, instead: Callable[[Path], object] = lambda database: None) -> Iterator[None]:
    """The database's files are gone while this holds; `instead` may put something in their place."""
    elsewhere = home.with_name("elsewhere")
    elsewhere.mkdir(exist_ok=True)
    for name in DATABASE_FILES:
        if (home / name).exists():
            (home / name).rename(elsewhere / name)
    instead(home / "switchback.db")
    yield
    put_back(home)


def put_back(home: Path) -> None:
    database = home / "switchback.db"
    if database.is_dir():
        database.rmdir()
    for name in DATABASE_FILES:
        (home / name).unlink(missing_ok=True)
        if (home.with_name("elsewhere") / name).exists():
            (home.with_name("elsewhere") / name).rename(home / name)


async def prepared(operator: Operator) -> str:
    """`support` with prod on 2, moved there from 1; `billing` with a rollout; both saved as last known good."""
    await operator.agent("support", "one", "two", "three")
    await operator.label("support", "prod", 2)
    await operator.agent("billing", "one", "two")
    rollout = await operator.post("/agents/billing/rollouts", label="prod", candidate=2, percentage=50, why="try")
    await saved(operator)
    return rollout["id"]


async def version_served(deployment: Deployment, agent: str = "support", **headers: str) -> str:
    async with deployment.post(f"/a/{agent}/v1/chat/completions", BODY, **headers) as answer:
        return answer.headers.get("switchback-version", f"refused {answer.status}")


async def is_up(operator: Operator) -> bool:
    return (await operator.get("/status"))["store"]["up"]


async def whole_audit(operator: Operator) -> list[dict[str, Any]]:
    """The whole log, oldest first, proven by the published rule; the rows it speaks about are proven with it."""
    entries = (await operator.get("/audit?limit=500"))["items"][::-1]
    proof = verify_entries(entries)
    assert proof.ok, proof.reason
    verdict = await operator.get("/audit/verify")
    assert verdict["ok"], verdict
    return entries


def from_journal(entries: list[dict[str, Any]]) -> list[str]:
    return [
        f"{entry['what']} {entry['subject']}"
        for entry in entries
        if any(item["kind"] == "journal" for item in entry["evidence"])
    ]
