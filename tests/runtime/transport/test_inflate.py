import gzip
import itertools
import zlib
from collections.abc import Generator, Sequence
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.core.errors import BadInput, TooLarge, Unavailable
from proxy.core.steps import at_once
from proxy.runtime.transport.inflate import FLOOR_BYTES, MAX_RATIO, RequestBody, TapOfCopy, coding_of, plain_body

LIMIT = 32 * 1024 * 1024


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


def members(*parts: bytes) -> bytes:
    return b"".join(map(gzip.compress, parts))


PACKED = {
    "gzip": (b"gzip", gzip.compress(b"hello world")),
    "gzip of several members": (b"gzip", members(b"hello", b"", b" ", b"world")),
    "gzip with padding behind": (b"gzip", members(b"hello ", b"world") + bytes(7)),
    "in capitals": (b" GZip ", gzip.compress(b"hello world")),
    "under its old name": (b"x-gzip", gzip.compress(b"hello world")),
    "beside identity": (b"identity, gzip", gzip.compress(b"hello world")),
    "deflate": (b"deflate", zlib.compress(b"hello world")),
    "bare deflate": (b"Deflate", raw_deflate(b"hello world")),
}


def room(size: int) -> bool:
    """There is some for everything."""
    return True


def read_of(coding: bytes, pieces: Sequence[bytes]) -> tuple[bytes, bytes, bool]:
    """What passes, what the reader sees, whether it was readable."""
    seen: list[bytes] = []
    copy = TapOfCopy(coding_of(coding) or b"", seen.append)
    passed = b"".join([copy.tap(piece) for piece in pieces])
    at_once(copy.rest())
    return passed, b"".join(seen), copy.is_readable


@pytest.mark.parametrize("name", PACKED)
def test_a_compressed_body_is_read_whatever_its_coding_is_called(name: str) -> None:
    coding, packed = PACKED[name]
    assert at_once(plain_body(packed, coding, LIMIT, room)) == b"hello world"


@pytest.mark.parametrize("name", PACKED)
def test_a_copy_of_an_answer_is_read_wherever_it_is_cut(name: str) -> None:
    coding, packed = PACKED[name]
    for at in range(len(packed) + 1):
        assert read_of(coding, [packed[:at], packed[at:]]) == (packed, b"hello world", True), at
    assert read_of(coding, [packed[at : at + 1] for at in range(len(packed))]) == (packed, b"hello world", True)


@given(
    st.lists(st.binary(max_size=200), min_size=1, max_size=6),
    st.sampled_from(["gzip", "zlib", "raw"]),
    st.lists(st.integers(0, 400), max_size=5),
)
@settings(max_examples=200)
def test_any_members_cut_anywhere_come_to_the_same_bytes(parts: list[bytes], how: str, cuts: list[int]) -> None:
    plain = b"".join(parts)
    packed = {"gzip": members(*parts), "zlib": zlib.compress(plain), "raw": raw_deflate(plain)}[how]
    coding = b"gzip" if how == "gzip" else b"deflate"
    bounds = [0, *sorted(min(cut, len(packed)) for cut in cuts), len(packed)]
    pieces = [packed[start:end] for start, end in itertools.pairwise(bounds)]
    assert read_of(coding, pieces) == (packed, plain, True)
    assert at_once(plain_body(packed, coding, LIMIT, room)) == plain


@pytest.mark.parametrize("coding", [None, b"", b"identity", b"Identity", b" identity , "])
def test_a_plain_body_is_the_very_same_object(coding: bytes | None) -> None:
    body = b'{"a":1}'
    assert at_once(plain_body(body, coding, LIMIT, room)) is body


@pytest.mark.parametrize("coding", [b"br", b"zstd", b"gzip, gzip", b"gzip,deflate", b"nonsense"])
def test_a_coding_that_is_not_read_is_refused_in_a_request_and_passes_in_an_answer(coding: bytes) -> None:
    with pytest.raises(BadInput) as caught:
        at_once(plain_body(b"abc", coding, LIMIT, room))
    assert (caught.value.code, caught.value.status) == ("bad_content_encoding", 415)
    assert read_of(coding, [b"ab", b"c"]) == (b"abc", b"", False)


BROKEN = {
    "no gzip": (b"gzip", b"zz"),
    "cut short": (b"gzip", gzip.compress(b"{}")[:-4]),
    "followed by other bytes": (b"gzip", gzip.compress(b"{}") + b"x"),
    "a second member cut short": (b"gzip", members(b"{}", b"{}")[:-1]),
    "nothing": (b"gzip", b""),
    "one byte": (b"deflate", b"x"),
    "no deflate": (b"deflate", b"\xff\xff\xff\xff"),
    "deflate followed by other bytes": (b"deflate", zlib.compress(b"{}") + b"x"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_body_is_the_caller_s_fault(name: str) -> None:
    coding, packed = BROKEN[name]
    with pytest.raises(BadInput) as caught:
        at_once(plain_body(packed, coding, LIMIT, room))
    assert (caught.value.code, caught.value.status) == ("bad_content_encoding", 400)
    assert read_of(coding, [packed])[0] == packed


@pytest.mark.parametrize("coding", [b"gzip", b"deflate"])
@pytest.mark.parametrize("megabytes", [1, 64, 300])
def test_a_bomb_is_stopped_long_before_it_is_inflated(coding: bytes, megabytes: int) -> None:
    bomb = gzip.compress(bytes(megabytes << 20)) if coding == b"gzip" else zlib.compress(bytes(megabytes << 20))
    with pytest.raises(TooLarge) as caught:
        at_once(plain_body(bomb, coding, LIMIT, room))
    assert caught.value.code == "compressed_too_far"
    seen = 0

    def count(plain: bytes) -> None:
        nonlocal seen
        seen += len(plain)

    copy = TapOfCopy(coding, count)
    assert b"".join([copy.tap(bomb[at : at + 4096]) for at in range(0, len(bomb), 4096)]) == bomb
    at_once(copy.rest())
    assert not copy.is_readable
    assert seen <= max(FLOOR_BYTES, MAX_RATIO * len(bomb))


def test_a_body_that_inflates_beyond_the_limit_of_bodies_is_too_large() -> None:
    body = bytes(range(256)) * 64
    assert at_once(plain_body(gzip.compress(body), b"gzip", len(body), room)) == body
    with pytest.raises(TooLarge) as caught:
        at_once(plain_body(gzip.compress(body), b"gzip", len(body) - 1, room))
    assert caught.value.code == "body_too_large"


def test_a_body_of_very_many_members_is_read_in_steps() -> None:
    packed = gzip.compress(b"x") * 5_000
    pauses: list[None] = []

    def counted() -> Generator[None, None, bytes]:
        steps = plain_body(packed, b"gzip", LIMIT, room)
        while True:
            try:
                pauses.append(next(steps))
            except StopIteration as end:
                return end.value
            yield

    assert at_once(counted()) == b"x" * 5_000
    assert len(pauses) > 1_000


def conversation() -> bytes:
    """900 KB, as compressible as conversations are."""
    chance = Random(7)
    return b"".join([b"%08x and so on, " % chance.randrange(1 << 32) for _ in range(40_000)])


def test_what_is_inflated_of_a_request_is_counted_and_refused_beyond_what_there_is_room_for() -> None:
    body = conversation()
    held: list[int] = []

    def hold(size: int) -> bool:
        held.append(size)
        return sum(held) <= 600_000

    with pytest.raises(Unavailable) as caught:
        at_once(plain_body(gzip.compress(body), b"gzip", LIMIT, hold))
    assert (caught.value.code, caught.value.status, caught.value.retry_after_seconds) == ("busy", 503, 1)
    # The step that found no room, and no other.
    assert 600_000 < sum(held) <= 600_000 + 256 * 1024


def test_what_is_inflated_of_an_answer_is_counted_and_unread_beyond_what_there_is_room_for() -> None:
    body = conversation()
    packed, held, seen = gzip.compress(body), list[int](), list[bytes]()

    def hold(size: int) -> bool:
        held.append(size)
        return sum(held) <= 600_000

    copy = TapOfCopy(b"gzip", seen.append, hold)
    assert b"".join([copy.tap(packed[at : at + 4096]) for at in range(0, len(packed), 4096)]) == packed
    at_once(copy.rest())
    assert not copy.is_readable
    assert sum(map(len, seen)) <= 600_000 < sum(held) <= 600_000 + 256 * 1024


def test_a_burst_of_a_compressed_stream_is_read_a_little_with_each_piece_and_whole_at_the_end_with_pauses() -> None:
    body = conversation()
    packed, seen = gzip.compress(body), list[bytes]()
    copy = TapOfCopy(b"gzip", seen.append)
    for piece in (packed[:100_000], packed[100_000:]):
        before = sum(map(len, seen))
        copy.tap(piece)
        assert sum(map(len, seen)) - before <= 16 * 1024
    pauses = sum(1 for _ in copy.rest())
    assert b"".join(seen) == body
    assert copy.is_readable
    assert pauses >= len(body) // (4 * 16 * 1024) - 2


def test_a_compressed_stream_whose_reader_is_far_behind_is_not_read() -> None:
    # As a chance has it, so that it stays as long.
    packed = gzip.compress(Random(7).randbytes(24_000_000), 1)
    copy = TapOfCopy(b"gzip", bytes)
    assert b"".join([copy.tap(packed[at : at + 65_536]) for at in range(0, len(packed), 65_536)]) == packed
    assert not copy.is_readable
    assert list(copy.rest()) == []


def test_a_body_is_inflated_and_counted_once_however_often_it_is_read() -> None:
    counted: list[int] = []

    def hold(size: int) -> bool:
        counted.append(size)
        return True

    body = RequestBody(gzip.compress(b"x" * 1000), b"gzip", hold)
    assert body.plain is None
    first = at_once(body.read(LIMIT))
    assert first == b"x" * 1000
    assert at_once(body.read(10)) is first is body.plain
    assert sum(counted) == 1000


def test_a_body_that_was_refused_is_known_to_be_unreadable() -> None:
    body = RequestBody(b"no gzip", b"gzip", room)
    with pytest.raises(BadInput):
        at_once(body.read(LIMIT))
    assert body.is_unreadable


def test_a_body_that_is_not_compressed_is_there_at_once() -> None:
    sent = b"{}"
    assert RequestBody(sent, None, room).plain is sent
