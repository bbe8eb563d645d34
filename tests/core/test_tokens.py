"""Roles and the names of tokens."""

import pytest

from proxy.core.errors import BadInput, Forbidden
from proxy.core.tokens import ROLES, Token, check_role, check_token_name, permits, token_document


def test_everyone_reads_an_admin_does_everything_and_operators_and_authors_do_their_own() -> None:
    allowed = {role: [needed for needed in ROLES if permits(role, needed)] for role in ROLES}
    assert allowed == {
        "viewer": ["viewer"],
        "operator": ["viewer", "operator"],
        "author": ["viewer", "author"],
        "admin": ["viewer", "operator", "author", "admin"],
    }


def test_a_refusal_names_the_role_that_is_needed_and_the_one_that_was_given() -> None:
    check_role("author", "operator", "author")
    with pytest.raises(Forbidden) as refused:
        check_role("viewer", "operator", "author")
    assert (refused.value.status, refused.value.code) == (403, "role_insufficient")
    assert refused.value.message == "this needs a token with the role operator or author; yours is viewer"


@pytest.mark.parametrize("name", ["ann", "ann@example.com", "ci-bot+7", "7", "a" * 64])
def test_people_and_programs_can_be_named(name: str) -> None:
    assert check_token_name(name) == name


@pytest.mark.parametrize("name", ["", "Ann", "änn", "ann\n", "-ann", "a b", "a" * 65, "admin", "controller"])
def test_names_that_mislead_or_are_taken_are_refused(name: str) -> None:
    with pytest.raises(BadInput) as refused:
        check_token_name(name)
    assert (refused.value.code, refused.value.param) == ("bad_name", "name")


def test_a_tokens_document_does_not_hold_its_hash() -> None:
    token = Token(id="tok_1", name="ann", role="viewer", sha256="f" * 64, created_by="admin", created_at_microseconds=0)
    assert "f" * 64 not in repr(token_document(token))
