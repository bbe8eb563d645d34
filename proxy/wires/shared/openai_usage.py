"""What the usages of OpenAI's wires have in common: a part is told beside the total that it is a part of.

Belongs here: reading an odd one with suspicion, and keeping parts within their totals. What the members are called is each wire's.
"""

from typing import Any, Final, cast

import msgspec

from proxy.core.spending.usage import Usage, UsageParts
from proxy.wires.json.values import RawJson
from proxy.wires.shared.answer_reading import TokenCounts

_anything: Final[msgspec.json.Decoder[Any]] = msgspec.json.Decoder()


def suspicious_counts(raw: RawJson) -> TokenCounts | None:
    """The counts of a usage that may hold nonsense; None where it is no object."""
    try:
        content = _anything.decode(raw)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    return TokenCounts(cast("dict[str, Any]", content)) if isinstance(content, dict) else None


def usage_within_totals(
    totals: tuple[int, int, int], cached: int, written: int, reasoning: int, parts: UsageParts | None
) -> Usage:
    """A usage with nothing larger than what it is part of. `totals`: what was read, what was written, and both as one sum (0: not
    told). A part that is larger than its total was counted beside it, and so was what the sum holds beyond both, as some servers
    count reasoning."""
    read, output, both = totals
    if cached + written > read:
        read += cached + written
    if reasoning > output:
        output += reasoning
    return Usage(read, cached, written, 0, max(output, both - read), reasoning, parts)
