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
    read: int, cached: int, written: int, output: int, reasoning: int, parts: UsageParts | None = None
) -> Usage:
    """A usage with nothing larger than what it is part of: cached and written of what was read, reasoning of the output."""
    cached = min(cached, read)
    return Usage(read, cached, min(written, read - cached), 0, output, min(reasoning, output), parts)
