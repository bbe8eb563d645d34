"""The journal's file: what was acknowledged is read again, whatever happened to the end of the file."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxy.core.canonical import content_hash
from proxy.core.errors import Unavailable
from proxy.core.proof.emergency import AbortOrder, JournalEntry, RollbackOrder, SwitchOrder
from proxy.core.scopes import Scope
from proxy.core.switches import Switch
from proxy.store.files.journal_file import JournalFile
from tests.store.given import NOON, release

HOSTILE = 'line\n"break" {"entry":1} \x00 \u2028 é'


def entry(number: int, why: str = "because") -> JournalEntry:
    """One of each kind in turn."""
    made = {"id": f"journal_{number}", "at_microseconds": NOON + number}
    match number % 3:
        case 0:
            order = RollbackOrder(who="ann", agent="a", label="prod", why=why, undoes=number, to=1)
            row = release("a", number + 1, 1, kind="rolled_back", why=why, undoes=number)
            return JournalEntry(**made, order=order, release=row)
        case 1:
            row = release("a", number + 1, 1, kind="aborted", rollout="r1")
            return JournalEntry(**made, order=AbortOrder(who="bob", agent="a", rollout="r1", why=why), release=row)
        case _:
            switch = Switch(
                id=f"sw_{number}", scope=Scope(agent="a", tag=("k", "v")), mode="reply", why=why, created_by="cyd",
                created_at_microseconds=NOON, expires_at_microseconds=NOON + 9, reply_text=why,
            )  # fmt: skip
            forced = {"kind": "preflight", "id": "forced", "findings": [{"code": "prompt_empty"}]}
            order = SwitchOrder(switch=switch, evidence=(forced,) if number % 2 else ())
            return JournalEntry(**made, order=order)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal"


def written(path: Path, entries: list[JournalEntry]) -> None:
    file = JournalFile(path)
    file.open()
    for one in entries:
        file.append([one])
    file.close()


def read(path: Path) -> tuple[list[JournalEntry], int]:
    file = JournalFile(path)
    try:
        return file.open(), file.damaged_lines
    finally:
        file.close()


def test_entries_come_back_as_they_were_in_order(path: Path) -> None:
    entries = [entry(number, HOSTILE) for number in range(7)]
    written(path, entries)
    assert read(path) == (entries, 0)
    assert path.stat().st_mode & 0o777 == 0o600


#: What the first release wrote of a switch. What a later one adds is put in when a line that lacks it is read.
_FIRST = (
    "what", "id", "scope", "mode", "reply_text", "fallback_version", "cut_streams", "why", "created_by", "created_at_microseconds",
    "expires_at_microseconds",
)  # fmt: skip


def test_a_switch_that_the_first_release_wrote_is_read(path: Path) -> None:
    written(path, [entry(2)])
    head, line = path.read_bytes().rstrip(b"\n").rsplit(b"\n", 1)
    content = orjson.loads(line)["entry"]
    content["order"] = {name: content["order"][name] for name in _FIRST}
    path.write_bytes(head + b"\n" + orjson.dumps({"sha256": content_hash(content), "entry": content}) + b"\n")
    assert read(path) == ([entry(2)], 0)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(1, 5), st.data())
def test_a_torn_or_garbled_last_line_is_ignored_and_no_earlier_one_is_lost(
    path: Path, count: int, data: st.DataObject
) -> None:
    entries = [entry(number) for number in range(count)]
    path.unlink(missing_ok=True)
    written(path, entries[:-1])
    before = len(path.read_bytes().rstrip(b"\n"))
    written(path, entries[-1:])
    raw = path.read_bytes()
    end = len(raw.rstrip(b"\n"))
    place = data.draw(st.integers(before + 1, end - 1))
    if data.draw(st.booleans()):
        path.write_bytes(raw[:place])
    else:
        garbled = raw[place] ^ data.draw(st.integers(1, 255))
        path.write_bytes(raw[:place] + bytes([garbled]) + raw[place + 1 :])
    try:
        found, damaged = read(path)
    except Unavailable:
        # Still whole, so that no crash can have written it.
        assert len(path.read_bytes()) == len(raw)
        return
    assert found == entries[:-1]
    assert damaged <= 2
    later = entry(9)
    written(path, [later])
    assert read(path)[0] == [*entries[:-1], later]


@pytest.mark.parametrize("torn", [b"{", b'{"sha256', b'{"sha256":"'])
def test_a_first_line_torn_within_its_first_bytes_is_no_other_file(path: Path, torn: bytes) -> None:
    path.write_bytes(b"\n" + torn + b"\n\n")
    assert read(path) == ([], 1)


def test_a_line_torn_in_the_middle_is_counted_and_costs_only_itself(path: Path) -> None:
    entries = [entry(number) for number in range(4)]
    written(path, entries)
    path.write_bytes(path.read_bytes().replace(b'"journal_2"', b'"journ\n'))
    assert read(path) == ([entries[0], entries[1], entries[3]], 2)


def changed(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b'"journal_2"', b'"journal_x"'))


def garbage(path: Path) -> None:
    path.write_bytes(b"\x00\xff garbage" * 5000)


def of_a_newer_release(path: Path) -> None:
    content = {"id": "journal_9", "at_microseconds": 1, "order": {"what": "teleport"}, "release": None}
    line = orjson.dumps({"sha256": content_hash(content), "entry": content})
    path.write_bytes(path.read_bytes().rstrip(b"\n") + b"\n" + line + b"\n")


def a_link(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to(path.with_name("elsewhere"))


def a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize("fault", [changed, garbage, of_a_newer_release, a_link, a_pipe])
def test_a_journal_whose_orders_are_not_known_is_refused_whole_and_left_as_it_is(
    path: Path, fault: Callable[[Path], None]
) -> None:
    written(path, [entry(number) for number in range(4)])
    fault(path)
    came = path.read_bytes() if path.is_file() else b""
    with pytest.raises(Unavailable) as refused:
        JournalFile(path).open()
    assert refused.value.code == "journal_unusable"
    assert (path.read_bytes() if path.is_file() else b"") == came


def test_after_clearing_nothing_is_left_and_the_room_is_kept(path: Path) -> None:
    file = JournalFile(path)
    file.open()
    size = path.stat().st_size
    file.append([entry(number) for number in range(5)])
    assert path.stat().st_size == size
    file.clear()
    assert path.read_bytes() == b"\n" * size
    file.append([entry(1)])
    file.close()
    assert read(path) == ([entry(1)], 0)


def test_an_entry_written_twice_is_one(path: Path) -> None:
    written(path, [entry(1), entry(2), entry(1)])
    assert read(path)[0] == [entry(1), entry(2)]


def test_an_entry_finds_its_place_where_the_disk_has_no_more_room(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = JournalFile(path)
    file.open()
    room, real = path.stat().st_size, os.pwrite

    def full(descriptor: int, content: bytes, offset: int) -> int:
        if offset + len(content) > room:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(descriptor, content, offset)

    monkeypatch.setattr(os, "pwrite", full)
    file.append([entry(number) for number in range(100)])
    with pytest.raises(Unavailable):
        file.append([entry(1, "x" * room)])
    file.append([entry(200)])
    file.close()
    assert [one.id for one in read(path)[0]] == [f"journal_{number}" for number in (*range(100), 200)]


def test_a_file_that_was_removed_is_noticed_and_made_anew(path: Path) -> None:
    file = JournalFile(path)
    file.open()
    file.append([entry(1)])
    path.unlink()
    with pytest.raises(Unavailable) as refused:
        file.append([entry(2)])
    assert refused.value.code == "journal_unusable"
    file.append([entry(1), entry(2)])
    file.close()
    assert read(path)[0] == [entry(1), entry(2)]


def test_two_processes_do_not_share_a_journal(path: Path) -> None:
    first = JournalFile(path)
    first.open()
    with pytest.raises(Unavailable) as refused:
        JournalFile(path).open()
    assert refused.value.code == "store_in_use"
    first.close()
    assert read(path) == ([], 0)


def test_a_file_that_can_only_be_read_is_read_and_written_again_once_it_can_be(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = [entry(number) for number in range(3)]
    written(path, entries[:2])
    really_open = os.open

    def opened(name: Path, flags: int, *more: int) -> int:
        if flags & os.O_RDWR:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        return really_open(name, flags, *more)

    file = JournalFile(path)
    with monkeypatch.context() as read_only:
        read_only.setattr(os, "open", opened)
        assert file.open() == entries[:2]
        with pytest.raises(Unavailable, match="cannot be written: Read-only"):
            file.append(entries[2:])
        with pytest.raises(Unavailable, match="cannot be written"):
            file.clear()
    file.append(entries[2:])
    file.close()
    assert read(path) == (entries, 0)
