"""Requests of OpenAI's Responses met by a version: the bytes that go to the provider, or the refusal."""

from typing import Any

from proxy.wires.openai_responses.wire import OpenAIResponses
from tests.wires.shared.met_requests import Requests

WIRE = OpenAIResponses()

_requests = Requests(WIRE)
inject, injected = _requests.inject, _requests.injected
refusal_of, bound_of = _requests.refusal_of, _requests.bound_of


def prompt(mode: str, text: str = "Ours.") -> dict[str, Any]:
    return {"prompt": {"text": text, "mode": mode}}
