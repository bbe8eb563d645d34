"""Where chains of responses began, beyond one process."""

from collections.abc import Sequence
from typing import Protocol

from proxy.core.calls.chains import ChainBeginning

#: The id of a chain, where it began, and when that was noted, UTC microseconds.
KeptChain = tuple[str, ChainBeginning, int]


class ChainStore(Protocol):
    """Beginnings by agent and id. They are no act of anybody, so they are no change."""

    async def chains(self, since_microseconds: int, most: int) -> Sequence[KeptChain]:
        """The newest ones, noted since then; oldest first. Raises Unavailable."""
        ...

    async def keep_chains(self, kept: Sequence[KeptChain]) -> None:
        """Keep these, unless newer ones are kept under their ids. Raises Unavailable."""
        ...

    async def drop_chains(self, before_microseconds: int, most_kept: int, most_dropped: int) -> int:
        """Drop some of those that were noted before then, or that are more than `most_kept`, oldest first; how many. Raises Unavailable."""
        ...
