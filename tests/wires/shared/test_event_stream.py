import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.wires.shared.event_stream import EventSplitter, data_of
from tests.wires.recorded import cut, cuttings, naive_events


def run(pieces: list[bytes]) -> tuple[bytes, list[bytes]]:
    splitter = EventSplitter()
    chunks = [chunk for piece in pieces for chunk in splitter.feed(piece)] + splitter.finish()
    data = [data_of(raw) for raw, is_whole in chunks if is_whole]
    return b"".join(raw for raw, _ in chunks), [item for item in data if item is not None]


STREAMS = [
    b'data: {"a":1}\n\ndata: [DONE]\n\n',
    b"data: a\r\n\r\ndata: b\r\n\r\n",
    b"data: a\r\rdata: b\r\r",
    b"data: a\n\r\ndata: b\r\n\ndata: c\r\ndata: d\r\r\n",
    b"\xef\xbb\xbfdata: a\n\n",
    b": comment\n\ndata: a\n\n: ping\ndata: b\n\n",
    b"event: x\nid: 7\nretry: 10\ndata: a\ndata:b\ndata\ndata:  c\n\n",
    b"event: ping\ndata: {}\n\nevent: x\n\n",
    b"\n\n\ndata: a\n\n\n\ndata: b\n\n",
    b"\r\n\r\n\r\ndata: a\r\n\r\n\r\n",
    b"data: a\n\ndata: incomplete",
    b"data: a\n\ndata: incomplete\n",
    b"data: a\r\n\r",
    b"data: \xe2\x82\xac \xf0\x9f\x99\x82\n\n",
    b"datax: a\n\nxdata: b\n\ndata: c\n\n",
    b"\n",
    b"",
]


@pytest.mark.parametrize("stream", STREAMS)
def test_every_cutting_gives_the_same_events(stream: bytes) -> None:
    expected = naive_events(stream)
    for pieces in cuttings(stream):
        assert run(pieces) == (stream, expected), pieces


@given(st.text("d\r\n: ax", max_size=40).map(lambda text: text.replace("d", "data:").encode()), st.data())
@settings(max_examples=300)
def test_any_line_ends_cut_anywhere_agree_with_the_specification(stream: bytes, data: st.DataObject) -> None:
    positions = data.draw(st.lists(st.integers(0, len(stream)), max_size=6))
    assert run(cut(stream, positions)) == (stream, naive_events(stream))


@pytest.mark.parametrize("megabytes", [1, 5, 16])
def test_a_huge_event_arrives_whole(megabytes: int) -> None:
    event = b"data: " + b"x" * (megabytes * 1024 * 1024) + b"\n\n"
    pieces = [event[start : start + 65_536] for start in range(0, len(event), 65_536)]
    joined, data = run(pieces)
    assert joined == event
    assert data == [event[6:-2]]


def test_a_hundred_thousand_single_bytes_are_searched_once_each() -> None:
    event = b"data: " + b"x" * 100_000 + b"\r\n\r\n"
    assert run([event[index : index + 1] for index in range(len(event))]) == (event, [event[6:-4]])


def test_an_event_beyond_the_limit_passes_in_fragments_and_the_next_is_read() -> None:
    stream = b"data: " + b"x" * 5000 + b"\n\ndata: next\n\n"
    for size in (1, 7, 100, 2000, len(stream)):
        splitter = EventSplitter(max_event_bytes=1000)
        chunks = []
        for start in range(0, len(stream), size):
            chunks += splitter.feed(stream[start : start + size])
            assert splitter.held_bytes <= 1000 + size
        chunks += splitter.finish()
        assert b"".join(raw for raw, _ in chunks) == stream
        assert chunks[-1] == (b"data: next\n\n", True)


def test_what_belongs_to_no_complete_event_is_given_back_at_the_end() -> None:
    splitter = EventSplitter()
    assert splitter.feed(b"data: a\n\ndata: b\n") == [(b"data: a\n\n", True)]
    assert splitter.held_bytes == 8
    assert splitter.finish() == [(b"data: b\n", False)]
    assert splitter.held_bytes == 0


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"])
def test_a_line_of_comment_does_not_wait_for_the_event_behind_it(line_end: bytes) -> None:
    splitter = EventSplitter()
    heartbeat = b": ping" + line_end
    for _ in range(3):
        assert splitter.feed(heartbeat) == [(heartbeat, False)]
        assert splitter.held_bytes == 0
    assert splitter.feed(b": pi") == []
    assert splitter.feed(b"ng" + line_end + b"data: a" + line_end) == [(heartbeat, False)]
    assert splitter.feed(line_end) == [(b"data: a" + line_end * 2, True)]


def test_a_stream_of_empty_lines_is_a_chunk_a_piece() -> None:
    splitter = EventSplitter()
    assert splitter.feed(b"\n" * 65_536) == [(b"\n" * 65_536, False)]
    assert splitter.feed(b"\r\n" * 32_768) == [(b"\r\n" * 32_768, False)]
    assert splitter.feed(b"data: a\n\n") == [(b"data: a\n\n", True)]


@pytest.mark.parametrize("lines", [3, 20_000])
def test_an_event_of_many_lines_of_data_is_one_text(lines: int) -> None:
    event = b"".join(b"data: %d\n" % number for number in range(lines)) + b"\n"
    assert data_of(event) == b"\n".join(b"%d" % number for number in range(lines))


def test_an_event_of_too_many_lines_of_several_kinds_is_its_own_data_which_nobody_can_read() -> None:
    event = b"data: 1\nid: 1\n" * 20_000 + b"\n"
    assert data_of(event) == event


def test_a_comment_that_does_not_end_waits_and_passes_whole_with_its_end() -> None:
    splitter = EventSplitter()
    piece = b":" * 1000
    assert [splitter.feed(piece) for _ in range(3000)] == [[]] * 3000
    assert splitter.feed(b"\r") == []
    ((event, is_whole),) = splitter.feed(b"\ndata: a\n\n")
    assert (event, is_whole) == (piece * 3000 + b"\r\ndata: a\n\n", True)
    assert data_of(event) == b"a"
