"""What a server sends is somebody's text: it must not reach the terminal as anything but text."""

import io
import json
import re
import sys
from typing import Any

import pytest

from proxy.cli.caps import CAPS
from proxy.cli.runs import RUNS, SPARE
from proxy.cli.showing import Show, dollars, member, print_table
from proxy.cli.telling import clean, clean_block
from tests.cli.terminal import Terminal

HOSTILE = "\x1b[31mred\x1b]0;title\x07 [bold]no[/bold] :smile: \x9b2J\u202eevil\x7f\r\nnext"
HARMFUL = "\x1b\x07\x9b\x7f\r\u202e\x08\x00"


def _is_harmless(text: str) -> bool:
    return not any(character in text for character in HARMFUL)


def test_control_characters_become_a_sign_that_something_was_there():
    assert clean("a\x1b[2Jb") == "a\N{REPLACEMENT CHARACTER}[2Jb"
    assert _is_harmless(clean(HOSTILE))
    assert _is_harmless(clean_block(HOSTILE))


def test_a_line_stays_a_line_and_a_block_keeps_its_lines():
    assert clean("a\r\nb\tc\u2028d") == "a b c d"
    assert clean_block("a\r\n\tb\nc") == "a\n\tb\nc"


def test_text_of_any_language_and_joined_emoji_stay_as_they_are():
    text = "Grüße 你好 שלום 👩\u200d💻"
    assert clean(text) == text


async def test_tables_show_hostile_text_harmless_and_markup_as_text(switchback, admin):
    admin.answer("GET", "/agents", {"items": [{"agent": "a", "description": HOSTILE}], "next": None})
    result = await switchback("agents", "list")
    assert _is_harmless(result.stdout)
    assert "[bold]no[/bold] :smile:" in result.stdout


async def test_a_prompt_is_shown_harmless_and_whole(switchback, admin):
    prompt = {"text": HOSTILE, "mode": "replace", "variables": {"name": {"default": HOSTILE}}}
    admin.answer("GET", "/agents/a/versions/1", {"agent": "a", "version": 1, "message": HOSTILE, "prompt": prompt})
    result = await switchback("versions", "show", "a", "1")
    assert _is_harmless(result.stdout)
    assert result.stdout.rstrip().endswith("next")


async def test_a_prompt_into_a_pipe_is_exact(switchback, admin):
    admin.answer("GET", "/agents/a/versions/1", {"agent": "a", "version": 1, "prompt": {"text": HOSTILE}})
    result = await switchback("versions", "show", "a", "1", "--prompt-only")
    assert result.stdout_bytes == HOSTILE.encode()


async def test_errors_of_the_server_are_harmless(switchback, admin):
    admin.refuse("GET", "/status", 400, "bad\x1b[2J", HOSTILE)
    assert _is_harmless((await switchback("status")).stderr.rstrip("\n"))


async def test_json_is_ascii_and_loses_nothing(switchback, admin):
    page = {"items": [{"agent": "a", "description": HOSTILE + "ü"}], "next": None}
    admin.answer("GET", "/agents", page)
    result = await switchback("agents", "list", "--json")
    assert result.stdout.isascii()
    assert _is_harmless(result.stdout)
    assert json.loads(result.stdout) == page


@pytest.mark.parametrize(
    ("amount", "shown"),
    [
        (None, ""),
        (0, "$0.00"),
        (0.000123, "$0.000123"),
        (0.5, "$0.50"),
        (50, "$50.00"),
        (12.345, "$12.345"),
        (1234.5, "$1,234.50"),
    ],
)
def test_small_sums_keep_their_digits(amount, shown):
    assert dollars(amount) == shown


@pytest.mark.parametrize("line", [("agents", "list"), ("agents", "show", "a")])
async def test_lines_in_a_pipe_end_without_blanks(switchback, admin, line):
    admin.answer(
        "GET", "/agents", {"items": [{"agent": "a"}, {"agent": "b", "description": "long " * 9}], "next": None}
    )
    admin.answer("GET", "/agents/a", {"agent": "a", "description": "long " * 9, "labels": [{"label": "prod"}]})
    lines = (await switchback(*line)).stdout.splitlines()
    assert len(lines) > 2
    assert [line for line in lines if line != line.rstrip()] == []


def test_what_names_an_item_stays_in_one_piece_in_a_narrow_terminal(monkeypatch: pytest.MonkeyPatch):
    out = Terminal()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setenv("COLUMNS", "60")
    columns = {"RUN": member("id"), **{str(number): member("why") for number in range(6)}}
    print_table([{"id": "run_660c08a4b231d00007591183ade2", "why": "because of it"}], columns)
    assert "run_660c08a4b231d00007591183ade2" in out.getvalue()


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def _on_a_terminal(monkeypatch: pytest.MonkeyPatch, width: int) -> _Terminal:
    out = _Terminal()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setenv("COLUMNS", str(width))
    return out


CAP = {
    "id": "cap_66159784ad517000026647e945a4",
    "scope": {"agent": "support-triage"},
    "window": "day",
    "unit": "usd",
    "limit": 50.0,
    "spent": 1.5,
    "held": 0.0,
    "remaining": 48.5,
    "at_limit": "block",
    "why": "the budget of the second half of November, as agreed",
}


@pytest.mark.parametrize("width", [60, 80])
def test_a_table_that_does_not_fit_stands_upright_with_nothing_cut(monkeypatch: pytest.MonkeyPatch, width: int):
    out = _on_a_terminal(monkeypatch, width)
    page = {"items": [CAP, {**CAP, "id": "cap_66159799a682a0104c2e238fd8cf"}], "next": None}
    Show().items(page, CAPS, "none", short="id")
    lines = out.getvalue().splitlines()
    assert [line.split() for line in lines if line.startswith("CAP ")] == [
        ["CAP", "cap_66159784"],
        ["CAP", "cap_66159799"],
    ]
    assert "SCOPE       agent support-triage" in lines
    assert f"WHY         {CAP['why']}" in lines
    assert all(line == line.rstrip() for line in lines)


def test_a_table_that_fits_but_for_its_last_column_stays_a_table(monkeypatch: pytest.MonkeyPatch):
    out = _on_a_terminal(monkeypatch, 60)
    columns = {"LABEL": member("label"), "VERSION": member("version"), "WHY": member("why")}
    print_table([{"label": "prod", "version": 7, "why": "because of it " * 9}], columns)
    assert "LABEL   VERSION   WHY" in out.getvalue()


RUN = {
    "id": "run_06awx3k1v7d2m0000a1b2c3",
    "agent": "support-triage",
    "version": 12,
    "started_at": "2026-11-20T12:00:00.123456Z",
    "arm": "candidate",
    "user": "u-17@example.org",
    "model_answered": "gpt-4o-mini-2024-07-18",
    "status": 200,
    "result": "ok",
    "tokens": {"input": 1200, "output": 300},
    "cost_usd": 0.000123,
    "duration_ms": 1234.5,
}


@pytest.mark.parametrize(
    ("columns", "shown"),
    [
        (80, ["RUN", "VERSION", "ARM", "STATUS", "RESULT"]),
        (101, ["RUN", "TIME", "VERSION", "ARM", "STATUS", "RESULT"]),
        (200, list(RUNS)),
    ],
)
def test_runs_are_one_line_each_where_that_fits_and_what_is_left_out_is_said(monkeypatch, capsys, columns, shown):
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    print_table([RUN, RUN], RUNS, SPARE)
    printed = capsys.readouterr()
    lines = re.sub(r"\x1b\[[0-9;]*m", "", printed.out).splitlines()
    assert re.split(r" {2,}", lines[0].strip()) == shown
    assert len(lines) == 4
    assert max(map(len, lines)) <= columns
    left_out = [title for title in RUNS if title not in shown]
    assert all(title in printed.err for title in left_out)
    assert bool(printed.err) == bool(left_out)


@pytest.mark.parametrize("width", [30, 40, 52])
def test_where_not_even_the_chief_columns_fit_runs_stand_upright_with_nothing_lost(monkeypatch, width):
    out = _on_a_terminal(monkeypatch, width)
    refused = {**RUN, "error_class": "variable_missing"}
    Show().items({"items": [refused, refused], "next": None}, RUNS, "none", spare=SPARE, short="id")
    lines = out.getvalue().splitlines()
    assert lines.count("RESULT     variable_missing") == lines.count("STATUS     200") == 2
    assert lines.count("VERSION    support-triage@12") == lines.count("USER       u-17@example.org") == 2


def test_ids_of_runs_are_cut_to_their_moment_and_further_only_where_two_share_it(monkeypatch):
    first, second = "run_6615df9ca1c9e0000182eead4a02", "run_6615df9ca8317000028fffffffff"
    twin = "run_6615df9ca83170000311111111111"
    for ids, size in (([first, second, second], 17), ([first, second, twin], 22)):
        out = _on_a_terminal(monkeypatch, 80)
        page = {"items": [{"run": one, "name": "score"} for one in ids], "next": None}
        Show().items(page, {"RUN": member("run"), "NAME": member("name")}, "none", short="run")
        assert [line.split()[0] for line in out.getvalue().splitlines()[2:]] == [one[:size] for one in ids]


async def test_lists_among_the_members_are_read_like_text_not_like_json(switchback, admin):
    workers = [{"name": "worker-1", "pid": 7, "serving": True}, {"name": "worker-2", "pid": 8, "serving": False}]
    warnings = ["the first warning, which is as long as a sentence", "another"]
    store = {"warnings": warnings, "ports": [1, 2], "none": [], "deep": [{"a": [1]}]}
    admin.answer("GET", "/status", {"version": "1", "workers": workers, "store": store})
    lines = [line.split(maxsplit=1) for line in (await switchback("status")).stdout.splitlines()]
    assert lines == [
        ["version", "1"],
        ["workers", "worker-1: pid 7, serving yes"],
        ["workers", "worker-2: pid 8, serving no"],
        ["store.warnings", warnings[0]],
        ["store.warnings", warnings[1]],
        ["store.ports", "1, 2"],
        ["store.deep", '[{"a": [1]}]'],
    ]


async def test_attempts_of_a_run_and_what_was_dropped_are_a_line_each(switchback, admin):
    attempts = [{"number": 1, "status": 429, "retry": None}, {"number": 2, "status": 200}]
    admin.answer("GET", "/runs/run_1", {"id": "run_1", "attempts": attempts, "dropped_parameters": ["top_p", "stop"]})
    shown = (await switchback("runs", "show", "run_1")).stdout
    assert "number 1, status 429\n" in shown
    assert "number 2, status 200\n" in shown
    assert "top_p, stop\n" in shown


def test_what_crashes_charged_is_shown_with_what_they_can() -> None:
    shown = CAPS["BY CRASHES"]
    cap: dict[str, Any] = {"unit": "usd", "charged_by_crashes": 0.5, "charged_by_crashes_at_most": 1.5625}
    assert shown(cap) == "$0.50 of at most $1.5625"
    assert (
        shown({**cap, "unit": "calls", "charged_by_crashes": 3, "charged_by_crashes_at_most": 10}) == "3 of at most 10"
    )
    assert shown({**cap, "charged_by_crashes": 0}) == shown({**cap, "charged_by_crashes": None}) == ""
    del cap["charged_by_crashes_at_most"]
    assert shown(cap) == "$0.50"
