import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.core.proof.audit import NO_PREVIOUS, AuditDraft, AuditEntry, seal
from proxy.core.proof.audit_proof import EMPTY_HEAD, AuditHead, Proof, verify_entries, verify_lines

DETAIL = st.dictionaries(
    st.text(max_size=4), st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=6)
)


def chain(length: int, why: str = "because") -> list[dict[str, Any]]:
    entries: list[AuditEntry] = []
    for number in range(1, length + 1):
        draft = AuditDraft(
            who="ann",
            what="label.moved",
            subject="agents/support/labels/prod",
            why=why,
            at_microseconds=number,
            before={"version": number - 1},
            after={"version": number, "name": "é\u2028"},
        )
        entries.append(seal(draft, number, entries[-1].hash if entries else NO_PREVIOUS))
    return [entry.content() for entry in entries]


def lines(entries: list[dict[str, Any]]) -> list[bytes]:
    return [json.dumps(entry).encode() + b"\n" for entry in entries]


def broken_at(proof: Proof) -> int | None:
    assert not proof.ok
    assert proof.reason
    return proof.first_broken


def test_a_chain_as_it_was_written_holds() -> None:
    entries = chain(5)
    proof = verify_lines(lines(entries))
    assert proof == Proof(ok=True, entries=5, head=AuditHead(5, entries[-1]["hash"]))
    assert proof.document() == {
        "ok": True,
        "entries": 5,
        "first_broken": None,
        "reason": None,
        "head": {"number": 5, "hash": entries[-1]["hash"]},
    }


def test_an_empty_log_holds() -> None:
    assert verify_entries([]) == Proof(ok=True, entries=0, head=EMPTY_HEAD)


@pytest.mark.parametrize("member", list(chain(1)[0]))
def test_a_change_to_any_member_breaks_the_entry_it_is_in(member: str) -> None:
    entries = chain(5)
    entries[2] = {**entries[2], member: "changed"}
    assert broken_at(verify_entries(entries)) == 3


@pytest.mark.parametrize("number", [1, 3, 5])
def test_an_entry_left_out_moved_or_doubled_is_named(number: int) -> None:
    entries = chain(5)
    index = number - 1
    if number < 5:
        assert broken_at(verify_entries([*entries[:index], *entries[index + 1 :]])) == number
    assert broken_at(verify_entries([*entries[: index + 1], *entries[index:]])) == number + 1


def test_a_member_added_or_missing_breaks_an_entry() -> None:
    entries = chain(2)
    assert broken_at(verify_entries([entries[0], {**entries[1], "note": "x"}])) == 2
    del entries[0]["evidence"]
    assert broken_at(verify_entries(entries)) == 1


def test_numbers_are_whole_numbers_and_not_what_compares_equal() -> None:
    first = chain(1)[0]
    assert broken_at(verify_entries([{**first, "number": True}])) == 1
    assert broken_at(verify_entries([{**first, "format": 1.0}])) == 1


def test_an_unknown_format_is_not_guessed() -> None:
    proof = verify_entries([{**chain(1)[0], "format": 2}])
    assert broken_at(proof) == 1
    assert "format 2" in proof.reason


def test_a_chain_rewritten_from_some_entry_on_fails_against_a_head_kept_outside() -> None:
    kept = AuditHead(4, chain(5)[3]["hash"])
    rewritten = chain(6, why="a better story")
    assert verify_entries(rewritten).ok
    proof = verify_entries(rewritten, kept)
    assert broken_at(proof) == 4
    assert proof.entries == 3


def test_a_chain_cut_at_its_end_fails_against_a_head_kept_outside() -> None:
    entries = chain(5)
    kept = AuditHead(5, entries[-1]["hash"])
    proof = verify_entries(entries[:3], kept)
    assert broken_at(proof) == 4
    assert "cut" in proof.reason
    assert broken_at(verify_entries([], kept)) == 1


def test_a_log_that_went_on_behind_the_head_kept_outside_holds() -> None:
    entries = chain(5)
    assert verify_entries(entries, AuditHead(2, entries[1]["hash"])).ok
    assert verify_entries(entries, EMPTY_HEAD).ok


@pytest.mark.parametrize(
    "line", [b"nonsense\n", b"[1]\n", b'{"a": 1', b"\xff\xfe\n", b'{"number": NaN}\n', b"[" * 100_000]
)
def test_a_line_that_is_no_entry_breaks_the_log_there(line: bytes) -> None:
    assert broken_at(verify_lines([*lines(chain(2)), line])) == 3


def test_a_member_that_occurs_twice_breaks_the_entry_though_the_last_one_would_hash() -> None:
    (line,) = lines(chain(1))
    twice = line.replace(b'{"format"', b'{"who": "mallory", "format"')
    assert broken_at(verify_lines([twice])) == 1


def test_blank_lines_say_nothing() -> None:
    first, second = lines(chain(2))
    assert verify_lines([b"\n", first, b"\r\n", second, b""]).ok


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(DETAIL, DETAIL, st.text(max_size=5)), min_size=1, max_size=5), st.data())
def test_a_changed_character_never_goes_unseen(changes: list[Any], data: st.DataObject) -> None:
    entries: list[AuditEntry] = []
    for number, (before, after, why) in enumerate(changes, start=1):
        draft = AuditDraft(
            who="ann", what="x", subject="y", why=why, at_microseconds=number, before=before, after=after
        )
        entries.append(seal(draft, number, entries[-1].hash if entries else NO_PREVIOUS))
    written = lines([entry.content() for entry in entries])
    assert verify_lines(written).ok
    index = data.draw(st.integers(0, len(written) - 1))
    line = written[index]
    place = data.draw(st.integers(0, len(line) - 2))
    character = data.draw(st.sampled_from(b'0a,"}: '))
    spoilt = line[:place] + bytes([character]) + line[place + 1 :]
    if _said(spoilt) != _said(line):
        assert broken_at(verify_lines([*written[:index], spoilt, *written[index + 1 :]])) is not None


def _said(line: bytes) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        return None
