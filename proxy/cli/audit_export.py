"""Verifies an exported audit log offline: no server, no store, nothing but the file.

Reads line by line, so that the size of a log does not matter. The rule and the proof are core's (audit_proof.py); exports come
from `GET /audit/export`, oldest first.
"""

from collections.abc import Iterator
from pathlib import Path

from proxy.cli.failures import EXIT_USAGE, CommandFailed
from proxy.core.proof.audit_proof import EMPTY_HEAD, AuditHead, Proof, verify_lines

_MAX_LINE_BYTES = 64 * 1024 * 1024
_EMPTY = f"{EMPTY_HEAD.number}:{EMPTY_HEAD.hash}"


def verify_export(path: Path, known_head: AuditHead | None = None) -> Proof:
    """The proof of a file of JSON lines. Raises CommandFailed for a file that cannot be read, or has nothing to prove."""
    try:
        proof = verify_lines(_lines(path), known_head)
    except OSError as error:
        raise CommandFailed(f"{path}: cannot be read: {error.strerror}", EXIT_USAGE) from None
    if proof.ok and not proof.entries and known_head is None:
        # An export that was cut at its very beginning looks like this.
        raise CommandFailed(f"{path} has no entry, which proves nothing; an empty log is proven with `--head {_EMPTY}`")
    return proof


def parse_head(text: str) -> AuditHead:
    """A head as people keep it, `NUMBER:HASH`. Raises CommandFailed."""
    number, separator, digest = text.strip().partition(":")
    is_hash = len(digest) == 64 and set(digest) <= set("0123456789abcdef")
    if not separator or not (number.isascii() and number.isdigit()) or not is_hash:
        raise CommandFailed(f"{text!r} is not a head, NUMBER:HASH as `switchback audit head` prints them", EXIT_USAGE)
    return AuditHead(int(number), digest)


def _lines(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while line := file.readline(_MAX_LINE_BYTES + 1):
            if len(line) > _MAX_LINE_BYTES:
                raise CommandFailed(f"{path}: a line is larger than {_MAX_LINE_BYTES} bytes; this is no audit export")
            yield line
