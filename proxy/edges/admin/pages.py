"""Lists as the admin API answers them: `{"items": […], "next": cursor or null}`."""

from collections.abc import Callable, Mapping
from typing import TypeVar

from proxy.core.pages import Page
from proxy.edges.admin.answers.lists import Listed
from proxy.edges.admin.ask_and_answer import AdminAnswer
from proxy.edges.admin.queries import PageQuery

Item = TypeVar("Item")
Shown = TypeVar("Shown")


def page_answer(page: Page[Item], render: Callable[[Item], Shown]) -> AdminAnswer[Listed[Shown]]:
    """A page of a store's list."""
    return AdminAnswer({"items": [render(item) for item in page.items], "next": page.next_cursor})


def page_of_named(
    items: Mapping[str, Item], query: PageQuery, render: Callable[[Item], Shown]
) -> AdminAnswer[Listed[Shown]]:
    """A page of items held in memory, in the order of their names or ids; the cursor is the last one shown."""
    names = sorted(name for name in items if query.cursor is None or name > query.cursor)
    shown = names[: query.limit]
    cursor = shown[-1] if len(names) > len(shown) else None
    return AdminAnswer({"items": [render(items[name]) for name in shown], "next": cursor})
