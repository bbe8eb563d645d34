"""What the wires have in common whose requests are JSON objects with a conversation in one member.

Belongs here: reading within the bounds, and the way around it for requests that are alike. What is read, how a version is put in and
what an answer says is each wire's.
"""

from collections.abc import Callable, Sequence
from typing import Final

from proxy.core.steps import Steps
from proxy.wires.json.members import JsonMembers, parse_in_steps, parse_members
from proxy.wires.shared.alike_requests import AlikeRequests, Style
from proxy.wires.shared.request_bounds import RequestBounds
from proxy.wires.shared.tool_names import MARKS, MODEL_MARK
from proxy.wires.wire import NO_HEAD, BilledApart, Injection, InjectionPlan, RequestFacts, RequestHead

#: A member, and bytes that are looked for in it.
Mark = tuple[str, bytes]
TOOL_MARKS: Final = tuple(("tools", words) for words in (*MARKS, MODEL_MARK))


def look_for(members: JsonMembers, marks: Sequence[Mark]) -> Steps[None]:
    """Look for all of these, with pauses: whoever asks then is told at once."""
    for mark in marks:
        yield
        yield from members.look_for(*mark)


def nobody_leads(_raw: bytes) -> str | None:
    """The first role where there are none: no prompt of a version stands before anything."""
    return None


class JsonWire:
    """The half of a Wire that is about requests. Remembers nothing that it could not work out again."""

    def __init__(
        self,
        bounds: RequestBounds | None,
        *,
        facts: Callable[[JsonMembers], RequestFacts],
        inject: Callable[[RequestFacts, InjectionPlan], Injection],
        bound: Callable[[Injection], int | None],
        apart: Callable[[Injection], BilledApart],
        first_role: Callable[[bytes], str | None] = nobody_leads,
        styles: Sequence[Style] = (),
        leading_roles: frozenset[str] = frozenset(),
        conversation: str = "messages",
        marks: Sequence[Mark] = (),
    ) -> None:
        """The wire's own parts, as AlikeRequests takes them; `conversation`: the member that holds it; `marks`: what `facts` and
        `apart` look for in which members, beside what all wires look for among tools."""
        self._bounds = RequestBounds() if bounds is None else bounds
        self._facts = facts
        self._conversation = conversation
        self._marks = (*TOOL_MARKS, *marks)
        self._alike = AlikeRequests(
            read=self._read,
            inject=inject,
            bound=bound,
            apart=apart,
            first_role=first_role,
            styles=styles,
            leading_roles=leading_roles,
            member=conversation,
        )

    def read(self, body: bytes, _head: RequestHead = NO_HEAD, /) -> RequestFacts:
        """Facts of a request body. Raises BadInput: `malformed_json`, `body_must_be_object`, `duplicate_key`, `wrong_kind`,
        `too_many_tools`, ..."""
        return self._alike.read(body)

    def read_in_steps(self, body: bytes, _head: RequestHead = NO_HEAD, /) -> Steps[RequestFacts]:
        """As `read`, with pauses."""
        objects = yield from self._bounds.check_unread(body, self._conversation)
        yield
        members = yield from parse_in_steps(body, self._bounds.structure_bytes)
        yield from look_for(members, self._marks)
        yield
        return self._facts_of(members, objects)

    def _read(self, body: bytes) -> RequestFacts:
        return self._facts_of(parse_members(body))

    def _facts_of(self, members: JsonMembers, objects: int | None = None) -> RequestFacts:
        self._bounds.check(members, self._conversation, objects)
        return self._facts(members)

    def inject(self, request: RequestFacts, plan: InjectionPlan) -> Injection:
        """The body with the version in it. Raises BadInput: `model_missing`, `variable_missing`, `wrong_kind`, ..."""
        return self._alike.inject(request, plan)

    def input_tokens_bound(self, injection: Injection) -> int | None:
        """An upper bound of the input tokens; None where there is more to read than text."""
        return self._alike.input_tokens_bound(injection)

    def billed_apart(self, injection: Injection) -> BilledApart:
        """What an injected body may be billed beside text."""
        return self._alike.billed_apart(injection)
