"""What the verbs that move labels send and say about protected ones: the evaluations a version passed, and that a change waits.

Deciding what waits is proposals.py's. Which moves wait is the server's to say: it answers with a proposal.
"""

from collections.abc import Sequence
from typing import Annotated

import typer

from proxy.cli.admin_client import Document

Evaluations = Annotated[
    list[str] | None,
    typer.Option("--evaluation", metavar="ID", help="An evaluation the version passed; once for each."),
]

Force = Annotated[
    bool, typer.Option("--force", help="Also where a preflight finds that the version would not work; it is audited.")
]


def with_evidence(body: Document, evaluations: Sequence[str] | None) -> Document:
    """`body` with the evaluations that were named, if any were."""
    if not evaluations:
        return body
    return {**body, "evidence": [{"kind": "evaluation", "id": evaluation} for evaluation in evaluations]}


def is_proposal(answer: Document) -> bool:
    """True where the server made a proposal of what was asked for."""
    return "proposed_by" in answer


def waiting_lines(agent: str, proposal: Document) -> list[str]:
    """What to tell whoever asked for a change that now waits."""
    return [
        f"nothing changed yet: {proposal.get('label')} is protected, so this waits as proposal {proposal.get('id')}",
        f"somebody else can say: switchback proposals approve {agent} {proposal.get('id')}",
    ]
