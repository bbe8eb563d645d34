"""Requests of OpenAI's chat wire met by a version: the bytes that go to the provider, or the refusal."""

from typing import Any

import pytest

from proxy.core.components import parse_bundle
from proxy.core.errors import BadInput
from proxy.wires.openai_chat import OpenAIChat
from proxy.wires.wire import Injection, InjectionPlan

WIRE = OpenAIChat()
OTHER = '{"type":"function","function":{"name":"other"}}'


def inject(body: bytes, version: dict[str, Any] | None, **plan: Any) -> Injection:
    bundle = None if version is None else parse_bundle(version)
    return WIRE.inject(WIRE.read(body), InjectionPlan(bundle=bundle, **plan))


def injected(body: str, version: dict[str, Any] | None, **plan: Any) -> str:
    return inject(body.encode(), version, **plan).body.decode()


def refusal_of(body: str, version: dict[str, Any] | None = None, **plan: Any) -> tuple[str, str | None]:
    with pytest.raises(BadInput) as refusal:
        inject(body.encode(), version, **plan)
    return refusal.value.code, refusal.value.param


def prompt(mode: str, text: str = "Ours.") -> dict[str, Any]:
    return {"prompt": {"text": text, "mode": mode}}
