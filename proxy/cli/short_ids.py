"""Ids by their beginning: what is copied from a table, or typed, is enough where only one begins so."""

from collections.abc import Callable
from typing import TypeVar, cast

from proxy.cli.admin_client import AdminClient, Document
from proxy.cli.failures import EXIT_USAGE, CommandFailed

Result = TypeVar("Result")
_ALL = 10_000
#: Fewer characters are the kind of an id and nothing of it.
_LEAST = 5


def by_id(api: AdminClient, listed_at: str, given: str, act: Callable[[str], Result]) -> Result:
    """`act` with the id that was given, or, where there is none, with the only one at `listed_at` that begins so.

    Ids are all of one length, so that a whole one is the beginning of no other. Raises CommandFailed.
    """
    try:
        return act(given)
    except CommandFailed as failed:
        if failed.status != 404 or len(given) < _LEAST:
            raise
        items = cast("list[Document]", api.items(listed_at, _ALL)["items"])
        found = [name for item in items if (name := str(item.get("id"))).startswith(given)]
        if not found:
            raise
        if len(found) > 1:
            raise CommandFailed(f"several begin with {given!r}: {', '.join(found)}", EXIT_USAGE) from None
    return act(found[0])
