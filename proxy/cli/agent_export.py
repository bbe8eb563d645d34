"""Agents of a server written into a directory, as sync.py reads them."""

from pathlib import Path
from typing import cast

from proxy.cli.admin_client import segment
from proxy.cli.agent_writing import write_agent
from proxy.cli.failures import CommandFailed
from proxy.cli.sync import ALL_ITEMS, Api, Document
from proxy.core.names import check_agent_name


def export_agents(client: Api, directory: Path, agents: list[str], label: str | None) -> list[Document]:
    """Write agents (all that are not archived where none is named) into folders of `directory`, each by its name.

    The newest version is written, or the one `label` points to; an agent that has no version yet is written without one.
    Answers `{agent, version, folder}` for each, without folder for an agent that is left out because it has no such label.
    Raises BadAgentFiles, CommandFailed.
    """
    names = agents or [
        item["agent"] for item in client.items("/agents", ALL_ITEMS)["items"] if not item.get("archived", False)
    ]
    return [_export_one(client, directory, name, label) for name in names]


def _export_one(client: Api, directory: Path, name: str, label: str | None) -> Document:
    agent = client.get(f"/agents/{segment(name)}")
    # The name becomes a folder: it is checked here although a server said it.
    folder = directory / check_agent_name(agent["agent"])
    if folder.is_symlink():
        raise CommandFailed(f"{folder}: is a symbolic link, which is not followed")
    number = agent.get("newest_version")
    if label is not None:
        labels = cast("list[Document]", agent.get("labels") or [])
        number = next((item["version"] for item in labels if item.get("label") == label), None)
        # Written without its version it would say that the agent shall have none.
        if number is None:
            return {"agent": agent["agent"], "version": None, "folder": None}
    version = None if number is None else client.get(f"/agents/{segment(name)}/versions/{number}")
    write_agent(folder, agent, version)
    return {"agent": agent["agent"], "version": number, "folder": str(folder)}
