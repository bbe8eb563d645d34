"""Scopes: which calls a switch or a cap is about.

A scope names any of a fixed set of dimensions; it matches a call when every named dimension equals the call's; `{}` is
everything. `user: "*"` (caps only) matches every call with a user and counts each user apart.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, TypedDict, cast

import msgspec
from msgspec import Meta

from proxy.core.errors import BadInput
from proxy.core.model_names import means_model
from proxy.core.names import AGENT_PATTERN

EACH = "*"
DIMENSIONS = ("agent", "version", "arm", "rollout", "label", "user", "tag", "model", "provider", "tool")

#: A call has one of each dimension, but any number of these, or one that goes by several names.
_MANY = frozenset({"model", "tag", "tool"})

_ONLY_FOR_SWITCHES = " (a switch can name a tool; what a call spends belongs to no one tool that it offers)"


class CallFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a call once it is resolved; the facts scopes are matched against."""

    agent: str
    provider: str
    model: str
    version: int | None = None
    label: str | None = None
    rollout: str | None = None
    arm: str | None = None
    user: str | None = None
    tags: Mapping[str, str]
    #: Names of the tools the version or the caller offers the model.
    tools: frozenset[str] = frozenset()
    #: What this model was seen to answer as.
    model_answered: str | None = None
    #: Models that it brings beside the one that answers: of a tool, or that take over where that one refuses.
    further_models: frozenset[str] = frozenset()
    #: Which model is asked, and with which tools, stands where nobody looked: it may be any.
    model_is_unseen: bool = False
    #: Nothing of the body is known, so that user and tags may be any as well.
    body_is_unseen: bool = False


_Text = Annotated[str, Meta(min_length=1)]


class ScopeDocument(TypedDict, total=False):
    """Which calls are meant: those that fit everything that is named; {} is every call."""

    agent: Annotated[str, Meta(pattern=f"^{AGENT_PATTERN}$", examples=["support"])]
    version: Annotated[int, Meta(ge=1)]
    arm: _Text
    rollout: _Text
    label: _Text
    user: Annotated[str, Meta(min_length=1, description="`*`: each user is counted apart (caps only)")]
    tag: Annotated[str, Meta(pattern="^[^=]+=", description="KEY=VALUE", examples=["tier=free"])]
    model: _Text
    provider: _Text
    tool: _Text


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """The dimensions a switch or cap names; `version` belongs to `agent`, `arm` to `rollout`."""

    agent: str | None = None
    version: int | None = None
    label: str | None = None
    rollout: str | None = None
    arm: str | None = None
    user: str | None = None
    tag: tuple[str, str] | None = None
    model: str | None = None
    provider: str | None = None
    tool: str | None = None

    def matches(self, facts: CallFacts) -> bool:
        """Whether every named dimension is known to equal the call's."""
        return (
            (self.agent is None or self.agent == facts.agent)
            and (self.version is None or self.version == facts.version)
            and (self.label is None or self.label == facts.label)
            and (self.rollout is None or self.rollout == facts.rollout)
            and (self.arm is None or self.arm == facts.arm)
            and (self.user is None or (facts.user is not None and self.user in (EACH, facts.user)))
            and (self.tag is None or facts.tags.get(self.tag[0]) == self.tag[1])
            and (self.model is None or _is_named(self.model, facts))
            and (self.provider is None or self.provider == facts.provider)
            and (self.tool is None or is_offered(self.tool, facts.tools))
        )

    def overlaps(self, other: "Scope") -> bool:
        """Whether there can be a call that both match, as far as their dimensions tell."""
        for name in DIMENSIONS:
            mine, theirs = getattr(self, name), getattr(other, name)
            if mine is None or theirs is None or mine == theirs or name in _MANY:
                continue
            if EACH not in (mine, theirs) or name != "user":
                return False
        return True

    def means_same(self, other: "Scope") -> bool:
        """Whether both are about the same calls, in whatever case their models are written, and with their provider or without."""
        return _plainly(self) == _plainly(other)

    def may_match(self, facts: CallFacts) -> bool:
        """Whether no named dimension is known to differ from the call's: what could not be read counts as equal."""
        if self.matches(facts):
            return True
        is_unseen = facts.model_is_unseen or facts.body_is_unseen
        return is_unseen and self._without_unseen(facts).matches(facts)

    def _without_unseen(self, facts: CallFacts) -> "Scope":
        """The part of the scope that can be decided where a body was not read."""
        user, tag = self.user, self.tag
        if facts.body_is_unseen:
            user = None if facts.user is None else user
            tag = None if tag is not None and tag[0] not in facts.tags else tag
        return replace(self, user=user, tag=tag, model=self.model if facts.model else None, tool=None)

    def content(self) -> ScopeDocument:
        """As JSON: only what is named; a tag is `"key=value"`."""
        named: dict[str, Any] = {name: getattr(self, name) for name in DIMENSIONS if getattr(self, name) is not None}
        if self.tag is not None:
            named["tag"] = f"{self.tag[0]}={self.tag[1]}"
        return cast("ScopeDocument", named)

    def kind(self) -> str:
        """The narrowest named dimension, for metrics and tables: `everything`, `agent`, `version`, ..."""
        return next((name for name in reversed(DIMENSIONS) if getattr(self, name) is not None), "everything")


def parse_scope(content: Any, allowed: tuple[str, ...]) -> Scope:
    """A scope from JSON, with only the `allowed` dimensions. Raises BadInput(`bad_scope`)."""
    if not isinstance(content, dict):
        raise _bad("scope", "must be an object; {} is everything")
    given = cast("dict[str, Any]", content)
    values: dict[str, Any] = {}
    for name, value in given.items():
        if name not in allowed:
            hint = _ONLY_FOR_SWITCHES if name == "tool" else ""
            raise _bad(f"scope.{name}", f"is unknown here; there are {', '.join(allowed)}{hint}")
        values[name] = _dimension(name, value)
    for name in ("version", "label", "rollout", "arm"):
        if name in values and "agent" not in values:
            raise _bad(f"scope.{name}", f"needs scope.agent: a {name} belongs to an agent")
    return Scope(**values)


def is_offered(named: str, tools: Collection[str]) -> bool:
    """Whether a tool of that name, in any case, is among these."""
    return named in tools or named.casefold() in {tool.casefold() for tool in tools}


def _dimension(name: str, value: Any) -> Any:
    if name == "version":
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise _bad("scope.version", "must be a version number")
        return value
    if not isinstance(value, str) or not value:
        raise _bad(f"scope.{name}", "must be a text")
    if name == "tag":
        key, separator, rest = value.partition("=")
        if not separator or not key:
            raise _bad("scope.tag", "must be written key=value")
        return (key, rest)
    return value


def _bad(path: str, problem: str) -> BadInput:
    return BadInput("bad_scope", f"{path} {problem}", param=path)


def _is_named(named: str, facts: CallFacts) -> bool:
    answered = facts.model_answered
    if means_model(named, facts.provider, facts.model):
        return True
    if answered is not None and means_model(named, facts.provider, answered):
        return True
    return any(means_model(named, facts.provider, model) for model in facts.further_models)


def _plainly(scope: Scope) -> Scope:
    if scope.model is None:
        return scope
    model = scope.model.casefold()
    if scope.provider is not None:
        model = model.removeprefix(f"{scope.provider.casefold()}/")
    return replace(scope, model=model)
