"""The options by which `switchback versions create` says what a new version shall be.

Only names and help; `version_body.py` makes a body of what they say.
"""

from pathlib import Path
from typing import Annotated

import typer

_Pairs = list[str] | None

PromptText = Annotated[str | None, typer.Option(metavar="TEXT", help="The prompt.")]
PromptFile = Annotated[Path | None, typer.Option(metavar="FILE", help="File with the prompt; - reads stdin.")]
MessagesFile = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help='JSON: messages before the caller\'s, [{"role": "user", "text": "…"}, …]; leading system ones are the prompt.',
    ),
]
PromptMode = Annotated[
    str | None,
    typer.Option(
        metavar="TEXT", help="How it meets the caller's own: replace, prepend, append or if_absent [replace]."
    ),
]
Variables = Annotated[_Pairs, typer.Option(metavar="NAME[=DEFAULT]", help="A variable of the prompt; once for each.")]
Provider = Annotated[str | None, typer.Option(metavar="NAME", help="Provider of the settings, such as openai.")]
ModelName = Annotated[str | None, typer.Option(metavar="NAME", help="Model that answers.")]
Temperature = Annotated[float | None, typer.Option(metavar="NUMBER", help="Enforced temperature.")]
MaxOutputTokens = Annotated[int | None, typer.Option(metavar="N", help="Enforced output limit.")]
Parameters = Annotated[
    _Pairs,
    typer.Option(
        metavar="NAME=JSON",
        help="A model parameter, enforced; NAME='{\"default\": …}' yields to the caller, extra.NAME is a raw member of "
        "the wire, NAME=null takes it out.",
    ),
]
ToolsFile = Annotated[Path | None, typer.Option(metavar="FILE", help="JSON: a list of tools, or {mode, items}.")]
ToolsMode = Annotated[str | None, typer.Option(metavar="TEXT", help="replace, merge or keep [merge for a list].")]
RetrievalFile = Annotated[Path | None, typer.Option(metavar="FILE", help="JSON object.")]
PolicyFile = Annotated[Path | None, typer.Option(metavar="FILE", help="JSON object.")]
PolicyKeys = Annotated[_Pairs, typer.Option(metavar="KEY=JSON", help="One key of the policy.")]
TestedAgainst = Annotated[_Pairs, typer.Option(metavar="KEY=JSON", help="What it was tested against.")]
Message = Annotated[str, typer.Option("--message", "-m", metavar="TEXT", help="What changed, for people.")]
Parent = Annotated[
    int | None,
    typer.Option(metavar="N", min=1, help="The newest version you saw; another one since is a conflict [the newest]."),
]
Start = Annotated[
    str | None,
    typer.Option(
        "--from",
        metavar="N",
        help="Begin with this version's components, change only what is said; none: empty [the newest].",
    ),
]
PromptOf = Annotated[int | None, typer.Option(metavar="N", min=1, help="The prompt of this version.")]
ModelOf = Annotated[int | None, typer.Option(metavar="N", min=1, help="The model of this version.")]
ToolsOf = Annotated[int | None, typer.Option(metavar="N", min=1, help="The tools of this version.")]
RetrievalOf = Annotated[int | None, typer.Option(metavar="N", min=1, help="The retrieval of this version.")]
PolicyOf = Annotated[int | None, typer.Option(metavar="N", min=1, help="The policy of this version.")]
