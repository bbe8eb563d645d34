"""Gemini requests met by a version: the bytes and the target that go to the provider, or the refusal."""

from typing import Any

import pytest

from proxy.core.errors import BadInput
from proxy.core.versions.components import parse_bundle
from proxy.wires.google_gemini.wire import GoogleGemini
from proxy.wires.wire import Injection, InjectionPlan, RequestFacts, RequestHead

WIRE = GoogleGemini()
GENERATE = "/v1beta/models/gemini-2.5-flash:generateContent"
STREAM = "/v1beta/models/gemini-2.5-flash:streamGenerateContent"
COUNT = "/v1beta/models/gemini-2.5-flash:countTokens"


def read(body: str, target: str = GENERATE, wire: GoogleGemini = WIRE) -> RequestFacts:
    return wire.read(body.encode(), RequestHead("POST", target.encode(), []))


def inject(
    body: str, version: dict[str, Any] | None, target: str = GENERATE, wire: GoogleGemini = WIRE, **plan: Any
) -> Injection:
    bundle = None if version is None else parse_bundle(version)
    return wire.inject(read(body, target, wire), InjectionPlan(bundle=bundle, **plan))


def injected(body: str, version: dict[str, Any] | None, target: str = GENERATE, **plan: Any) -> str:
    return inject(body, version, target, **plan).body.decode()


def refusal_of(body: str, version: dict[str, Any] | None = None, target: str = GENERATE) -> tuple[str, str | None]:
    with pytest.raises(BadInput) as refusal:
        inject(body, version, target)
    return refusal.value.code, refusal.value.param
