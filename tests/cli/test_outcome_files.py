"""Outcomes from files: CSV and JSON lines, each line checked before anything is sent."""

import json
from pathlib import Path
from typing import Any

import pytest

OUTCOME = {"id": "out_1", "run": "run_1", "name": "score"}


def answer(*unknown: str, items: int = 1) -> dict[str, Any]:
    return {"items": [OUTCOME] * items, "unknown_runs": list(unknown)}


async def test_csv_has_names_in_its_first_line_and_cells_that_are_empty_say_nothing(
    admin: Any, switchback: Any, tmp_path: Path
) -> None:
    file = tmp_path / "facts.csv"
    file.write_text(
        "run,conversation,agent,name,value,severity\r\n"
        'run_1,,,score,0.5,\r\n,"c,1",support,incident,,high\r\n,c2,,note,"say ""é""",\r\n',
        encoding="utf-8-sig",
    )
    admin.answer("POST", "/outcomes", answer(items=3))
    result = await switchback("outcomes", "import", str(file), "--why", "nightly")
    assert (result.exit_code, result.stdout) == (0, "recorded 3 of 3\n")
    assert admin.asked[-1].body == {
        "why": "nightly",
        "outcomes": [
            {"run": "run_1", "name": "score", "value": 0.5},
            {"conversation": "c,1", "agent": "support", "name": "incident", "severity": "high"},
            {"conversation": "c2", "name": "note", "value": 'say "é"'},
        ],
    }


async def test_json_lines_go_a_thousand_at_a_time_and_runs_that_nobody_knows_are_told(
    admin: Any, switchback: Any, tmp_path: Path
) -> None:
    file = tmp_path / "facts.jsonl"
    facts = [{"trace_id": "ab" * 16, "name": "score", "value": number} for number in range(1_500)]
    file.write_text("\n".join(map(json.dumps, facts)) + "\n\n")
    admin.answer("POST", "/outcomes", answer("run_9", items=2))
    result = await switchback("outcomes", "import", str(file))
    assert result.exit_code == 1
    assert "recorded 4 of 1500" in result.stdout
    assert "of no run that is known: run_9, run_9" in result.stdout
    assert [len(asked.body["outcomes"]) for asked in admin.asked] == [1_000, 500]


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("f.jsonl", '{"name": "a"}\n[1]\n', "line 2: is no JSON object"),
        ("f.jsonl", "{nonsense\n", "line 1: is no JSON object"),
        ("f.jsonl", '{"name": "a", "rum": "r"}', "line 1: has no 'rum'"),
        ("f.jsonl", '{"run": "r"}', "line 1: does not say which fact it is"),
        ("f.csv", "run,name\nr\n", "line 2: has not as many cells as the first line"),
        ("f.csv", "run,name\nr,a,b\n", "line 2: has not as many cells as the first line"),
        ("f.csv", 'run,name\n"r,a\n', "unexpected end of data"),
    ],
)
async def test_a_line_that_is_wrong_is_named_and_nothing_is_sent(
    admin: Any, switchback: Any, tmp_path: Path, name: str, content: str, problem: str
) -> None:
    file = tmp_path / name
    file.write_text(content)
    result = await switchback("outcomes", "import", str(file))
    assert (result.exit_code, problem in result.stderr) == (2, True), result.stderr
    assert admin.asked == []


async def test_a_single_outcome_may_name_a_conversation(admin: Any, switchback: Any) -> None:
    admin.answer("POST", "/outcomes", answer())
    options = ["--conversation", "c-42", "--agent", "a", "--name", "escalated", "--value", "true"]
    result = await switchback("outcome", *options)
    assert (result.exit_code, "recorded score of run_1" in result.stdout) == (0, True)
    fact = {"name": "escalated", "value": True, "why": "", "conversation": "c-42", "agent": "a"}
    assert admin.asked[-1].body == {"outcomes": [fact]}


async def test_a_single_outcome_of_nobodys_conversation_fails(admin: Any, switchback: Any) -> None:
    admin.answer("POST", "/outcomes", answer("c-42", items=0))
    result = await switchback("outcome", "--conversation", "c-42", "--name", "escalated", "--value", "true")
    assert (result.exit_code, "there is no such run" in result.stderr) == (1, True)


@pytest.mark.parametrize("words", [[], ["run_1", "--trace-id", "t"], ["--agent", "a"], ["run_1", "--agent", "a"]])
async def test_a_single_outcome_names_its_run_in_one_way(admin: Any, switchback: Any, words: list[str]) -> None:
    assert (await switchback("outcome", *words, "--name", "score", "--value", "1")).exit_code == 2
    assert admin.asked == []
