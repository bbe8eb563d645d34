"""A rollout's plan from a YAML or JSON file. What it means is the server's to judge."""

from pathlib import Path
from typing import cast

from proxy.cli.admin_client import Document
from proxy.cli.failures import EXIT_USAGE, CommandFailed
from proxy.cli.version_body import read_text


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
