"""Whether a request asks its provider to keep what it reads, which some providers charge for beside the tokens.

Belongs here: how the members look with which callers of any family ask for that. What it costs is core's (spending/prices.py). Pure: bytes
in, values out. A quote inside a text has a backslash before it, so that no text is mistaken for a member.
"""

import re
from typing import Final

from proxy.wires.json.escapes import may_spell_names

_ASKS: Final = re.compile(rb'"(?:cache_control|prompt_cache_breakpoint)"[ \t\r\n]*:')
_FOR_AN_HOUR: Final = re.compile(rb'"ttl"[ \t\r\n]*:[ \t\r\n]*"1h"')


def asks_to_keep(body: bytes) -> bool:
    """Whether a body may ask for something to be kept."""
    return _ASKS.search(body) is not None or may_spell_names(body, 0, len(body))


def asks_for_an_hour(body: bytes) -> bool:
    """Whether a body may ask for something to be kept for an hour."""
    return _FOR_AN_HOUR.search(body) is not None or may_spell_names(body, 0, len(body))
