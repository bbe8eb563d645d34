"""The names people give: agents, labels, plans, tags; and the ways a call refers to an agent."""

import functools
import re

import msgspec

from proxy.core.errors import BadInput

RESERVED_LABEL = "latest"
#: The label that drills have to themselves (core/rollouts/drills.py).
DRILL_LABEL = "switchback-drill"
UNASSIGNED = "unassigned"
AGENT_PATTERN = "[a-z0-9][a-z0-9._-]{0,63}"
LABEL_PATTERN = "[a-z][a-z0-9._-]{0,63}"
PLAN_PATTERN = AGENT_PATTERN
_AGENT = re.compile(rf"{AGENT_PATTERN}\Z")
_LABEL = re.compile(rf"{LABEL_PATTERN}\Z")
_PLAN = re.compile(rf"{PLAN_PATTERN}\Z")


class AgentReference(msgspec.Struct, frozen=True):
    """What a call says of its agent: the name, and behind `@` a pin (exactly that version) or a label to follow."""

    name: str
    pin: int | None = None
    label: str | None = None


def check_agent_name(name: str) -> str:
    """`name` if it may name an agent; `unassigned` is taken by calls that name none. Raises BadInput(`bad_name`)."""
    if not _AGENT.match(name) or name == UNASSIGNED:
        raise BadInput(
            "bad_name",
            "an agent is named with a-z, 0-9, '.', '_' and '-', at most 64 characters, beginning with a letter or digit; "
            f"'{UNASSIGNED}' is reserved",
            param="agent",
        )
    return name


def check_label_name(label: str) -> str:
    """`label` if it may name a label. Raises BadInput(`bad_name`)."""
    if not _LABEL.match(label) or label in (RESERVED_LABEL, DRILL_LABEL):
        raise BadInput(
            "bad_name",
            "a label is a-z, 0-9, '.', '_' and '-', at most 64 characters, beginning with a letter; "
            f"'{RESERVED_LABEL}' and '{DRILL_LABEL}' are reserved",
            param="label",
        )
    return label


def check_plan_name(name: object) -> str:
    """`name` if it may name a plan. Raises BadInput(`bad_name`)."""
    if not isinstance(name, str) or not _PLAN.match(name):
        raise BadInput(
            "bad_name",
            "a plan is named with a-z, 0-9, '.', '_' and '-', at most 64 characters, beginning with a letter or digit",
            param="name",
        )
    return name


@functools.lru_cache(maxsize=4096)
def parse_agent_reference(text: str) -> AgentReference:
    """`support-triage`, `support-triage@7`, `support-triage@staging` or `support-triage@latest`.

    Raises BadInput(`bad_agent`); whether the agent exists is the resolver's question.
    """
    name, separator, rest = text.partition("@")
    if not _AGENT.match(name) or (separator and not rest):
        raise BadInput("bad_agent", "the agent must be given as NAME, NAME@VERSION or NAME@LABEL", param="agent")
    if not separator:
        return AgentReference(name)
    if rest.isascii() and rest.isdigit() and len(rest) <= 9:
        return AgentReference(name, pin=int(rest))
    if not _LABEL.match(rest):
        raise BadInput("bad_agent", "behind '@' must stand a version number or a label", param="agent")
    return AgentReference(name, label=rest)
