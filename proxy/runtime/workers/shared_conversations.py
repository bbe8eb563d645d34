"""Which arm a conversation began on, known to every worker: its next call may come to another one.

Owned by the owner, which hears of every beginning, tells it to all other workers and to those that start later, and settles
it where two say different things: what it heard first holds. Each worker answers from its own copy without waiting. News
and snapshots travel in one stream, so a worker never learns of a changed share before it knows who had begun under the old
one; only calls of one conversation that begin at the same moment on two workers can meet two arms.
"""

from collections.abc import Callable
from typing import Final, Protocol

from proxy.core.calls.chains import ChainBeginning
from proxy.core.errors import Refusal
from proxy.runtime.calls.conversations import Chains, Conversations
from proxy.runtime.workers.messages import Conversation

#: A conversation in use is announced again when this much time has passed, so that nobody forgets it.
_AGAIN_MICROSECONDS: Final = 3_600_000_000


class SharedConversations(Conversations):
    """A worker's copy of the table."""

    def __init__(self, announce: Callable[[Conversation], None], chains: Chains | None = None) -> None:
        super().__init__(chains=chains)
        self._announce = announce

    def arm(self, agent: str, rollout: str, conversation: str, now_microseconds: int) -> str | None:
        """The arm this conversation began on in this rollout, None where it is new."""
        seen_at = self.seen_at(agent, rollout, conversation)
        arm = super().arm(agent, rollout, conversation, now_microseconds)
        # Once in each hour of use, however short the pauses between its calls are.
        if arm is not None and seen_at is not None and _hour(seen_at) != _hour(now_microseconds):
            self._announce(Conversation(agent, rollout, conversation, arm, now_microseconds))
        return arm

    def remember(self, agent: str, rollout: str, conversation: str, arm: str, now_microseconds: int) -> None:
        """Note where a conversation began, here and everywhere."""
        super().remember(agent, rollout, conversation, arm, now_microseconds)
        self._announce(Conversation(agent, rollout, conversation, arm, now_microseconds))

    def heard(self, news: Conversation) -> None:
        """Take over what the owner says."""
        super().remember(news.agent, news.rollout, news.conversation, news.arm, news.at_microseconds)


class KnowsChains(Protocol):
    """The owner, who knows of all of them."""

    async def chain(self, agent: str, chain: str) -> ChainBeginning | None:
        """Where it began. Raises Unavailable."""
        ...

    def chain_began(self, chain: str, began: ChainBeginning, at_microseconds: int) -> None:
        """It began there."""
        ...


class SharedChains(Chains):
    """Those that a worker began or asked for; of all others it asks the owner, which is told of each before its client is."""

    def __init__(self, owner: KnowsChains) -> None:
        super().__init__()
        self._owner = owner
        self.on_beginning(owner.chain_began)

    async def find(self, agent: str, chain: str, now_microseconds: int) -> ChainBeginning | None:
        """Where it began, also elsewhere; None: nobody knows, or the owner does not answer."""
        known = self.beginning(agent, chain, now_microseconds)
        if known is not None:
            return known
        try:
            began = await self._owner.chain(agent, chain)
        except Refusal:
            return None
        if began is not None:
            self.heard(chain, began, now_microseconds)
        return began


def _hour(microseconds: int) -> int:
    return microseconds // _AGAIN_MICROSECONDS


def agreed(table: Conversations, news: Conversation) -> Conversation:
    """Enter a worker's news into the owner's table; what holds from now on, the older entry where they differ."""
    key = (news.agent, news.rollout, news.conversation)
    known = table.arm(*key, news.at_microseconds)
    if known is not None and known != news.arm:
        return Conversation(*key, known, news.at_microseconds)
    table.remember(*key, news.arm, news.at_microseconds)
    return news


def everything(table: Conversations) -> list[Conversation]:
    """What a worker that starts has to hear, oldest use first."""
    return [
        Conversation(agent, rollout, conversation, arm, seen_at)
        for (agent, rollout, conversation), arm, seen_at in table.entries()
    ]
