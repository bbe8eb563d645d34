"""Pages and cursors of lists, whatever they list.

A cursor is the key of the last item shown, so that items added meanwhile neither repeat nor hide others. It is opaque to
callers and not a secret: a forged one only begins the list elsewhere.
"""

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast

import orjson

from proxy.core.errors import BadInput
from proxy.core.pages import MAX_PAGE, Page
from proxy.store.rows.columns import Row

Item = TypeVar("Item")
BEFORE_FIRST = 2**63 - 1


def page_of(
    rows: Sequence[Row], limit: int, items_of: Callable[[Sequence[Row]], list[Item]], key: tuple[str, ...]
) -> Page[Item]:
    """A page of `rows`, which has one row more than is shown where the list goes on."""
    size = fetched(limit) - 1
    shown = rows[:size]
    goes_on = len(rows) > size
    return Page(items_of(shown), cursor_of([shown[-1][column] for column in key]) if goes_on else None)


def fetched(limit: int) -> int:
    """How many rows to read for a page: one more than is shown, so that the end is known."""
    return max(1, min(limit, MAX_PAGE)) + 1


def cursor_of(key: Sequence[str | int]) -> str:
    """The cursor of a page that begins behind this key."""
    return base64.urlsafe_b64encode(orjson.dumps(key)).decode().rstrip("=")


def key_of(cursor: str | None, *first: str | int) -> tuple[Any, ...]:
    """The key in a cursor, of the same types as `first`, which is the key before the first page."""
    if cursor is None:
        return first
    try:
        decoded: Any = orjson.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
    except (ValueError, binascii.Error):
        decoded = None
    key = cast("list[Any]", decoded) if isinstance(decoded, list) else []
    if [type(part) for part in key] != [type(part) for part in first]:
        raise BadInput("bad_cursor", "the cursor is not one this list gave out", param="cursor")
    return tuple(key)
