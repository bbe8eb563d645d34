"""No secret by any byte: canaries in every field of generated hostile requests on both ports, and one look over all there is then.

What is looked at: answers, the log at every level, standard error, metrics, and every file of the home. Each canary may stand only
where it is meant to: the admin token in its file, a prompt in the store and the snapshot, a user in the records of runs.
"""

import asyncio
import os
import random
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import orjson
import pytest

from proxy.simulator.app import Simulator
from tests.harness import PATIENCE_SECONDS, Operator

PROVIDER_KEY = "sk-provider-CANARYprovider0123456789abcdef"
APP_KEY = "sk-app-CANARYapp0123456789abcdefghijkl"
PROMPT = "CANARYprompt who may read this"
TEXT = "CANARYtext what the user wrote"
SEEDS = (1, 2)
REQUESTS = 150
ODD = [
    b"\x00",
    b"\x01",
    b"\x0b",
    b"\x7f",
    b"\x80",
    b"\x9b",
    b"\xe2\x80\xae",
    b"\r",
    b"\n",
    b"\t",
    b" ",
    b":",
    b'"',
    b"\\",
    b"%00",
    b"%",
    b"{",
    b"",
]


@dataclass
class Process:
    """A running proxy, and where it leaves what it says."""

    traffic: int
    admin: int
    token: str
    home: Path
    log: Path
    errors: Path


@asynccontextmanager
async def serving(folder: Path, workers: int) -> AsyncIterator[tuple[Process, Operator]]:
    simulator = Simulator()
    await simulator.start()
    home, config = folder / "home", folder / "config.yaml"
    provider = {"wire": "openai", "base_url": simulator.url, "api_key": PROVIDER_KEY}
    config.write_bytes(
        orjson.dumps(
            {
                "listen": "127.0.0.1:0",
                "admin": {"listen": "127.0.0.1:0"},
                "workers": workers,
                "providers": {"openai": provider},
            }
        )
    )
    log, errors = folder / "log", folder / "errors"
    with log.open("wb") as out, errors.open("wb") as err:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-X", "dev", "-W", "default", "-m", "proxy", "serve", "--config", str(config),
            stdout=out, stderr=err, env={**os.environ, "SWITCHBACK_HOME": str(home), "PYTHONASYNCIODEBUG": "1"},
        )  # fmt: skip
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while b"admin token in" not in errors.read_bytes():
                assert process.returncode is None, errors.read_text()
                await asyncio.sleep(0.05)
        traffic, admin = map(int, re.findall(r"http://127\.0\.0\.1:(\d+)", errors.read_text())[:2])
        token = (home / "admin-token").read_text().strip()
        async with aiohttp.ClientSession() as session:
            operator = Operator(f"http://127.0.0.1:{admin}", token, session)
            await operator.agent("support", PROMPT)
            yield Process(traffic, admin, token, home, log, errors), operator
    finally:
        if process.returncode is None:
            process.terminate()
        await asyncio.wait_for(process.wait(), PATIENCE_SECONDS)
        await simulator.stop()


def hostile(random_: random.Random, secrets: list[bytes], *, is_admin: bool) -> bytes:
    """One request with secrets where they belong or do not, and something odd around them."""

    def odd() -> bytes:
        return random_.choice(ODD)

    def secret() -> bytes:
        return odd() + random_.choice(secrets) + odd()

    paths = (
        [
            b"/api/v1/agents",
            b"/api/v1/switches",
            b"/api/v1/caps",
            b"/api/v1/runs",
            b"/metrics",
            b"/api/v1/agents/support/versions",
        ]
        if is_admin
        else [b"/v1/chat/completions", b"/a/support/v1/chat/completions", b"/v1/embeddings", b"/api/v1/agents"]
    )
    method = random_.choice([b"GET", b"POST", b"PUT", b"DELETE", b"PATCH", b"OPTIONS", secret()])
    target = random_.choice(paths) + random_.choice(
        [b"", b"", b"?key=" + secret(), b"?" + secret() + b"=1", b"/" + secret()]
    )
    body = random_.choice(
        [
            b"",
            secret(),
            b'{"agent": "' + secret() + b'"}',
            b'{"' + secret() + b'": 1}',
            b'{"scope": {"agent": "' + secret() + b'"}, "mode": "block"}',
            b'{"scope": {"' + secret() + b'": "x"}, "mode": "' + secret() + b'"}',
            b'{"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "' + TEXT.encode() + odd() + b'"}]}',
            b'{"model": "gpt-4o-mini", "max_tokens": "' + secret() + b'", "messages": "' + secret() + b'"}',
            b'{"prompt": {"text": "' + secret() + b'", "mode": "' + secret() + b'"}, "parent": 1}',
            b'{"prompt": {"' + secret() + b'": 1}, "parent": 1}',
        ]
    )
    headers = [
        b"Host: localhost",
        random_.choice([b"Authorization: Bearer ", b"Authorization:", b"Authorization : ", b"X-Api-Key: "])
        + random_.choice([secret(), secrets[0]]),
        random_.choice([b"Content-Type: application/json", b"Content-Type: " + secret()]),
        random_.choice(
            [b"X-Y: z", b"X: " + secret(), secret() + b": x", b"Cookie: " + secret(), b"Content-Encoding: " + secret()]
        ),
        random_.choice(
            [
                b"X-Y: z",
                b"Switchback-Tags: " + secret(),
                b"Switchback-Agent: " + secret(),
                b"Switchback-Variables: {" + secret(),
            ]
        ),
        random_.choice(
            [b"Content-Length: %d" % len(body)] * 6 + [b"Content-Length: " + secret(), b"Transfer-Encoding: chunked"]
        ),
        b"Connection: close",
    ]
    return method + b" " + target + b" HTTP/1.1\r\n" + b"\r\n".join(headers) + b"\r\n\r\n" + body


async def asked(port: int, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        writer.write_eof()
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("seed", SEEDS)
async def test_no_secret_stands_where_it_is_not_meant_to(seed: int, workers: int, tmp_path: Path) -> None:
    random_ = random.Random(seed)
    answers: list[tuple[bytes, bytes]] = []
    async with serving(tmp_path, workers) as (process, operator):
        secrets = [process.token.encode(), APP_KEY.encode(), PROVIDER_KEY.encode()]
        for _ in range(REQUESTS):
            for port in (process.admin, process.traffic):
                request = hostile(random_, secrets, is_admin=port == process.admin)
                answers.append((request, await asked(port, request)))
        call = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": TEXT}]}
        async with aiohttp.ClientSession() as session:
            url = f"http://127.0.0.1:{process.traffic}/a/support/v1/chat/completions"
            async with session.post(url, json=call, headers={"Authorization": f"Bearer {APP_KEY}"}) as answer:
                assert answer.status == 200
            async with session.get(f"http://127.0.0.1:{process.admin}/metrics") as answer:
                metrics = await answer.read()
        runs = orjson.dumps(await operator.get("/runs?limit=500"))
    for request, answer in answers:
        # Who sends something hears of it only what a name may be (core refuses names by their own rules).
        for secret in secrets:
            assert secret not in answer, (request, answer)
        assert b"Traceback" not in answer
    log, errors = process.log.read_bytes(), process.errors.read_bytes()
    for said in (log, errors, metrics, runs):
        for canary in (*secrets, PROMPT.encode(), TEXT.encode()):
            assert canary not in said
    assert b"Traceback" not in log + errors
    # Debugging, asyncio may complain of slow callbacks; that is told without its words.
    assert [line for line in map(orjson.loads, log.splitlines()) if line["event"] == "internal_error"] == []
    for file in process.home.rglob("*"):
        content = file.read_bytes() if file.is_file() else b""
        for canary in (*secrets[1:], TEXT.encode()):
            assert canary not in content, file.name
        assert process.token.encode() not in content or file.name == "admin-token", file.name
