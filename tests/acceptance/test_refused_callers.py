"""Whatever a call is refused for: the answer is one its client can read, and header, run and metrics say whose call it was."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anthropic
import openai
import orjson
import pytest

from tests.harness import Deployment, deployed
from tests.http1.raw import RawClient

CHAT = b"/v1/chat/completions"
SUPPORT = b"/a/support"
NAMED = b"Switchback-Agent: support"
KEY = b"Authorization: Bearer sk-x"
UPGRADE = (b"Upgrade: websocket", b"Connection: upgrade")
BODY = b'{"model":"gpt-4o-mini","messages":[]}'
BY_MODEL = b'{"model":"agent:support","messages":[]%b}'


@pytest.fixture
async def deployment(home: Path) -> AsyncIterator[Deployment]:
    async with deployed(home, limits={"body_bytes": 2048, "buffered_bytes": 4096}) as running:
        await running.operator.agent("support", "one", "two")
        yield running


def sent(target: bytes, *lines: bytes, body: bytes = BODY, method: bytes = b"POST") -> bytes:
    framing = [] if any(b"-Length" in line for line in lines) else [b"Content-Length: %d" % len(body)]
    return b"\r\n".join((b"%b %b HTTP/1.1" % (method, target), b"Host: a", KEY, *lines, *framing, b"", body))


async def refusal(deployment: Deployment, request: bytes) -> tuple[int, dict[bytes, bytes], Any]:
    host, port = deployment.server.traffic_url.removeprefix("http://").split(":")
    client = await RawClient.connect((host, int(port)))
    try:
        client.send(request)
        status, headers, body = await client.answer()
    finally:
        await client.close()
    return status, headers, orjson.loads(body)


def shape(body: Any) -> str:
    """Whose error this is: `neutral` for one that clients of both read."""
    error = body["error"]
    if body.get("type") != "error":
        assert set(error) == {"message", "type", "param", "code"}
        return "openai"
    return "anthropic" if "details" in error else "neutral"


def code_of(body: Any) -> str:
    error = body["error"]
    return error["details"]["error_code"] if "details" in error else error["code"]


ONE = "support@1"
TWO = "support@2"


@pytest.mark.parametrize(
    ("request_bytes", "status", "code", "kind", "version"),
    [
        # Nobody knows the path, so nobody knows what the client speaks; who calls is known all the same.
        (sent(SUPPORT + b"/v9/x"), 404, "path_not_found", "neutral", None),
        (sent(b"/v9/x", NAMED), 404, "path_not_found", "neutral", None),
        (sent(b"/v9/x", body=BY_MODEL % b""), 404, "path_not_found", "neutral", None),
        (sent(SUPPORT + b"/v9/x", b"anthropic-version: 2023-06-01"), 404, "path_not_found", "neutral", None),
        (sent(SUPPORT + CHAT + b"/"), 404, "path_not_found", "neutral", None),
        (sent(SUPPORT), 404, "path_not_found", "neutral", None),
        (sent(SUPPORT + b"/api/v1/agents"), 404, "admin_api_elsewhere", "neutral", None),
        (sent(SUPPORT + b"/v9/x", b"Content-Length: 9999"), 413, "body_too_large", "neutral", None),
        (sent(SUPPORT + b"/v9/x", *UPGRADE, method=b"GET"), 426, "websocket_not_served", "neutral", None),
        (sent(SUPPORT + b"/v9/x", method=b"TRACE"), 405, "method_not_allowed", "neutral", None),
        # A known path is answered in its wire's shape, whatever the fault.
        (sent(SUPPORT + CHAT, b"Content-Length: 9999"), 413, "body_too_large", "openai", ONE),
        (sent(SUPPORT + b"/v1/messages", b"Content-Length: 9999"), 413, "body_too_large", "anthropic", ONE),
        (sent(SUPPORT + CHAT, b"X: " + b"a" * 40_000), 431, "head_too_large", "openai", ONE),
        (sent(CHAT, NAMED, b"X: " + b"a" * 40_000), 431, "head_too_large", "openai", ONE),
        (sent(SUPPORT + CHAT, method=b"TRACE"), 405, "method_not_allowed", "openai", None),
        (sent(SUPPORT + b"/v1/responses", *UPGRADE, method=b"GET"), 426, "websocket_not_served", "openai", None),
        (sent(SUPPORT + CHAT + b"?key=x"), 400, "foreign_key", "openai", ONE),
        (sent(b"/a/support@2" + CHAT + b"?key=sb_x"), 401, "admin_token_refused", "openai", TWO),
        # A bad body, also where nothing else names the agent.
        (sent(SUPPORT + CHAT, body=b"{"), 400, "malformed_json", "openai", ONE),
        (sent(CHAT, NAMED, body=b"{"), 400, "malformed_json", "openai", ONE),
        (sent(CHAT, body=BY_MODEL % b',"messages":[]'), 400, "duplicate_key", "openai", ONE),
        (sent(CHAT, body=BY_MODEL % b',"stream":7'), 400, "wrong_kind", "openai", ONE),
        (sent(CHAT, body=b'{"switchback":{"agent":"support","x":1}}'), 400, "bad_switchback_member", "openai", ONE),
        (sent(CHAT, body=b'{"switchback":{"agent":"support@2"},"stream":7}'), 400, "wrong_kind", "openai", TWO),
        # A bad header, likewise.
        (sent(CHAT, b"Switchback-Tags: no", body=BY_MODEL % b""), 400, "bad_tags", "openai", ONE),
        (sent(SUPPORT + CHAT, b"Switchback-Variables: 7"), 400, "bad_variables", "openai", ONE),
        (sent(b"/a/support@2" + CHAT, b"Switchback-Tags: no"), 400, "bad_tags", "openai", TWO),
        (sent(SUPPORT + CHAT, KEY), 400, "duplicate_header", "openai", ONE),
        (sent(CHAT, NAMED, b"X\x00: a"), 400, "bad_request", "openai", ONE),
        (sent(SUPPORT + b"/v1/messages", b"X y: a"), 400, "bad_request", "anthropic", ONE),
    ],
)
async def test_every_refusal_says_whose_call_it_was(
    deployment: Deployment, request_bytes: bytes, status: int, code: str, kind: str, version: str | None
) -> None:
    answered, headers, body = await refusal(deployment, request_bytes)
    assert (answered, code_of(body), shape(body)) == (status, code, kind)
    assert headers[b"switchback-agent"] == b"support"
    assert headers.get(b"switchback-version", b"").decode() == (version or "")
    run_id = headers[b"switchback-run-id"].decode()
    (run,) = await deployment.operator.runs(1)
    assert run["id"] == run_id
    assert (run["agent"], run["result"], run["error_class"], run["status"]) == ("support", "refused", code, status)
    assert run["version"] == (None if version is None else int(version[-1]))
    label = "prod" if version == ONE else None
    assert (run["label"], headers.get(b"switchback-label")) == (label, None if label is None else label.encode())


TOKEN = b"sb_" + b"Ab-_5" * 8 + b"xyz"


@pytest.mark.parametrize(
    ("target", "line"),
    [
        (CHAT, b"X-Api-Key: " + TOKEN),
        (CHAT, b"Api-Key: " + TOKEN),
        (CHAT, b"X-Goog-Api-Key: " + TOKEN),
        (CHAT, b"Ocp-Apim-Subscription-Key: " + TOKEN),
        (CHAT, b"Helicone-Auth: Bearer " + TOKEN),
        (CHAT, b"X-Anything: a; token=" + TOKEN + b"; b"),
        (CHAT, b"x_anything: " + TOKEN),
        (CHAT, b"Referer: http://a/?token=" + TOKEN),
        (CHAT, b"Anything: \xff " + TOKEN),
        (CHAT + b"?key=" + TOKEN, b"A: b"),
        (CHAT + b"?api-version=1&x=%73b_" + TOKEN[3:], b"A: b"),
        (b"/v1/embeddings", b"Anything: " + TOKEN),
        (b"/v1/messages", b"Anything: " + TOKEN),
    ],
)
@pytest.mark.parametrize("agent", [b"", SUPPORT])
async def test_a_token_of_the_admin_api_reaches_no_provider_by_any_door(
    deployment: Deployment, target: bytes, line: bytes, agent: bytes
) -> None:
    answered, _, body = await refusal(deployment, sent(agent + target, line))
    assert (answered, code_of(body)) == (401, "admin_token_refused")
    assert deployment.simulator.record.received == 0
    assert (await deployment.operator.runs(1))[0]["error_class"] == "admin_token_refused"


async def test_a_key_in_a_header_of_another_service_goes_on(deployment: Deployment) -> None:
    host, port = deployment.server.traffic_url.removeprefix("http://").split(":")
    client = await RawClient.connect((host, int(port)))
    client.send(sent(SUPPORT + CHAT, b"Helicone-Auth: Bearer sk-helicone-sb_", b"X-Anything: sb_1"))
    status, _, _ = await client.answer()
    await client.close()
    assert status == 200
    headers = deployment.simulator.calls[-1].headers
    assert (headers["helicone-auth"], headers["x-anything"]) == ("Bearer sk-helicone-sb_", "sb_1")


@pytest.mark.parametrize(
    ("request_bytes", "status", "said"),
    [
        (
            sent(SUPPORT + b"/v1/responses", *UPGRADE, method=b"GET"),
            426,
            {b"upgrade": b"HTTP/1.1", b"connection": b"upgrade"},
        ),
        (sent(b"/v9/x", *UPGRADE, method=b"GET"), 426, {b"upgrade": b"HTTP/1.1", b"connection": b"upgrade"}),
        (sent(b"/", *UPGRADE, method=b"GET"), 426, {b"upgrade": b"HTTP/1.1", b"connection": b"upgrade"}),
        (sent(SUPPORT + b"/v1", *UPGRADE, method=b"GET"), 426, {b"upgrade": b"HTTP/1.1", b"connection": b"upgrade"}),
        (sent(CHAT, b"X-Api-Key: sb_x"), 401, {b"www-authenticate": b"Bearer"}),
        (sent(CHAT, method=b"TRACE"), 405, {b"allow": b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"}),
    ],
)
async def test_a_status_comes_with_the_header_that_it_must_have(
    deployment: Deployment, request_bytes: bytes, status: int, said: dict[bytes, bytes]
) -> None:
    answered, headers, _ = await refusal(deployment, request_bytes)
    assert answered == status
    assert {name: headers[name] for name in said} == said


async def test_metrics_name_the_same_agent_as_the_runs(deployment: Deployment) -> None:
    for request in (
        sent(CHAT, body=BY_MODEL % b',"stream":7'),
        sent(b"/v9/x", NAMED),
        sent(CHAT, body=b"{"),
        sent(b"/v9/x"),
        sent(b"/a/nobody" + CHAT, body=b"{"),
    ):
        await refusal(deployment, request)
    assert [run["agent"] for run in (await deployment.operator.runs(5))[:5]] == [
        "nobody",
        "unassigned",
        "unassigned",
        "support",
        "support",
    ]
    async with deployment.session.get(deployment.server.admin_url + "/metrics") as answer:
        text = await answer.text()
    assert 'switchback_refusals_total{agent="unassigned",code="malformed_json"} 1.0' in text
    assert 'switchback_refusals_total{agent="unassigned",code="path_not_found"} 1.0' in text
    assert 'switchback_refusals_total{agent="other",code="malformed_json"} 1.0' in text
    assert 'switchback_refusals_total{agent="support",code="path_not_found"}' in text


async def test_both_sdks_read_the_neutral_shape(deployment: Deployment) -> None:
    app = deployment.openai("support", base_url=deployment.base_url() + "/v9")
    with pytest.raises(openai.NotFoundError) as of_openai:
        await app.chat.completions.create(model="x", messages=[])
    assert (of_openai.value.code, of_openai.value.type) == ("path_not_found", "not_found_error")
    claude = deployment.anthropic("support", base_url=deployment.base_url() + "/v9")
    with pytest.raises(anthropic.NotFoundError) as of_anthropic:
        await claude.messages.create(model="claude", max_tokens=1, messages=[])
    assert of_anthropic.value.type == "not_found_error"
    assert "check the base URL" in of_anthropic.value.message
