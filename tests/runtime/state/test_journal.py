"""The journal in memory and its file: a trouble of the file is told as long as it lasts, and nothing in it is lost."""

from itertools import count
from pathlib import Path

import pytest

from proxy.core.proof.emergency import RollbackOrder
from proxy.runtime.process.clock import Identifiers
from proxy.runtime.state.journal import Journal
from proxy.store.files.journal_file import JournalFile
from tests.edges.admin.composition import NOON, SetClock

_SEEDS = count()
ORDER = RollbackOrder(who="ann", agent="a", label="prod", why="bad")


def journal_at(path: Path) -> Journal:
    return Journal(JournalFile(path), Identifiers(SetClock(), next(_SEEDS)))


def hide(file: Path) -> None:
    """A folder in the file's place, which not even root can read as one."""
    file.rename(file.with_name("away"))
    file.mkdir()


def bring_back(file: Path) -> None:
    file.rmdir()
    file.with_name("away").rename(file)


async def entered(journal: Journal) -> None:
    """The store has all of it."""
    journal.forget({entry.id for entry in journal.entries})
    await journal.keep()


@pytest.fixture
async def left(tmp_path: Path) -> Path:
    """The file of a process that ended with one action in it."""
    journal = journal_at(tmp_path / "journal")
    await journal.open()
    journal.add(ORDER, None, NOON)
    await journal.close()
    return tmp_path / "journal"


async def test_a_file_that_could_not_be_read_is_told_until_it_can_and_read_then(left: Path) -> None:
    hide(left)
    journal = journal_at(left)
    await journal.open()
    await journal.keep()
    assert journal.status() == {
        "entries": 0,
        "written": 0,
        "damaged_lines": 0,
        "problem": "the file journal cannot be read: Is a directory",
    }
    journal.add(ORDER, None, NOON + 1)
    await journal.keep()
    assert journal.note(ORDER.subject)["journalled"] is False
    bring_back(left)
    await journal.keep()
    assert (journal.status()["problem"], journal.status()["written"]) == (None, 2)
    assert [entry.at_microseconds for entry in journal.entries] == [NOON, NOON + 1]
    await journal.close()
    after = journal_at(left)
    await after.open()
    assert [entry.at_microseconds for entry in after.entries] == [NOON, NOON + 1]
    await after.close()


async def test_what_was_cleared_while_the_file_could_not_be_read_is_not_what_it_held(left: Path) -> None:
    hide(left)
    journal = journal_at(left)
    await journal.open()
    journal.add(ORDER, None, NOON + 1)
    await entered(journal)
    bring_back(left)
    await journal.keep()
    assert [entry.at_microseconds for entry in journal.entries] == [NOON]
    await entered(journal)
    await journal.close()
    after = journal_at(left)
    await after.open()
    assert after.entries == []
    await after.close()
