"""Every worker knows on which arm a conversation began, and none forgets one that goes on elsewhere."""

from proxy.core.calls.chains import ChainBeginning
from proxy.core.errors import Unavailable
from proxy.runtime.calls.conversations import Conversations
from proxy.runtime.workers.messages import Conversation
from proxy.runtime.workers.shared_conversations import SharedChains, SharedConversations, agreed, everything

HOUR = 3_600_000_000
DAY = 24 * HOUR


def test_a_beginning_is_announced_and_what_is_heard_is_not_announced_again() -> None:
    news: list[Conversation] = []
    table = SharedConversations(news.append)
    table.remember("a", "r1", "talk", "stable", 10)
    assert news == [Conversation("a", "r1", "talk", "stable", 10)]
    table.heard(Conversation("a", "r1", "other", "candidate", 11))
    assert table.arm("a", "r1", "other", 12) == "candidate"
    assert len(news) == 1


def test_a_conversation_served_by_one_worker_for_days_is_not_forgotten_by_another() -> None:
    other = SharedConversations(lambda news: None)
    one = SharedConversations(other.heard)
    one.remember("a", "r1", "talk", "stable", 0)
    for now in range(0, 3 * DAY, HOUR // 3):
        assert one.arm("a", "r1", "talk", now) == "stable"
    assert other.arm("a", "r1", "talk", 3 * DAY) == "stable"


def test_calls_within_an_hour_announce_nothing() -> None:
    news: list[Conversation] = []
    table = SharedConversations(news.append)
    table.remember("a", "r1", "talk", "stable", HOUR)
    for now in range(HOUR, 2 * HOUR, HOUR // 60):
        table.arm("a", "r1", "talk", now)
    assert len(news) == 1


def test_the_owner_keeps_what_it_heard_first_and_can_tell_all_of_it() -> None:
    table = Conversations()
    first = Conversation("a", "r1", "talk", "stable", 1)
    assert agreed(table, first) is first
    assert agreed(table, Conversation("a", "r1", "talk", "candidate", 2)).arm == "stable"
    later = Conversation("a", "r1", "talk", "stable", 3)
    assert agreed(table, later) is later
    assert everything(table) == [later]


class Owner:
    """What a worker's chains ask of the owner."""

    def __init__(self) -> None:
        self.known: dict[tuple[str, str], ChainBeginning] = {}
        self.asked = 0
        self.is_away = False

    async def chain(self, agent: str, chain: str) -> ChainBeginning | None:
        self.asked += 1
        if self.is_away:
            raise Unavailable("owner_unavailable", "late")
        return self.known.get((agent, chain))

    def chain_began(self, chain: str, began: ChainBeginning, at_microseconds: int) -> None:
        del at_microseconds
        self.known[(began.agent, chain)] = began


async def test_of_a_chain_that_another_worker_began_the_owner_is_asked_once() -> None:
    owner, began = Owner(), ChainBeginning("a", "prod", 1)
    one, other = SharedChains(owner), SharedChains(owner)
    one.note("resp_1", began, 5)
    assert await one.find("a", "resp_1", 6) == began
    assert owner.asked == 0
    assert [await other.find("a", "resp_1", 6) for _ in range(3)] == [began] * 3
    assert owner.asked == 1
    assert await other.find("b", "resp_1", 6) is None
    owner.is_away = True
    assert await other.find("a", "resp_2", 6) is None
