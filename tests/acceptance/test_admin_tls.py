"""The admin port over TLS, as the command and others meet it; and what is said where it should have it."""

import asyncio
import json
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from typer.testing import CliRunner

from proxy.cli.app import app
from tests.acceptance.test_listening import CERTIFICATES, SERVED
from tests.harness import Deployment, deployed, eventually

AUTHORITY = str(CERTIFICATES / "authority.pem")
Command = Callable[..., Awaitable[Any]]


def command_of(deployment: Deployment, scheme: str = "https") -> Command:
    """The command of somebody who calls it by the name in its certificate."""
    port = deployment.server.admin_url.rpartition(":")[2]
    options = ["--admin-url", f"{scheme}://localhost:{port}", "--token-file", str(deployment.server.admin_token_path)]

    async def run(*words: str, authority: str | None = AUTHORITY) -> Any:
        environment = {"SWITCHBACK_ADMIN_CA": authority}
        return await asyncio.to_thread(CliRunner().invoke, app, [*words, *options], env=environment)

    return run


async def test_the_command_trusts_the_authority_it_is_told_and_no_other(home: Path) -> None:
    async with deployed(home, admin={"listen": "127.0.0.1:0", "tls": {"certificate": SERVED}}) as deployment:
        assert deployment.server.admin_url.startswith("https://")
        switchback = command_of(deployment)
        assert (await switchback("agents", "create", "a")).exit_code == 0
        assert json.loads((await switchback("agents", "list", "--json")).stdout)["items"][0]["agent"] == "a"
        unknown = await switchback("agents", "list", authority=None)
        assert unknown.exit_code == 3
        assert "certificate that is not trusted" in unknown.stderr
        assert "SWITCHBACK_ADMIN_CA" in unknown.stderr
        absent = await switchback("agents", "list", authority="/nonexistent/ca.pem")
        assert (absent.exit_code, "/nonexistent/ca.pem cannot be used" in absent.stderr) == (1, True)
        plain = await command_of(deployment, "http")("agents", "list")
        assert plain.exit_code == 3


async def test_a_renewed_certificate_is_shown_on_the_admin_port_too(home: Path, tmp_path: Path) -> None:
    file = tmp_path / "certificate.pem"
    shutil.copy(SERVED, file)
    async with deployed(home, admin={"listen": "127.0.0.1:0", "tls": {"certificate": file}}) as deployment:
        switchback = command_of(deployment)
        assert (await switchback("status")).exit_code == 0
        renewed = CERTIFICATES / "renewed.pem"
        shutil.copy(renewed, file)

        async def is_shown() -> bool:
            return (await switchback("status", authority=str(renewed))).exit_code == 0

        await eventually(is_shown)


@pytest.mark.parametrize(
    ("admin", "is_warned"),
    [
        ({"listen": "127.0.0.1:0"}, False),
        ({"listen": "0.0.0.0:0"}, True),
        ({"listen": "0.0.0.0:0", "tls": {"certificate": SERVED}}, False),
    ],
)
async def test_beyond_this_machine_without_tls_log_and_status_warn(
    home: Path, admin: dict[str, Any], is_warned: bool
) -> None:
    lines: list[bytes] = []
    async with deployed(home, admin=admin, log=lines.append) as deployment:
        logged = [json.loads(line) for line in lines if b"admin_without_tls" in line]
        scheme = deployment.server.admin_url.partition(":")[0]
        shown = await command_of(deployment, scheme)("status", "--json")
    warning = json.loads(shown.stdout)["admin"]["warning"]
    assert (warning is not None) is is_warned
    assert [line["reason"] for line in logged] == [warning] * is_warned


async def test_the_admin_port_answers_to_the_names_in_its_settings(home: Path) -> None:
    async with deployed(home, admin={"listen": "127.0.0.1:0", "hosts": ["switchback"]}) as deployment:

        async def status_for(host: str) -> int:
            url = deployment.server.admin_url + "/livez"
            async with aiohttp.ClientSession() as session, session.get(url, headers={"Host": host}) as answer:
                return answer.status

        assert [await status_for(host) for host in ("switchback:8101", "SWITCHBACK", "other", "switchback.evil")] == [
            200, 200, 421, 421,
        ]  # fmt: skip
