"""Dialects: how servers that speak OpenAI's wire differ from it, and from each other. One table, known by the domain of a base URL, or by
the name that a provider's setting `dialect` gives for a server of one's own.

Belongs here: what a request must look like there, and whether an answer tells its price. What answers tell otherwise (a usage with the last
text, in `x_groq`, cached tokens under other names, comments between events) is read whoever says it, by the wires themselves. Pure.

Decision: a request is put into a dialect behind the wire's own injecting, on the bytes that come out of it, and only for providers whose
dialect asks for that: a table of members takes 5 us of a call there and nothing of any other, while asking the wires to know about dialects
would have cost every call, and every request that is remembered a memory for each dialect.

Sources: the servers' API references, and reports of what they refuse, as of 2026-11.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal
from urllib.parse import urlsplit

from proxy.wires.json.edits import MemberEdits
from proxy.wires.json.members import parse_members
from proxy.wires.wire import Injection

_OLD_BOUND: Final = "max_tokens"
_NEW_BOUND: Final = "max_completion_tokens"
_STREAM_OPTIONS: Final = "stream_options"
#: A body without any of these is as every dialect has it; a name may be spelled with escapes.
_MARKS: Final = (_NEW_BOUND.encode(), _STREAM_OPTIONS.encode(), b"\\u")


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """What one server takes and tells."""

    name: str
    #: Where its base URL is, as its SDK examples have it; empty: wherever somebody runs it.
    base_url: str = ""
    #: Whose subdomains speak it.
    domains: tuple[str, ...] = ()
    #: Whether a stream may be asked for its usage; where not, it is told unasked, or not at all.
    takes_stream_options: bool = True
    #: What the bound of a conversation's output is called. Where it is the old name, the new one is refused, or ignored: no bound at all.
    output_bound: Literal["max_tokens", "max_completion_tokens"] = "max_completion_tokens"
    #: Whether `usage.cost` is what the call is billed, in dollars.
    tells_cost: bool = False
    #: Whether models go by the names of their deployments, below paths of its own (deployments.py), with keys in `api-key`.
    has_deployments: bool = False

    @property
    def changes_requests(self) -> bool:
        """Whether a request may have to be put into it."""
        return not self.takes_stream_options or self.output_bound != _NEW_BOUND


PLAIN: Final = Dialect(name="openai", base_url="https://api.openai.com/v1", domains=("openai.com",))
DIALECTS: Final[Mapping[str, Dialect]] = {
    dialect.name: dialect
    for dialect in (
        PLAIN,
        Dialect(name="azure", domains=("azure.com",), has_deployments=True),
        Dialect(
            name="deepseek",
            base_url="https://api.deepseek.com/v1",
            domains=("deepseek.com",),
            output_bound="max_tokens",
        ),
        Dialect(
            name="fireworks",
            base_url="https://api.fireworks.ai/inference/v1",
            domains=("fireworks.ai",),
            output_bound="max_tokens",
        ),
        Dialect(
            name="gemini",
            base_url="https://generativelanguage.googleapis.com/v1beta/openai",
            domains=("generativelanguage.googleapis.com",),
        ),
        Dialect(name="groq", base_url="https://api.groq.com/openai/v1", domains=("groq.com",)),
        Dialect(
            name="mistral",
            base_url="https://api.mistral.ai/v1",
            domains=("mistral.ai",),
            takes_stream_options=False,
            output_bound="max_tokens",
        ),
        Dialect(name="ollama", domains=("ollama.com",), output_bound="max_tokens"),
        Dialect(
            name="openrouter",
            base_url="https://openrouter.ai/api/v1",
            domains=("openrouter.ai",),
            takes_stream_options=False,
            output_bound="max_tokens",
            tells_cost=True,
        ),
        Dialect(
            name="together",
            base_url="https://api.together.xyz/v1",
            domains=("together.xyz", "together.ai"),
            output_bound="max_tokens",
        ),
        Dialect(name="vllm", output_bound="max_tokens"),
        Dialect(name="xai", base_url="https://api.x.ai/v1", domains=("x.ai",)),
    )
}


def dialect_of(named: str | None, base_url: str) -> Dialect:
    """The dialect of a provider: the one its settings name, else its domain's, else OpenAI's own."""
    if named is not None:
        return DIALECTS[named]
    host = (urlsplit(base_url).hostname or "").rstrip(".").lower()
    for dialect in DIALECTS.values():
        if any(host == domain or host.endswith("." + domain) for domain in dialect.domains):
            return dialect
    return PLAIN


def in_dialect(injection: Injection, dialect: Dialect) -> Injection:
    """A request as a server of that dialect takes it. What is left out is told; the same object where nothing changes. Raises
    BadInput(`duplicate_key`)."""
    if not any(mark in injection.body for mark in _MARKS):
        return injection
    edits = MemberEdits(parse_members(injection.body))
    dropped = injection.dropped_parameters
    if dialect.output_bound == _OLD_BOUND and edits.has(_NEW_BOUND):
        raw = edits.given(_NEW_BOUND)
        edits.remove(_NEW_BOUND)
        if raw is not None:
            edits.set(_OLD_BOUND, bytes(raw))
    if not dialect.takes_stream_options and edits.has(_STREAM_OPTIONS):
        edits.remove(_STREAM_OPTIONS)
        dropped += (_STREAM_OPTIONS,)
    body = edits.render()
    return injection if body is injection.body else replace(injection, body=body, dropped_parameters=dropped)
