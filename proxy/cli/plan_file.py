"""A rollout's plan from a YAML or JSON file, or by its name. What it means is the server's to judge."""

from datetime import date
from pathlib import Path
from typing import Annotated, Any, cast

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
        content = load_yaml(read_text(path))
    except YAMLError as error:
        raise CommandFailed(f"{path} is no YAML or JSON: {error}", EXIT_USAGE) from None
    if not isinstance(content, dict):
        raise CommandFailed(f"{path} holds no plan: it must be an object with steps, guards, …", EXIT_USAGE)
    plan = times_as_text(content)
    # What no JSON is, agent files are refused for in the same words; few verbs need their reader.
    from proxy.cli.agent_files import not_json  # noqa: PLC0415

    problems = [f"{path}: {problem}" for problem in not_json("", plan)]
    if problems:
        raise CommandFailed(problems[-1], EXIT_USAGE, problems=problems)
    return cast("Document", plan)


def times_as_text(content: Any) -> Any:
    """What YAML made of times that stand without quotes is their text again; whether it has a zone is the server's to say."""
    if isinstance(content, dict):
        return {key: times_as_text(value) for key, value in cast("dict[Any, Any]", content).items()}
    if isinstance(content, list):
        return [times_as_text(item) for item in cast("list[Any]", content)]
    return content.isoformat() if isinstance(content, date) else content
