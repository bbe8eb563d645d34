"""Every worker knows on which arm a conversation began, and none forgets one that goes on elsewhere."""

from proxy.runtime.calls.conversations import Conversations
from proxy.runtime.workers.messages import Conversation
from proxy.runtime.workers.shared_conversations import SharedConversations, agreed, everything

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
