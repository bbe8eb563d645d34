"""The options by which switches and caps say which calls they are about, and the scope in words.

Which dimensions a switch or a cap may name is the server's to say. Counterpart: core/scopes.py, which matches them.
"""

from collections.abc import Mapping
from typing import Annotated, Any, cast

import typer

from proxy.cli.admin_client import Document

ScopeAgent = Annotated[str | None, typer.Option("--agent", metavar="TEXT", help="Calls of this agent.")]
ScopeVersion = Annotated[
    int | None, typer.Option("--version", metavar="N", min=1, help="With --agent: served by this version.")
]
ScopeLabel = Annotated[
    str | None, typer.Option("--label", metavar="TEXT", help="With --agent: that follow this label.")
]
ScopeModel = Annotated[str | None, typer.Option("--model", metavar="TEXT", help="Answered by this model.")]
ScopeProvider = Annotated[str | None, typer.Option("--provider", metavar="TEXT", help="Sent to this provider.")]
ScopeTag = Annotated[str | None, typer.Option("--tag", metavar="KEY=VALUE", help="With this tag.")]


def scope_of(**named: str | int | None) -> Document:
    """The scope that names what is set; `{}` is everything."""
    return {name: value for name, value in named.items() if value is not None}


def scope_text(document: Mapping[str, Any]) -> str:
    """The scope of a switch or cap in words: `agent support-triage, version 7`, or `everything`."""
    scope = cast("Document", document.get("scope") or {})
    return ", ".join(f"{name} {value}" for name, value in scope.items()) or "everything"
