"""Only exact, canonical paths are routed; everything two readers could read differently is not."""

import pytest

from proxy.core.errors import NotFound, Unauthorized
from proxy.runtime.calls.routing import Routes
from proxy.wires.anthropic_messages.wire import AnthropicMessages
from proxy.wires.openai_chat.wire import OpenAIChat

ROUTES = Routes((OpenAIChat(), AnthropicMessages()))


@pytest.mark.parametrize(
    ("method", "target", "agent", "wire", "upstream", "metered"),
    [
        ("POST", b"/v1/chat/completions", None, "openai_chat", "/v1/chat/completions", True),
        ("POST", b"/chat/completions", None, "openai_chat", "/v1/chat/completions", True),
        ("POST", b"/a/support@7/v1/chat/completions", "support@7", "openai_chat", "/v1/chat/completions", True),
        ("POST", b"/a/support/v1/messages?beta=true", "support", "anthropic_messages", "/v1/messages", True),
        ("POST", b"/a/support/messages", "support", "anthropic_messages", "/v1/messages", True),
        ("GET", b"/v1/chat/completions", None, "openai_chat", "/v1/chat/completions", False),
        ("POST", b"/a/s/files", "s", "openai_chat", "/v1/files", False),
        ("GET", b"/v1/models/ft:gpt-4o:acme::1", None, "openai_chat", "/v1/models/ft:gpt-4o:acme::1", False),
    ],
)
def test_paths_find_their_wire(
    method: str, target: bytes, agent: str | None, wire: str, upstream: str, metered: bool
) -> None:
    route = ROUTES.route(method, target, None)
    assert (route.agent, route.wire.name) == (agent, wire)
    assert (route.operation.path, route.operation.is_metered) == (upstream, metered)


def test_a_shared_path_belongs_to_the_wire_of_the_version_header() -> None:
    assert ROUTES.route("GET", b"/v1/models", "anthropic").wire.name == "anthropic_messages"
    assert ROUTES.route("GET", b"/v1/models", None).wire.name == "openai_chat"


@pytest.mark.parametrize(
    ("method", "target", "billable"),
    [
        ("POST", b"/v1/embeddings", True),
        ("POST", b"/v1/batches", True),
        ("GET", b"/v1/models", False),
        ("DELETE", b"/v1/files/f1", False),
        ("POST", b"/v1/messages/count_tokens", False),
    ],
)
def test_only_calls_that_can_cost_money_are_billable(method: str, target: bytes, billable: bool) -> None:
    assert ROUTES.route(method, target, None).operation.is_billable is billable


@pytest.mark.parametrize(
    "target",
    [
        b"/", b"", b"//evil.test/v1/chat/completions", b"/v1//chat/completions", b"/v1/./chat/completions", b"/v1/../admin",
        b"/v1/%2e%2e/admin", b"/v1%2fchat/completions", b"/v1/chat/completions/", b"/v1/chat\\completions", b"/v1/chat;x/..;/a",
        b"/v1/\xc0\xae\xc0\xae/a", b"/v1/%00", b"/v1/chat/completions#x", b"/v1/chat/completions?a#b", b"/a//v1/models",
        b"/a/support", b"/a/support/", b"/v1/..", b"/..", b"/v1/\xef\xbc\x8e\xef\xbc\x8e/x", b"http://x/v1/models", b"*",
    ],
)  # fmt: skip
def test_what_is_not_canonical_is_not_routed(target: bytes) -> None:
    with pytest.raises(NotFound) as caught:
        ROUTES.route("POST", target, None)
    assert caught.value.code == "path_not_found"


@pytest.mark.parametrize(
    "target", [b"/api/v1", b"/api/v1/agents", b"/api/v1/agents?limit=1", b"/a/support/api/v1/status"]
)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_the_paths_of_the_admin_api_are_answered_here(method: str, target: bytes) -> None:
    with pytest.raises(NotFound) as caught:
        ROUTES.route(method, target, None)
    assert caught.value.code == "admin_api_elsewhere"


@pytest.mark.parametrize(
    "query", [b"key=sb_x", b"key=sb%5Fx", b"alt=sse&key=sb_x", b"sb_x", b"a=Bearer%20sb_x", b"k=SB_x"]
)
def test_a_token_of_the_admin_api_in_a_query_is_refused(query: bytes) -> None:
    with pytest.raises(Unauthorized) as caught:
        ROUTES.route("POST", b"/v1/chat/completions?" + query, None)
    assert caught.value.code == "admin_token_refused"
    ROUTES.route("POST", b"/v1/chat/completions?version=AIzasb_x&after=usb_x", None)


TOKEN = b"sb_" + b"Ab-_5" * 8 + b"xyz"


@pytest.mark.parametrize(
    "target",
    [
        b"/v1/models/" + TOKEN, b"/v1/files/" + TOKEN + b"/content", b"/v1/chat/completions?h=X-Auth:" + TOKEN,
        b"/v1/models/%73b_" + TOKEN[3:], b"/v1/models?x=%2573%2562%255F" + TOKEN[3:], b"/a/support/v1/models/a%2F" + TOKEN,
    ],
)  # fmt: skip
def test_a_whole_token_is_refused_wherever_it_stands_in_a_target(target: bytes) -> None:
    with pytest.raises(Unauthorized) as caught:
        ROUTES.route("GET", target, None)
    assert caught.value.code == "admin_token_refused"
    assert "Ab-_5" not in caught.value.message


@pytest.mark.parametrize("name", [b"file-" + TOKEN, TOKEN[:-1], TOKEN + b"x"])
def test_a_name_that_is_no_token_is_routed(name: bytes) -> None:
    ROUTES.route("GET", b"/v1/files/" + name, None)
