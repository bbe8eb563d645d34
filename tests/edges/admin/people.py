"""People with tokens of their own, for tests in which it matters who asks."""

from dataclasses import dataclass
from typing import Any

from proxy.core.tokens import Role
from tests.edges.admin.composition import Admin, Reply


@dataclass(frozen=True, slots=True)
class Person:
    """Calls the admin API with a token of theirs."""

    admin: Admin
    id: str
    token: str

    async def call(self, method: str, path: str, body: Any = None) -> Reply:
        return await self.admin.call(method, path, body, token=self.token)

    async def get(self, path: str) -> Reply:
        return await self.call("GET", path)

    async def post(self, path: str, body: Any = None) -> Reply:
        return await self.call("POST", path, body or {})

    async def put(self, path: str, body: Any = None) -> Reply:
        return await self.call("PUT", path, body or {})


async def person(admin: Admin, name: str, role: Role) -> Person:
    """Somebody with a new token."""
    made = await admin.post("/tokens", {"name": name, "role": role})
    assert made.status == 201, made.content
    return Person(admin, made["id"], made["token"])
