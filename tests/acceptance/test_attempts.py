"""A billed call is never sent twice under one hold: what a provider began is never more than what the ledger holds or spent."""

from typing import Any

import orjson
import pytest

from proxy.core.compiled import IS_COMPILED
from proxy.http1.upstream_connection import UpstreamConnection
from tests.harness import MODEL, Deployment, deployed
from tests.http1.scripted import Upstream, reset, upstream

CHAT = "/a/support/v1/chat/completions"
BODY = {"model": "x", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 10}
USAGE = {"prompt_tokens": 5, "completion_tokens": 5, "total_tokens": 10}
CONTENT = orjson.dumps(
    {
        "id": "c1",
        "object": "chat.completion",
        "created": 1,
        "model": MODEL,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "x"}, "finish_reason": "stop"}],
        "usage": USAGE,
    }
)
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(CONTENT), CONTENT)
LIMIT = 20


def providers(server: Upstream) -> dict[str, Any]:
    return {"openai": {"wire": "openai", "base_url": f"http://127.0.0.1:{server.port}"}}


def breaking(leave: Any) -> Any:
    """A provider that answers the first request of each connection, takes the second and leaves."""

    async def script(server: Upstream, reader: Any, writer: Any) -> None:
        answered = 0
        while await server.request(reader):
            if answered:
                leave(writer)
                return
            answered += 1
            writer.write(ANSWER)

    return script


async def spent(deployment: Deployment) -> int:
    cap = (await deployment.operator.get("/caps"))["items"][0]
    assert cap["held"] == 0
    return cap["spent"]


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("leave", [lambda writer: writer.close(), reset], ids=["closed", "reset"])
async def test_a_call_that_a_kept_connection_took_is_a_502_and_charged_not_sent_again(
    tmp_path: Any, workers: int, leave: Any
) -> None:
    async with (
        upstream(breaking(leave)) as server,
        deployed(tmp_path / "home", workers=workers, providers=providers(server)) as deployment,
    ):
        await deployment.operator.agent("support", "one")
        await deployment.operator.post("/caps", scope={}, window="total", unit="calls", limit=LIMIT, why="")
        seen = set()
        for _ in range(2 * LIMIT):
            async with deployment.post(CHAT, BODY) as answer:
                content = await answer.json()
            seen.add((answer.status, content.get("error", {}).get("code")))
        assert seen == {(200, None), (502, "upstream_broken"), (402, "spend_cap_exceeded")}
        assert len(server.requests) == await spent(deployment) == LIMIT


async def test_what_changes_nothing_at_the_provider_is_tried_again_as_an_attempt_of_its_own(tmp_path: Any) -> None:
    async with (
        upstream(breaking(reset)) as server,
        deployed(tmp_path / "home", providers=providers(server)) as deployment,
    ):
        url = deployment.server.traffic_url + "/v1/files/file-1"
        for _ in range(2):
            async with deployment.session.get(url, headers={"authorization": "Bearer x"}) as answer:
                assert answer.status == 200
        assert len(server.requests) == 3
        run = (await deployment.operator.runs(2))[0]
        attempts = (await deployment.operator.get(f"/runs/{run['id']}"))["attempts"]
        assert [(one["number"], one["status"], one["error_class"]) for one in attempts] == [
            (1, None, "upstream_broken"),
            (2, 200, None),
        ]


@pytest.mark.skipif(IS_COMPILED, reason="a method of a compiled class cannot be watched")
async def test_a_call_that_found_its_connection_closed_is_an_attempt_more_and_held_once(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    writers: list[Any] = []

    async def script(server: Upstream, reader: Any, writer: Any) -> None:
        writers.append(writer)
        while await server.request(reader):
            writer.write(ANSWER)

    begin = UpstreamConnection.begin

    def begun_too_late(connection: UpstreamConnection, *request: Any, **options: Any) -> Any:
        if len(writers) == 1 and writers[0].can_write_eof():
            writers[0].close()
        return begin(connection, *request, **options)

    async with (
        upstream(script) as server,
        deployed(tmp_path / "home", providers=providers(server)) as deployment,
    ):
        await deployment.operator.agent("support", "one")
        await deployment.operator.post("/caps", scope={}, window="total", unit="calls", limit=LIMIT, why="")
        async with deployment.post(CHAT, BODY) as answer:
            assert answer.status == 200
        monkeypatch.setattr(UpstreamConnection, "begin", begun_too_late)
        async with deployment.post(CHAT, BODY) as answer:
            assert answer.status == 200
        assert len(server.requests) == await spent(deployment) == 2
        run = (await deployment.operator.runs(2))[0]
        assert (run["result"], run["status"], run["error_class"]) == ("ok", 200, None)
        attempts = (await deployment.operator.get(f"/runs/{run['id']}"))["attempts"]
        assert [(one["number"], one["status"], one["error_class"]) for one in attempts] == [
            (1, None, "upstream_broken"),
            (2, 200, None),
        ]
        assert attempts[0]["started_at"] < attempts[1]["started_at"]
