"""Parts that are a page each: ids, inflating, trace context, conversations, the token file, the log."""

import io
import os
import stat
import threading
from pathlib import Path

import orjson
import pytest

from proxy.core.errors import BadInput, Refusal, Unavailable
from proxy.runtime.calls.conversations import Conversations
from proxy.runtime.process.admin_token import admin_token
from proxy.runtime.process.clock import Identifiers, SystemClock
from proxy.runtime.process.error_log import ErrorLog
from proxy.runtime.process.line_writer import LineWriter
from proxy.runtime.telemetry.trace_context import trace_id

DAY = 24 * 3_600_000_000


def test_ids_are_unique_and_sort_by_the_time_they_were_made() -> None:
    identifiers = Identifiers(SystemClock(), 12345)
    made = [identifiers.new("run") for _ in range(5000)]
    assert len(set(made)) == 5000
    assert made == sorted(made)


def test_two_processes_make_different_ids_at_the_same_moment() -> None:
    class Stopped:
        def now_microseconds(self) -> int:
            return 1

        def monotonic_microseconds(self) -> int:
            return 1

    assert Identifiers(Stopped(), 1).new("run") != Identifiers(Stopped(), 2).new("run")


@pytest.mark.parametrize(
    ("header", "found"),
    [
        (b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "4bf92f3577b34da6a3ce929d0e0e4736"),
        (b"00-00000000000000000000000000000000-00f067aa0ba902b7-01", None),
        (b"00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", None),
        (b"ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", None),
        (b"00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", None),
        (b"nonsense", None),
        (None, None),
    ],
)
def test_a_trace_is_followed_only_where_its_header_is_valid(header: bytes | None, found: str | None) -> None:
    assert trace_id(header) == found


def test_conversations_are_remembered_for_a_day_and_the_oldest_is_forgotten_first() -> None:
    table = Conversations(max_entries=2)
    table.remember("a", "r1", "one", "candidate", 0)
    table.remember("a", "r1", "two", "stable", 0)
    assert table.arm("a", "r1", "one", DAY) == "candidate"
    table.remember("a", "r1", "three", "stable", DAY)
    assert table.arm("a", "r1", "two", DAY) is None
    assert table.evictions == 1
    assert table.arm("a", "r2", "one", DAY) is None
    assert table.arm("a", "r1", "one", 3 * DAY) is None


def test_the_admin_token_is_made_once_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    home = tmp_path / "home"
    token = admin_token(home)
    assert len(token) > 40
    assert admin_token(home) == token
    assert stat.S_IMODE((home / "admin-token").stat().st_mode) == 0o600
    (home / "admin-token").write_text("")
    with pytest.raises(Unavailable):
        admin_token(home)


def test_the_error_log_names_the_place_but_never_the_message() -> None:
    lines: list[bytes] = []
    try:
        raise ValueError("sk-secret-key")
    except ValueError as error:
        ErrorLog(lines.append, SystemClock())(error)
    line = orjson.loads(lines[0])
    assert line["error"] == "ValueError"
    assert "test_the_error_log" in line["at"][0]
    assert b"sk-secret" not in lines[0]


def test_a_log_nobody_reads_never_blocks_and_says_how_many_lines_it_lost() -> None:
    read_end, write_end = os.pipe()
    with os.fdopen(write_end, "wb", buffering=0) as stream:
        writer = LineWriter(stream)
        for _ in range(3000):
            writer(b'{"x":"' + b"y" * 1000 + b'"}\n')
        received = io.BytesIO()

        def drain() -> None:
            with os.fdopen(read_end, "rb") as pipe:
                received.write(pipe.read())

        reader = threading.Thread(target=drain)
        reader.start()
        writer.close(timeout_seconds=10)
    reader.join(10)
    assert b"log_lines_dropped" in received.getvalue()


def test_a_refusal_carries_its_status_and_code() -> None:
    assert (Refusal("proxy_error", "x").status, BadInput("c", "m").status, BadInput("c", "m", status=415).status) == (
        500,
        400,
        415,
    )
