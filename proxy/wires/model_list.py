"""The provider's `GET /v1/models` with the agents appended, spliced in raw so that the provider's own part stays as sent.

Belongs here: the three shapes of that list. Which agents there are is the caller's question. Agents appear under the model
name that calls them: `agent:NAME`.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
import orjson

from proxy.core.calls.identity import MODEL_PREFIX
from proxy.core.errors import BadInput
from proxy.wires.json.edits import MemberEdits
from proxy.wires.json.items import parse_items
from proxy.wires.json.members import JsonMembers, parse_members
from proxy.wires.json.values import JsonDecoder

_flag: JsonDecoder[bool | None] = msgspec.json.Decoder(bool | None)


def append_agents(body: bytes, agents: Sequence[tuple[str, int]]) -> bytes:
    """`body` with one entry per agent (name, UTC seconds of its creation) at the end of `data`.

    OpenAI's list says `"object": "list"`, Anthropic's has `has_more` (agents stand on the last page), Google's is called `models`, and
    all pages but the last have `nextPageToken`. Anything else, an error for one, comes back unchanged.
    """
    if not agents:
        return body
    try:
        members = parse_members(body)
        data = members.given("data")
        if data is None:
            return _beside_google_models(members, agents)
        items = parse_items(data, "data")
        if members.given("has_more") is not None:
            if members.decoded("has_more", _flag, "a flag"):
                return body
            entries = [_anthropic_entry(name, created) for name, created in agents]
        elif bytes(members.given("object") or b"") == b'"list"':
            entries = [_openai_entry(name, created) for name, created in agents]
        else:
            return body
        edits = MemberEdits(members)
        edits.set("data", items.insert(len(items.values), b",".join(orjson.dumps(entry) for entry in entries)))
        return edits.render()
    except BadInput:
        return body


def _beside_google_models(members: JsonMembers, agents: Sequence[tuple[str, int]]) -> bytes:
    """Raises BadInput where `models` is no list."""
    models = members.given("models")
    if models is None or members.given("nextPageToken") is not None:
        return members.body
    items = parse_items(models, "models")
    edits = MemberEdits(members)
    edits.set("models", items.insert(len(items.values), b",".join(_google_entry(name) for name, _ in agents)))
    return edits.render()


def _google_entry(name: str) -> bytes:
    methods = ["generateContent", "countTokens"]
    return orjson.dumps(
        {"name": f"models/{MODEL_PREFIX}{name}", "displayName": name, "supportedGenerationMethods": methods}
    )


def _openai_entry(name: str, created: int) -> dict[str, Any]:
    return {"id": MODEL_PREFIX + name, "object": "model", "created": created, "owned_by": "switchback"}


def _anthropic_entry(name: str, created: int) -> dict[str, Any]:
    moment = datetime.fromtimestamp(created, UTC).isoformat().replace("+00:00", "Z")
    return {"type": "model", "id": MODEL_PREFIX + name, "display_name": name, "created_at": moment}
