"""What is seen of the files says what became of them."""

import pytest

from proxy.store.sqlite.opening.presence import FileFacts, Presence, Sighting, presence_of

HERE = Sighting(FileFacts(1, 10, 4096, 5), FileFacts(1, 11, 900, 5), FileFacts(1, 12, 32768, 5))


@pytest.mark.parametrize(
    ("seen", "presence"),
    [
        (HERE, Presence.HERE),
        (Sighting(HERE.database, FileFacts(1, 11, 1800, 9), FileFacts(1, 12, 65536, 9)), Presence.HERE),
        (Sighting(None, HERE.log, HERE.index), Presence.GONE),
        (Sighting(None, None, None), Presence.GONE),
        (Sighting(FileFacts(1, 20, 4096, 5), HERE.log, HERE.index), Presence.REPLACED),
        (Sighting(FileFacts(2, 10, 4096, 5), HERE.log, HERE.index), Presence.REPLACED),
        (Sighting(FileFacts(1, 10, 4096, 6), HERE.log, HERE.index), Presence.OVERWRITTEN),
        (Sighting(FileFacts(1, 10, 0, 5), None, None), Presence.OVERWRITTEN),
        (Sighting(HERE.database, None, HERE.index), Presence.LOG_LOST),
        (Sighting(HERE.database, FileFacts(1, 21, 900, 5), HERE.index), Presence.LOG_LOST),
        (Sighting(HERE.database, FileFacts(1, 11, 899, 5), HERE.index), Presence.LOG_CUT),
        (Sighting(HERE.database, HERE.log, None), Presence.INDEX_LOST),
        (Sighting(HERE.database, HERE.log, FileFacts(1, 22, 32768, 5)), Presence.INDEX_LOST),
        (Sighting(HERE.database, HERE.log, FileFacts(1, 12, 32767, 9)), Presence.INDEX_CUT),
        (Sighting(HERE.database, FileFacts(1, 11, 0, 5), FileFacts(1, 12, 0, 9)), Presence.LOG_CUT),
    ],
)
def test_what_is_seen_says_what_became_of_the_files(seen: Sighting, presence: Presence) -> None:
    assert presence_of(HERE, seen) is presence
