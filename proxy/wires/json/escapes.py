"""Names that JSON spells with escapes: `"allowed\\u005ftools"` is `"allowed_tools"` to every decoder, and to no search for its bytes.

Belongs here: whether bytes that are searched for may stand there in another spelling. Does not belong here: what is searched for, and
what is made of a body that may have it (the wires): it is decoded.

Decision: nobody writes a letter, a digit or an underscore as an escape: libraries that escape more than they must do so with control
characters, `<`, `>`, `&` and what is beyond ASCII. So a body with such a letter is read in full, as one in which the name stood would
be, and a search in any other costs one more search: for a backslash, which is found at memory speed, and behind the first one for
four bytes, at 0.6 ns a byte.
"""

import re
from typing import Final

from proxy.core.steps import Steps

_BACKSLASH: Final = ord("\\")
_ANY: Final = b"\\u00"
_ESCAPE_BYTES: Final = 6
#: How much is searched between two turns of others, in 0.3 ms.
_STEP_BYTES: Final = 512 * 1024
#: Digits, letters, underscore. A backslash that is itself escaped is not told apart: whoever asks decodes then.
_OF_A_NAME: Final = re.compile(rb"\\u00(?:3[0-9]|[46][1-9A-Fa-f]|5[0-9AFaf]|7[0-9Aa])")


def may_spell_names(body: bytes, start: int, end: int) -> bool:
    """Whether letters of a name may stand as escapes between two positions."""
    at = body.find(_BACKSLASH, start, end)
    if at >= 0:
        at = body.find(_ANY, at, end)
    return at >= 0 and _OF_A_NAME.search(body, at, end) is not None


def is_found(body: bytes, words: bytes, start: int, end: int) -> Steps[bool]:
    """Whether these bytes stand between two positions; in steps."""
    while start < end:
        stop = start + _STEP_BYTES
        if body.find(words, start, min(stop + len(words) - 1, end)) >= 0:
            return True
        start = stop
        if start < end:
            yield
    return False


def may_spell_names_in_steps(body: bytes, start: int, end: int) -> Steps[bool]:
    """As `may_spell_names`, with pauses."""
    while start < end:
        stop = start + _STEP_BYTES
        if may_spell_names(body, start, min(stop + _ESCAPE_BYTES - 1, end)):
            return True
        start = stop
        if start < end:
            yield
    return False


def may_hold(body: bytes, words: bytes) -> bool:
    """Whether a text or a name that ends or begins as `words` do, which hold nothing but quotes, letters, digits and `_`, may stand in
    a body, however it is spelled."""
    return words in body or may_spell_names(body, 0, len(body))
