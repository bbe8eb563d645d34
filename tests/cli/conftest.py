"""A small admin server to speak to, and a way to run the command against it in this process."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer.testing
from aiohttp import web
from typer.testing import CliRunner

from proxy.cli.admin_client import AdminClient
from proxy.cli.app import app
from tests.cli.repository import Repository
from tests.harness import Deployment

# All verbs take a twentieth of a second to be put together, which a runner does anew for every line.
typer.testing._get_command = cache(typer.testing._get_command)

TOKEN = "token-of-the-test"


@dataclass(frozen=True)
class Asked:
    """One request as it arrived."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any


@dataclass
class StandIn:
    """Answers canned documents at `(method, path below /api/v1)`, 404 elsewhere, and keeps what it was asked."""

    url: str = ""
    asked: list[Asked] = field(default_factory=list)
    answers: dict[tuple[str, str], list[tuple[int, Any, dict[str, str]]]] = field(default_factory=dict)

    def answer(self, method: str, path: str, content: Any, status: int = 200, headers: Any = None) -> None:
        """Add an answer; several for one path come one after the other, the last one stays."""
        self.answers.setdefault((method, path), []).append((status, content, headers or {}))

    def refuse(self, method: str, path: str, status: int, code: str, detail: str) -> None:
        problem = {"type": "about:blank", "title": "No", "status": status, "code": code, "detail": detail}
        self.answer(method, path, problem, status, {"Content-Type": "application/problem+json"})

    @property
    def last(self) -> Asked:
        return self.asked[-1]

    async def handle(self, request: web.Request) -> web.Response:
        text = await request.text()
        path = request.raw_path.partition("?")[0].removeprefix("/api/v1")
        if not path and request.method == "GET":
            # What comes before every first request; it says nothing of who asks.
            assert "Authorization" not in request.headers
            return web.json_response({"api": "switchback-admin"})
        body = json.loads(text) if text else None
        self.asked.append(Asked(request.method, path, dict(request.query), dict(request.headers), body))
        queue = self.answers.get((request.method, path))
        if not queue:
            problem = {"title": "Not Found", "status": 404, "code": "path_not_found", "detail": f"nothing at {path}"}
            return web.json_response(problem, status=404)
        status, content, headers = queue.pop(0) if len(queue) > 1 else queue[0]
        if isinstance(content, str):
            return web.Response(status=status, text=content, headers=headers)
        data = json.dumps(content).encode()
        return web.Response(status=status, body=data, headers={"Content-Type": "application/json", **headers})


@pytest.fixture
async def admin() -> AsyncIterator[StandIn]:
    stand_in = StandIn()
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", stand_in.handle)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    stand_in.url = "http://{}:{}".format(*runner.addresses[0][:2])
    yield stand_in
    await runner.cleanup()


@pytest.fixture
def switchback(admin: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Awaitable[Any]]:
    """`await switchback("agents", "list")`: the command's result (exit_code, stdout, stderr)."""
    for name in ("SWITCHBACK_TOKEN", "SWITCHBACK_ADMIN_URL", "SWITCHBACK_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)

    async def run(*arguments: str, given: str | None = None, **environment: str | None) -> Any:
        variables = {"SWITCHBACK_ADMIN_URL": admin.url, "SWITCHBACK_TOKEN": TOKEN, **environment}
        result = await asyncio.to_thread(CliRunner().invoke, app, list(arguments), input=given, env=variables)
        # Anything but an exit would be a traceback for whoever typed the command.
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    return run


@pytest.fixture
async def repository(deployment: Deployment, tmp_path: Path) -> Repository:
    token = deployment.server.admin_token_path.read_text().strip()
    return Repository(deployment, tmp_path / "agents", AdminClient(deployment.server.admin_url, token))
