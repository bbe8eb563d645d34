"""`switchback versions create`: from options to the body of a new version."""

import json
from pathlib import Path

import pytest

SEVEN = {
    "version": 7,
    "prompt": {"text": "Old {{name}}", "mode": "append", "variables": {"name": {"default": "Acme"}}},
    "model": {"provider": "openai", "name": "gpt-4o-mini", "parameters": {"temperature": 0.2, "extra": {"user": "x"}}},
    "tools": {"mode": "merge", "items": [{"name": "search"}]},
    "retrieval": {"index": "kb"},
    "policy": {"max_tool_calls": 3},
    "tested_against": {"score": 0.9},
}
COMPONENTS = ("prompt", "model", "tools", "retrieval", "policy")


@pytest.fixture
def agent(admin):
    """An agent with seven versions that takes an eighth."""
    admin.answer("GET", "/agents/a", {"agent": "a", "newest_version": 7})
    admin.answer("GET", "/agents/a/versions/7", SEVEN)
    admin.answer("POST", "/agents/a/versions", {"agent": "a", "version": 8}, 201)
    return admin


async def test_a_version_from_nothing_holds_what_was_said(switchback, agent, tmp_path: Path):
    (tmp_path / "tools.json").write_text('[{"name": "search"}]')
    (tmp_path / "policy.json").write_text('{"max_tool_calls": 3}')
    (tmp_path / "retrieval.json").write_text('{"index": "kb"}')
    result = await switchback(
        "versions", "create", "a", "--from", "none", "--prompt", "Hello {{name}}", "--mode", "prepend", "--variable", "name=Ann=1",
        "--variable", "city", "--provider", "openai", "--model", "gpt-4o-mini", "--temperature", "0.2",
        "--max-output-tokens", "400", "--parameter", 'top_p={"default": 0.9}', "--parameter", "reasoning_effort=low",
        "--parameter", "extra.logit_bias={}", "--tools-file", "tools.json", "--retrieval-file", "retrieval.json",
        "--policy-file", "policy.json", "--policy", "max_output_tokens=800", "--tested-against", "score=0.95", "-m", "first",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert agent.last.body == {
        "parent": 7,
        "message": "first",
        "prompt": {
            "text": "Hello {{name}}",
            "mode": "prepend",
            "variables": {"name": {"default": "Ann=1"}, "city": {}},
        },
        "model": {
            "provider": "openai",
            "name": "gpt-4o-mini",
            "parameters": {
                "temperature": 0.2,
                "max_output_tokens": 400,
                "top_p": {"default": 0.9},
                "reasoning_effort": "low",
                "extra": {"logit_bias": {}},
            },
        },
        "tools": {"mode": "merge", "items": [{"name": "search"}]},
        "retrieval": {"index": "kb"},
        "policy": {"max_tool_calls": 3, "max_output_tokens": 800},
        "tested_against": {"score": 0.95},
    }
    assert "created version 8 of a" in result.stdout


async def test_from_a_version_only_what_is_said_changes(switchback, agent):
    await switchback("versions", "create", "a", "--from", "7", "--prompt", "New {{name}} {{x}}", "--variable", "x=1")
    body = agent.last.body
    assert body["prompt"] == {
        "text": "New {{name}} {{x}}",
        "mode": "append",
        "variables": {"name": {"default": "Acme"}, "x": {"default": "1"}},
    }
    assert {kind: body[kind] for kind in COMPONENTS if kind != "prompt"} == {
        kind: SEVEN[kind] for kind in COMPONENTS if kind != "prompt"
    }
    assert "tested_against" not in body


async def test_from_a_version_parameters_can_be_changed_and_taken_out(switchback, agent):
    await switchback(
        "versions", "create", "a", "--from", "7", "--parameter", "temperature=null", "--parameter", "extra.user=null",
        "--parameter", "seed=4", "--tools-mode", "keep",
    )  # fmt: skip
    assert agent.last.body["model"] == {"provider": "openai", "name": "gpt-4o-mini", "parameters": {"seed": 4}}
    assert agent.last.body["tools"] == {"mode": "keep", "items": [{"name": "search"}]}


async def test_the_parent_is_the_newest_version_that_was_read_before_sending(switchback, agent):
    await switchback("versions", "create", "a", "--prompt", "x")
    assert [asked.method for asked in agent.asked] == ["GET", "GET", "POST"]
    assert agent.last.body["parent"] == 7


async def test_a_named_parent_is_sent_as_it_is(switchback, agent):
    agent.answer("GET", "/agents/a/versions/5", SEVEN)
    await switchback("versions", "create", "a", "--prompt", "x", "--parent", "5")
    assert (len(agent.asked), agent.last.body["parent"]) == (2, 5)


async def test_what_is_not_said_is_that_of_the_newest_version_and_the_answer_says_so(switchback, agent):
    done = await switchback("versions", "create", "a", "--temperature", "0.5")
    body = agent.last.body
    assert body["model"] == {**SEVEN["model"], "parameters": {"temperature": 0.5, "extra": {"user": "x"}}}
    assert {kind: body[kind] for kind in COMPONENTS if kind != "model"} == {
        kind: SEVEN[kind] for kind in COMPONENTS if kind != "model"
    }
    assert "created version 8 of a (what was not said is that of version 7)" in done.stdout


async def test_from_none_begins_with_nothing(switchback, agent):
    done = await switchback("versions", "create", "a", "--from", "none", "--prompt", "x")
    assert agent.last.body == {"parent": 7, "message": "", "prompt": {"text": "x"}}
    assert "what was not said" not in done.stdout
    assert (await switchback("versions", "create", "a", "--from", "prod", "--prompt", "x")).exit_code == 2


async def test_the_first_version_has_no_parent(switchback, admin):
    admin.answer("GET", "/agents/a", {"agent": "a", "newest_version": None})
    admin.answer("POST", "/agents/a/versions", {"version": 1}, 201)
    await switchback("versions", "create", "a", "--prompt", "x")
    assert admin.last.body["parent"] is None


async def test_a_newer_version_by_somebody_else_is_exit_code_4(switchback, admin):
    admin.refuse("POST", "/agents/a/versions", 409, "stale_parent", "version 8 by bob is the newest, not 7")
    result = await switchback("versions", "create", "a", "--from", "none", "--prompt", "x", "--parent", "7")
    assert (result.exit_code, "bob" in result.stderr) == (4, True)


async def test_identical_content_is_told_as_nothing_changed(switchback, admin):
    admin.answer("POST", "/agents/a/versions", {"version": 7})
    result = await switchback("versions", "create", "a", "--from", "none", "--prompt", "x", "--parent", "7")
    assert result.stdout == "nothing changed: version 7 of a has the same content already\n"


@pytest.mark.parametrize(
    "text", ["CRLF\r\nand a tab\t\r\n", "\ufeffGrüße 你好 👩\u200d💻", "\x1b[31m [bold] {{x}}\n\n"]
)
async def test_a_prompt_file_is_sent_to_the_last_byte(switchback, agent, tmp_path: Path, text):
    (tmp_path / "prompt.md").write_bytes(text.encode())
    await switchback("versions", "create", "a", "--prompt-file", "prompt.md")
    assert agent.last.body["prompt"]["text"] == text


async def test_a_prompt_can_come_through_standard_input(switchback, agent):
    await switchback("versions", "create", "a", "--prompt-file", "-", given="from a pipe\n")
    assert agent.last.body["prompt"]["text"] == "from a pipe\n"


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (("--prompt-file", "missing.md"), "cannot be read"),
        (("--prompt-file", "binary"), "is not UTF-8"),
        (("--tools-file", "broken.json"), "is not JSON"),
        (("--tools-file", "number.json"), "must be a list of tools"),
        (("--tools-file", "twice.json"), "is not JSON: the member 'mode' occurs twice"),
        (("--tools-file", "deep.json"), "is not JSON: it is nested too deep"),
        (("--policy-file", "list.json"), "must be a JSON object"),
        (("--policy", "max_tool_calls"), "--policy is written NAME=VALUE"),
        (("--parameter", "=1"), "--parameter is written NAME=VALUE"),
        (("--prompt", "x", "--prompt-file", "binary"), "exclude each other"),
    ],
)
async def test_what_cannot_be_read_is_told_before_anything_is_sent(switchback, agent, tmp_path: Path, options, problem):
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "number.json").write_text("7")
    (tmp_path / "twice.json").write_text('{"mode": "merge", "mode": "replace"}')
    (tmp_path / "deep.json").write_text("[" * 100_000)
    (tmp_path / "list.json").write_text(json.dumps([]))
    result = await switchback("versions", "create", "a", *options)
    assert (result.exit_code, {asked.method for asked in agent.asked} - {"GET"}) == (2, set())
    assert problem in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize("options", [(), ("--message", "empty"), ("--tested-against", "score=1"), ("--parent", "7")])
async def test_a_version_of_which_nothing_is_said_is_wrong_usage(switchback, agent, options):
    result = await switchback("versions", "create", "a", *options)
    assert (result.exit_code, {asked.method for asked in agent.asked} - {"GET"}) == (2, set())
    assert "say what the version shall be" in result.stderr


@pytest.mark.parametrize("option", ["--parameter", "--policy", "--tested-against"])
async def test_what_is_no_number_of_json_is_sent_as_text(switchback, agent, option):
    assert (await switchback("versions", "create", "a", "--prompt", "x", option, "seed=NaN")).exit_code == 0
    assert '"seed": "NaN"' in json.dumps(agent.last.body)


async def test_a_file_with_what_json_has_not_is_told(switchback, agent, tmp_path: Path):
    (tmp_path / "policy.json").write_text('{"limit": Infinity}')
    result = await switchback("versions", "create", "a", "--policy-file", "policy.json")
    assert (result.exit_code, {asked.method for asked in agent.asked} - {"GET"}) == (2, set())
    assert "policy.json: is not JSON: Infinity is no number" in result.stderr


@pytest.mark.parametrize("name", ["7", "prod", "latest"])
async def test_a_version_is_shown_by_number_label_or_latest(switchback, admin, name):
    admin.answer("GET", "/agents/a", {"newest_version": 7, "labels": [{"label": "prod", "version": 7}]})
    admin.answer("GET", "/agents/a/versions/7", SEVEN)
    assert "Old {{name}}" in (await switchback("versions", "show", "a", name)).stdout


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("nope", "a has no version or label 'nope' [label_not_set]"),
        ("latest", "a has no version yet [version_not_found]"),
    ],
)
async def test_a_name_that_stands_for_no_version_is_told(switchback, admin, name, told):
    admin.answer("GET", "/agents/a", {"newest_version": None, "labels": []})
    result = await switchback("versions", "show", "a", name)
    assert (result.exit_code, result.stderr) == (1, f"error: {told}\n")


OLDER = {
    "prompt": {"text": "x"},
    "retrieval": {"index": "kb"},
    "policy": {
        "max_output_tokens": 9, "max_tool_calls": 3, "validators": ["json"], "tone": "kind", "recorded": {"owner": "ann"},
    },
}  # fmt: skip


async def test_what_nothing_acts_on_is_said_where_a_version_is_shown(switchback, admin):
    admin.answer("GET", "/agents/a/versions/7", {"version": 7, **OLDER})
    shown = (await switchback("versions", "show", "a", "7")).stdout
    remarks = {line.split()[0]: line.partition("(")[2] for line in shown.splitlines() if "." in line.split(" ")[0]}
    assert remarks["retrieval.index"] == remarks["policy.tone"] == remarks["policy.recorded.owner"] == "only recorded)"
    assert remarks["policy.validators"] == "judged after the answer, not enforced)"
    assert remarks["policy.max_tool_calls"] == "counted in runs, not enforced)"
    assert remarks["policy.max_output_tokens"] == ""


async def test_what_an_older_policy_says_and_nobody_reads_becomes_recorded_and_is_told(switchback, admin):
    admin.answer("GET", "/agents/a", {"newest_version": 7})
    admin.answer("GET", "/agents/a/versions/7", {"version": 7, **OLDER})
    admin.answer("POST", "/agents/a/versions", {"version": 8}, 201)
    done = await switchback("versions", "create", "a", "--prompt", "y")
    assert admin.last.body["policy"] == {
        "max_output_tokens": 9, "max_tool_calls": 3, "validators": ["json"], "recorded": {"owner": "ann", "tone": "kind"},
    }  # fmt: skip
    assert "nothing reads policy.tone: now in policy.recorded" in done.stderr
    await switchback("versions", "create", "a", "--prompt", "y", "--policy", "max_tool_cals=3")
    assert admin.last.body["policy"]["max_tool_cals"] == 3


OTHERS = [{"role": "user", "text": "Sort it."}, {"role": "assistant", "text": "Done."}]
EIGHT = {**SEVEN, "prompt": {"messages": [{"role": "system", "text": "Old"}, *OTHERS], "mode": "append"}}


@pytest.mark.parametrize(
    ("begun", "options", "expected"),
    [
        (SEVEN, ("--messages-file", "m.json"), {"text": "Old {{name}}", "messages": [{"role": "user", "text": "x"}]}),
        (SEVEN, ("--messages-file", "s.json"), {"messages": [{"role": "system", "text": "y"}]}),
        (SEVEN, ("--messages-file", "m.json", "--prompt", "P"), {"text": "P", "messages": [{"role": "user", "text": "x"}]}),
        (EIGHT, ("--prompt", "P"), {"text": "P", "messages": OTHERS}),
        (EIGHT, ("--messages-file", "m.json"), {"messages": [{"role": "system", "text": "Old"}, {"role": "user", "text": "x"}]}),
        (EIGHT, ("--mode", "prepend"), {"messages": EIGHT["prompt"]["messages"]}),
    ],
)  # fmt: skip
async def test_messages_and_text_each_take_the_place_of_their_own_kind(
    switchback, admin, tmp_path: Path, begun, options, expected
):
    (tmp_path / "m.json").write_text('[{"role": "user", "text": "x"}]')
    (tmp_path / "s.json").write_text('[{"role": "system", "text": "y"}]')
    admin.answer("GET", "/agents/a", {"agent": "a", "newest_version": 7})
    admin.answer("GET", "/agents/a/versions/7", begun)
    admin.answer("POST", "/agents/a/versions", {"agent": "a", "version": 8}, 201)
    result = await switchback("versions", "create", "a", *options)
    assert result.exit_code == 0, result.output
    sent = admin.last.body["prompt"]
    assert {name: sent[name] for name in ("text", "messages") if name in sent} == expected


@pytest.mark.parametrize("content", ["{}", '"x"', "[1]", "nothing"])
async def test_a_file_that_holds_no_messages_is_told(switchback, agent, tmp_path: Path, content):
    (tmp_path / "m.json").write_text(content)
    result = await switchback("versions", "create", "a", "--messages-file", "m.json")
    assert (result.exit_code, {asked.method for asked in agent.asked} - {"GET"}) == (2, set())
    assert "m.json: " in result.stderr


async def test_a_version_of_several_messages_is_shown_with_each(switchback, admin):
    admin.answer("GET", "/agents/a/versions/7", EIGHT)
    shown = (await switchback("versions", "show", "a", "7")).stdout
    assert "prompt.messages[0] (system):" in shown
    assert "prompt.messages[2] (assistant):" in shown
    only = (await switchback("versions", "show", "a", "7", "--prompt-only")).stdout
    assert json.loads(only) == EIGHT["prompt"]["messages"]
