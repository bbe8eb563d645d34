"""Which requests are this wire's, what is read of them, and what is refused by name before anything is sent."""

import pytest

from tests.wires.openai_chat.chat_requests import OTHER, WIRE, injected, prompt, refusal_of


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("POST", "/v1/chat/completions", "/v1/chat/completions"),
        ("POST", "/chat/completions", "/v1/chat/completions"),
        ("GET", "/v1/chat/completions", None),
        ("POST", "/v1/chat/completions/", None),
        ("POST", "/v1/chat/completions/x", None),
        ("POST", "/v1//chat/completions", None),
        ("POST", "/v1/chat%2fcompletions", None),
        ("POST", "/V1/chat/completions", None),
        ("POST", "/v1/completions", None),
        ("POST", "/v1/messages", None),
    ],
)
def test_only_the_exact_path_is_this_wires(method: str, path: str, expected: str | None) -> None:
    operation = WIRE.operation(method, path)
    assert (None if operation is None else operation.path) == expected
    if operation is not None:
        assert operation.is_metered
        assert operation.is_billable


def test_the_facts_of_a_request() -> None:
    body = f'{{"model":"m","stream":true,"n":3,"max_tokens":5,"user":"u","safety_identifier":"s","tools":[{OTHER}]}}'
    facts = WIRE.read(body.encode())
    assert (facts.model, facts.streamed, facts.choices, facts.max_output_tokens) == ("m", True, 3, 5)
    assert (facts.claims.model, facts.claims.user, facts.tool_names) == ("m", "s", {"other"})


@pytest.mark.parametrize(
    ("member", "param"),
    [
        ('"model":1', "model"),
        ('"model":["m"]', "model"),
        ('"model":"a\\u0000b"', "model"),
        (f'"model":"{"m" * 10_000}"', "model"),
        ('"stream":"true"', "stream"),
        ('"stream":1', "stream"),
        *((f'"max_tokens":{value}', "max_tokens") for value in ("-1", "0", "1.5", '"5"', "1e9", "true", "3000000000", "[]")),
        ('"max_completion_tokens":"5"', "max_completion_tokens"),
        ('"max_tokens":1,"max_completion_tokens":2', "max_tokens"),
        *((f'"n":{value}', "n") for value in ("0", "10000", '"2"', "1.0", "true")),
        ('"user":7.5', "user"),
        ('"safety_identifier":{}', "safety_identifier"),
        ('"switchback":"x"', "switchback"),
        ('"tools":{}', "tools"),
        ('"tools":[1]', "tools"),
        ('"stream":true,"stream_options":[]', "stream_options"),
        ('"stream":true,"stream_options":{"include_usage":"yes"}', "include_usage"),
    ],
)  # fmt: skip
def test_a_member_of_the_wrong_kind_is_refused_by_name(member: str, param: str) -> None:
    assert refusal_of(f"{{{member}}}") == ("wrong_kind", param)


@pytest.mark.parametrize("name", ["model", "stream", "n", "max_tokens", "user", "switchback", "tools"])
def test_a_repeated_member_the_proxy_reads_is_refused(name: str) -> None:
    assert refusal_of(f'{{"{name}":null,"x":1,"{name}":null}}') == ("duplicate_key", name)


def test_a_repeated_member_is_refused_only_where_it_is_edited() -> None:
    body = '{"model":"m","temperature":1,"temperature":2,"messages":[],"messages":[]}'
    assert injected(body, {"model": {"parameters": {"top_p": 1.0}}}) == body[:-1] + ',"top_p":1.0}'
    assert refusal_of(body, {"model": {"parameters": {"temperature": 0.1}}}) == ("duplicate_key", "temperature")
    assert refusal_of(body, prompt("replace")) == ("duplicate_key", "messages")
