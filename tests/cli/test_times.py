"""Times as people type them: the same spans and moments wherever a time is asked for."""

import time

import pytest

from proxy.cli.failures import EXIT_USAGE, CommandFailed
from proxy.cli.times import time_ago, time_from_now
from proxy.core.times import parse_rfc3339

MOMENT = "2026-11-20T14:03:00.123456789+01:00"


@pytest.mark.parametrize(("span", "seconds"), [("45s", 45), ("15m", 900), ("1.5h", 5400), ("7d", 604_800)])
def test_a_span_is_counted_from_now(span: str, seconds: int) -> None:
    before = time.time_ns() // 1_000_000_000 * 1_000_000
    ahead, back = parse_rfc3339(time_from_now(span), "time"), parse_rfc3339(time_ago(span), "time")
    after = time.time_ns() // 1000
    assert before <= ahead - seconds * 1_000_000 <= after
    assert before <= back + seconds * 1_000_000 <= after


@pytest.mark.parametrize("text", [MOMENT, "2026-11-20T14:03Z", "2026-11-20 14:03:00.5Z"])
def test_a_moment_stands_as_it_is_with_any_fraction(text: str) -> None:
    assert time_from_now(text) == time_ago(text) == text


def test_a_date_is_its_beginning_and_now_is_now() -> None:
    assert time_ago("2026-11-20") == time_from_now("2026-11-20") == "2026-11-20T00:00:00Z"
    before = time.time_ns() // 1_000_000_000 * 1_000_000
    assert before <= parse_rfc3339(time_ago("now"), "time") <= time.time_ns() // 1000


@pytest.mark.parametrize("text", ["yesterday", "", "15", "15 m", "-5m", "5min", "2026-13-01", "2026-11-20T14:03"])
def test_what_is_no_time_is_answered_with_every_form_there_is(text: str) -> None:
    for read, span in ((time_from_now, "90d from now"), (time_ago, "7d ago")):
        with pytest.raises(CommandFailed) as failed:
            read(text)
        assert failed.value.exit_code == EXIT_USAGE
        assert str(failed.value).startswith(f"{text!r} is no time")
        assert all(form in str(failed.value) for form in (span, "now", "2026-11-20", "2026-11-20T14:03:00Z"))


@pytest.mark.parametrize(
    ("line", "path", "member"),
    [
        ("runs list --from 15m", "/runs", "from"),
        ("runs list --to 2h", "/runs", "to"),
        ("versions at a --time 7d", "/agents/a/versions/at", "time"),
    ],
)
async def test_every_verb_that_asks_for_a_time_takes_a_span(switchback, admin, line, path, member):
    admin.answer("GET", path, {"items": [], "next": None, "arms": []})
    await switchback(*line.split())
    assert parse_rfc3339(admin.last.query[member], member) < time.time_ns() // 1000
