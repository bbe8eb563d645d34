"""Bad requests: a problem document that names what was wrong, nothing done, nothing repeated."""

import io
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from proxy.edges.admin.reading import MAX_BODY_BYTES
from tests.edges.admin.composition import Admin, serving

SECRET = "a-value-nobody-should-see-again"


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"{", "bad_json"),
        (b"nonsense", "bad_json"),
        (b'{"agent": "a",}', "bad_json"),
        (b'{"agent": NaN}', "bad_json"),
        (b'{"agent": 1e999}', "bad_json"),
        (b'{"agent": "\xff"}', "bad_json"),
        (b'{"agent": "\\ud800"}', "bad_json"),
        (b'\xef\xbb\xbf{"agent": "a"}', "bad_json"),
        (b'{"agent": ' + b"[" * 30_000 + b"]" * 30_000 + b"}", "bad_json"),
        (b'{"agent": ' + b"[" * 1000 + b"]" * 1000 + b"}", "bad_body"),
        (b'{"agent": ' + b"9" * 5000 + b"}", "bad_json"),
        (b"[]", "bad_json"),
        (b'"text"', "bad_json"),
        (b"null", "bad_json"),
        (b'{"agent": "a", "agent": "b"}', "duplicate_member"),
        (b'{"agent": "a", "\\u0061gent": "b"}', "duplicate_member"),
        (b"{}", "bad_body"),
        (b"", "bad_body"),
    ],
)
async def test_a_body_that_is_not_one_plain_json_object_is_refused(raw: bytes, code: str, admin: Admin) -> None:
    reply = await admin.call("POST", "/agents", raw=raw)
    assert reply.status == 400
    assert reply.code in (code, "bad_json")
    assert admin.errors == []
    assert await admin.audited() == []


async def test_a_duplicate_deep_inside_is_refused_too(admin: Admin) -> None:
    await admin.agent("support")
    raw = b'{"model": {"parameters": {"temperature": 0, "temperature": 1}}}'
    reply = await admin.call("POST", "/agents/support/versions", raw=raw)
    assert (reply.code, reply["param"]) == ("duplicate_member", "temperature")


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"agent": 7}, "agent"),
        ({"agent": None}, "agent"),
        ({"agent": "a", "allow_latest": "yes"}, "allow_latest"),
        ({"agent": "a", "allow_latest": 1}, "allow_latest"),
        ({"agent": "a", "description": "x" * 2001}, "description"),
        ({"agent": "a", "why": ["because"]}, "why"),
        ({"description": "no name"}, "agent"),
        ({"agent": "a", "default_lable": "prod"}, "default_lable"),
    ],
)
async def test_a_member_of_the_wrong_kind_is_named(body: object, param: str, admin: Admin) -> None:
    reply = await admin.post("/agents", body)
    assert (reply.status, reply.code, reply["param"]) == (400, "bad_body", param)
    assert [error["param"] for error in reply["errors"]] == [param]
    assert reply["detail"].startswith(param)


async def test_every_wrong_member_is_reported_at_once(admin: Admin) -> None:
    reply = await admin.post("/agents", {"agent": 7, "description": 8, "colour": 9})
    assert {error["param"] for error in reply["errors"]} == {"agent", "description", "colour"}


@pytest.mark.parametrize(
    ("path", "body", "code", "param"),
    [
        ("/agents", {"agent": "Support"}, "bad_name", "agent"),
        ("/agents", {"agent": "unassigned"}, "bad_name", "agent"),
        ("/agents", {"agent": "a\n"}, "bad_name", "agent"),
        ("/agents", {"agent": "a", "default_label": "latest"}, "bad_name", "label"),
        ("/agents", {"agent": "a", "why": "x" * 2001}, "bad_why", "why"),
        ("/agents/support/versions", {"parent": 1, "prompt": {"text": "{{who}}"}}, "bad_version", "prompt.text"),
        ("/agents/support/versions", {"parent": 1, "prompt": {"txt": "x"}}, "bad_version", "prompt.txt"),
        (
            "/agents/support/versions",
            {"parent": 1, "model": {"parameters": {"temperature": "hot"}}},
            "bad_version",
            "model.parameters.temperature",
        ),
        (
            "/agents/support/versions",
            {"parent": 1, "tools": {"mode": "some"}},
            "bad_version",
            "tools.mode",
        ),
        ("/agents/support/versions", {"parent": 1, "retrieval": {"top_k": 2**70}}, "unrepresentable", None),
        (
            "/agents/support/rollouts",
            {"label": "prod", "candidate": 2, "percentage": 101},
            "bad_percentage",
            "percentage",
        ),
        (
            "/agents/support/rollouts",
            {"label": "prod", "candidate": 2, "percentage": -1},
            "bad_percentage",
            "percentage",
        ),
        (
            "/agents/support/rollouts",
            {"label": "prod", "candidate": 2, "percentage": 0.0001},
            "bad_percentage",
            "percentage",
        ),
        ("/agents/support/rollouts", {"label": "prod", "candidate": 1, "percentage": 1}, "same_version", "candidate"),
        (
            "/agents/support/rollouts",
            {"label": "prod", "candidate": 0, "percentage": 1},
            "bad_version_number",
            "version",
        ),
        ("/agents/support/rollouts", {"label": "prod", "candidate": True, "percentage": 1}, "bad_body", "candidate"),
        ("/agents/support/rollouts", {"label": "prod", "candidate": 2, "percentage": "10"}, "bad_body", "percentage"),
        ("/agents/support/rollback", {"to": 0}, "bad_version_number", "version"),
        ("/switches", {"scope": {"agnt": "support"}, "mode": "block", "why": "x"}, "bad_scope", "scope.agnt"),
        ("/switches", {"scope": {}, "mode": "stop", "why": "x"}, "bad_body", "mode"),
        ("/switches", {"scope": [], "mode": "block", "why": "x"}, "bad_body", "scope"),
        ("/switches", {"mode": "block", "why": "x"}, "bad_body", "scope"),
        ("/switches", {"scope": {}, "mode": "reply", "why": "x"}, "bad_switch", "reply"),
        ("/switches", {"scope": {}, "mode": "block", "why": "x", "expires": "tomorrow"}, "bad_time", "expires"),
        (
            "/switches",
            {"scope": {}, "mode": "block", "why": "x", "expires": "2026-11-20T11:00:00Z"},
            "bad_switch",
            "expires",
        ),
        (
            "/switches",
            {"scope": {}, "mode": "block", "why": "x", "expires": "2026-11-20T13:00:00"},
            "bad_time",
            "expires",
        ),
    ],
)
async def test_a_value_that_means_nothing_is_refused_by_its_name(
    path: str, body: object, code: str, param: str | None, admin: Admin
) -> None:
    await admin.agent("support", "one", "two")
    before = await admin.audited()
    reply = await admin.post(path, body)
    assert (reply.status, reply.code, reply.content.get("param")) == (400, code, param)
    assert await admin.audited() == before
    assert admin.errors == []


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=501",
        "limit=-1",
        "limit=1.0",
        "limit=1_0",
        "limit=%D9%A1",
        "limit=",
        "cursor=",
        "cursor=%25%25",
        "cursor=WzFd" + "A" * 9,
        "result=fine",
        "from=yesterday",
        "to=2026-11-20",
        "version=seven",
        "version=7",
        "release=7",
        "rollout=r1",
        "agent=a&agent=b",
        "Agent=a",
        "user=" + "u" * 513,
        f"{SECRET}=1",
    ],
)
async def test_a_query_that_means_nothing_is_refused(query: str, admin: Admin) -> None:
    reply = await admin.get(f"/runs?{query}")
    assert reply.status == 400
    assert reply.code in ("bad_query", "bad_cursor", "bad_time", "bad_filter")
    assert reply["param"]


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("limit=0", "limit: must be a whole number from 1 to 500, such as 100"),
        ("limit=all", "limit: must be a whole number from 1 to 500, such as 100"),
        ("agnt=a", "agnt: is unknown in this query; did you mean agent?"),
        ("zzz=a", "zzz: is unknown in this query; there are limit, cursor, agent"),
        ("result=eror", "result: must be ok, error, refused or client_left; did you mean error?"),
        ("quarantined=yes", "quarantined: must be true or false"),
        ("user=", "user: must not be empty"),
        ("arm=candiate", "arm must be stable or candidate; did you mean candidate?"),
        ("from=2026-11-20T14:03Z&to=2026-11-20T14:02Z", "`to` (2026-11-20T14:02:00.000000Z) is before `from`"),
    ],
)
async def test_a_query_that_means_nothing_is_answered_with_what_would(query: str, sentence: str, admin: Admin) -> None:
    for path in ("/runs", "/runs/export"):
        reply = await admin.get(f"{path}?{query}")
        if path == "/runs" or "limit" not in query + sentence:
            assert reply["detail"].startswith(sentence)


async def test_a_period_that_ends_before_it_begins_is_refused_wherever_there_is_one(admin: Admin) -> None:
    period = {"from": "2026-11-20T14:03Z", "to": "2026-11-20T14:02Z"}
    for path in ("/runs", "/runs/export", "/outcomes"):
        reply = await admin.get(f"{path}?from={period['from']}&to={period['to']}")
        assert (reply.status, reply.code, reply["param"]) == (400, "bad_filter", "to")
    assert (await admin.post("/runs/quarantine", period)).code == "bad_filter"
    assert (await admin.get(f"/runs?from={period['to']}&to={period['to']}")).status == 200


async def test_a_member_of_a_wrong_kind_is_answered_with_the_right_one(admin: Admin) -> None:
    reply = await admin.post("/tokens", {"name": "ann", "role": "oprator"})
    assert reply["detail"] == "role: must be viewer, operator, author or admin; did you mean operator?"
    reply = await admin.post("/agents", {"agnt": "a", "description": 8})
    assert [error["message"] for error in reply["errors"]] == [
        "is missing",
        "must be a text, such as Answers tickets",
        "is unknown in this body; did you mean agent?",
    ]
    inner = await admin.post("/caps", {"scope": [], "window": "dya", "unit": "usd", "limit": "5x"})
    assert {error["message"] for error in inner["errors"]} == {
        "must be an object",
        "must be minute, hour, day, month, rollout or total; did you mean day?",
        "must be a decimal number such as 12.50",
    }


async def test_a_body_over_the_limit_is_too_large_with_and_without_a_length(admin: Admin) -> None:
    await admin.agent("support")
    too_large = json.dumps({"message": "x" * MAX_BODY_BYTES}).encode()
    reply = await admin.call("POST", "/agents/support/versions", raw=io.BytesIO(too_large))
    assert (reply.status, reply.code) == (413, "too_large")

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(too_large), 1 << 20):
            yield too_large[start : start + (1 << 20)]

    reply = await admin.call("POST", "/agents/support/versions", raw=pieces())
    assert (reply.status, reply.code) == (413, "too_large")


async def test_a_large_prompt_is_taken_as_it_is_but_for_its_line_ends(admin: Admin) -> None:
    await admin.agent("support")
    text = "Ünïcode \U0001f600 \\{{ \r\n <script> \x1b[31m " + "p" * 1_000_000
    reply = await admin.post("/agents/support/versions", {"prompt": {"text": text}})
    assert reply.status == 201
    assert (await admin.get("/agents/support/versions/1"))["prompt"]["text"] == text.replace("\r\n", "\n")


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin-1"]
)
async def test_a_body_of_another_type_is_refused(content_type: str, admin: Admin) -> None:
    reply = await admin.call("POST", "/agents", raw=b'{"agent": "a"}', headers={"Content-Type": content_type})
    assert (reply.status, reply.code) == (415, "unsupported_media_type")


async def test_an_order_without_any_body_is_an_order_without_options(admin: Admin) -> None:
    await admin.agent("support", "one", "two")
    await admin.call("PUT", "/agents/support/labels/prod", {"version": 2})
    reply = await admin.call("POST", "/agents/support/rollback")
    assert (reply.status, reply["version"]) == (200, 1)


async def test_no_problem_repeats_a_value_that_was_sent(admin: Admin) -> None:
    for body in ({"agent": {SECRET: SECRET}}, {"agent": [SECRET]}, {"agent": "a", "allow_latest": SECRET}):
        assert SECRET not in json.dumps((await admin.post("/agents", body)).content)
    raw = f'{{"agent": "{SECRET}'.encode()
    assert SECRET not in json.dumps((await admin.call("POST", "/agents", raw=raw)).content)


async def test_a_failure_nobody_expected_is_reported_and_not_shown(tmp_path: Path) -> None:
    async with serving(tmp_path) as admin:

        def broken(user: str) -> None:
            raise RuntimeError(SECRET)

        admin.commands.live.on_change(broken)
        reply = await admin.post("/agents", {"agent": "a"})
        assert (reply.status, reply.code) == (500, "internal_error")
        assert SECRET not in json.dumps(reply.content)
        assert "Traceback" not in json.dumps(reply.content)
        assert [str(error) for error in admin.errors] == [SECRET]


async def test_a_store_that_is_away_is_a_503(admin: Admin) -> None:
    await admin.agent("support", "one")
    await admin.commands.store.close()
    reply = await admin.post("/agents", {"agent": "b"})
    assert (reply.status, reply.code) == (503, "store_unavailable")
    assert (await admin.get("/agents")).status == 503
    assert (await admin.get("/switches")).status == 200
    status = await admin.get("/status")
    assert (status.status, status["store"]["up"]) == (200, False)
    assert status["store"]["problem"]


async def test_a_label_that_is_new_and_nearly_another_is_said_to_be_new(admin: Admin) -> None:
    await admin.agent("support", "one")
    assert "warnings" not in (await admin.call("PUT", "/agents/support/labels/prod", {"version": 1})).content
    slip = await admin.call("PUT", "/agents/support/labels/prdo", {"version": 1})
    assert (slip.status, slip["changed"]) == (200, True)
    assert slip["warnings"][-1] == "'prdo' is a new label, which only calls that name it follow; did you mean prod?"
    new = await admin.call("PUT", "/agents/support/labels/eval", {"version": 1})
    assert "did you mean" not in str(new.content.get("warnings"))
