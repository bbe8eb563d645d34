"""What a call names that no wire reads, in its JSON body or its path: its model, its tools, its user, and what it says to the proxy itself.

A call that passes through untouched can still name an agent, be stopped by a switch and be counted by a cap; so what it names is
read on every path. Belongs here: the members that mean the same wherever a family of providers has them. What a path's own format
means is its wire's business. What cannot be read is not refused, because nothing here depends on it: it is not known, and who
asks must not take that for a no.
"""

import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final
from urllib.parse import unquote

from proxy.core.calls.caller import BodyClaims
from proxy.core.errors import BadInput
from proxy.core.steps import Steps
from proxy.wires.json.edits import MemberEdits
from proxy.wires.json.members import JsonMembers, parse_in_steps, parse_members
from proxy.wires.json.values import WHITESPACE
from proxy.wires.shared.json_wire import TOOL_MARKS, look_for
from proxy.wires.shared.metadata_user import user_and_conversation
from proxy.wires.shared.request_bounds import RequestBounds
from proxy.wires.shared.tool_names import further_models, offered_tools
from proxy.wires.shared.version_parts import FLAG, read_identifier, read_model, read_switchback_member
from proxy.wires.wire import RequestFacts, WireFamily

OUR_MEMBER: Final = "switchback"
#: Of a list beyond these nothing is known.
_BOUNDS: Final = RequestBounds()
_MODEL_PATH: Final = re.compile(r"/v1/models/(.+)\Z")
_OBJECT: Final = re.compile(WHITESPACE + rb"\{")
_USER_MEMBERS: Final = ("safety_identifier", "user")


def read_passed(body: bytes, family: WireFamily) -> RequestFacts | None:
    """What a body names; None where it is no JSON object that can be read: then nothing of it is known.

    Raises BadInput (`wrong_kind`, `duplicate_key`) for a `switchback` member that cannot be read: it must not reach a provider.
    """
    if not _begins_as_object(body):
        return None
    try:
        members = parse_members(body)
    except BadInput:
        return None
    return _facts(members, family)


def read_passed_in_steps(body: bytes, family: WireFamily) -> Steps[RequestFacts | None]:
    """As `read_passed`, with pauses."""
    if not _begins_as_object(body):
        return None
    try:
        members = yield from parse_in_steps(body)
    except BadInput:
        return None
    yield from look_for(members, TOOL_MARKS)
    yield
    return _facts(members, family)


def _begins_as_object(body: bytes) -> bool:
    return _OBJECT.match(body) is not None


def _facts(members: JsonMembers, family: WireFamily) -> RequestFacts | None:
    switchback = _own_member(members)
    try:
        _BOUNDS.check(members)
        model = read_model(members)
        tools, further = offered_tools(members), further_models(members)
        user, conversation = _subject(members, family)
        streamed = members.decoded("stream", FLAG, "true or false") or False
    except BadInput:
        if switchback is None:
            return None
        raise
    return RequestFacts(
        claims=BodyClaims(model=model, user=user, conversation=conversation, switchback=switchback),
        model=model,
        streamed=streamed,
        choices=1,
        max_output_tokens=None,
        tool_names=tools,
        document=members,
        further_models=further,
    )


def read_path(path: str) -> RequestFacts | None:
    """What a path names where there is no body: the model that is asked about, or to be deleted; None: nothing."""
    named = _MODEL_PATH.match(path)
    if named is None:
        return None
    return RequestFacts(
        claims=BodyClaims(),
        model=unquote(named[1]),
        streamed=False,
        choices=1,
        max_output_tokens=None,
        tool_names=frozenset(),
        document=None,
    )


def claims_of_refused(body: bytes) -> BodyClaims:
    """What a body says of its agent that is refused for something else; empty where that cannot be read either."""
    model = switchback = None
    with suppress(BadInput):
        members = parse_members(body)
        with suppress(BadInput):
            model = read_model(members)
        with suppress(BadInput):
            switchback = read_switchback_member(members)
    return BodyClaims(model=model, switchback=switchback)


def without_ours(request: RequestFacts) -> bytes:
    """The plain body as a provider may see it: without its `switchback` member, every other byte as it came."""
    members: JsonMembers = request.document
    edits = MemberEdits(members)
    edits.remove(OUR_MEMBER)
    return edits.render()


def _own_member(members: JsonMembers) -> Mapping[str, Any] | None:
    if OUR_MEMBER not in members.values:
        return None
    # `null` is no claim, but it is no provider's member either.
    return read_switchback_member(members) or {}


def _subject(members: JsonMembers, family: WireFamily) -> tuple[str | None, str | None]:
    """User and conversation."""
    if family == "anthropic":
        metadata = members.given("metadata")
        user_id = None if metadata is None else read_identifier(parse_members(metadata, "metadata"), "user_id")
        return user_and_conversation(user_id)
    return next(filter(None, (read_identifier(members, name) for name in _USER_MEMBERS)), None), None
