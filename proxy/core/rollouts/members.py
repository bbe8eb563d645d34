"""Members of a plan's document, each checked and named by its place: `steps[2].min_runs must be a whole number, 0 or more`."""

import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeVar, cast

from proxy.core.bucketing import BUCKETS, buckets_for
from proxy.core.errors import BadInput
from proxy.core.nearest import nearest_of
from proxy.core.releasing.arms import check_arm_names, check_stable_keeps
from proxy.core.times import parse_span

Word = TypeVar("Word", bound=str)
_MOST_COUNT: Final = 10**9
_MOST_USERS: Final = 1_000
_LONGEST_USER: Final = 512
#: What the document of a plan of fixed shares has of a ramp's members.
_NO_RAMP: Final[Mapping[str, object]] = {
    "steps": [],
    "schedule": None,
    "shadow": None,
    "promotion_odds_ratio": None,
    "at_end": "wait",
    "max_step_duration": "never",
    "on_inconclusive": "hold",
}


def object_at(value: object, at: str, keys: Sequence[str]) -> Mapping[str, object]:
    """An object with no other keys than these. Raises BadInput(`bad_plan`), as all of these do."""
    if not isinstance(value, Mapping):
        raise bad_plan(at, "must be an object")
    found = cast("Mapping[Any, object]", value)
    for key in found:
        if key not in keys:
            raise bad_plan(at, f"has no {key!r}{nearest_of(key, keys)} (known: {', '.join(keys)})")
    return cast("Mapping[str, object]", found)


def list_at(value: object, at: str, most: int) -> list[object]:
    """A list of at most so many entries."""
    if not isinstance(value, list):
        raise bad_plan(at, "must be a list")
    found = cast("list[object]", value)
    if len(found) > most:
        raise bad_plan(at, f"has more than {most} entries")
    return found


def number_at(value: object, at: str, least: float, most: float) -> float:
    """A number between two others, both among them."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise bad_plan(at, f"must be a number from {least:g} to {most:g}")
    return float(value)


def count_at(value: object, at: str) -> int:
    """A whole number."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MOST_COUNT:
        raise bad_plan(at, "must be a whole number, 0 or more")
    return value


def span_at(document: Mapping[str, object], key: str, default: float, at: str | None = None) -> float:
    """Seconds; infinite for `never`."""
    value = document.get(key, default)
    if value == "never":
        return float("inf")
    if isinstance(value, float) and value == default:
        return value
    try:
        return parse_span(value, at or key)
    except BadInput as error:
        raise bad_plan(at or key, error.message.partition(" ")[2]) from None


def one_of(document: Mapping[str, object], key: str, words: Sequence[Any], default: Any) -> Any:
    """One of these words."""
    value = document.get(key, default)
    if value not in words:
        raise bad_plan(key, f"must be one of {', '.join(words)}")
    return value


def users_at(value: object, at: str, words: Sequence[Word]) -> dict[str, Word]:
    """What is said of each user by name, one of these words; names are NFC-normalised, as buckets are found by."""
    if not isinstance(value, Mapping):
        raise bad_plan(at, f"must be an object of users, such as {{ann: {words[-1]}}}")
    named = cast("Mapping[Any, Any]", value)
    if len(named) > _MOST_USERS:
        raise bad_plan(at, f"has more than {_MOST_USERS} users; a tag in `eligible` says it of any number")
    found: dict[str, Word] = {}
    for user, word in named.items():
        if not isinstance(user, str) or not 0 < len(user) <= _LONGEST_USER:
            quoted = "in quotes where they look like numbers"
            raise bad_plan(at, f"must name users by texts of at most {_LONGEST_USER} characters, {quoted}")
        if word not in words:
            raise bad_plan(f"{at}.{user}", f"must be one of {', '.join(words)}")
        found[unicodedata.normalize("NFC", user)] = word
    return found


def tags_at(value: object, at: str) -> dict[str, str]:
    """Texts by the names of tags."""
    if not isinstance(value, Mapping):
        raise bad_plan(at, "must be an object of tags")
    tags = cast("Mapping[Any, Any]", value)
    if not all(isinstance(name, str) and isinstance(text, str) for name, text in tags.items()):
        raise bad_plan(at, "must map tag names to texts")
    return dict(tags)


def shares_at(plan: Mapping[str, object], key: str) -> dict[str, float]:
    """Fixed shares in per cent by the names of arms, of which stable keeps some; empty where the plan has none. Such a plan has nothing
    of a ramp."""
    value = plan.get(key)
    if value is None or value == {}:
        return {}
    if not isinstance(value, Mapping):
        raise bad_plan(key, "must be an object of shares in per cent, such as {b: 20, c: 20}")
    named = cast("Mapping[Any, object]", value)
    shares = {str(name): number_at(share, f"{key}.{name}", 0, 100) for name, share in named.items()}
    try:
        check_arm_names(list(shares))
        check_stable_keeps(BUCKETS - sum(map(buckets_for, shares.values())))
    except BadInput as error:
        raise bad_plan(key, f"cannot be: {error.message}") from None
    for member, same in _NO_RAMP.items():
        if member in plan and plan[member] != same:
            raise bad_plan(member, f"is of one candidate's ramp; {key} have fixed shares until somebody moves them")
    return shares


def bad_plan(at: str, problem: str) -> BadInput:
    """The refusal of the member at a place."""
    return BadInput("bad_plan", f"{at} {problem}", param=at)
