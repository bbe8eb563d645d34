"""Requests of OpenAI's chat wire met by a version: the bytes that go to the provider, or the refusal."""

from typing import Any

from proxy.wires.openai_chat.wire import OpenAIChat
from tests.wires.shared.met_requests import Requests

WIRE = OpenAIChat()
OTHER = '{"type":"function","function":{"name":"other"}}'

_requests = Requests(WIRE)
inject, injected = _requests.inject, _requests.injected
refusal_of, bound_of = _requests.refusal_of, _requests.bound_of


def prompt(mode: str, text: str = "Ours.") -> dict[str, Any]:
    return {"prompt": {"text": text, "mode": mode}}
