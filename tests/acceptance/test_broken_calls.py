"""Clients that leave, providers that break, input that makes no sense: a defined end, one run each, nothing held."""

import asyncio
import socket
from typing import Any

import aiohttp
import openai
import orjson
import pytest

from tests.harness import CALLER_KEY, CLAUDE, MODEL, Deployment, eventually

USER = [{"role": "user", "content": "hi"}]
CHAT = "/a/support/v1/chat/completions"
STREAM = {"model": "x", "messages": USER, "stream": True}


@pytest.fixture
def deployment(over_either: Deployment) -> Deployment:
    """All of this beside a provider over http, and one over https."""
    return over_either


async def leave_midstream(deployment: Deployment, path: str, body: dict[str, Any]) -> float:
    """Begin a stream, read a little, close the connection; the loop time of leaving."""
    host, port = deployment.server.traffic_url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    content = orjson.dumps(body)
    head = (
        f"POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {CALLER_KEY}\r\ncontent-length: {len(content)}\r\n"
    )
    if "messages" in path:
        head += "anthropic-version: 2023-06-01\r\n"
    writer.write(head.encode() + b"\r\n" + content)
    await reader.readuntil(b"data:")
    writer.close()
    await writer.wait_closed()
    return asyncio.get_running_loop().time()


@pytest.mark.parametrize(("model", "path"), [(MODEL, CHAT), (CLAUDE, "/a/support/v1/messages")])
async def test_a_client_that_leaves_midstream_ends_the_provider_s_work_and_is_recorded_once(
    deployment: Deployment, model: str, path: str
) -> None:
    await deployment.operator.agent("support", "[[simulate: stall_after_events=3]]", model=model)
    await deployment.operator.post("/caps", scope={}, window="day", unit="usd", limit=5, why="")
    left_at = await leave_midstream(deployment, path, STREAM | {"max_tokens": 50})
    await deployment.simulator.wait_for_clients_left()
    noticed = deployment.simulator.calls[-1].client_left_at
    assert noticed is not None
    assert noticed - left_at < 0.25
    run = (await deployment.operator.runs(1))[0]
    assert (run["result"], run["usage_source"], run["streamed"]) == ("client_left", "held", True)
    assert 0 < run["estimated_cost_usd"] <= run["cost_usd"]
    cap = (await deployment.operator.get("/caps"))["items"][0]
    assert (cap["spent"], cap["held"]) == (pytest.approx(run["cost_usd"]), 0)
    assert len((await deployment.operator.get("/runs"))["items"]) == 1


async def test_without_a_cap_the_cost_of_a_stream_nobody_finished_is_an_estimate_and_says_so(
    deployment: Deployment,
) -> None:
    await deployment.operator.agent("support", "[[simulate: stall_after_events=3]]")
    await leave_midstream(deployment, CHAT, STREAM)
    run = (await deployment.operator.runs(1))[0]
    assert (run["result"], run["usage_source"]) == ("client_left", "estimated")
    assert run["cost_usd"] == run["estimated_cost_usd"] > 0


async def test_a_client_that_leaves_before_the_answer_stops_the_provider_too(deployment: Deployment) -> None:
    await deployment.operator.agent("support", "one")
    deployment.simulator.hold_answers()
    timeout = aiohttp.ClientTimeout(total=0.3)
    with pytest.raises(asyncio.TimeoutError):
        async with deployment.session.post(
            deployment.server.traffic_url + CHAT, json=STREAM, timeout=timeout, headers={"authorization": "Bearer x"}
        ):
            pass
    await deployment.simulator.wait_for_clients_left()
    assert (await deployment.operator.runs(1))[0]["result"] == "client_left"
    deployment.simulator.release_answers()


@pytest.mark.parametrize("order", ["cut_after_events=3", "close_after_events=3", "end_after_events=3"])
@pytest.mark.parametrize("wire", ["openai", "anthropic"])
async def test_a_stream_that_ends_early_is_broken_for_the_client_and_an_error_of_its_version(
    deployment: Deployment, order: str, wire: str
) -> None:
    model = MODEL if wire == "openai" else CLAUDE
    await deployment.operator.agent("support", f"[[simulate: {order}]]", model=model)
    path = CHAT if wire == "openai" else "/a/support/v1/messages"
    headers = {} if wire == "openai" else {"anthropic_version": "2023-06-01"}
    with pytest.raises(aiohttp.ClientError):
        async with deployment.post(path, STREAM | {"max_tokens": 50}, **headers) as answer:
            assert answer.status == 200
            await answer.read()
    run = (await deployment.operator.runs(1))[0]
    assert (run["result"], run["version"], run["status"]) == ("error", 1, 200)
    assert run["error_class"] in ("upstream_broken", "stream_incomplete")


async def test_an_error_event_inside_a_stream_reaches_the_sdk_and_counts_as_an_error(deployment: Deployment) -> None:
    await deployment.operator.agent("support", "[[simulate: error_after_events=2]]")
    with pytest.raises(openai.APIError):
        async for _ in await deployment.openai().chat.completions.create(**STREAM):
            pass
    assert (await deployment.operator.runs(1))[0]["error_class"] == "stream_error"


async def test_a_provider_that_cannot_be_reached_is_a_502_the_sdk_may_retry(deployment: Deployment) -> None:
    await deployment.operator.agent("support", "one")
    await deployment.operator.post("/caps", scope={}, window="day", unit="calls", limit=5, why="")
    await deployment.simulator.stop()
    with pytest.raises(openai.InternalServerError) as caught:
        await deployment.openai().chat.completions.create(model="x", messages=USER)
    assert (caught.value.status_code, caught.value.code) == (502, "upstream_unreachable")
    assert "x-should-retry" not in caught.value.response.headers
    run = (await deployment.operator.runs(1))[0]
    assert (run["result"], run["error_class"]) == ("error", "upstream_unreachable")
    cap = (await deployment.operator.get("/caps"))["items"][0]
    assert (cap["spent"], cap["held"]) == (0, 0)


async def test_a_redirect_is_never_followed(deployment: Deployment) -> None:
    with socket.create_server(("127.0.0.1", 0)) as trap:
        trap.setblocking(False)
        target = f"http://127.0.0.1:{trap.getsockname()[1]}/steal"
        await deployment.operator.agent("support", f"[[simulate: redirect={target}]]")
        async with deployment.post(CHAT, {"model": "x", "messages": USER}) as answer:
            assert answer.status == 502
            assert "location" not in answer.headers
        with pytest.raises(BlockingIOError):
            trap.accept()


BAD_CALLS: list[tuple[str, str, bytes, dict[str, str], int, str]] = [
    ("unknown agent", "/a/nobody/v1/chat/completions", orjson.dumps(STREAM), {}, 404, "agent_not_found"),
    ("not an agent name", "/a/No.Body!/v1/chat/completions", orjson.dumps(STREAM), {}, 400, "bad_agent"),
    ("unknown version", "/a/support@99/v1/chat/completions", orjson.dumps(STREAM), {}, 404, "version_not_found"),
    ("unset label", "/a/support@staging/v1/chat/completions", orjson.dumps(STREAM), {}, 404, "label_not_set"),
    ("latest", "/a/support@latest/v1/chat/completions", orjson.dumps(STREAM), {}, 404, "latest_not_allowed"),
    ("two agents", CHAT, orjson.dumps(STREAM), {"Switchback_Agent": "other"}, 400, "agent_conflict"),
    ("malformed", CHAT, b'{"model": "x"', {}, 400, "malformed_json"),
    ("not an object", CHAT, b"[1]", {}, 400, "body_must_be_object"),
    ("empty", CHAT, b"", {}, 400, "malformed_json"),
    ("twice", CHAT, b'{"model":"x","messages":[],"model":"y"}', {}, 400, "duplicate_key"),
    ("bad variables", CHAT, orjson.dumps(STREAM), {"Switchback_Variables": "[1"}, 400, "bad_variables"),
    ("bad tags", CHAT, orjson.dumps(STREAM), {"Switchback_Tags": "nonsense"}, 400, "bad_tags"),
    ("unknown member", CHAT, orjson.dumps(STREAM | {"switchback": {"agnt": "x"}}), {}, 400, "bad_switchback_member"),
    ("path tricks", "/a/support/v1//chat/completions", orjson.dumps(STREAM), {}, 404, "path_not_found"),
    ("bad encoding", CHAT, b"zzz", {"Content_Encoding": "br"}, 415, "bad_content_encoding"),
    ("no gzip", CHAT, b"zzz", {"Content_Encoding": "gzip"}, 400, "bad_content_encoding"),
]


@pytest.mark.parametrize(
    ("path", "body", "headers", "status", "code"), [row[1:] for row in BAD_CALLS], ids=[row[0] for row in BAD_CALLS]
)
async def test_bad_calls_get_a_clear_error_in_the_wire_s_shape_and_reach_no_provider(
    deployment: Deployment, path: str, body: bytes, headers: dict[str, str], status: int, code: str
) -> None:
    await deployment.operator.agent("support", "one")
    async with deployment.post(path, body, **headers) as answer:
        assert answer.status == status
        error = (await answer.json())["error"]
    assert error["code"] == code
    # Where nobody knows the path, nobody knows its shape: there it is the neutral one.
    assert set(error) == {"message", "type", "code"} | ({"param"} if code != "path_not_found" else set())
    assert "Traceback" not in error["message"]
    assert deployment.simulator.record.received == 0
    run = (await deployment.operator.runs(1))[0]
    assert (run["result"], run["error_class"], run["status"]) == ("refused", code, status)


async def test_an_oversized_body_is_refused_before_it_is_read(deployment: Deployment) -> None:
    host, port = deployment.server.traffic_url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"POST {CHAT} HTTP/1.1\r\nhost: x\r\ncontent-length: {64 * 1024 * 1024}\r\n\r\n".encode())
    assert b" 413 " in await reader.readline()
    writer.close()
    await writer.wait_closed()


async def test_a_version_of_another_provider_without_a_key_is_refused_rather_than_given_the_callers(
    deployment: Deployment,
) -> None:
    await deployment.operator.post("/agents", agent="support")
    model = {"name": CLAUDE, "provider": "anthropic"}
    await deployment.operator.version("support", "one", parent=None, model=model)
    await deployment.operator.label("support", "prod", 1)
    async with deployment.post(CHAT, {"model": "x", "messages": USER}) as answer:
        assert answer.status == 400
        assert (await answer.json())["error"]["code"] == "wire_mismatch"


async def test_nothing_is_left_behind_by_calls_that_ended_badly(deployment: Deployment) -> None:
    await deployment.operator.agent("support", "[[simulate: stall_after_events=1]]")
    before = len(asyncio.all_tasks())
    for _ in range(20):
        await leave_midstream(deployment, CHAT, STREAM)
    await deployment.simulator.wait_for_clients_left(20)
    assert len(await deployment.operator.runs(20)) == 20
    await eventually(lambda: len(asyncio.all_tasks()) <= before)
