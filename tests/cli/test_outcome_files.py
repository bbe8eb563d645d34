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
        ("f.jsonl", '{"run": "r", "name": "a"}\n[1]\n', "line 2: is no JSON object"),
        ("f.jsonl", "{nonsense\n", "line 1: is no JSON object"),
        ("f.jsonl", '{"name": "a", "rum": "r"}', "line 1: has no 'rum'"),
        ("f.jsonl", '{"run": "r"}', "line 1: does not say which fact it is"),
        ("f.csv", "run,name\nr\n", "line 2: has not as many cells as the first line"),
        ("f.csv", "run,name\nr,a,b\n", "line 2: has not as many cells as the first line"),
        ("f.csv", 'run,name\n"r,a\n', "line 2: unexpected end of data"),
        ("f.csv", "run,name\nr," + "a" * 200_000, "line 2: field larger than field limit"),
        ("f.csv", "", "is empty; its first line must say"),
        ("f.csv", "run,nmae\n", "line 1: has no 'nmae'"),
        ("f.csv", "run,name,name\nr,a,b\n", "line 1: 'name' occurs twice"),
        ("f.csv", "run;name\nr;a\n", "line 1: has no 'run;name'"),
        ("f.csv", "run,value\nr,1\n", "line 1: does not say which fact it is"),
        ("f.csv", "run,name,\nr,a,b\n", "line 2: has a cell in a column without a name"),
        ("f.csv", "run,conversation,name\nr,c,a\n", "line 2: must name its run by one of"),
        ("f.csv", "name,value\nscore,much\n", "line 2: must name its run by one of"),
        ("f.csv", "run,name,value\nr,score,much\n", "line 2: value of a score must be a number"),
        ("f.csv", "run,name\nr,a\nr,b\0\n", "holds a NUL byte (line 3)"),
        ("f.csv", "run,name\nr,é\n".encode("latin-1"), "is not UTF-8 (line 2)"),
        ("f.csv", "run,name\nr,a\n".encode("utf-16"), "is not UTF-8 but UTF-16"),
        (
            "f.jsonl",
            "\n".join(['{"run": "r", "name": "a"}'] * 1_200) + '\n{"run": "r", "name": "B"}',
            "line 1201: name",
        ),
        ("f.jsonl", '{"run": "r", "name": "a",}', "line 1: is no JSON object: Expecting property name"),
        ("f.jsonl", '{"run": "r", "run": "s", "name": "a"}', "the member 'run' occurs twice"),
        ("f.jsonl", '{"run": "r", "name": "a", "value": NaN}', "NaN is no number that JSON has"),
        ("f.jsonl", '{"run": "r", "name": "a", "value": ' + "[" * 100_000, "nested too deep"),
        ("f.jsonl", '{"run": "r", "name": "a", "value": ' + "9" * 5_000 + "}", "a number has 5000 digits"),
        ("f.jsonl", '{"run": "\\ud800", "name": "a"}', "half of a surrogate pair"),
        ("f.jsonl", '{"run": 5, "name": "a"}', "line 1: run must be a text"),
        ("f.jsonl", '{"run": "r", "name": "a", "conversation": ["c"]}', "line 1: conversation must be a text"),
        ("f.jsonl", '{"conversation": "' + "c" * 600 + '", "name": "a"}', "must be a text of at most 512 characters"),
    ],
)
async def test_a_line_that_is_wrong_is_named_and_nothing_is_sent(
    admin: Any, switchback: Any, tmp_path: Path, name: str, content: str | bytes, problem: str
) -> None:
    file = tmp_path / name
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    result = await switchback("outcomes", "import", str(file))
    assert (result.exit_code, problem in result.stderr) == (2, True), result.stderr
    assert admin.asked == []


@pytest.mark.parametrize(
    ("name", "content", "recorded"),
    [
        ("f.csv", "run,name\n", 0),
        ("f.jsonl", "\n\r\n", 0),
        ("f.csv", "\ufeffrun,name,\r\nr,a,\r\n", 1),
        ("f.csv", "run,name\rr,a\r", 1),
        ("f.jsonl", '\ufeff{"run": "r", "name": "a", "why": ""}\r\n', 1),
    ],
)
async def test_what_programs_write_beside_the_facts_does_not_matter(
    admin: Any, switchback: Any, tmp_path: Path, name: str, content: str, recorded: int
) -> None:
    (tmp_path / name).write_bytes(content.encode())
    admin.answer("POST", "/outcomes", answer(items=recorded))
    result = await switchback("outcomes", "import", str(tmp_path / name))
    assert (result.exit_code, result.stdout) == (0, f"recorded {recorded} of {recorded}\n")
    assert len(admin.asked) == recorded


@pytest.mark.parametrize("name", ["folder.csv", "folder.jsonl", "missing.csv", "missing.jsonl", "locked.csv"])
async def test_a_file_that_cannot_be_read_is_named_with_the_reason(
    admin: Any, switchback: Any, tmp_path: Path, name: str
) -> None:
    file = tmp_path / name
    if name.startswith("folder"):
        file.mkdir()
    elif name.startswith("locked"):
        # A link to itself is as closed to root as to anybody.
        file.symlink_to(file)
    result = await switchback("outcomes", "import", str(file))
    assert (result.exit_code, result.stderr.startswith(f"error: {file}: cannot be read: ")) == (2, True), result.stderr
    assert (result.stderr.count("\n"), admin.asked) == (1, [])


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
