"""Every route asked by everyone, generated from the route table: who is let in, who is refused, and how it is said."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from proxy.core.tokens import ROLES, Role
from proxy.edges.admin.openapi import with_description
from proxy.edges.admin.routes import ROUTES, Route
from tests.edges.admin.composition import Admin, serving
from tests.edges.admin.people import Person, person

ALL = with_description(ROUTES, "1")
WITHOUT_TOKEN = ("/metrics", "/livez", "/readyz", "/api/v1")
#: What people with a role may order beside what everybody may read; whatever else changes something is an operator's.
AUTHORS_TOO = {"create_proposal", "reject_proposal"}
AUTHORS = {"create_agent", "update_agent", "create_version"}
#: What is asked with a body and changes nothing.
QUESTIONS = {"check_draft"}
ADMINS = {
    "back_up_store",
    "compact_store",
    "archive_agent",
    "unarchive_agent",
    "protect_label",
    "unprotect_label",
    "list_tokens",
    "create_token",
    "revoke_token",
}


def may(route: Route) -> set[Role]:
    """Who is let in, by the rules that users are told, not by the table."""
    if route.operation in ADMINS:
        return {"admin"}
    if route.operation in AUTHORS:
        return {"author", "admin"}
    if route.method == "GET" or route.operation in QUESTIONS:
        return set(ROLES)
    return {"operator", "admin"} | ({"author"} if route.operation in AUTHORS_TOO else set())


def by_operation(route: Route) -> str:
    return route.operation


def filled(route: Route) -> str:
    return re.sub(r"\{\w+\}", "x1", route.path)


@pytest.fixture
async def people(tmp_path: Path) -> AsyncIterator[dict[Role, Person]]:
    async with serving(tmp_path) as admin:
        yield {role: await person(admin, f"the-{role}", role) for role in ROLES}


@pytest.mark.parametrize("route", ALL, ids=by_operation)
async def test_a_route_lets_in_whom_it_should_and_nobody_else(route: Route, people: dict[Role, Person]) -> None:
    admin = people["admin"].admin
    before = await admin.audited()
    for role, somebody in people.items():
        reply = await somebody.call(route.method, filled(route))
        if role in may(route):
            assert reply.status not in (401, 403, 405, 500), (role, reply.content)
            continue
        assert (reply.status, reply.code) == (403, "role_insufficient"), role
        assert f"yours is {role}" in reply["detail"]
        assert set(re.findall(r"role ([a-z ]+);", reply["detail"])[0].split(" or ")) <= may(route)
        assert await admin.audited() == before
    assert admin.errors == []


@pytest.mark.parametrize("route", ALL, ids=by_operation)
async def test_a_route_knows_no_difference_between_no_token_a_wrong_and_a_revoked_one(
    route: Route, people: dict[Role, Person]
) -> None:
    admin = people["admin"].admin
    for somebody in (people["operator"], people["admin"]):
        assert (await admin.call("DELETE", f"/tokens/{somebody.id}")).status == 200
    before = await admin.audited()
    presented = [None, "", "garbage", "sb_" + "x" * 43, people["operator"].token, people["admin"].token]
    refusals = [await admin.call(route.method, filled(route), token=token) for token in presented]
    assert {(reply.status, reply.code) for reply in refusals} == {(401, "unauthorized")}
    assert len({repr(reply.content) for reply in refusals}) == 1
    assert await admin.audited() == before


@pytest.mark.parametrize("route", ALL, ids=by_operation)
async def test_a_role_is_refused_before_the_body_and_the_query_are_looked_at(
    route: Route, people: dict[Role, Person]
) -> None:
    refused = [role for role in ROLES if role not in may(route)]
    for role in refused:
        reply = await people[role].call(route.method, filled(route) + "?surprise=1", {"surprise": 1})
        assert (reply.status, reply.code) == (403, "role_insufficient")


def test_the_description_says_who_is_let_in_everywhere() -> None:
    for route in ALL:
        assert route.role in may(route)
        assert set(route.also) <= may(route)


async def test_the_description_lists_the_roles_of_every_operation(admin: Admin) -> None:
    document = (await admin.get("/openapi.json")).content
    described = {
        operation["operationId"]: set(operation["x-roles"])
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if method != "head" and path not in WITHOUT_TOKEN
    }
    assert described == {route.operation: may(route) for route in ALL}


async def test_what_has_no_token_at_all_stays_open(admin: Admin) -> None:
    for path in ("/metrics", "/livez", "/readyz"):
        async with admin.session.get(admin.origin + path) as answer:
            assert answer.status == 200


async def test_an_author_moves_no_label_but_proposes_the_move_of_any(admin: Admin) -> None:
    await admin.agent("support", "one", "two")
    author, operator = await person(admin, "ann", "author"), await person(admin, "bob", "operator")
    for label in ("prod", "staging"):
        refused = await author.put(f"/agents/support/labels/{label}", {"version": 2})
        assert (refused.status, refused.code) == (403, "role_insufficient")
        assert "role operator; yours is author" in refused["detail"]
    assert (await admin.get("/agents/support/labels"))["items"][0]["version"] == 1
    assert (await author.post("/agents/support/proposals", {"label": "prod", "version": 2, "why": "try"})).status == 201
    assert (await operator.put("/agents/support/labels/prod", {"version": 2})).status == 200


async def test_an_author_chooses_a_default_label_only_where_no_call_is_led_elsewhere_by_it(admin: Admin) -> None:
    author = await person(admin, "ann", "author")
    await author.post("/agents", {"agent": "fresh"})
    assert (await author.call("PATCH", "/agents/fresh", {"default_label": "main"})).status == 200
    await admin.agent("support", "one", "two")
    await admin.call("PUT", "/agents/support/labels/mine", {"version": 2})
    for default_label in ("staging", "mine"):
        refused = await author.call("PATCH", "/agents/support", {"default_label": default_label})
        assert (refused.status, refused.code) == (403, "role_insufficient")
    # What nobody can call may not become what everybody calls either.
    await admin.post("/agents", {"agent": "unset", "default_label": "prod"})
    await admin.post("/agents/unset/versions", {"prompt": {"text": "one"}})
    await admin.call("PUT", "/agents/unset/labels/mine", {"version": 1})
    assert (await author.call("PATCH", "/agents/unset", {"default_label": "mine"})).status == 403


async def test_an_author_cannot_lead_calls_away_from_a_protected_default_label(admin: Admin) -> None:
    await admin.agent("support", "one", "two")
    author = await person(admin, "ann", "author")
    await admin.call("PUT", "/agents/support/labels/mine", {"version": 2})
    await admin.call("PUT", "/agents/support/labels/prod/protection", {})
    refused = await author.call("PATCH", "/agents/support", {"default_label": "mine"})
    assert (refused.status, refused.code) == (403, "role_insufficient")
    assert admin.commands.live.agent("support").agent.default_label == "prod"
    assert (await author.call("PATCH", "/agents/support", {"description": "still mine"})).status == 200
    assert (await admin.call("PATCH", "/agents/support", {"default_label": "mine"})).status == 200
    assert (await author.call("PATCH", "/agents/support", {"default_label": "prod"})).status == 403
