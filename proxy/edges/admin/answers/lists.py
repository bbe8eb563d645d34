"""A page of a list."""

from typing import Annotated, Generic, TypedDict, TypeVar

from msgspec import Meta

Item = TypeVar("Item")


class Listed(TypedDict, Generic[Item]):
    """One page; `next` is the `cursor` of the one behind it, null behind the last."""

    items: list[Item]
    next: Annotated[str | None, Meta(description="opaque; null where there is no more")]
