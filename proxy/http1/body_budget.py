"""What all bodies of a listener may hold together: those that still come, those of calls under way, and what was inflated of them.

Taken when bytes come, given back in exactly one of two places: the parser, for a body that never became a call, and the reply of
the call that took it over, as soon as the body is no longer needed and when the call has ended at the latest (`Reply.give_back`).
Bodies that come in one read with their head are not refused, only counted: they are here already, and a read is bounded.
"""


class BodyBudget:
    """`used_bytes` of `limit_bytes`; not refused is what brings nothing more than the last bytes of a read."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.used_bytes = 0

    def take(self, size: int) -> bool:
        """Count bytes that came; False where they are more than there is room for (they are counted all the same)."""
        self.used_bytes += size
        return self.used_bytes <= self.limit_bytes

    def give_back(self, size: int) -> None:
        """They are held no longer."""
        self.used_bytes -= size
