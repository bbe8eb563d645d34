"""An agent with three versions, its label `prod`, which may be protected, and the people who work on it."""

from dataclasses import dataclass
from typing import Any

from tests.edges.admin.composition import Admin, Reply
from tests.edges.admin.people import Person

PROD = "/agents/support/labels/prod"
PROPOSALS = "/agents/support/proposals"
PROVEN = [{"kind": "evaluation", "id": "tickets-20"}]
SHARE = {"label": "prod", "candidate": 2, "percentage": 10, "eligible": {"tenant": "acme"}}


@dataclass(slots=True)
class Team:
    """An agent `support` with three versions, `prod` on the first, and people who work on it."""

    admin: Admin
    ann: Person
    bob: Person
    cid: Person

    async def protect(self, **rules: Any) -> None:
        assert (await self.admin.call("PUT", PROD + "/protection", {"why": "it is live", **rules})).status == 200

    async def proposed(self, version: int = 2) -> str:
        """The id of a new proposal by Ann to move `prod`."""
        reply = await self.ann.put(PROD, {"version": version, "why": "better"})
        assert reply.status == 202, reply.content
        return reply["id"]

    @property
    def serves(self) -> int:
        state = self.admin.commands.live.agent("support")
        assert state is not None
        return state.labels["prod"].version

    async def ledger(self) -> list[tuple[Any, ...]]:
        """Every change of traffic, oldest first: kind, version, who, approved by."""
        rows = (await self.admin.get("/agents/support/releases"))["items"]
        return [(row["kind"], row["version"], row["who"], row["approved_by"]) for row in reversed(rows)]

    async def states(self) -> dict[str, str]:
        return {item["id"]: item["state"] for item in (await self.admin.get(PROPOSALS))["items"]}


def refused(reply: Reply, status: int, code: str) -> None:
    assert (reply.status, reply.code) == (status, code), reply.content
