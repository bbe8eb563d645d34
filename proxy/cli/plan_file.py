"""A rollout's plan from a YAML or JSON file, or by its name. What it means is the server's to judge."""

from pathlib import Path
from typing import Annotated, cast

import typer

from proxy.cli.admin_client import Document
from proxy.cli.failures import EXIT_USAGE, CommandFailed
from proxy.cli.version_body import read_text

_FILES = (".yaml", ".yml", ".json")

PlanOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME|FILE",
        help="A plan that is kept (switchback plans list), or a file with steps, guards and ends: .yaml, .json, or a path with / "
        "[the default plan: 5, 10, 25, 50, 100 %].",
    ),
]


def plan_or_name(text: str) -> Document | str:
    """The document of a file, which has such an ending or a `/` in its path; anything else is the name of a plan. Raises
    CommandFailed."""
    return read_plan_file(Path(text)) if "/" in text or text.endswith(_FILES) else text


def read_plan_file(path: Path) -> Document:
    """The plan's document. Raises CommandFailed for a file that cannot be read or holds no object."""
    # YAML and the settings are heavy to load, and most commands do without.
    from yaml import YAMLError  # noqa: PLC0415

    from proxy.settings_file import load_yaml  # noqa: PLC0415

    try:
        content = load_yaml(read_text(path).removeprefix("\ufeff"))
    except (YAMLError, ValueError) as error:
        raise CommandFailed(f"{path} is no YAML or JSON: {error}", EXIT_USAGE) from None
    if not isinstance(content, dict):
        raise CommandFailed(f"{path} holds no plan: it must be an object with steps, guards, …", EXIT_USAGE)
    return cast("Document", content)
