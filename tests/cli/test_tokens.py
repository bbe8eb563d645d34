"""`switchback tokens`: the text of a token goes to standard output, once, and nowhere else."""

import json

import pytest

from tests.cli.conftest import TOKEN

MADE = {
    "id": "tok_1",
    "name": "ann",
    "role": "operator",
    "created_by": "admin",
    "created_at": "2026-11-20T14:03:00.1Z",
    "revoked_at": None,
}


async def test_a_new_token_stands_alone_on_standard_output(switchback, admin):
    admin.answer("POST", "/tokens", {**MADE, "token": "sb_the-secret"}, 201)
    result = await switchback("tokens", "create", "ann", "--role", "operator", "--why", "on call")
    assert (result.exit_code, result.stdout) == (0, "sb_the-secret\n")
    assert "sb_the-secret" not in result.stderr
    assert "token tok_1 of ann, role operator" in result.stderr
    assert "not shown again" in result.stderr
    assert admin.last.body == {"name": "ann", "role": "operator", "why": "on call"}


async def test_programs_get_the_document_with_the_token_in_it(switchback, admin):
    admin.answer("POST", "/tokens", {**MADE, "token": "sb_the-secret"}, 201)
    result = await switchback("tokens", "create", "ann", "--role", "operator", "--json")
    assert json.loads(result.stdout)["token"] == "sb_the-secret"
    assert result.stderr == ""


async def test_a_token_goes_into_a_new_file_that_only_its_owner_reads(switchback, admin, tmp_path):
    admin.answer("POST", "/tokens", {**MADE, "token": "sb_the-secret"}, 201)
    line = ("tokens", "create", "ann", "--role", "operator", "--output", "ann.token")
    result = await switchback(*line)
    assert (result.exit_code, result.stdout) == (0, "the token is in ann.token\n")
    assert (tmp_path / "ann.token").read_text() == "sb_the-secret\n"
    assert (tmp_path / "ann.token").stat().st_mode & 0o777 == 0o600
    again = await switchback(*line)
    assert (again.exit_code, len(admin.asked)) == (2, 1)
    assert (tmp_path / "ann.token").read_text() == "sb_the-secret\n"
    told = await switchback(*line[:-1], "other", "--json")
    assert "sb_the-secret" not in told.output


async def test_a_token_that_was_not_made_leaves_no_file(switchback, admin, tmp_path):
    admin.refuse("POST", "/tokens", 403, "role_insufficient", "no")
    result = await switchback("tokens", "create", "ann", "--role", "operator", "--output", "ann.token")
    assert result.exit_code == 1
    assert list(tmp_path.glob("*.token")) == []


async def test_a_token_has_a_role(switchback, admin):
    result = await switchback("tokens", "create", "ann")
    assert (result.exit_code, admin.asked) == (2, [])
    assert "--role" in result.stderr


async def test_tokens_are_listed_without_their_texts(switchback, admin):
    ended = {**MADE, "id": "tok_0", "name": "bob", "revoked_at": "2026-11-21T00:00:00Z"}
    admin.answer("GET", "/tokens", {"items": [MADE, ended], "next": None})
    result = await switchback("tokens", "list")
    first, second = result.stdout.splitlines()[-2:]
    assert first.split() == ["tok_1", "ann", "operator", "2026-11-20", "14:03:00Z", "admin"]
    assert "2026-11-21 00:00:00Z" in second


async def test_a_token_is_revoked_with_a_reason(switchback, admin):
    admin.answer("DELETE", "/tokens/tok_1", {**MADE, "revoked_at": "2026-11-21T00:00:00Z"})
    result = await switchback("tokens", "revoke", "tok_1", "--why", "left")
    assert result.stdout == "token tok_1 of ann is revoked\n"
    assert admin.last.query == {"why": "left"}


@pytest.mark.parametrize("line", ["tokens list", "tokens revoke tok_1", "tokens create ann --role root"])
async def test_a_role_that_is_not_enough_is_told_and_the_own_token_is_not(switchback, admin, line):
    detail = "this needs a token with the role admin; yours is viewer"
    for method, path in (("GET", "/tokens"), ("POST", "/tokens"), ("DELETE", "/tokens/tok_1")):
        admin.refuse(method, path, 403, "role_insufficient", detail)
    result = await switchback(*line.split())
    assert result.exit_code == 1
    assert detail in result.stderr
    assert TOKEN not in result.output
