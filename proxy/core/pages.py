"""One page of a list: the items and the cursor of the next page, None at the end."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

Item = TypeVar("Item")
MAX_PAGE = 500
DEFAULT_PAGE = 100


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """`next_cursor` is opaque text to hand back, None on the last page."""

    items: Sequence[Item]
    next_cursor: str | None = None
