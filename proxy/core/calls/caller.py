"""A caller: what a request says of who sends it, and whose behaviour is to be sticky.

Only the values; how they are put together from path, headers and body is identity.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from proxy.core.names import UNASSIGNED

SubjectKind = Literal["user", "conversation", "none"]
_NONE: Final[Mapping[str, str]] = {}


@dataclass(init=False, slots=True)
class BodyClaims:
    """What a wire read from the request body about the caller."""

    model: str | None
    user: str | None
    conversation: str | None
    #: The id of what a provider keeps and the call goes on with, where the wire has such a thing.
    chain: str | None
    #: The top-level `switchback` object, if the caller sent one.
    switchback: Mapping[str, Any] | None
    #: The prompt that a provider would keep, where the wire has such a thing.
    prompt: "PromptClaim | None"

    def __init__(
        self,
        *,
        model: str | None = None,
        user: str | None = None,
        conversation: str | None = None,
        chain: str | None = None,
        switchback: Mapping[str, Any] | None = None,
        prompt: "PromptClaim | None" = None,
    ) -> None:
        self.model = model
        self.user = user
        self.conversation = conversation
        self.chain = chain
        self.switchback = switchback
        self.prompt = prompt


@dataclass(frozen=True, slots=True)
class PromptClaim:
    """A prompt that the body names by an id in the place of saying it: an agent by its name, or by an id that stands for one."""

    id: str
    #: A version's number, or a label; None: the agent's default label.
    version: str | None
    variables: Mapping[str, str]


@dataclass(init=False, slots=True)
class Caller:
    """Who calls, as claimed. `agent` None: the call names no agent."""

    agent: str | None
    pin: int | None
    label: str | None
    user: str | None
    conversation: str | None
    #: The id of what the provider keeps and the call goes on with.
    chain: str | None
    tags: Mapping[str, str]
    variables: Mapping[str, str]

    def __init__(
        self,
        *,
        agent: str | None,
        pin: int | None = None,
        label: str | None = None,
        user: str | None = None,
        conversation: str | None = None,
        chain: str | None = None,
        tags: Mapping[str, str] = _NONE,
        variables: Mapping[str, str] = _NONE,
    ) -> None:
        self.agent = agent
        self.pin = pin
        self.label = label
        self.user = user
        self.conversation = conversation
        self.chain = chain
        self.tags = tags
        self.variables = variables

    @property
    def agent_name(self) -> str:
        return self.agent if self.agent is not None else UNASSIGNED

    @property
    def subject(self) -> str | None:
        """Whom stickiness is about: the user, else the conversation, else nobody."""
        return self.user if self.user is not None else self.conversation

    @property
    def subject_kind(self) -> SubjectKind:
        if self.user is not None:
            return "user"
        return "conversation" if self.conversation is not None else "none"
