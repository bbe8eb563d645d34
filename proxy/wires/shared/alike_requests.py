"""Requests of one application that differ in nothing but their conversation: recognised by the bytes around it.

Belongs here: what surrounds the conversation in a body, and remembering what reading it and injecting a version made of it.
Does not belong here: that reading and injecting (each wire's modules), which this one calls for everything it learns.

Decision: an application sends the same members and the same system prompt with every call. What surrounds the conversation
is read once, with a placeholder in its place; a body with the same bytes around a list of messages that are nothing but text
can say nothing else. Reading, injecting and bounding a small chat request take 4 µs instead of 13. Anything else, and what
was seen only once, goes the general way. For wires whose target and headers say nothing to their reading and injecting.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, cast

import msgspec

from proxy.core.errors import BadInput
from proxy.wires.json.items import parse_items
from proxy.wires.json.members import JsonMembers
from proxy.wires.json.values import check_utf8
from proxy.wires.shared.version_bytes import Remembered
from proxy.wires.wire import BilledApart, Injection, InjectionPlan, RequestFacts

#: Larger bodies cost more to copy than this saves.
_MAX_BODY: Final = 64 * 1024
#: Together these bound what is remembered: about 4 KB for an application of the usual kind, 80 MB in all whatever is sent.
_MAX_SURROUNDINGS: Final = 8 * 1024
_MAX_WRITTEN: Final = 32 * 1024
_MAX_VARIABLES: Final = 4096
_REMEMBERED: Final = 512
#: How often what follows one beginning may change before it is left alone, and how many ends it may have; how often what
#: is injected may change.
_PATIENCE: Final = 8
_MAX_FEET: Final = 4
_INJECTION_PATIENCE: Final = 64

#: Stands for the conversation; its text occurs nowhere else.
_PLACEHOLDER: Final = b'{"role":"user","content":"conversation 5d1f0c7e9ab34be2"}'

InjectionKey = tuple["_Surroundings", str | None, int | None, str | None, int, tuple[tuple[str, str], ...]]


@dataclass(frozen=True, slots=True)
class Style:
    """How a library writes the beginning of a conversation: up to its first message, a leading one, and between two."""

    opening: bytes
    leading: tuple[bytes, ...]
    between: bytes


@dataclass(frozen=True, slots=True)
class _Written:
    """What injecting made of the bytes around a conversation."""

    head: bytes
    foot: bytes
    is_unchanged: bool
    #: All of it but the body.
    injection: Injection


class _Surroundings:
    """The bytes around a conversation, and what they say."""

    __slots__ = ("facts", "foot", "head", "patience")

    def __init__(self, head: bytes, foot: bytes, facts: RequestFacts) -> None:
        self.head = head
        self.foot = foot
        #: Facts of a body with the placeholder in it.
        self.facts = facts
        self.patience = _INJECTION_PATIENCE


class AlikeRequest:
    """A body that was recognised: the document of its facts."""

    __slots__ = ("body", "conversation", "surroundings")

    def __init__(self, body: bytes, surroundings: _Surroundings, conversation: bytes) -> None:
        self.body = body
        self.surroundings = surroundings
        self.conversation = conversation


@dataclass(frozen=True, slots=True)
class KnownBound:
    """The document of an injection into such a body."""

    #: The input bound beyond the body's length; None: there is more to read than text.
    overhead_tokens: int | None
    #: What it may be billed beside text, where there is more than that.
    apart: BilledApart | None


class AlikeRequests:
    """The way around a wire's own reading and injecting for bodies that are alike."""

    def __init__(
        self,
        *,
        read: Callable[[bytes], RequestFacts],
        inject: Callable[[RequestFacts, InjectionPlan], Injection],
        bound: Callable[[Injection], int | None],
        apart: Callable[[Injection], BilledApart],
        first_role: Callable[[bytes], str | None],
        styles: Sequence[Style],
        leading_roles: frozenset[str],
        member: str = "messages",
    ) -> None:
        """`member`: where the conversation is. `first_role`: of the first message in a list of nothing but text; None for any other list, an empty one too."""
        self._read = read
        self._inject = inject
        self._bound = bound
        self._apart = apart
        self._first_role = first_role
        self._styles = styles
        self._leading_roles = leading_roles
        self._member = member
        #: How often a beginning was seen without being recognised.
        self._seen: Remembered[bytes, int] = Remembered(_REMEMBERED)
        self._known: Remembered[bytes, tuple[_Surroundings, ...]] = Remembered(_REMEMBERED)
        self._seen_plans: Remembered[InjectionKey, bool] = Remembered(_REMEMBERED)
        self._written: Remembered[InjectionKey, _Written] = Remembered(_REMEMBERED)

    def read(self, body: bytes) -> RequestFacts:
        """Facts of a request body. Raises what the wire's own reading raises."""
        head = self._head_of(body) if len(body) <= _MAX_BODY else b""
        if not head:
            return self._read(body)
        for known in self._known.get(head) or ():
            if body.endswith(known.foot):
                facts = self._recognised(body, known)
                if facts is not None:
                    return facts
        facts = self._read(body)
        self._consider(head, body, facts)
        return facts

    def inject(self, request: RequestFacts, plan: InjectionPlan) -> Injection:
        """The body with the version in it. Raises what the wire's own injecting raises."""
        alike = request.document
        if not isinstance(alike, AlikeRequest):
            return self._inject(request, plan)
        known = alike.surroundings
        bundle_hash = None if plan.bundle is None else plan.bundle.bundle_hash
        asked = plan.asks_usage + 2 * plan.is_continued
        key = known, bundle_hash, plan.output_ceiling, plan.wire_version, asked, tuple(plan.variables.items())
        written = self._written.get(key) or self._write(known, key, plan)
        if written is None:
            return self._inject(self._read(alike.body), plan)
        known.patience = _INJECTION_PATIENCE
        injection = written.injection
        is_unchanged = written.is_unchanged
        return Injection(
            body=alike.body if is_unchanged else b"".join((written.head, alike.conversation, written.foot)),
            model=injection.model,
            max_output_tokens=injection.max_output_tokens,
            dropped_parameters=injection.dropped_parameters,
            removes_usage_event=injection.removes_usage_event,
            ignored_variables=injection.ignored_variables,
            service_tier=injection.service_tier,
            web_searches=injection.web_searches,
            document=injection.document,
        )

    def input_tokens_bound(self, injection: Injection) -> int | None:
        """An upper bound of the input tokens; None where there is more to read than text."""
        known = injection.document
        if not isinstance(known, KnownBound):
            return self._bound(injection)
        return None if known.overhead_tokens is None else len(injection.body) + known.overhead_tokens

    def billed_apart(self, injection: Injection) -> BilledApart:
        """What it may be billed beside text."""
        known = injection.document
        if isinstance(known, KnownBound) and known.apart is not None:
            return known.apart
        return self._apart(injection)

    def _recognised(self, body: bytes, known: _Surroundings) -> RequestFacts | None:
        """The facts of a body with these surroundings; None where they are not around a conversation of texts alone."""
        conversation = body[len(known.head) : len(body) - len(known.foot)]
        if not conversation.isascii() and not _is_utf8(conversation):
            return None
        role = self._first_role(b"[" + conversation + b"]")
        if role is None or role in self._leading_roles:
            return None
        facts = known.facts
        return RequestFacts(
            claims=facts.claims,
            model=facts.model,
            streamed=facts.streamed,
            choices=facts.choices,
            max_output_tokens=facts.max_output_tokens,
            tool_names=facts.tool_names,
            further_models=facts.further_models,
            document=AlikeRequest(body, known, conversation),
        )

    def _head_of(self, body: bytes) -> bytes:
        """The bytes before the conversation, a leading message included; empty where that is not to be seen at a glance."""
        for style in self._styles:
            at = body.find(style.opening)
            if at >= 0:
                end = at + len(style.opening)
                if style.leading and body.startswith(style.leading, end):
                    after = body.find(style.between, end)
                    if after < 0:
                        return b""
                    end = body.index(b"{", after)
                return body[:end] if end <= _MAX_SURROUNDINGS else b""
        return b""

    def _consider(self, head: bytes, body: bytes, facts: RequestFacts) -> None:
        """Remember what stands around a conversation, once it has been seen twice."""
        times = self._seen.get(head) or 0
        self._seen.keep(head, times + 1)
        if not 1 <= times <= _PATIENCE:
            return
        members = cast("JsonMembers", facts.document)
        end = next((end for name, _, _, end in members.spans if name == self._member), 0)
        foot = body[end - 1 :]
        if not end or len(foot) > _MAX_SURROUNDINGS:
            return
        others = self._known.get(head) or ()
        if any(known.foot == foot for known in others):
            return
        try:
            facts = self._read(head + _PLACEHOLDER + foot)
            is_surrounding = self._is_surrounding(cast("JsonMembers", facts.document))
        except BadInput:
            return
        if is_surrounding:
            known = (_Surroundings(head, foot, facts), *others[: _MAX_FEET - 1])
            # A body that ends with a long foot may end with a short one too.
            self._known.keep(head, tuple(sorted(known, key=lambda one: -len(one.foot))))

    def _is_surrounding(self, members: JsonMembers) -> bool:
        """Whether the placeholder is the conversation, behind leading messages at most."""
        raw = members.given(self._member)
        first = None if raw is None else self._first_role(raw)
        if raw is None or first is None:
            return False
        items = parse_items(raw, self._member).values
        expected = 2 if first in self._leading_roles else 1
        return len(items) == expected and items[-1] == msgspec.Raw(_PLACEHOLDER)

    def _write(self, known: _Surroundings, key: InjectionKey, plan: InjectionPlan) -> _Written | None:
        """What injecting makes of the surroundings; None where that is not worth remembering, or not to be told apart."""
        known.patience -= 1
        if known.patience < 0:
            self._known.forget(known.head)
            self._seen.keep(known.head, _PATIENCE + 1)
        if sum(map(len, plan.variables.values())) > _MAX_VARIABLES:
            return None
        if not self._seen_plans.get(key):
            self._seen_plans.keep(key, True)
            return None
        injection = self._inject(known.facts, plan)
        if injection.unbounded_because is not None:
            return None
        head, found, foot = injection.body.partition(_PLACEHOLDER)
        if not found or _PLACEHOLDER in foot or len(head) + len(foot) > _MAX_WRITTEN:
            return None
        bound = self._bound(injection)
        overhead = None if bound is None else bound - len(injection.body)
        document = KnownBound(overhead, self._apart(injection) if bound is None else None)
        lasting = replace(injection, body=b"", document=document)
        is_unchanged = (head, foot) == (known.head, known.foot)
        return self._written.keep(key, _Written(head, foot, is_unchanged, lasting))


def _is_utf8(text: bytes) -> bool:
    try:
        check_utf8(text, None)
    except BadInput:
        return False
    return True
