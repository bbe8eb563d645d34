"""A key of one provider reaches no other, on any path; a call that has no other key is told so, instead of going on without."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest

from proxy.core.calls.identity import CREDENTIAL_HEADERS
from proxy.simulator.app import Simulator
from proxy.wires.families import FAMILIES
from tests.harness import CALLER_KEY, CLAUDE, MODEL, Deployment, deployed

SECRET = "a-key-of-somebody-elses"
CHAT = "/v1/chat/completions"
MESSAGES = "/v1/messages"
BODY: Any = {"max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]}
#: Metered, passed through, free, a path nobody meters, an exact one; with and without an agent.
PLACES = [
    ("openai", "POST", CHAT),
    ("openai", "POST", "/chat/completions"),
    ("openai", "POST", "/a/support/v1/chat/completions"),
    ("openai", "POST", "/v1/embeddings"),
    ("openai", "POST", "/a/support/v1/moderations"),
    ("openai", "POST", "/v1/responses"),
    ("openai", "GET", "/v1/models"),
    ("openai", "GET", "/v1/files"),
    ("openai", "DELETE", "/v1/files/f-1"),
    ("openai", "PUT", CHAT),
    ("anthropic", "POST", MESSAGES),
    ("anthropic", "POST", "/a/support/v1/messages"),
    ("anthropic", "POST", "/v1/messages/count_tokens"),
    ("anthropic", "POST", "/v1/messages/batches"),
    ("anthropic", "POST", "/api/event_logging/batch"),
]


@pytest.fixture
async def deployment(tmp_path: Path) -> AsyncIterator[Deployment]:
    async with deployed(tmp_path / "home") as running:
        await running.operator.agent("support", "Be kind.")
        yield running


async def ask(deployment: Deployment, method: str, target: str, **headers: str) -> tuple[int, Any]:
    url = deployment.server.traffic_url + target
    given = {"content-type": "application/json", **headers}
    if MESSAGES in target:
        given["anthropic-version"] = "2023-06-01"
    model = CLAUDE if MESSAGES in target else MODEL
    data = orjson.dumps(BODY | {"model": model}) if method in ("POST", "PUT") else None
    async with deployment.session.request(method, url, headers=given, data=data) as answer:
        return answer.status, orjson.loads(await answer.read() or b"null")


def seen(deployment: Deployment) -> str:
    return repr([(call.headers, call.path) for call in deployment.simulator.calls])


@pytest.mark.parametrize(("family", "method", "path"), PLACES)
async def test_no_credential_of_another_family_gets_to_a_provider(
    deployment: Deployment, family: Any, method: str, path: str
) -> None:
    foreign = CREDENTIAL_HEADERS - FAMILIES[family].key_headers - {b"ocp-apim-subscription-key"}
    assert len(foreign) >= 3
    for header in foreign:
        # An x-api-key makes Anthropic's client of a path that both know: it goes to Anthropic, whose it is. So with Google's.
        if any(header == FAMILIES[other].own_key[0] and knows(other, method, path) for other in OTHERS):
            continue
        name = header.decode()
        status, answer = await ask(deployment, method, path, **{name: SECRET})
        assert (status, code_of(answer)) == (400, "foreign_key"), name
        assert name in answer["error"]["message"]
        await ask(deployment, method, path, **{name: SECRET, "authorization": f"Bearer {CALLER_KEY}"})
        status, answer = await ask(deployment, method, path, **{name: SECRET, "authorization": "Bearer "})
        assert (status, code_of(answer)) == (400, "foreign_key"), name
    others = [other for other in FAMILIES.values() if other.name != family]
    shapes = [
        shape.decode()
        for other in others
        if other.name not in OTHERS or not knows(other.name, method, path)
        for shape in other.key_shapes
    ]
    for shape in shapes:
        for scheme in ("Bearer ", "bearer ", "BEARER  ", ""):
            status, answer = await ask(deployment, method, path, authorization=f"{scheme}{shape}{SECRET}")
            assert (status, code_of(answer)) == (400, "foreign_key"), scheme + shape
    for query in ("key=", "alt=sse&key=", "%6Bey=", "API-KEY=", "access_token="):
        status, answer = await ask(deployment, method, f"{path}?{query}{SECRET}", authorization=f"Bearer {CALLER_KEY}")
        assert (status, code_of(answer)) == (400, "foreign_key"), query
    assert SECRET not in seen(deployment)


#: Families that have a header for keys of their own.
OTHERS: Any = ("anthropic", "google")


def knows(family: Any, method: str, path: str) -> bool:
    return FAMILIES[family].kind_of(method, path) is not None


def code_of(answer: Any) -> str:
    error = answer["error"]
    return error["details"]["error_code"] if "details" in error else error["code"]


@asynccontextmanager
async def deployed_with(home: Path, simulator: Simulator, **provider: Any) -> AsyncIterator[Deployment]:
    """A deployment whose providers have these settings."""
    providers = {name: {"wire": name, "base_url": simulator.url, **provider} for name in FAMILIES}
    async with deployed(home, simulator=simulator, providers=providers) as deployment:
        yield deployment


@pytest.mark.parametrize(("path", "own"), [(CHAT, "authorization"), (MESSAGES, "x-api-key")])
async def test_a_configured_key_takes_the_place_of_whatever_came(
    home: Path, simulator: Simulator, path: str, own: str
) -> None:
    async with deployed_with(home, simulator, api_key="sk-ours") as deployment:
        for name in ("x-goog-api-key", "api-key", "x-amz-security-token", "x-api-key", "authorization"):
            assert (await ask(deployment, "POST", path, **{name: SECRET}))[0] == 200
        assert SECRET not in seen(deployment)
        assert all("sk-ours" in call.headers[own] for call in simulator.calls)


async def test_a_provider_that_needs_no_key_gets_the_call_without_the_strangers(
    home: Path, simulator: Simulator
) -> None:
    async with deployed_with(home, simulator, needs_key=False) as deployment:
        # The simulator is one that needs a key, and says so.
        assert (await ask(deployment, "POST", CHAT, **{"x-goog-api-key": SECRET}))[0] == 401
        assert (await ask(deployment, "POST", MESSAGES, **{"x-goog-api-key": SECRET}))[0] == 401
        assert len(simulator.calls) == 2
        assert (await ask(deployment, "POST", CHAT, authorization=f"Bearer sk-ant-{SECRET}"))[0] == 400
        assert SECRET not in seen(deployment)


async def test_a_call_without_any_key_is_the_providers_to_judge(deployment: Deployment) -> None:
    assert (await ask(deployment, "POST", CHAT))[0] == 401
    assert len(deployment.simulator.calls) == 1


async def test_who_takes_unknown_paths_takes_what_key_there_is(home: Path, simulator: Simulator) -> None:
    async with deployed_with(home, simulator, unknown_paths="pass") as deployment:
        await ask(deployment, "POST", "/v2/chat?key=in-the-query", **{"api-key": SECRET})
        call = simulator.calls[-1]
        assert (call.headers["api-key"], "in-the-query" in call.path) == (SECRET, True)
