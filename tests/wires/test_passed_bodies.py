"""What a body names is seen on paths that no wire reads; what cannot be read is not known, and never sent on with ours in it."""

from collections.abc import Callable

import pytest

from proxy.core.errors import BadInput
from proxy.core.steps import at_once
from proxy.wires.passed_bodies import read_passed, read_passed_in_steps, read_path, without_ours
from proxy.wires.wire import RequestFacts


def test_model_tools_user_and_our_member_are_read() -> None:
    body = (
        b'{"model":"o3", "tools":[{"type":"function","name":"pay"},{"type":"web_search"}],"user":"ann",'
        b'"switchback":{"agent":"support"},"stream":true}'
    )
    request = read_passed(body, "openai")
    assert request is not None
    assert (request.model, request.tool_names, request.streamed) == ("o3", {"pay", "web_search"}, True)
    assert (request.claims.user, request.claims.switchback) == ("ann", {"agent": "support"})


def test_the_user_stands_where_the_family_has_it() -> None:
    body = b'{"model":"claude","metadata":{"user_id":"ann"},"user":"bob"}'
    request = read_passed(body, "anthropic")
    assert request is not None
    assert request.claims.user == "ann"


@pytest.mark.parametrize(
    "body",
    [
        b"", b"--boundary\r\n", b"[1]", b'"text"', b"{", b'{"model":1}', b'{"model":"a","model":"b"}', b'{"tools":"all"}',
        b'\x28\xb5\x2f\xfd', b'{"model":"a"}{"model":"b"}', b"\xef\xbb\xbf{}", b'{"a":"\xff"}',
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_not_known(body: bytes) -> None:
    assert read_passed(body, "openai") is None


@pytest.mark.parametrize(
    ("body", "sent"),
    [
        (b'{"switchback":{"user":"u"},"input":"a"}', b'{"input":"a"}'),
        (b'{ "input" : 1e3 , "switchback" : null }', b'{ "input" : 1e3 }'),
        (b'{"input":"\\u0041","x":[1, 2],"switchback":{}}', b'{"input":"\\u0041","x":[1, 2]}'),
    ],
)
def test_our_member_is_taken_out_and_every_other_byte_stays(body: bytes, sent: bytes) -> None:
    request = read_passed(body, "openai")
    assert request is not None
    assert without_ours(request) == sent


@pytest.mark.parametrize(
    "body", [b'{"switchback":1}', b'{"switchback":{},"switchback":{}}', b'{"switchback":{},"model":3}']
)
def test_a_member_of_ours_that_cannot_be_read_is_refused(body: bytes) -> None:
    with pytest.raises(BadInput):
        read_passed(body, "openai")


@pytest.mark.parametrize(
    ("path", "model"),
    [
        ("/v1/models/gpt-4o", "gpt-4o"),
        ("/v1/models/ft%3Agpt-4o%3Aacme", "ft:gpt-4o:acme"),
        ("/v1/models/openai%2Fgpt-4o", "openai/gpt-4o"),
        ("/v1/models", None),
        ("/v1/files/models", None),
    ],
)
def test_the_model_that_a_path_asks_about_is_seen(path: str, model: str | None) -> None:
    found = read_path(path)
    assert (None if found is None else found.model) == model


@pytest.mark.parametrize(
    "body",
    [
        b"", b"[1]", b"{", b'{"model":1}', b'{"model":"a","switchback":{"user":"u"}}', b'{"switchback":1}',
        b'{"tools":[{"type":"mcp","name":"n","allowed_tools":["a","b"]}]}', b'{"model":"%b"}' % (b"m" * 200_000),
        b'{"input":"%b","model":"m"}' % (b"i" * 200_000), b' \n {"user":"u","x":"\xff"}', b'{"switchback":{},"model":3}',
    ],
)  # fmt: skip
def test_a_large_body_read_in_steps_says_what_it_says_read_at_once(body: bytes) -> None:
    def told(read: Callable[[], RequestFacts | None]) -> tuple[object, ...] | str | None:
        try:
            facts = read()
        except BadInput as refusal:
            return refusal.code
        return None if facts is None else (facts.claims, facts.model, facts.streamed, facts.tool_names)

    assert told(lambda: at_once(read_passed_in_steps(body, "openai"))) == told(lambda: read_passed(body, "openai"))
