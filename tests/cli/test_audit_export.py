from pathlib import Path

import orjson
import pytest

from proxy.cli.audit_export import parse_head, verify_export
from proxy.cli.failures import CommandFailed
from proxy.core.proof.audit import NO_PREVIOUS, AuditDraft, seal


def exported(path: Path, length: int) -> list[str]:
    previous, hashes = NO_PREVIOUS, []
    with path.open("wb") as file:
        for number in range(1, length + 1):
            draft = AuditDraft(who="ann", what="agent.created", subject="agents/a", why="é", at_microseconds=number)
            entry = seal(draft, number, previous)
            file.write(orjson.dumps(entry.content()) + b"\n")
            previous = entry.hash
            hashes.append(previous)
    return hashes


def test_an_export_verifies_from_its_file_alone(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    hashes = exported(path, 500)
    proof = verify_export(path, parse_head(f"300:{hashes[299]}"))
    assert (proof.ok, proof.entries, proof.head.hash) == (True, 500, hashes[-1])


def test_one_changed_byte_is_found_and_named(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    exported(path, 20)
    lines = path.read_bytes().splitlines(keepends=True)
    lines[12] = lines[12].replace(b'"ann"', b'"amn"')
    path.write_bytes(b"".join(lines))
    assert verify_export(path).first_broken == 13


def test_an_export_cut_at_its_end_fails_against_the_head_kept_outside(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    hashes = exported(path, 5)
    exported(path, 3)
    assert verify_export(path).ok
    assert verify_export(path, parse_head(f"5:{hashes[4]}")).first_broken == 4


@pytest.mark.parametrize("content", [b"", b"\n\n"])
def test_a_file_without_an_entry_proves_nothing_unless_the_empty_log_is_meant(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "audit.jsonl"
    path.write_bytes(content)
    with pytest.raises(CommandFailed, match="proves nothing"):
        verify_export(path)
    path.write_bytes(b"")
    assert verify_export(path, parse_head(f"0:{NO_PREVIOUS}")).ok
    assert not verify_export(path, parse_head(f"3:{NO_PREVIOUS}")).ok


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(CommandFailed, match="cannot be read"):
        verify_export(tmp_path / "missing")


@pytest.mark.parametrize("text", ["", "5", "5:abc", f"x:{NO_PREVIOUS}", f"5:{'G' * 64}"])
def test_a_head_is_a_number_and_a_hash(text: str) -> None:
    with pytest.raises(CommandFailed, match="is not a head"):
        parse_head(text)
