"""The route table: every route asks for a token, is described, and nothing else is served."""

import re
from typing import Any

import jsonschema
import pytest

from proxy.core.versions.new_versions import POLICY_KEYS
from proxy.edges.admin.admin_app import build_admin_app
from proxy.edges.admin.openapi import with_description
from proxy.edges.admin.routes import API_PREFIX, ROUTES, Route
from tests.edges.admin.composition import TOKEN, Admin
from tests.edges.admin.described import DESCRIPTION, faults, undescribed

ALL = with_description(ROUTES, "1")
WITHOUT_TOKEN = {"/metrics", "/livez", "/readyz", "/api/v1"}


def by_operation(route: Route) -> str:
    return route.operation


def filled(route: Route) -> str:
    return re.sub(r"\{\w+\}", "x1", route.path)


@pytest.mark.parametrize("route", ALL, ids=by_operation)
async def test_a_route_refuses_everybody_without_the_right_token(route: Route, admin: Admin) -> None:
    refusals = [
        await admin.call(route.method, filled(route), token=None),
        await admin.call(route.method, filled(route), token=""),
        await admin.call(route.method, filled(route), token="sb_somebody-elses-token"),
        await admin.call(route.method, filled(route), token=TOKEN[:-1]),
        await admin.call(route.method, filled(route), token=TOKEN + "x"),
        await admin.call(route.method, filled(route), headers={"Authorization": TOKEN}),
        await admin.call(route.method, filled(route), headers={"Authorization": f"Basic {TOKEN}"}),
    ]
    assert {(reply.status, reply.code) for reply in refusals} == {(401, "unauthorized")}
    assert all(reply.headers["WWW-Authenticate"] == "Bearer" for reply in refusals)
    assert len({repr(reply.content) for reply in refusals}) == 1
    assert await admin.audited() == []


@pytest.mark.parametrize("route", ALL, ids=by_operation)
async def test_a_route_refuses_a_query_parameter_it_does_not_know(route: Route, admin: Admin) -> None:
    reply = await admin.call(route.method, filled(route) + "?surprise=1")
    assert (reply.status, reply.code) == (400, "bad_query")
    assert "surprise" in {error["param"] for error in reply["errors"]}


@pytest.mark.parametrize("route", [route for route in ALL if route.body is not None], ids=by_operation)
async def test_a_route_names_the_body_member_it_does_not_know(route: Route, admin: Admin) -> None:
    reply = await admin.call(route.method, filled(route), {"surprise": 1})
    assert (reply.status, reply.code) == (400, "bad_body")
    unknown = next(error for error in reply["errors"] if error["param"] == "surprise")
    assert ("agent" if route.operation == "check_draft" else "why") in unknown["message"]
    assert await admin.audited() == []


#: Of a change that nobody made there is an answer: that it was not made. A plan is made under any name.
NAMES_ANYTHING = ("get_change", "set_plan")
NAMES_WHAT_EXISTS = [route for route in ALL if "{" in route.path and route.operation not in NAMES_ANYTHING]


@pytest.mark.parametrize("route", NAMES_WHAT_EXISTS, ids=by_operation)
async def test_a_route_says_404_for_what_does_not_exist(route: Route, admin: Admin) -> None:
    bodies = {
        "create_version": {},
        "move_label": {"version": 1},
        "create_proposal": {"label": "prod", "version": 1},
        "start_rollout": {"label": "prod", "candidate": 1, "percentage": 1},
        "set_rollout_percentage": {"percentage": 1},
        "change_cap": {"limit": 1},
        "record_outcome": {"name": "score", "value": 1},
    }
    reply = await admin.call(route.method, filled(route), bodies.get(route.operation))
    assert reply.status == 404
    assert reply.code.endswith("_not_found")


async def test_the_description_and_the_application_have_the_same_operations(admin: Admin) -> None:
    document = (await admin.get("/openapi.json")).content
    described = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    app = build_admin_app(admin.parts())
    served = {(route.method, route.resource.canonical) for route in app.router.routes() if route.resource is not None}
    assert described == served


async def test_the_description_is_complete_and_its_references_lead_somewhere(admin: Admin) -> None:
    document = (await admin.get("/openapi.json")).content
    assert document["info"]["version"] == "9.9.9"
    operations = [operation for methods in document["paths"].values() for operation in methods.values()]
    assert len({operation["operationId"] for operation in operations}) == len(operations)
    of_all = {path for path, methods in document["paths"].items() if methods.get("get", {}).get("security") == []}
    assert of_all == WITHOUT_TOKEN
    roles = {operation["x-role"] for operation in operations if "security" not in operation}
    assert roles == {"viewer", "operator", "author", "admin"}
    for path, methods in document["paths"].items():
        for operation in methods.values():
            in_path = {item["name"] for item in operation["parameters"] if item["in"] == "path"}
            assert in_path == set(re.findall(r"\{(\w+)\}", path))
            assert operation["summary"]
            assert all(item["description"] and item["schema"] for item in operation["parameters"])
            assert operation["responses"].keys() >= {"400", "405", "421", "500"}
    for reference in set(re.findall(r"'\$ref': '#/([^']+)'", repr(document))):
        found = document
        for part in reference.split("/"):
            found = found[part]
        assert found
    runs = document["paths"]["/api/v1/runs"]["get"]["parameters"]
    assert next(item for item in runs if item["name"] == "limit")["schema"]["maximum"] == 500
    assert {item["name"] for item in runs} >= {"agent", "from", "to", "result", "limit", "cursor"}


async def test_the_description_has_every_key_that_a_policy_may_have(admin: Admin) -> None:
    schemas = (await admin.get("/openapi.json")).content["components"]["schemas"]
    described, _ = schemas["VersionBody"]["properties"]["policy"]["anyOf"]
    assert described["properties"].keys() == set(POLICY_KEYS)
    policy = {"validators": ["json", {"regex": "^x"}, {"max_chars": 3}, {"json_schema": {"type": "object"}}]}
    jsonschema.Draft202012Validator(described).validate(policy)
    assert not jsonschema.Draft202012Validator(described).is_valid({"validators": [{"regx": "x"}]})
    assert (await admin.post("/agents", {"agent": "a"})).status == 201
    assert (await admin.post("/agents/a/versions", {"policy": policy})).status == 201


@pytest.mark.parametrize(
    "path",
    [
        "/nothing",
        "/agents/",
        "/agents//versions",
        "/agents/a/b",
        "/agents/..",
        "/agents/%61",
        "/Agents",
        "/agents/a%2Fb",
    ],
)
async def test_other_paths_are_not_found(path: str, admin: Admin) -> None:
    async with admin.session.get(
        admin.origin + API_PREFIX + path, headers={"Authorization": f"Bearer {TOKEN}"}, allow_redirects=False
    ) as answer:
        assert answer.status == 404
        assert (await answer.json(content_type=None))["code"] in ("path_not_found", "agent_not_found")


async def test_what_does_not_exist_below_the_api_is_hidden_without_a_token(admin: Admin) -> None:
    assert (await admin.call("GET", "/nothing", token=None)).status == 401
    assert (await admin.call("GET", "/nothing")).code == "path_not_found"
    async with admin.session.get(admin.origin + "/elsewhere") as answer:
        assert answer.status == 404


async def test_a_wrong_method_is_told_which_there_are(admin: Admin) -> None:
    reply = await admin.call("DELETE", "/agents/support")
    assert (reply.status, reply.code, reply.headers["Allow"]) == (405, "method_not_allowed", "GET, HEAD, PATCH")
    for method in ("POST", "OPTIONS", "PROPFIND", "TRACE"):
        assert (await admin.call(method, "/status")).status == 405


@pytest.mark.parametrize("route", [route for route in ALL if not route.is_change], ids=by_operation)
async def test_head_is_get_without_its_content(route: Route, admin: Admin) -> None:
    await admin.agent("x1", "one")
    await admin.call("PUT", "/plans/x1", {"plan": {}})
    path = route.path.format(agent="x1", a="1", b="1", n="1", id="x1", name="x1") + (
        "?provider=openai&model=m" if route.operation == "get_price" else ""
    )
    got, asked = await admin.call("GET", path), await admin.call("HEAD", path)
    assert (asked.status, asked.content) == (got.status, "")
    named = ("Content-Type", "Switchback-Count", "Cache-Control", "X-Content-Type-Options")
    assert [asked.headers.get(name) for name in named] == [got.headers.get(name) for name in named]
    assert admin.errors == []


async def test_what_answers_without_a_token_is_described(admin: Admin) -> None:
    for path in WITHOUT_TOKEN:
        for method in ("GET", "HEAD"):
            async with admin.session.request(method, admin.origin + path) as answer:
                is_json = answer.content_type == "application/json" and method == "GET"
                content = await (answer.json() if is_json else answer.text())
                assert undescribed(method, path, answer.status, answer.headers["Content-Type"], content) == []
                assert answer.status == 200
    admin.draining.set()
    async with admin.session.get(f"{admin.origin}/readyz") as answer:
        assert answer.status == 503
        assert undescribed("GET", "/readyz", 503, answer.headers["Content-Type"], await answer.json()) == []


def test_what_a_description_does_not_allow_is_found() -> None:
    page: dict[str, Any] = {"items": [], "next": None}
    asked = ("GET", "/api/v1/agents", 200, "application/json")
    assert undescribed(*asked, page) == []
    assert undescribed(*asked, {"items": []}) == ["list_agents 200.next is missing"]
    assert undescribed(*asked, {**page, "more": 1}) == ["list_agents 200.more is not described"]
    assert undescribed(*asked, {**page, "items": [{}]}) != []
    assert undescribed("GET", "/api/v1/agents", 201, "application/json", page) != []
    assert undescribed("GET", "/api/v1/agents", 200, "text/plain", "") != []
    problem = {"type": "about:blank", "title": "Conflict", "status": 409, "detail": "-", "code": "cap_exists"}
    assert undescribed("POST", "/api/v1/caps", 409, "application/problem+json", problem) == []
    assert undescribed("POST", "/api/v1/agents", 409, "application/problem+json", problem) != []
    assert faults({"type": "string", "format": "date-time"}, "yesterday") != []
    assert faults({"anyOf": [{"type": "integer", "minimum": 1}, {"type": "null"}]}, 0) != []


def examples(value: Any) -> list[tuple[dict[str, Any], Any]]:
    """Every example in a description, with the schema it stands in."""
    if isinstance(value, list):
        return [found for inner in value for found in examples(inner)]
    if not isinstance(value, dict):
        return []
    own = value.get("examples")
    here = [(value, example) for example in own] if isinstance(own, list) else []
    return here + [found for inner in value.values() for found in examples(inner)]


def test_every_example_of_the_description_is_one() -> None:
    found = examples(DESCRIPTION)
    assert len(found) > 50
    # A request may say a time in more ways than an answer does.
    wrong = [faults({**schema, "format": ""}, example) for schema, example in found]
    assert [fault for faulty in wrong for fault in faulty] == []
