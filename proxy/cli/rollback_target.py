"""Where a rollback would go, looked at before it goes: back is where one wants to go, and once somebody went back by hand that is forward.

Somebody moves `prod` from 1 to 2, and by hand to 1 again. What `prod` served before is now 2, so that whoever then says "roll back"
gets the very version that was just left. Only that is asked about; an ordinary rollback goes at once. Where the server cannot tell
(it is slow, its store is away) nothing is asked either: a rollback is for emergencies.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import typer

from proxy.cli.admin_client import AdminClient, Document, segment
from proxy.cli.confirming import agreed
from proxy.cli.failures import CommandFailed
from proxy.cli.showing import moment, shown_value
from proxy.cli.telling import note

_LOOK_SECONDS = 5.0
_RELEASES = 100
#: With these in force a rollback undoes what runs, or nothing.
_OTHERWISE = ("rollout_started", "share_changed", "rolled_back", "aborted", "label_deleted")


@dataclass(frozen=True, slots=True)
class JustLeft:
    """The version that a rollback would put back, and the release by which the label left it."""

    label: str
    version: int
    release: Document


def just_left(api: AdminClient, agent: str, label: str | None) -> JustLeft | None:
    """The target of a rollback where the label was taken back from it, None for any other or where it is not known."""
    path = f"/agents/{segment(agent)}"
    try:
        name = label or str(api.get(path, timeout_seconds=_LOOK_SECONDS).get("default_label"))
        query = {"label": name, "limit": _RELEASES}
        rows = api.get(f"{path}/releases", query, timeout_seconds=_LOOK_SECONDS).get("items")
    except CommandFailed:
        return None
    return _just_left(name, cast("Sequence[Document]", rows or ()))


def _just_left(label: str, newest_first: Sequence[Document]) -> JustLeft | None:
    if not newest_first or newest_first[0].get("kind") in _OTHERWISE:
        return None
    release, *before = newest_first
    left = next((row for row in before if row.get("version") != release.get("version")), None)
    if left is None:
        return None
    earlier = before[before.index(left) :]
    was_served = any(
        row.get("version") == release.get("version") and row.get("kind") != "label_deleted" for row in earlier
    )
    return JustLeft(label, int(left["version"]), release) if was_served else None


def confirm(agent: str, target: JustLeft) -> None:
    """Ask on a terminal whether that is meant. Raises typer.BadParameter where there is none, typer.Abort for a no."""
    release, version = target.release, target.version
    when = shown_value(moment("created_at")(release))
    left = f"release {release.get('release')} by {release.get('who')} at {when} ({release.get('why')})"
    told = f"{agent}: {target.label} was taken back from version {version} to {release.get('version')} with {left}"
    if not sys.stdin.isatty():
        raise typer.BadParameter(f"{told}; a rollback now serves version {version} again: say --to {version}, or --yes")
    note(told)
    agreed(f"A rollback now serves version {version} again, to everyone. Go on?")
