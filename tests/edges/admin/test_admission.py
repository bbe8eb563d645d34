"""Who and what is let in: hosts, origins, tokens; and the headers every answer has."""

import asyncio
from pathlib import Path

import pytest

from proxy.core.errors import BadInput, Limited, Unauthorized
from proxy.core.tokens import AdminCaller, Token
from proxy.edges.admin.admission import check_host
from proxy.edges.admin.authentication import Authentication
from proxy.runtime.releasing.token_commands import sha256_of
from tests.edges.admin.composition import TOKEN, Admin, SetClock, serving


@pytest.mark.parametrize("host", ["127.0.0.1:8101", "localhost", "LOCALHOST:1", "127.0.0.2", "[::1]:8101", "[::1]"])
def test_loopback_names_are_ours(host: str) -> None:
    check_host([host], "127.0.0.1")


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8101",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "10.0.0.7",
        "[fe80::1]",
        "localhost.",
        "user@localhost",
        "localhost/",
        "localhost:",
        "localhost:999999",
        "local host",
        "[::1",
        "",
        "localhost\n",
    ],
)
def test_other_hosts_are_not(host: str) -> None:
    with pytest.raises(BadInput) as refused:
        check_host([host], "127.0.0.1")
    assert (refused.value.status, refused.value.code) == (421, "wrong_host")


def test_the_host_must_be_given_once() -> None:
    for values in ([], ["localhost", "localhost"]):
        with pytest.raises(BadInput):
            check_host(values, "127.0.0.1")


def test_the_configured_host_is_ours_and_a_listener_for_all_takes_any_address_but_no_name() -> None:
    check_host(["switchback.internal:8101"], "switchback.internal")
    check_host(["10.0.0.7:8101"], "0.0.0.0")
    check_host(["[fd00::7]:8101"], "::")
    with pytest.raises(BadInput):
        check_host(["evil.example"], "0.0.0.0")


async def test_a_wrong_host_gets_nothing_not_even_metrics(admin: Admin) -> None:
    for path in ("/metrics", "/livez", "/readyz", "/api/v1/agents", "/"):
        async with admin.session.get(admin.origin + path, headers={"Host": "evil.example"}) as answer:
            assert answer.status == 421
            assert (await answer.json(content_type=None))["code"] == "wrong_host"


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
async def test_a_change_from_another_site_is_refused(headers: dict[str, str], admin: Admin) -> None:
    reply = await admin.call("POST", "/agents", {"agent": "a"}, headers=headers)
    assert (reply.status, reply.code) == (403, "cross_site")
    assert await admin.audited() == []


async def test_a_change_from_the_listeners_own_page_is_accepted(admin: Admin) -> None:
    headers = {"Origin": admin.origin, "Sec-Fetch-Site": "same-origin"}
    assert (await admin.call("POST", "/agents", {"agent": "a"}, headers=headers)).status == 201


async def test_who_asks_is_the_tokens_name_whatever_the_request_claims(admin: Admin) -> None:
    claims = {"Switchback-Actor": "somebody", "X-Forwarded-User": "somebody", "From": "somebody"}
    await admin.call("POST", "/agents", {"agent": "a"}, headers=claims)
    assert [entry["who"] for entry in (await admin.get("/audit"))["items"]] == ["admin"]


async def test_every_answer_has_the_security_headers_and_says_nothing_of_the_software(admin: Admin) -> None:
    answers = [
        await admin.get("/agents"),
        await admin.get("/nothing"),
        await admin.call("GET", "/agents", token=None),
        await admin.call("PATCH", "/agents"),
        await admin.post("/agents", {"agent": 1}),
    ]
    for answer in answers:
        assert answer.headers["Server"] == "switchback"
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
        assert "Access-Control-Allow-Origin" not in answer.headers


async def test_failures_are_slowed_down_after_ten_and_the_right_token_still_passes(admin: Admin) -> None:
    statuses = [(await admin.call("GET", "/agents", token="wrong")).status for _ in range(11)]
    assert statuses == [401] * 10 + [429]
    reply = await admin.call("GET", "/agents", token=None)
    assert (reply.status, reply.code, reply.headers["Retry-After"]) == (429, "too_many_failures", "60")
    assert (await admin.get("/agents")).status == 200
    admin.commands.clock.now += 60_000_000
    assert (await admin.call("GET", "/agents", token="wrong")).status == 401


def test_each_peer_has_failures_of_its_own_and_only_so_many_are_remembered() -> None:
    authentication = Authentication(TOKEN, {}.get, SetClock())
    for _ in range(11):
        with pytest.raises((Unauthorized, Limited)):
            authentication.identify([], "10.0.0.1")
    with pytest.raises(Limited):
        authentication.identify([], "10.0.0.1")
    for number in range(4096):
        with pytest.raises(Unauthorized):
            authentication.identify([], f"peer {number}")
    with pytest.raises(Unauthorized):
        authentication.identify([], "10.0.0.1")


def test_the_scheme_is_not_case_sensitive_the_token_is_and_two_headers_are_none() -> None:
    second = Token(
        id="tok_1",
        name="second",
        role="viewer",
        sha256=sha256_of("other"),
        created_by="admin",
        created_at_microseconds=0,
    )
    authentication = Authentication(TOKEN, {second.sha256: second}.get, SetClock())
    assert authentication.identify([f"bearer {TOKEN}"], "") == AdminCaller("admin", "admin")
    assert authentication.identify(["BEARER other"], "") == AdminCaller("second", "viewer")
    for headers in (
        [f"Bearer {TOKEN.upper()}"],
        [f"Bearer {TOKEN}"] * 2,
        ["Bearer"],
        ["Bearer \udcff"],
        ["' OR 1=1 --"],
    ):
        with pytest.raises(Unauthorized):
            authentication.identify(headers, "")


async def test_paths_are_taken_only_as_they_are_written(admin: Admin, tmp_path: Path) -> None:
    await admin.agent("support", "one")
    for path in (
        "/agents/support%2e",
        "/agents/%73upport",
        "/x/../agents/support",
        "/agents/./support",
        "/agents;x/support",
    ):
        target = f"GET /api/v1{path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\nConnection: close\r\n\r\n"
        assert await raw_status(admin.port, target) == 404
    absolute = f"GET http://evil.example/api/v1/agents HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\nConnection: close\r\n\r\n"
    assert await raw_status(admin.port, absolute) in (400, 404, 421)


async def test_a_listener_for_every_interface_can_be_probed_by_address(tmp_path: Path) -> None:
    async with (
        serving(tmp_path, listen_host="0.0.0.0") as admin,
        admin.session.get(admin.origin + "/livez", headers={"Host": "10.1.2.3:8101"}) as answer,
    ):
        assert (answer.status, await answer.text()) == (200, "ok\n")


async def raw_status(port: int, request: str) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request.encode())
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return int(answer.split(b" ", 2)[1])


async def test_anybody_may_ask_whether_this_is_the_admin_api_and_learns_nothing_else(admin: Admin) -> None:
    reply = await admin.call("GET", "", token=None)
    assert (reply.status, reply.content) == (200, {"api": "switchback-admin"})
    assert (await admin.call("POST", "", token=None)).status == 401
    assert (await admin.call("GET", "/", token=None)).status == 404
    assert (await admin.call("GET", "", token=None, headers={"Host": "evil.example"})).status == 421
