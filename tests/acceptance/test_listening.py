"""Where calls are taken: unix sockets, TLS, several addresses at once, one process or several; with the official SDKs."""

import asyncio
import os
import shutil
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anthropic
import httpx2
import openai
import pytest

from proxy.server import Server
from proxy.simulator.app import Simulator
from tests.harness import CALLER_KEY, CLAUDE, PATIENCE_SECONDS, Deployment, deployed, settings_for

CERTIFICATES = Path(__file__).parent.parent / "http1" / "certificates"
#: Certificate and key in one file, for `localhost`.
SERVED = CERTIFICATES / "localhost.pem"
USER: Any = [{"role": "user", "content": "hi"}]


def trusting() -> httpx2.AsyncClient:
    """A client of somebody who knows the authority of the tests, and no other."""
    return httpx2.AsyncClient(verify=ssl.create_default_context(cafile=CERTIFICATES / "authority.pem"))


def over(path: Path) -> httpx2.AsyncClient:
    """A client that speaks over a unix socket, whatever host the base URL names."""
    return httpx2.AsyncClient(transport=httpx2.AsyncHTTPTransport(uds=str(path)))


def apart(path: Path) -> tuple[Path, Path]:
    """The certificate and the key of SERVED in files of their own."""
    certificate, key = path / "certificate.pem", path / "key.pem"
    begin = "-----BEGIN PRIVATE KEY-----"
    first, _, rest = SERVED.read_text().partition(begin)
    certificate.write_text(first)
    key.write_text(begin + rest)
    return certificate, key


@asynccontextmanager
async def openai_at(base: str, client: httpx2.AsyncClient) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(
        base_url=f"{base}/a/support/v1", api_key=CALLER_KEY, max_retries=0, http_client=client
    ) as app:
        yield app


async def served_version(app: openai.AsyncOpenAI) -> str | None:
    """A plain call and a stream of it, both served; the version that answered."""
    answer = await app.chat.completions.with_raw_response.create(model="x", messages=USER)
    text = "".join(
        [
            chunk.choices[0].delta.content or ""
            async for chunk in await app.chat.completions.create(model="x", messages=USER, stream=True)
            if chunk.choices
        ]
    )
    assert text == answer.parse().choices[0].message.content
    return answer.headers["switchback-version"]


@asynccontextmanager
async def serving(tmp_path: Path, **settings: Any) -> AsyncIterator[Deployment]:
    async with deployed(tmp_path / "home", **settings) as running:
        await running.operator.agent("support", "one")
        await running.operator.agent("claude", "one", model=CLAUDE)
        yield running


@pytest.mark.parametrize("workers", [1, 2])
async def test_the_sdks_are_served_over_a_unix_socket_which_is_gone_afterwards(tmp_path: Path, workers: int) -> None:
    path = tmp_path / "llm.sock"
    async with serving(tmp_path, listen=f"unix:{path}", workers=workers) as running:
        assert running.server.traffic_url == f"unix:{path}"
        async with openai_at("http://anything", over(path)) as app:
            assert await served_version(app) == "support@1"
        async with anthropic.AsyncAnthropic(
            base_url="http://anything/a/claude", api_key=CALLER_KEY, max_retries=0, http_client=over(path)
        ) as claude:
            message = await claude.messages.create(model="x", max_tokens=9, messages=USER)
            assert message.role == "assistant"
        assert len(await running.operator.runs(3)) == 3
    assert not path.exists()


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("files", ["one", "two"])
async def test_the_sdks_are_served_over_tls(tmp_path: Path, workers: int, files: str) -> None:
    certificate, key = apart(tmp_path)
    tls = {"certificate": SERVED} if files == "one" else {"certificate": certificate, "key": key}
    async with serving(tmp_path, tls=tls, workers=workers) as running:
        url = running.server.traffic_url
        assert url.startswith("https://127.0.0.1:")
        async with openai_at(url.replace("127.0.0.1", "localhost"), trusting()) as app:
            assert await served_version(app) == "support@1"
        async with openai_at(url.replace("127.0.0.1", "localhost"), httpx2.AsyncClient()) as distrusting:
            with pytest.raises(openai.APIConnectionError):
                await served_version(distrusting)
        host, port = url.removeprefix("https://").split(":")
        old = ssl.create_default_context(cafile=CERTIFICATES / "authority.pem")
        with pytest.warns(DeprecationWarning, match="TLSv1_1"):
            old.maximum_version = ssl.TLSVersion.TLSv1_1
        with pytest.raises(OSError):
            await asyncio.open_connection(host, int(port), ssl=old, server_hostname="localhost")


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_renewed_certificate_is_shown_without_a_restart(tmp_path: Path, workers: int) -> None:
    file, renewed = tmp_path / "both.pem", CERTIFICATES / "renewed.pem"
    shutil.copy(SERVED, file)
    async with serving(tmp_path, tls={"certificate": file}, workers=workers) as running:
        url = running.server.traffic_url.replace("127.0.0.1", "localhost")
        async with openai_at(url, trusting()) as app:
            assert await served_version(app) == "support@1"
        shutil.copy(renewed, file)
        of_renewed = ssl.create_default_context(cafile=renewed)
        host, port = running.server.traffic_url.removeprefix("https://").split(":")
        in_a_row = 0
        async with asyncio.timeout(PATIENCE_SECONDS):
            # Which worker takes a connection is the kernel's to say: until none of many shows the old one.
            while in_a_row < 20:
                try:
                    _, writer = await asyncio.open_connection(
                        host, int(port), ssl=of_renewed, server_hostname="localhost"
                    )
                except ssl.SSLError:
                    in_a_row = 0
                else:
                    in_a_row += 1
                    writer.close()
                    await writer.wait_closed()
        async with openai_at(url, httpx2.AsyncClient(verify=of_renewed)) as app:
            assert await served_version(app) == "support@1"


@pytest.mark.parametrize("workers", [1, 2])
async def test_several_addresses_are_one_proxy_and_tls_is_for_tcp_alone(tmp_path: Path, workers: int) -> None:
    path = tmp_path / "llm.sock"
    listen = ["127.0.0.1:0", f"unix:{path}", "localhost:0"]
    async with serving(tmp_path, listen=listen, tls={"certificate": SERVED}, workers=workers) as running:
        urls = running.server.traffic_urls
        assert f"unix:{path}" in urls
        for url in urls:
            base, client = ("http://x", over(path)) if url.startswith("unix:") else (url, trusting())
            async with openai_at(base.replace("127.0.0.1", "localhost").replace("[::1]", "localhost"), client) as app:
                assert await served_version(app) == "support@1"


async def test_a_socket_left_behind_is_replaced_and_one_in_use_is_not_taken(tmp_path: Path) -> None:
    path = tmp_path / "llm.sock"
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(str(path))
    async with serving(tmp_path, listen=f"unix:{path}") as running:
        second = Server(settings_for(tmp_path / "other", running.simulator.url, listen=f"unix:{path}"))
        with pytest.raises(OSError, match="in use"):
            await second.start()
        async with openai_at("http://x", over(path)) as app:
            assert await served_version(app) == "support@1"


async def test_a_file_that_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "precious"
    path.write_text("mine")
    simulator = Simulator()
    await simulator.start()
    for workers in (1, 2):
        server = Server(settings_for(tmp_path / f"{workers}", simulator.url, listen=f"unix:{path}", workers=workers))
        with pytest.raises(OSError, match="in use"):
            await server.start()
    assert path.read_text() == "mine"
    await simulator.stop()


async def test_the_umask_says_who_may_use_a_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "llm.sock"
    before = os.umask(0o007)
    try:
        async with serving(tmp_path, listen=f"unix:{path}"):
            # Connecting takes the right to write.
            assert os.stat(path).st_mode & 0o777 == 0o770
    finally:
        os.umask(before)
