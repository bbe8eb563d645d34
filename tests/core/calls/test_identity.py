from typing import Any

import pytest

from proxy.core.calls.caller import BodyClaims, Caller
from proxy.core.calls.identity import identify
from proxy.core.errors import BadInput, Unauthorized


def caller(
    path: str | None = None,
    headers: dict[str, str] | None = None,
    model: str | None = None,
    member: dict[str, Any] | None = None,
    user: str | None = None,
    default: str | None = None,
) -> Caller:
    pairs = [(name.encode(), value.encode()) for name, value in (headers or {}).items()]
    return identify(path, pairs, BodyClaims(model=model, user=user, switchback=member), default)


def refused(**arguments: Any) -> str:
    with pytest.raises(BadInput) as refusal:
        caller(**arguments)
    return refusal.value.code


@pytest.mark.parametrize(
    "arguments",
    [
        {"path": "triage"},
        {"headers": {"switchback-agent": "triage"}},
        {"model": "agent:triage"},
        {"member": {"agent": "triage"}},
        {"default": "triage"},
        {"path": "triage", "headers": {"switchback-agent": "triage"}, "model": "agent:triage"},
        {"path": "triage", "default": "another"},
        {"path": "triage", "model": "gpt-4o"},
    ],
)
def test_an_agent_is_named_in_any_of_these_ways(arguments: dict[str, Any]) -> None:
    who = caller(**arguments)
    assert (who.agent, who.pin, who.label) == ("triage", None, None)


@pytest.mark.parametrize(
    ("arguments", "pin", "label"),
    [
        ({"path": "triage@7"}, 7, None),
        ({"path": "triage@staging"}, None, "staging"),
        ({"path": "triage", "headers": {"switchback-version": "7"}}, 7, None),
        ({"path": "triage", "headers": {"switchback-label": "staging"}}, None, "staging"),
        ({"model": "agent:triage@7"}, 7, None),
        ({"path": "triage", "model": "agent:triage@7"}, 7, None),
        ({"path": "triage@7", "headers": {"switchback-version": "7"}}, 7, None),
    ],
)
def test_a_version_or_a_label_may_stand_beside_the_agent(
    arguments: dict[str, Any], pin: int | None, label: str | None
) -> None:
    who = caller(**arguments)
    assert (who.agent, who.pin, who.label) == ("triage", pin, label)


@pytest.mark.parametrize(
    "arguments",
    [
        {"path": "triage", "headers": {"switchback-agent": "billing"}},
        {"path": "triage", "model": "agent:billing"},
        {"headers": {"switchback-agent": "triage"}, "member": {"agent": "billing"}},
        {"path": "triage@7", "headers": {"switchback-version": "8"}},
        {"path": "triage@7", "headers": {"switchback-label": "prod"}},
        {"path": "triage@prod", "model": "agent:triage@staging"},
    ],
)
def test_two_different_names_are_a_conflict(arguments: dict[str, Any]) -> None:
    assert refused(**arguments) == "agent_conflict"


def test_a_call_that_names_no_agent_is_unassigned() -> None:
    who = caller(model="gpt-4o")
    assert (who.agent, who.agent_name) == (None, "unassigned")


def test_a_version_without_an_agent_is_refused() -> None:
    assert refused(headers={"switchback-version": "7"}) == "bad_agent"


@pytest.mark.parametrize("text", ["x", "-1", "1.5", "٣", "1234567890"])
def test_the_version_header_holds_a_number(text: str) -> None:
    assert refused(path="triage", headers={"switchback-version": text}) == "bad_version_number"


@pytest.mark.parametrize(
    ("user", "conversation", "subject", "kind"),
    [("u", "c", "u", "user"), (None, "c", "c", "conversation"), (None, None, None, "none")],
)
def test_stickiness_is_about_the_user_then_the_conversation(
    user: str | None, conversation: str | None, subject: str | None, kind: str
) -> None:
    headers = {"switchback-conversation": conversation} if conversation else {}
    who = caller(headers=headers, user=user)
    assert (who.subject, who.subject_kind) == (subject, kind)


def test_our_header_wins_over_the_member_and_the_member_over_the_wires_own_user() -> None:
    assert caller(headers={"switchback-user": "a"}, member={"user": "b"}, user="c").user == "a"
    assert caller(member={"user": "b"}, user="c").user == "b"
    assert caller(user="c").user == "c"


@pytest.mark.parametrize("user", ["x" * 513, "a\x00b", "a\nb"])
def test_an_identifier_that_is_too_long_or_holds_a_control_character_is_refused(user: str) -> None:
    assert refused(user=user) == "bad_identifier"


def test_a_number_is_its_digits_and_blanks_around_make_nobody_another() -> None:
    assert caller(member={"user": 42, "conversation": 0}).user == caller(headers={"switchback-user": "42"}).user == "42"
    assert caller(member={"conversation": 0}).conversation == "0"
    assert caller(user=" ann\u00a0").user == caller(headers={"switchback-user": "ann"}).user == "ann"
    assert caller(user=" \t ").user is None
    for odd in (True, 4.0, [], {}):
        assert refused(member={"user": odd}) == "bad_switchback_member"


def test_tags_and_variables_come_from_header_and_member() -> None:
    who = caller(
        headers={"switchback-tags": "tenant=acme, channel=web=1", "switchback-variables": '{"a":"x","n":1.5,"b":true}'},
        member={"tags": {"channel": "mail"}, "variables": {"a": "y"}},
    )
    assert who.tags == {"tenant": "acme", "channel": "mail"}
    assert who.variables == {"a": "y", "n": "1.5", "b": "true"}


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"headers": {"switchback-tags": "tenant"}}, "bad_tags"),
        ({"headers": {"switchback-tags": "te nant=x"}}, "bad_tags"),
        ({"headers": {"switchback-variables": "{"}}, "bad_variables"),
        ({"headers": {"switchback-variables": "[]"}}, "bad_variables"),
        ({"headers": {"switchback-variables": '{"a":[]}'}}, "bad_variables"),
        ({"member": {"agents": "x"}}, "bad_switchback_member"),
        ({"member": {"agent": 7}}, "bad_switchback_member"),
        ({"member": {"tags": "x"}}, "bad_tags"),
    ],
)
def test_malformed_claims_are_refused_by_a_code_of_their_own(arguments: dict[str, Any], code: str) -> None:
    assert refused(**arguments) == code


@pytest.mark.parametrize("name", [b"switchback-agent", b"switchback-user", b"authorization", b"x-api-key"])
def test_an_identity_or_credential_header_that_occurs_twice_is_refused(name: bytes) -> None:
    with pytest.raises(BadInput) as refusal:
        identify(None, [(name, b"a"), (name, b"a")], BodyClaims(), None)
    assert refusal.value.code == "duplicate_header"


def test_a_header_that_is_not_utf8_is_refused() -> None:
    with pytest.raises(BadInput) as refusal:
        identify(None, [(b"switchback-user", b"\xff")], BodyClaims(), None)
    assert refusal.value.code == "bad_header"


@pytest.mark.parametrize("name", ["authorization", "x-api-key", "api-key", "x-goog-api-key"])
@pytest.mark.parametrize(
    "value",
    [
        "sb_abc",
        "Bearer sb_abc",
        "bearer sb_abc",
        "Bearer  sb_abc",
        "Token sb_abc",
        "Bearer\tsb_abc",
        'Bearer "sb_abc"',
        "Basic c2JfYWJjOg==",
        "basic dXNlcjpzYl9hYmM",
    ],
)
def test_a_token_of_the_admin_api_is_refused_where_a_providers_key_belongs(name: str, value: str) -> None:
    with pytest.raises(Unauthorized) as refusal:
        caller(path="triage", headers={name: value})
    assert refusal.value.code == "admin_token_refused"
    assert "sb_" not in refusal.value.message


@pytest.mark.parametrize(
    "value",
    [
        "Bearer sk-asb_c",
        "Bearer sk-sb_",
        "sk-ant-sb_x",
        "Bearer SB_x",
        "Bearer",
        "Basic dXNlcjpzayJfeA==",
        "Basic =",
        "Basic \xe4",
        "a",
    ],
)
def test_a_key_that_only_contains_the_letters_is_none(value: str) -> None:
    assert caller(path="triage", headers={"authorization": value}).agent == "triage"
