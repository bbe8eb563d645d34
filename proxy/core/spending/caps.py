"""Caps: spend limits and the windows they count in.

Amounts are integers in the cap's own unit: nano-dollars for `usd`, else tokens, calls, calls in flight. A cap
of 0 allows nothing. A window is identified by its UTC start.
The numbers spent and held are runtime's (spending/ledger.py); whether one more call fits is decided there, where both change.

Decision: a clock that is set back does not reopen a window: what was the newest window stays it, for at most twice its length
and two days, and until the clock has come to it again. A clock that goes back further had jumped ahead by mistake; then the windows
follow it, so that no cap stays shut until 2030, and one that comes again begins with what the ledger says was spent in it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, Literal, TypedDict

import msgspec

from proxy.core.errors import BadInput
from proxy.core.scopes import EACH, CallFacts, Scope, ScopeDocument
from proxy.core.shapes import Amount, Count, Moment, Who, Why
from proxy.core.spending.leases import largest_lease
from proxy.core.times import rfc3339

CapUnit = Literal["usd", "tokens", "calls", "in_flight"]
CapWindow = Literal["minute", "hour", "day", "month", "rollout", "total"]
AtLimit = Literal["block", "warn"]
#: Dimensions a cap may name.
CAP_DIMENSIONS = ("agent", "version", "rollout", "arm", "label", "user", "tag", "model", "provider")

NANODOLLARS = 1_000_000_000
_MAX_AMOUNT = 2**62
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: Windows of one length in UTC, in microseconds; 1970 began with a whole one of each.
_LONGER_THAN_A_MONTH = 32 * 86_400_000_000
_LONGEST_STEP_BACK = 2 * 86_400_000_000
_EVEN_WINDOWS = {"minute": 60_000_000, "hour": 3_600_000_000, "day": 86_400_000_000}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cap:
    """A spend limit. `limit_amount` is in the cap's unit (nano-dollars for usd). It counts from its creation."""

    id: str
    scope: Scope
    window: CapWindow
    unit: CapUnit
    limit_amount: int
    at_limit: AtLimit
    why: str
    created_by: str
    created_at_microseconds: int

    @property
    def is_hard(self) -> bool:
        """Whether a call that does not fit is kept from the provider (all but `warn`)."""
        return self.at_limit != "warn"

    def touches(self, facts: CallFacts) -> bool:
        """Whether a call counts here: a hard cap takes what is not known of it for a match, so that nothing goes round it."""
        return self.scope.may_match(facts) if self.is_hard else self.scope.matches(facts)

    @property
    def needs_price(self) -> bool:
        return self.unit == "usd"

    @property
    def passes_soon(self) -> bool:
        """Whether waiting helps within a minute: then the refusal is a 429, else a final 402."""
        return self.unit == "in_flight" or (self.window == "minute" and self.unit in ("calls", "tokens"))


class CounterKey(msgspec.Struct, frozen=True, array_like=True):
    """Which counter a call adds to: one per cap, window and (for `user: "*"`) user."""

    cap: str
    window_start_microseconds: int
    part: str = ""


def counter_key(cap: Cap, facts: CallFacts, now_microseconds: int) -> CounterKey:
    """The counter of `cap` that a call at this moment belongs to."""
    part = facts.user or "" if cap.scope.user == EACH else ""
    if cap.window == "rollout":
        # Rollouts are numbered per agent.
        part = f"{facts.agent}/{facts.rollout or ''}/{part}"
    if not part.isascii():
        # A user may be named by anything; no store keeps lone surrogates.
        part = part.encode("utf-8", "replace").decode()
    return CounterKey(cap.id, window_start(cap.window, now_microseconds), part)


def window_start(window: CapWindow, now_microseconds: int) -> int:
    """UTC start of the window that holds `now`, in microseconds since 1970; 0 for windows without a calendar."""
    size = _EVEN_WINDOWS.get(window)
    if size is not None:
        return now_microseconds - now_microseconds % size
    if window != "month":
        return 0
    first = (_EPOCH + timedelta(microseconds=now_microseconds)).replace(
        day=1, hour=0, minute=0, second=0, microsecond=0
    )
    return (first - _EPOCH) // timedelta(microseconds=1)


def step_back_held(window: CapWindow) -> int:
    """How far a clock may be set back, in microseconds, so that the newest window of a cap stays the newest."""
    size = _EVEN_WINDOWS.get(window)
    return _LONGEST_STEP_BACK if size is None else min(2 * size, _LONGEST_STEP_BACK)


def steady_moment(window: CapWindow, now_microseconds: int, newest_start_microseconds: int) -> int:
    """The moment that says which window counts, where one that began at `newest_start` has counted before."""
    ahead = newest_start_microseconds - now_microseconds
    return newest_start_microseconds if 0 < ahead <= step_back_held(window) else now_microseconds


def window_end(window: CapWindow, start_microseconds: int) -> int:
    """When the window that began at `start` ends, in microseconds since 1970; never for windows without a calendar."""
    size = _EVEN_WINDOWS.get(window)
    if size is not None:
        return start_microseconds + size
    if window != "month":
        return 2**63
    return window_start("month", start_microseconds + _LONGER_THAN_A_MONTH)


def limit_amount(unit: CapUnit, limit: Any) -> int:
    """An operator's limit (dollars for usd, else a whole number) as the cap's integer amount.

    Raises BadInput(`bad_limit`) for negative, fractional where whole is wanted, not finite, or absurdly large.
    """
    try:
        exact = Decimal(str(limit)) if isinstance(limit, int | float | str) and not isinstance(limit, bool) else None
    except InvalidOperation:
        exact = None
    if exact is None or not exact.is_finite() or not 0 <= exact <= _MAX_AMOUNT:
        raise BadInput(
            "bad_limit", "limit must be a number of at least 0 (0 allows nothing) and below 4e18", param="limit"
        )
    amount = exact * NANODOLLARS if unit == "usd" else exact
    if amount != amount.to_integral_value() or amount > _MAX_AMOUNT:
        raise BadInput(
            "bad_limit",
            "limit must be whole in its unit (nine decimals for usd) and below 4e18",
            param="limit",
        )
    return int(amount)


def shown_amount(unit: CapUnit, amount: int) -> float | int:
    """An amount as people read it: dollars for usd, else the number itself."""
    return amount / NANODOLLARS if unit == "usd" else amount


class CapDocument(TypedDict):
    """A spend limit as it was set."""

    id: str
    scope: ScopeDocument
    window: CapWindow
    unit: CapUnit
    limit: Amount
    at_limit: AtLimit
    why: Why
    created_by: Who
    created_at: Moment


class CounterDocument(TypedDict):
    """One counter of a cap in the cap's unit; `user` where each user is counted apart."""

    user: str | None
    rollout: str | None
    spent: Amount
    held: Amount
    remaining: Amount


class CapStateDocument(CapDocument):
    """A cap with what it has spent, holds and has left in its present window; null: the ledger could not be read yet."""

    window_start: Moment | None
    spent: Amount | None
    held: Amount | None
    remaining: Amount | None
    charged_by_crashes: Amount | None
    #: What of that one counter can come to in one window, beside what calls in flight held.
    charged_by_crashes_at_most: Amount
    #: Calls that counted here and could not be metered: what they spent is in no sum. Null: that cannot be known.
    unmetered: Count | None
    #: The fullest, the very fullest first.
    counters: list[CounterDocument]
    counters_in_all: Count | None


def cap_document(cap: Cap) -> CapDocument:
    """A cap as it was set; what it has spent is the ledger's (edges put it beside)."""
    return {
        "id": cap.id,
        "scope": cap.scope.content(),
        "window": cap.window,
        "unit": cap.unit,
        "limit": shown_amount(cap.unit, cap.limit_amount),
        "at_limit": cap.at_limit,
        "why": cap.why,
        "created_by": cap.created_by,
        "created_at": rfc3339(cap.created_at_microseconds),
    }


def counter_document(cap: Cap, key: CounterKey, spent: int, held: int) -> CounterDocument:
    """One counter of a cap in the cap's unit, dollars for usd; `user` where each user is counted apart."""
    _, rollout, user = key.part.split("/", 2) if cap.window == "rollout" else ("", "", key.part)
    return {
        "user": user or None,
        "rollout": rollout or None,
        "spent": shown_amount(cap.unit, spent),
        "held": shown_amount(cap.unit, held),
        "remaining": shown_amount(cap.unit, max(0, cap.limit_amount - spent - held)),
    }


def cap_state_document(
    cap: Cap,
    window_start_microseconds: int,
    sums: tuple[int, int],
    fullest: Sequence[tuple[CounterKey, int, int]],
    counters_in_all: int,
    *,
    charged: int = 0,
    unmetered: int | None = 0,
    is_known: bool = True,
) -> CapStateDocument:
    """A cap with what all its counters of the window that began then spent and hold (`sums`), and the fullest of them (key,
    spent, held), the very fullest first. The cap's `remaining` is what that one has left. `charged`: what of spent crashes
    left. `unmetered`: how many calls nobody could meter, None where that is not known. Unless `is_known`, what was spent is null: the ledger could not be read yet."""
    # A crash ends all calls in flight.
    at_most = shown_amount(cap.unit, 0 if cap.unit == "in_flight" else largest_lease(cap.limit_amount))
    if not is_known:
        return {
            **cap_document(cap),
            "window_start": rfc3339(window_start_microseconds) if window_start_microseconds else None,
            "spent": None,
            "held": None,
            "charged_by_crashes": None,
            "charged_by_crashes_at_most": at_most,
            "unmetered": None,
            "remaining": None,
            "counters": [],
            "counters_in_all": None,
        }
    shown = [counter_document(cap, *counter) for counter in fullest]
    return {
        **cap_document(cap),
        "window_start": rfc3339(window_start_microseconds) if window_start_microseconds else None,
        "spent": shown_amount(cap.unit, sums[0]),
        "held": shown_amount(cap.unit, sums[1]),
        "charged_by_crashes": shown_amount(cap.unit, charged),
        "charged_by_crashes_at_most": at_most,
        "unmetered": unmetered,
        "remaining": shown[0]["remaining"] if shown else shown_amount(cap.unit, cap.limit_amount),
        "counters": shown,
        "counters_in_all": counters_in_all,
    }
