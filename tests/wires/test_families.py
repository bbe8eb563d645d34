"""Whose a path is, and what calling it is: known, or nobody's."""

import pytest

from proxy.wires.every_wire import WIRES
from proxy.wires.families import FAMILIES, joined, upstream_path
from proxy.wires.shared.request_bounds import RequestBounds
from proxy.wires.wire import OperationKind, WireFamily


@pytest.mark.parametrize(
    ("family", "method", "path", "kind"),
    [
        ("openai", "POST", "/v1/responses", "generates"),
        ("openai", "POST", "/v1/completions", "generates"),
        ("openai", "POST", "/v1/batches", "generates"),
        ("openai", "POST", "/v1/threads/t/runs", "generates"),
        ("openai", "POST", "/v1/embeddings", "embeds"),
        ("openai", "POST", "/v1/images/generations", "embeds"),
        ("openai", "POST", "/v1/audio/transcriptions", "embeds"),
        ("openai", "POST", "/v1/responses/input_tokens", "counts"),
        ("openai", "POST", "/v1/moderations", "free"),
        ("openai", "POST", "/v1/files", "free"),
        ("openai", "POST", "/v1/uploads/u/parts", "free"),
        ("openai", "POST", "/v1/responses/r/cancel", "free"),
        ("openai", "POST", "/v1/conversations/c/items", "free"),
        ("openai", "POST", "/v1/vector_stores/v/search", "free"),
        ("openai", "GET", "/v1/models/ft:gpt-4o:acme::1", "free"),
        ("openai", "GET", "/v1/models/a%2Fb", "free"),
        ("openai", "DELETE", "/v1/files/f", "free"),
        ("openai", "PUT", "/v1/chat/completions", "unknown"),
        ("openai", "PATCH", "/v1/embeddings", "unknown"),
        ("openai", "DELETE", "/v1/chat/completions", "unknown"),
        ("openai", "POST", "/v1/realtime/client_secrets", "unknown"),
        ("openai", "POST", "/v1/projects/p/roles", "free"),
        ("openai", "GET", "/v1/projects/p/users/u/roles", "free"),
        ("anthropic", "POST", "/v1/messages/count_tokens", "counts"),
        ("anthropic", "POST", "/v1/messages/batches", "generates"),
        ("anthropic", "POST", "/v1/messages/batches/b/cancel", "free"),
        ("anthropic", "GET", "/v1/messages/batches/b/results", "free"),
        ("anthropic", "POST", "/api/event_logging/batch", "free"),
        ("anthropic", "PUT", "/v1/messages", "unknown"),
    ],
)
def test_a_known_path_says_what_calling_it_is(family: WireFamily, method: str, path: str, kind: OperationKind) -> None:
    assert FAMILIES[family].kind_of(method, path) == kind


@pytest.mark.parametrize(
    "path",
    [
        "/v1beta/models/gemini-2.5-pro:generateContent",
        "/v1/models/gemini-2.5-pro:generateContent",
        "/v1/projects/p/locations/l/publishers/google/models/gemini-2.5-pro:generateContent",
        "/v1/projects/p/locations/l/endpoints/openapi/chat/completions",
        "/v2/chat",
        "/v1/chat",
        "/v1/rerank",
        "/api/chat",
        "/api/generate",
        "/openai/deployments/d/chat/completions",
        "/model/anthropic.claude-v1%3A0/invoke",
        "/v1/chat%2Fcompletions",
        "/v1/files/a/b/c",
    ],
)
@pytest.mark.parametrize("family", ["openai", "anthropic"])
def test_other_providers_paths_are_nobodys(family: WireFamily, path: str) -> None:
    assert FAMILIES[family].kind_of("POST", path) is None


@pytest.mark.parametrize(
    ("base_path", "path", "asked"),
    [
        ("", "/v1/chat/completions", "/v1/chat/completions"),
        ("/api", "/v1/chat/completions", "/api/v1/chat/completions"),
        ("/api/v1", "/v1/chat/completions", "/api/v1/chat/completions"),
        ("/openai/v1", "/v1/models", "/openai/v1/models"),
        ("/v1beta/openai", "/v1/chat/completions", "/v1beta/openai/chat/completions"),
        ("/api/paas/v4", "/v1/chat/completions", "/api/paas/v4/chat/completions"),
        ("/anthropic", "/v1/messages", "/anthropic/v1/messages"),
        ("/v1", "/api/event_logging/batch", "/v1/api/event_logging/batch"),
    ],
)
def test_a_base_path_that_says_a_version_takes_the_place_of_ours(base_path: str, path: str, asked: str) -> None:
    assert joined(base_path, path) == asked


def test_a_path_without_a_version_gets_one_unless_it_is_exact() -> None:
    assert upstream_path("/embeddings") == "/v1/embeddings"
    assert upstream_path("/v2/chat") == "/v2/chat"
    assert upstream_path("/api/event_logging/batch") == "/api/event_logging/batch"


def test_the_paths_that_messages_recommend_are_those_on_which_a_version_is_in_force() -> None:
    wires = [wire(RequestBounds()) for wire in WIRES]
    for name, family in FAMILIES.items():
        spoken = [wire for wire in wires if wire.family == name and wire.is_conversation]
        for path in family.versioned_paths:
            assert [operation.is_in_force for wire in spoken if (operation := wire.operation("POST", path))] == [True]
        assert len(family.versioned_paths) == len(spoken)
