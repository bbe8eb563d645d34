"""What somebody may have meant by a word that is none of those there are: the nearest of them, if one is near.

Spelling alone decides, in any case; two words are near by difflib's ratio (https://docs.python.org/3/library/difflib.html). A
word that is longer than a name can be is compared with nothing: that would take longer than a hint is worth.
"""

import difflib
from collections.abc import Iterable

#: Of 1, which is the same word.
_NEAR = 0.6
_LONGEST_NAME = 64


def nearest(given: object, known: Iterable[str], near: float = _NEAR) -> str | None:
    """The one of `known` that is most like `given`, as it is spelled there; None where none is, or no word was given."""
    if not isinstance(given, str) or len(given) > _LONGEST_NAME:
        return None
    spelled = {name.lower(): name for name in known}
    close = difflib.get_close_matches(given.lower(), spelled, n=1, cutoff=near)
    return spelled[close[0]] if close else None


def did_you_mean(given: object, known: Iterable[str], near: float = _NEAR) -> str | None:
    """The question, for the end of a sentence."""
    name = nearest(given, known, near)
    return None if name is None else f"did you mean {name}?"


def nearest_of(given: object, known: Iterable[str]) -> str:
    """`; did you mean …?`, or nothing where none is near."""
    question = did_you_mean(given, known)
    return "" if question is None else f"; {question}"
