"""`switchback demo`: ends by itself, is honest about what it saw, and leaves nothing behind."""

import asyncio
import io
import os
import re
import signal
import sys
from pathlib import Path

import pytest
from rich.console import Console
from rich.live import Live

from proxy.cli.demo_screen import LiveScreen, PlainScreen, ScreenRow, screen_for
from proxy.cli.demo_story import canary_problems, rollback_problems, switch_problems
from proxy.cli.demo_traffic import USERS, DemoAnswer
from tests.harness import ended, signalled_until_gone

DEADLINE_SECONDS = 250
ROWS = [ScreenRow(1, 90.0, 900, 0, 3, 0.5), ScreenRow(2, 10.0, 100, 30, 0, 0.2)]


async def _demo(directory: Path) -> asyncio.subprocess.Process:
    environment = {"PATH": os.environ["PATH"], "TMPDIR": str(directory), "PYTHONPATH": str(Path(__file__).parents[2])}
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "proxy", "demo", "--fast", cwd=directory, env=environment,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip


async def test_the_demo_shows_a_promotion_and_a_rollback_on_evidence_and_ends_by_itself(tmp_path: Path):
    demo = await _demo(tmp_path)
    async with ended(demo), asyncio.timeout(DEADLINE_SECONDS):
        out, err = await demo.communicate()
    text = out.decode()
    assert (demo.returncode, err.decode()) == (0, ""), text
    assert "All of it went as it should." in text
    promoted, taken_back = re.findall("rollout-controller: (.+)", text)
    assert promoted.endswith("promoted")
    assert re.fullmatch("candidate errors .+ against 0 of .+ rolled back", taken_back)
    assert "$ switchback rollback support-triage" in text
    assert "answered by version 2: 0 calls" in text
    assert "\x1b" not in text
    assert os.listdir(tmp_path) == []


async def test_a_demo_that_is_interrupted_again_and_again_cleans_up_too(tmp_path: Path):
    demo = await _demo(tmp_path)
    assert demo.stdout is not None
    async with ended(demo), asyncio.timeout(DEADLINE_SECONDS):
        while b"$ switchback label" not in await demo.stdout.readline():
            pass
        await signalled_until_gone(demo.pid, signal.SIGINT)
        _, err = await demo.communicate()
    assert (demo.returncode, err.decode()) == (130, "interrupted; everything is stopped and removed\n")
    assert os.listdir(tmp_path) == []


def _answer(user: int, version: int | None, status: int = 200) -> DemoAnswer:
    return DemoAnswer(f"u{user:03}", 0.0, 0.1, version, status)


def _canary(lucky: int) -> list[DemoAnswer]:
    return [_answer(user, 2 if user < lucky else 1) for user in range(USERS)]


@pytest.mark.parametrize("lucky", [USERS // 10, USERS // 10 - 12, USERS // 10 + 12])
def test_about_a_tenth_of_the_users_is_a_good_canary(lucky):
    assert canary_problems(_canary(lucky)) == []


@pytest.mark.parametrize("lucky", [0, USERS // 25, USERS // 5, USERS])
def test_a_canary_that_got_another_share_fails_the_demo(lucky):
    assert len(canary_problems(_canary(lucky))) == 1


def test_a_user_who_got_both_versions_fails_the_demo():
    assert "both" in canary_problems([*_canary(USERS // 10), _answer(0, 1)])[0]


def test_one_call_answered_by_the_bad_version_after_the_rollback_fails_the_demo():
    assert rollback_problems([_answer(1, 1), _answer(2, None, 402)], 2) == []
    assert rollback_problems([_answer(1, 1), _answer(2, 2, 500)], 2) != []


def test_one_call_served_while_the_switch_is_on_fails_the_demo():
    assert switch_problems([_answer(1, 1, 403)]) == []
    assert switch_problems([_answer(1, 1, 403), _answer(2, 1)]) != []


def test_figures_of_a_version_are_per_call():
    good, bad = ROWS
    assert (good.error_percent, bad.error_percent) == (0.0, 30.0)
    assert bad.cost_of_thousand_usd == pytest.approx(2.0)
    assert ScreenRow(1, 0.0, 0, 0, 0, 0.0).cost_of_thousand_usd == 0.0


def test_a_pipe_gets_a_line_now_and_then():
    out = io.StringIO()
    screen = PlainScreen(out, interval_seconds=1.0)
    for tenth in range(25):
        screen.frame(tenth / 10, ROWS)
    assert len(out.getvalue().splitlines()) == 3
    assert "v2  10% now, 100 calls, 30% errors, 0 refused, $0.2000" in out.getvalue()


def test_a_terminal_gets_a_table_and_the_story_above_it():
    out = io.StringIO()
    with Live(console=Console(file=out, force_terminal=True, width=100), auto_refresh=False) as live:
        screen = LiveScreen(live)
        screen.tell("$ switchback rollback [bold]x[/bold]")
        screen.frame(1.0, ROWS)
    assert "[bold]x[/bold]" in out.getvalue()
    assert "SHARE NOW" in out.getvalue()


def test_what_is_no_terminal_gets_lines():
    with screen_for(io.StringIO(), 10) as screen:
        assert isinstance(screen, PlainScreen)
