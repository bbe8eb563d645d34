import asyncio
import json
import re
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from typer.testing import CliRunner

from proxy.cli import diff_view
from proxy.cli.admin_command import new_group
from proxy.cli.diff_view import render, visible
from proxy.core.versions.diffing import diff_versions
from tests.cli.terminal import at_a_terminal

HOSTILE = "\x1b[31mred\x1b]0;title\x07 \x9b2J \u202egnp.exe [bold]markup[/bold] :smile: \u200b\U000e0041 \x00\x08\r"


def diff(before: str, after: str) -> dict[str, Any]:
    return diff_versions({"prompt": {"text": before}}, {"prompt": {"text": after}}).document()


def plain(document: dict[str, Any]) -> str:
    return render(document, in_colour=False).plain


def in_terminal(document: dict[str, Any]) -> str:
    console = Console(
        force_terminal=True, color_system="standard", markup=False, soft_wrap=True, emoji=False, highlight=False
    )
    with console.capture() as captured:
        console.print(render(document, in_colour=True), end="")
    return captured.get()


def test_without_colour_changes_are_marked() -> None:
    assert plain(diff("You are a helpful bot.", "You are a careful bot.")) == (
        "behavior\n  prompt.text: changed, see below\nprompt\nYou are a [-helpful-]{+careful+} bot.\n"
    )


def test_in_a_terminal_inserted_words_are_green_and_deleted_ones_red_and_struck() -> None:
    shown = in_terminal(diff("You are a helpful bot.", "You are a careful bot."))
    assert "\x1b[9;31mhelpful\x1b[0m" in shown
    assert "\x1b[32mcareful\x1b[0m" in shown
    assert "[-" not in shown


@pytest.mark.parametrize(("setting", "is_marked"), [({}, False), ({"NO_COLOR": "1"}, True), ({"TERM": "dumb"}, True)])
async def test_a_terminal_without_colour_shows_the_marks(admin: Any, setting: dict[str, str], is_marked: bool) -> None:
    admin.answer("GET", "/agents/a/versions/1/diff/2", diff("You are a helpful bot.", "You are a careful bot."))
    environment = {"SWITCHBACK_ADMIN_URL": admin.url, "SWITCHBACK_TOKEN": "t", **setting}
    seen = await at_a_terminal(("diff", "a", "1", "2"), environment)
    words = re.sub(r"\x1b\[[0-9;]*m", "", seen.screen)
    assert (seen.exit_code, "You are a [-helpful-]{+careful+} bot." in words) == (0, is_marked)
    assert ("\x1b[32m" in seen.screen) is not is_marked


def test_fields_stand_in_their_groups_with_old_and_new() -> None:
    before = {"model": {"name": "a", "parameters": {"temperature": 0.2}}, "policy": {"x": 1}}
    after = {
        "model": {"name": "b", "parameters": {"temperature": {"default": 0.2}}},
        "tools": {"mode": "merge", "items": [{"name": "t"}]},
    }
    assert plain(diff_versions(before, after).document()) == (
        "behavior\n"
        "  model.name: [-a-] → {+b+}\n"
        "  model.parameters.temperature: [-0.2 (enforced)-] → {+0.2 (default)+}\n"
        "capabilities\n"
        "  tools.mode: [-keep-] → {+merge+}\n"
        '  tools.t: {+{"name": "t"}+}\n'
        "guardrails\n"
        "  policy.x (only recorded): [-1-]\n"
    )


def test_nothing_changed_is_said() -> None:
    assert plain(diff("same", "same")) == "no differences\n"


def test_hostile_text_is_shown_and_does_nothing() -> None:
    before, after = HOSTILE + " one", HOSTILE + " two"
    document = diff_versions(
        {"prompt": {"text": before}, "policy": {HOSTILE: HOSTILE}}, {"prompt": {"text": after}, "policy": {HOSTILE: 1}}
    ).document()
    for shown in (plain(document), in_terminal(document).replace("\x1b[0m", "").replace("\x1b[32m", "")):
        ours = shown.replace("\x1b[9;31m", "").replace("\x1b[1m", "").replace("\x1b[2m", "")
        assert not any(unicodedata.category(character) in ("Cc", "Cf", "Cs") for character in ours if character != "\n")
        assert "␛[31mred" in ours
        assert "[bold]markup[/bold] :smile:" in ours
        assert "⟨U+202E⟩gnp.exe" in ours


@settings(max_examples=100, deadline=None)
@given(st.text())
def test_no_text_reaches_a_terminal_with_anything_it_obeys(text: str) -> None:
    shown = visible(text)
    assert not any(unicodedata.category(character) in ("Cc", "Cs") for character in shown if character != "\n")
    assert not set(shown) & set("\u202a\u202b\u202d\u202e\u2066\u2067\u2068\u200e\u200f\u2028\u2029")


def test_emoji_and_scripts_that_need_joiners_stay_as_they_are() -> None:
    assert visible("👩‍👩‍👧 नमस्\u200dते é 日本") == "👩‍👩‍👧 नमस्\u200dते é 日本"


def test_a_changed_line_end_and_changed_blanks_are_visible() -> None:
    assert "one[-␍↵\n-]{+↵\n+}two" in plain(diff("one\r\ntwo", "one\ntwo"))
    assert "a[-··-]{+·+}b" in plain(diff("a  b", "a b"))


def test_long_unchanged_stretches_are_left_out_of_the_view_and_not_of_the_data() -> None:
    lines = [f"line {number}\n" for number in range(100)]
    after = [*lines]
    after[10], after[90] = "new 10\n", "new 90\n"
    document = diff("".join(lines), "".join(after))
    shown = plain(document)
    assert (
        "⋯ 8 unchanged lines ⋯\nline 8\nline 9\n[-line-]{+new+} 10\nline 11\nline 12\n⋯ 75 unchanged lines ⋯\n" in shown
    )
    assert shown.endswith("line 91\nline 92\n⋯ 7 unchanged lines ⋯\n")
    assert "".join(hunk["text"] for hunk in document["prompt"] if hunk["op"] != "insert") == "".join(lines)


def test_a_long_value_is_cut_with_its_length_told() -> None:
    document = diff_versions({}, {"policy": {"x": "y" * 5000}}).document()
    assert "… (5000 characters)" in plain(document)


# The verb


@pytest.fixture
def switchback_diff(admin: Any) -> Callable[..., Any]:
    group = new_group()
    diff_view.register(group)
    # A second command, because typer takes the name of an only one away.
    group.command("other")(lambda: None)

    async def run(*arguments: str) -> Any:
        environment = {"SWITCHBACK_ADMIN_URL": admin.url, "SWITCHBACK_TOKEN": "x"}
        command: typer.Typer = group
        return await asyncio.to_thread(CliRunner().invoke, command, ["diff", *arguments], env=environment)

    return run


AGENT = {"agent": "support", "newest_version": 9, "labels": [{"label": "prod", "version": 7}]}


@pytest.mark.parametrize(
    ("sides", "path"),
    [
        (("6", "7"), "/agents/support/versions/6/diff/7"),
        (("prod", "latest"), "/agents/support/versions/7/diff/9"),
    ],
)
async def test_sides_are_numbers_labels_or_the_newest(
    admin: Any, switchback_diff: Any, sides: tuple[str, str], path: str
) -> None:
    admin.answer("GET", "/agents/support", AGENT)
    admin.answer("GET", path, diff("one", "two"))
    done = await switchback_diff("support", *sides)
    assert done.exit_code == 0
    assert "[-one-]{+two+}" in done.stdout


async def test_a_label_that_is_not_set_is_an_error(admin: Any, switchback_diff: Any) -> None:
    admin.answer("GET", "/agents/support", AGENT)
    done = await switchback_diff("support", "7", "staging")
    assert done.exit_code == 1
    assert "no version or label 'staging'" in done.stderr


async def test_a_version_is_compared_with_a_file_that_is_no_version_yet(
    admin: Any, switchback_diff: Any, tmp_path: Path
) -> None:
    (tmp_path / "agent.yaml").write_text("agent: support\nprompt: {text: You help more.}\nmessage: m\n")
    admin.answer("GET", "/agents/support", AGENT)
    admin.answer(
        "GET", "/agents/support/versions/7", {"prompt": {"text": "You help."}, "message": "m", "author": "ann"}
    )
    done = await switchback_diff("support", "prod", "--file", str(tmp_path), "--json")
    assert [change["path"] for change in json.loads(done.stdout)["behavior"]] == ["prompt.text"]
    other = await switchback_diff("other", "7", "--file", str(tmp_path))
    assert other.exit_code == 2
    assert "describes the agent support" in other.stderr


async def test_a_file_that_cannot_be_used_is_named_as_it_was_typed(
    admin: Any, switchback_diff: Any, tmp_path: Path
) -> None:
    missing = await switchback_diff("support", "7", "--file", str(tmp_path / "nope"))
    assert missing.stderr.startswith(f"error: {tmp_path}/nope: cannot be read")
    (tmp_path / "agent.yaml").write_text("agnet: support\n")
    wrong = await switchback_diff("support", "7", "--file", str(tmp_path))
    assert f"error: {tmp_path}/agent.yaml: agnet: unknown key" in wrong.stderr


def test_a_text_that_was_empty_or_is_empty_is_seen() -> None:
    change = {"path": "message", "kind": "changed", "before": "old", "after": ""}
    assert '[-old-] → {+""+}' in render({"metadata": [change]}, in_colour=False).plain


async def test_one_side_alone_is_wrong_usage(switchback_diff: Any) -> None:
    assert (await switchback_diff("support", "7")).exit_code == 2
    assert (await switchback_diff("support", "7", "8", "--file", "x")).exit_code == 2


def test_what_nothing_acts_on_is_said_of_it() -> None:
    before = {"retrieval": {"index": "a"}, "policy": {"max_tool_calls": 1, "max_output_tokens": 5}}
    after = {"retrieval": {"index": "b"}, "policy": {"max_tool_calls": 2, "max_output_tokens": 6, "recorded": {"x": 1}}}
    lines = render(diff_versions(before, after).document(), in_colour=False).plain.splitlines()
    said = {line.split(":")[0].strip() for line in lines if line.startswith("  ")}
    assert said >= {
        "retrieval.index (only recorded)", "policy.max_tool_calls (counted in runs, not enforced)", "policy.max_output_tokens",
    }  # fmt: skip
    assert any(one.startswith("policy.recorded") and one.endswith("(only recorded)") for one in said)


def test_each_message_that_changed_is_shown_by_its_words() -> None:
    before = {"prompt": {"text": "Be kind.", "messages": [{"role": "user", "text": "Sort it."}]}}
    after = {"prompt": {"text": "Be kind.", "messages": [{"role": "user", "text": "Sort them."}]}}
    assert plain(diff_versions(before, after).document()) == (
        "behavior\n  prompt.messages[1].text: changed, see below\nprompt.messages[1] (user)\nSort [-it-]{+them+}.\n"
    )
