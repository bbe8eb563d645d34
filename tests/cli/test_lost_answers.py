"""A change whose answer is lost is told as changed, not changed or unknown, each with an exit code of its own."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest
from typer.testing import CliRunner

from proxy.cli import lost_answers
from proxy.cli.app import app
from tests.harness import Deployment, Refused


class Line:
    """The way to the server. What it does to a request that changes something is the test's to say."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.loses = ""
        self.url = ""
        self.asked: list[str] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            await self._relay(reader, writer)
        await _closed(writer)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        method, target, _ = head.split(b" ", 2)
        self.asked.append(f"{method.decode()} {target.decode()}")
        lengths = [line.partition(b":")[2] for line in head.lower().splitlines() if line.startswith(b"content-length")]
        body = await reader.readexactly(int(lengths[0])) if lengths else b""
        is_change = method != b"GET"
        if self.loses == "everything" or (is_change and self.loses == "requests"):
            return
        if is_change and self.loses == "answers and the server":
            self.loses = "everything"
        there, back = await asyncio.open_connection("127.0.0.1", self.port)
        back.write(head.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n") + body)
        answer = await there.read()
        await _closed(back)
        if not (is_change and self.loses in ("answers", "everything")):
            writer.write(answer[:-5] if is_change and self.loses == "ends of answers" else answer)
            await writer.drain()


async def _closed(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()


@pytest.fixture
async def line(deployment: Deployment) -> AsyncIterator[Line]:
    line = Line(int(deployment.server.admin_url.rpartition(":")[2]))
    async with await asyncio.start_server(line.serve, "127.0.0.1", 0) as listening:
        line.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        yield line


@pytest.fixture
async def switchback(
    deployment: Deployment, line: Line, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Awaitable[Any]]:
    """The command over that way, with an agent `a` that has two versions."""
    monkeypatch.setattr(lost_answers, "_PATIENCE_SECONDS", 0.0)
    options = ["--admin-url", line.url, "--token-file", str(deployment.server.admin_token_path)]

    async def run(*words: str) -> Any:
        return await asyncio.to_thread(CliRunner().invoke, app, [*words, *options])

    for words in (
        ("agents", "create", "a"),
        ("versions", "create", "a", "--prompt", "one"),
        ("versions", "create", "a", "--prompt", "two"),
        ("label", "a", "prod", "1"),
    ):
        assert (await run(*words)).exit_code == 0
    return run


CHANGES = [
    ("label a prod 2", "label.moved agents/a/labels/prod"),
    ("kill --agent a --why bad", "switch.on switches/sw"),
    ("agents update a --description x", "agent.updated agents/a"),
    ("caps set --agent a --limit 5", "cap.set caps/cap"),
    ("tokens create ann --role viewer", "token.created tokens/tok"),
    ("versions create a --prompt three", "version.created agents/a/versions/3"),
]


@pytest.mark.parametrize("loses", ["answers", "ends of answers"])
@pytest.mark.parametrize(("words", "made"), CHANGES, ids=[words for words, _ in CHANGES])
async def test_a_change_that_was_made_is_told_with_its_audit_entry(
    switchback: Any, line: Line, words: str, made: str, loses: str
) -> None:
    line.loses = loses
    done = await switchback(*words.split())
    assert (done.exit_code, done.stdout) == (5, "")
    assert f"but the change was made: {made}" in done.stderr
    assert "(audit entry " in done.stderr


@pytest.mark.parametrize("words", [words for words, _ in CHANGES])
async def test_a_change_that_never_arrived_was_not_made(switchback: Any, line: Line, words: str) -> None:
    line.loses = "requests"
    done = await switchback(*words.split())
    assert (done.exit_code, done.stdout) == (3, "")
    assert "broke the connection off; nothing was changed [not_changed]" in done.stderr


async def test_what_found_nothing_to_change_did_not_change_it(switchback: Any, line: Line) -> None:
    line.loses = "answers"
    assert (await switchback("label", "a", "prod", "1")).exit_code == 3
    assert (await switchback("versions", "create", "a", "--prompt", "two")).exit_code == 3
    assert (await switchback("label", "a", "prod", "99")).exit_code == 3


async def test_with_the_server_gone_it_is_not_known(switchback: Any, line: Line) -> None:
    line.loses = "answers and the server"
    done = await switchback("kill", "--agent", "a", "--why", "bad", "--json")
    assert done.exit_code == 6
    told = json.loads(done.stderr)
    assert (told["code"], told["status"]) == ("unknown", None)
    assert "whether the change was made is not known, look before repeating" in told["message"]


async def test_a_connection_that_cannot_be_made_changed_nothing(switchback: Any, line: Line) -> None:
    line.loses = "everything"
    done = await switchback("kill", "--agent", "a", "--why", "bad")
    assert done.exit_code == 3
    assert not [asked for asked in line.asked[-1:] if asked.startswith("POST")]


async def test_a_fact_about_a_run_is_known_while_the_same_process_lives(switchback: Any, line: Line) -> None:
    """Nobody audits these: a server that never saw one cannot say that an earlier process did not."""
    line.loses = "requests"
    assert (await switchback("outcome", "run_1", "--name", "score", "--value", "1")).exit_code == 6


async def test_an_id_that_was_asked_about_is_given_up(deployment: Deployment, switchback: Any) -> None:
    """So that a request still on its way cannot make the answer untrue."""
    operator, body = deployment.operator, {"version": 2}
    told = await operator.get("/changes/chg_0123456789")
    assert told == {"id": "chg_0123456789", "result": "not_changed", "by": "audit", "entries": []}
    for change_id, code in (("chg_0123456789", "change_id_used"), ("x", "bad_change_id")):
        with pytest.raises(Refused) as refused:
            await operator.request("PUT", "/agents/a/labels/prod", body, change_id=change_id)
        assert refused.value.code == code
    assert (await operator.get("/agents/a/labels"))["items"][0]["version"] == 1
