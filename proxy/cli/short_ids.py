"""Ids by their beginning: what is copied from a table, or typed, is enough where only one begins so.

Runs are too many to list. Their ids begin with the moment they were made, so those of that time are looked at.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast

from proxy.cli.admin_client import AdminClient, Document, segment
from proxy.cli.failures import EXIT_USAGE, CommandFailed
from proxy.core.times import rfc3339

Result = TypeVar("Result")
_ALL = 10_000
#: Fewer characters are the kind of an id and nothing of it.
_LEAST = 5
_SHOWN = 5
#: The microsecond an id was made in: its first 13 hex digits.
_MOMENT = re.compile(r"run_([0-9a-f]{1,13})")
_MOMENT_DIGITS = 13
#: Between making an id and reading the clock for the run's start, which may be set meanwhile.
_SLACK_MICROSECONDS = 60_000_000
#: The end of the year 9999.
_LAST_MOMENT = 253_402_300_799_000_000


def by_id(
    api: AdminClient,
    listed_at: str,
    given: str,
    act: Callable[[str], Result],
    narrowed: Mapping[str, Any] | None = None,
) -> Result:
    """`act` with the id that was given, or, where there is none, with the only one at `listed_at` that begins so. `narrowed`:
    filters of that list, which leave in all that can begin so.

    Ids are all of one length, so that a whole one is the beginning of no other. Raises CommandFailed.
    """
    try:
        return act(given)
    except CommandFailed as failed:
        if failed.status != 404 or len(given) < _LEAST:
            raise
        page = api.items(listed_at, _ALL, narrowed)
        items = cast("list[Document]", page["items"])
        found = [name for item in items if (name := str(item.get("id"))).startswith(given)]
        if not found:
            raise
        if len(found) > 1:
            shown = ", ".join(found[:_SHOWN]) + (f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else "")
            raise CommandFailed(f"several begin with {given!r}: {shown}", EXIT_USAGE) from None
        if page.get("next") is not None:
            raise CommandFailed(f"too many may begin with {given!r}: give more of the id", EXIT_USAGE) from None
    return act(found[0])


def run_by_id(api: AdminClient, given: str, act: Callable[[str], Result]) -> Result:
    """`by_id` of runs. Raises CommandFailed."""
    found = _MOMENT.match(given)
    if found is None:
        return act(given)
    missing = _MOMENT_DIGITS - len(found[1])
    first = int(found[1], 16) << (4 * missing)
    last = first + (1 << (4 * missing))
    # The years that RFC 3339 can write; a beginning that says so little is too short in any case.
    if last > _LAST_MOMENT:
        return act(given)
    begun = {
        "from": rfc3339(max(0, first - _SLACK_MICROSECONDS)),
        "to": rfc3339(min(_LAST_MOMENT, last + _SLACK_MICROSECONDS)),
    }
    return by_id(api, "/runs", given, act, begun)


def whole_run_id(api: AdminClient, given: str) -> str:
    """The id of the run that is meant. Raises CommandFailed where there is none."""
    return run_by_id(api, given, lambda one: str(api.get(f"/runs/{segment(one)}").get("id")))
