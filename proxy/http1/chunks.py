"""Bodies in chunks (RFC 9112 §7.1): writing one, and recognising a read that is exactly one.

Belongs here: the bytes of one chunk. Does not belong here: where an answer's chunks begin and end (llhttp knows, see
`upstream_connection.py`), nor a request's (`chunk_sizes.py`).

Decision: a provider sends an event as one chunk, and most reads bring one event. Such a read is recognised by its length, its
first line and its end, without the parser, and passed on as it is: 2 µs less for a relayed event, most of which is code and
tables of the parser that have left the caches since the last event.
"""

from typing import Final

#: For chunks as small as events are: formatting a first line takes as long as the rest of writing a chunk.
_KEPT: Final = 1024
_HEADS: Final = [b"%x\r\n" % size for size in range(_KEPT)]
_END: Final = b"\r\n"
#: By the length of a chunk that is not the last, the only first line it can have.
_HEADS_BY_LENGTH: Final = {len(head) + size + len(_END): head for size, head in enumerate(_HEADS) if size}
MAX_LONE_BYTES: Final = max(_HEADS_BY_LENGTH)
"""Longer reads are never taken for one chunk."""


def in_chunk(data: bytes) -> bytes:
    """These bytes, which are not empty, as a chunk."""
    size = len(data)
    return (_HEADS[size] if size < _KEPT else b"%x\r\n" % size) + data + _END


def only_chunk(read: bytes) -> bytes | None:
    """What is in a read that is one chunk, not the last one, and nothing else; None where it is not, or written in another
    way (capitals, zeros in front, extensions), or longer than `MAX_LONE_BYTES`.

    Only for what begins where a chunk begins.
    """
    head = _HEADS_BY_LENGTH.get(len(read))
    if head is None or not read.startswith(head) or not read.endswith(_END):
        return None
    return read[len(head) : -2]
