"""An nginx as a subprocess: in front of the proxy, or between the proxy and its provider.

Configured to be as transparent as it can be (no buffering, original path, kept-alive connections behind it), because a
disagreement about where a request ends shows best through a peer that normalises little.
"""

import asyncio
import os
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

_CONFIG = """
daemon off;
master_process off;
worker_processes 1;
pid {home}/nginx.pid;
error_log {home}/error.log warn;
events {{ worker_connections 512; }}
http {{
    log_format forwarded '$request_method $upstream_addr $upstream_status $status';
    access_log {home}/access.log forwarded;
    client_body_temp_path {home}/body;
    proxy_temp_path {home}/proxy;
    fastcgi_temp_path {home}/fastcgi;
    uwsgi_temp_path {home}/uwsgi;
    scgi_temp_path {home}/scgi;
    client_header_timeout 1s;
    client_body_timeout 1s;
    lingering_time 1s;
    lingering_timeout 300ms;
    send_timeout 3s;
    keepalive_timeout 2s;
    keepalive_requests 100000;
    client_max_body_size 64m;
    large_client_header_buffers 8 64k;
    underscores_in_headers on;
    ignore_invalid_headers on;
    merge_slashes off;
    upstream behind {{ server {behind}; keepalive 4; keepalive_requests 100000; }}
    server {{
        listen {address};
        location / {{
            proxy_pass http://behind;
            proxy_http_version 1.1;
            proxy_set_header Host $http_host;
            proxy_set_header Connection "";
            proxy_request_buffering off;
            proxy_buffering off;
            proxy_next_upstream off;
            proxy_ignore_client_abort off;
        }}
    }}
}}
"""
_START_SECONDS = 20


def binary() -> str:
    """The nginx of this machine. Fails the test where there is none: this group is not to be skipped by accident."""
    found = shutil.which("nginx", path=os.environ.get("PATH", os.defpath) + ":/usr/sbin:/usr/local/sbin")
    if found is None:
        pytest.fail("these tests need nginx (apt-get install nginx-light); leave them out with -m 'not nginx'")
    return found


class Nginx:
    """A running nginx and what its access log says."""

    def __init__(self, address: tuple[str, int], home: Path) -> None:
        self.address = address
        self.url = "http://{}:{}".format(*address)
        self._log = home / "access.log"

    def forwarded(self) -> int:
        """How many requests it has sent on, by its own account."""
        return sum(line.split()[1] != "-" for line in self._log.read_text().splitlines())


@asynccontextmanager
async def nginx(home: Path, behind: str) -> AsyncIterator[Nginx]:
    """An nginx on a free port before `behind` (HOST:PORT), with its files in `home`."""
    address = _free_address()
    _furnish(home, _CONFIG.format(home=home, behind=behind, address="{}:{}".format(*address)))
    process = await asyncio.create_subprocess_exec(
        binary(), "-p", str(home), "-c", str(home / "nginx.conf"),
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        await _listening(process, address, home)
        yield Nginx(address, home)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


def _furnish(home: Path, config: str) -> None:
    home.mkdir()
    for name in ("body", "proxy", "fastcgi", "uwsgi", "scgi"):
        (home / name).mkdir()
    (home / "nginx.conf").write_text(config)
    (home / "access.log").touch()


def _free_address() -> tuple[str, int]:
    with socket.create_server(("127.0.0.1", 0)) as held:
        host, port = held.getsockname()
        return host, port


async def _listening(process: asyncio.subprocess.Process, address: tuple[str, int], home: Path) -> None:
    async with asyncio.timeout(_START_SECONDS):
        while True:
            if process.returncode is not None:
                raise AssertionError(f"nginx ended: {(home / 'error.log').read_text()}")
            try:
                _, writer = await asyncio.open_connection(*address)
            except OSError:
                await asyncio.sleep(0.02)
                continue
            writer.close()
            await writer.wait_closed()
            return
