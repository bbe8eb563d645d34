"""How people name a version of an agent: by its number, by a label, or as `latest`.

What is named is looked up once, when the command runs; pins and labels in traffic are the server's matter (core/calls/identity.py).
"""

from typing import cast

from proxy.cli.admin_client import AdminClient, Document, segment
from proxy.cli.failures import CommandFailed

LATEST = "latest"


def version_number(api: AdminClient, agent: str, name: str) -> int:
    """The version that a number, a label or `latest` stands for now. Raises CommandFailed."""
    if name.isascii() and name.isdigit():
        return int(name)
    found = api.get(f"/agents/{segment(agent)}")
    if name == LATEST:
        number = found.get("newest_version")
        if not isinstance(number, int):
            raise CommandFailed(f"{agent} has no version yet", code="version_not_found")
        return number
    labels = cast("list[Document]", found.get("labels") or [])
    number = next((label.get("version") for label in labels if label.get("label") == name), None)
    if not isinstance(number, int):
        raise CommandFailed(f"{agent} has no version or label {name!r}", code="label_not_set", status=404)
    return number
