"""Kill switches: which one is in force for a call, and what it does.

Modes, strongest first: `block` (refused in the wire's error shape), `reply` (a fixed text as a valid answer),
`fallback` (another version), `observe` (counted only). Only the decision is here; runtime carries it out.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypedDict, get_args

from proxy.core.scopes import CallFacts, Scope, ScopeDocument
from proxy.core.shapes import Moment, VersionNumber, Who, Why
from proxy.core.times import rfc3339

SwitchMode = Literal["block", "reply", "fallback", "observe"]
SWITCH_MODES: tuple[SwitchMode, ...] = get_args(SwitchMode)
#: Dimensions a switch may name.
SWITCH_DIMENSIONS = ("agent", "version", "label", "model", "provider", "tag", "tool")


@dataclass(frozen=True, slots=True, kw_only=True)
class Switch:
    """One kill switch entry. `expires_at_microseconds` is UTC; after it the switch no longer counts."""

    id: str
    scope: Scope
    mode: SwitchMode
    why: str
    created_by: str
    created_at_microseconds: int
    expires_at_microseconds: int | None = None
    #: mode `reply`: the text; mode `fallback`: the version number of the call's agent.
    reply_text: str | None = None
    fallback_version: int | None = None
    cut_streams: bool = False

    def is_active(self, now_microseconds: int) -> bool:
        return self.expires_at_microseconds is None or now_microseconds < self.expires_at_microseconds


def switch_in_force(switches: Iterable[Switch], facts: CallFacts, now_microseconds: int) -> Switch | None:
    """The strongest active switch whose scope may match, the oldest among equals; None where none does."""
    strongest: Switch | None = None
    for switch in switches:
        if not switch.scope.may_match(facts) or not switch.is_active(now_microseconds):
            continue
        if strongest is None or SWITCH_MODES.index(switch.mode) < SWITCH_MODES.index(strongest.mode):
            strongest = switch
    return strongest


def still_stopping(switches: Iterable[Switch], ended: Switch, now_microseconds: int) -> list[Switch]:
    """The active switches that keep calls, which `ended` met too, from what they asked for; one that only counts is none."""
    return [
        switch
        for switch in switches
        if switch.mode != "observe" and switch.is_active(now_microseconds) and switch.scope.overlaps(ended.scope)
    ]


class SwitchDocument(TypedDict):
    """A kill switch entry."""

    id: str
    scope: ScopeDocument
    mode: SwitchMode
    why: Why
    created_by: Who
    created_at: Moment
    expires: Moment | None
    reply: str | None
    fallback_version: VersionNumber | None
    cut_streams: bool


def switch_document(switch: Switch) -> SwitchDocument:
    expires = switch.expires_at_microseconds
    return {
        "id": switch.id,
        "scope": switch.scope.content(),
        "mode": switch.mode,
        "why": switch.why,
        "created_by": switch.created_by,
        "created_at": rfc3339(switch.created_at_microseconds),
        "expires": None if expires is None else rfc3339(expires),
        "reply": switch.reply_text,
        "fallback_version": switch.fallback_version,
        "cut_streams": switch.cut_streams,
    }
