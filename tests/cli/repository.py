"""A repository of agents beside a running server, and the command that syncs it."""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer
from typer.testing import CliRunner

from proxy.cli import git_verbs
from proxy.cli.admin_client import AdminClient
from proxy.cli.admin_command import new_group
from proxy.cli.agent_export import export_agents
from proxy.cli.sync import SyncReport, sync
from tests.harness import Deployment


@dataclass
class Repository:
    """Agent files beside a running server."""

    deployment: Deployment
    directory: Path
    client: AdminClient

    def write(self, name: str = "support", prompt: str = "You help.", more: str = "") -> None:
        folder = self.directory / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "agent.yaml").write_text(f"agent: {name}\nprompt: {{file: prompt.md}}\n{more}")
        (folder / "prompt.md").write_bytes(prompt.encode())

    async def sync(self, **options: Any) -> SyncReport:
        return await asyncio.to_thread(sync, self.client, self.directory, git_commit="c0ffee", **options)

    async def export(self, directory: Path, label: str | None = None) -> Any:
        return await asyncio.to_thread(export_agents, self.client, directory, [], label)

    async def versions(self, name: str = "support") -> int:
        return len((await self.deployment.operator.get(f"/agents/{name}/versions"))["items"])


def told(report: SyncReport) -> list[tuple[str, str, int | None]]:
    return [(outcome.agent, outcome.result, outcome.version) for outcome in report.outcomes]


def command() -> typer.Typer:
    app, agents = new_group(), new_group()
    git_verbs.register(app, agents)
    app.add_typer(agents, name="agents")
    return app


async def run(repository: Repository, *arguments: str) -> Any:
    token = str(repository.deployment.server.admin_token_path)
    options = ["--admin-url", repository.deployment.server.admin_url, "--token-file", token]
    return await asyncio.to_thread(CliRunner().invoke, command(), [*arguments, *options])
