"""Orders: how the simulator is told to behave, and how the three ways of telling it are read and combined.

A `Scenario` holds for a whole simulator. Over it go markers in the system prompt, then markers in the last user text
(`[[simulate: cut_after_events=3; delay_ms=20]]`), then the request header `X-Simulate: cut_after_events=3`. The names are
the field names; a name alone means true. An unknown name is an error, so that a misspelt order never passes as good
behaviour. What the orders do happens in `answering.py` and `delivery.py`.
"""

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

MARKER = re.compile(r"\[\[\s*simulate:(.*?)\]\]", re.DOTALL)
SLOW_DELAY_MS = 1_500.0
SLOW_EVENT_DELAY_MS = 50.0


class OrderError(ValueError):
    """An order that nobody can follow: an unknown name, or a value of the wrong kind."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong in the middle of an answer, after how many content pieces."""

    kind: str
    after_events: int


@dataclass(frozen=True, slots=True)
class Scenario:
    """How to behave. The defaults are a healthy provider that answers at once."""

    # Pace.
    delay_ms: float = 0.0
    """Wait before the first byte."""
    event_delay_ms: float = 0.0
    """Wait before each content piece; a whole answer takes as long as its stream would."""
    jitter: float = 0.0
    """Each wait is longer or shorter by up to this share of it; drawn from `seed` and the number of the call."""
    slow: bool = False
    """Short for a first byte after 1.5 s and 50 ms a piece."""
    seed: int = 0

    # What is answered.
    events: int | None = None
    """Content pieces of each choice; by default one a token."""
    output_tokens: int | None = None
    """Exact length of each choice, unless the caller's maximum is smaller."""
    cached_tokens: int = 0
    """How much of the input was read from the provider's cache."""
    cache_write_tokens: int = 0
    """Anthropic: how much of the input was written to it."""
    reasoning_tokens: int = 0
    """Invisible output of each choice, part of its output tokens."""
    echo_system: bool = False
    """Begin with `[system:<its first 60 characters>] `."""
    text: str = ""
    """What is said, word for word."""
    refuse: bool = False
    finish: str = ""
    """`length`, or any other reason, said as it stands."""
    model_answered: str = ""
    gzip: bool = False

    end_delay_ms: float = 0.0
    """Wait between the last event of a stream and the end of its body."""

    # Usage.
    no_usage: bool = False
    usage: str = ""
    """`weird` (a negative, a string, a null), `null`, or `twice` (an earlier, smaller report in the stream)."""

    # No answer.
    status: int | None = None
    """An error of this status; 300 to 399 together with `redirect`."""
    retry_after: str | None = None
    """Value of the header; a 429 says 1 by default, empty leaves it out."""
    error_rate: float | None = None
    """Share of calls that get `status` (500 by default): drawn from `seed` and the number of the call."""
    redirect: str = ""
    status_line: str = ""
    """Sent raw in place of an answer, before the connection is closed: `status_line=garbage`."""
    cut_before_answer: bool = False
    """Reset the connection without a byte."""

    # Half an answer. Pieces are counted over all choices; 0 is after the opening of the stream. Of a whole answer all but
    # `error_after_events` send half the body.
    cut_after_events: int | None = None
    """Reset."""
    close_after_events: int | None = None
    """Close politely (FIN), but without the last chunk."""
    end_after_events: int | None = None
    """End the HTTP body properly, without the finish and the terminator of the wire."""
    stall_after_events: int | None = None
    """Send nothing more until the client leaves."""
    error_after_events: int | None = None
    """An error event of the wire, then the end."""
    malformed: bool = False
    """An event with broken JSON after the first piece; a whole answer is half its JSON."""

    @property
    def fault(self) -> Fault | None:
        """The one thing that goes wrong mid-answer: the first ordered in the order of the fields."""
        for kind in ("cut", "close", "end", "stall", "error"):
            after: int | None = getattr(self, f"{kind}_after_events")
            if after is not None:
                return Fault(kind, after)
        return None

    @property
    def first_delay_ms(self) -> float:
        """Wait before the first byte in milliseconds, `slow` included."""
        return max(self.delay_ms, SLOW_DELAY_MS) if self.slow else self.delay_ms

    @property
    def piece_delay_ms(self) -> float:
        """Wait before each piece in milliseconds, `slow` included."""
        return max(self.event_delay_ms, SLOW_EVENT_DELAY_MS) if self.slow else self.event_delay_ms

    def failure_status(self, number: int) -> int | None:
        """The error status that call `number` gets, or None."""
        if self.redirect or (self.status is None and self.error_rate is None):
            return None
        if self.error_rate is not None and self.chance(number, "error").random() >= self.error_rate:
            return None
        return self.status or 500

    def chance(self, number: int, purpose: str) -> random.Random:
        """A generator that is the same for the same seed, call number and purpose."""
        return random.Random(f"{self.seed}:{number}:{purpose}")

    def ordered(self, orders: Mapping[str, Any]) -> "Scenario":
        """This scenario with `orders` over it, given as text or as JSON values. Raises OrderError."""
        return replace(self, **{name: _value(name, value) for name, value in orders.items() if value is not None})


HEALTHY = Scenario()
REALISTIC = Scenario(delay_ms=30.0, event_delay_ms=5.0, jitter=0.3)
"""Pace of a small hosted model, for demonstrations."""

_KINDS = {
    field.name: field.type.__name__ if isinstance(field.type, type) else str(field.type) for field in fields(Scenario)
}


def parse_orders(text: str) -> dict[str, str]:
    """Orders from `name=value; name; name=value`. Names are checked by `Scenario.ordered`."""
    orders: dict[str, str] = {}
    for part in text.split(";"):
        name, separator, value = part.strip().partition("=")
        if name:
            orders[name.strip()] = value.strip() if separator else "true"
    return orders


def marked_orders(text: str) -> dict[str, str]:
    """The orders in all markers of `text`; a later one wins."""
    orders: dict[str, str] = {}
    for marker in MARKER.findall(text):
        orders.update(parse_orders(marker))
    return orders


def without_markers(text: str) -> str:
    """`text` as a reader should see it."""
    return MARKER.sub("", text).strip()


def _value(name: str, value: Any) -> Any:
    kind = _KINDS.get(name)
    if kind is None:
        raise OrderError(f"unknown order {name!r}")
    text = str(value)
    try:
        if kind == "bool":
            return {"true": True, "1": True, "false": False, "0": False}[text.lower()]
        if kind.startswith("int"):
            return int(text)
        return float(text) if kind.startswith("float") else text
    except (ValueError, KeyError):
        raise OrderError(f"order {name} cannot be {text!r}") from None
