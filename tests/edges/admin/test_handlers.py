"""Handlers have the commands and readers their parameters name, and nothing else."""

import pytest

from proxy.edges.admin.admin_app import given, needs
from proxy.edges.admin.ask_and_answer import AdminAnswer, Ask
from proxy.edges.admin.openapi import with_description
from proxy.edges.admin.routes import ROUTES
from tests.edges.admin.composition import Admin


class Reader:
    """Something that can be looked up."""


async def handler(reader: Reader, ask: Ask) -> AdminAnswer[list[str]]:
    return AdminAnswer([repr(reader), ask.who])


async def test_what_is_made_for_handlers_is_what_they_name(admin: Admin) -> None:
    made = [type(one) for one in admin.parts().for_handlers]
    named = {kind for route in with_description(ROUTES, "1") for kind in needs(route.handler).values()}
    assert sorted(kind.__name__ for kind in made) == sorted(kind.__name__ for kind in named)


def test_no_handler_works_with_more_than_three_things() -> None:
    assert [route.operation for route in ROUTES if len(needs(route.handler)) > 3] == []


def test_a_handler_that_names_what_nobody_made_fails_before_anything_is_served() -> None:
    with pytest.raises(LookupError):
        given(handler, {})
    assert given(handler, {Reader: Reader()}).keywords.keys() == {"reader"}
