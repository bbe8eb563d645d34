from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxy.cli.agent_files import BadAgentFiles, read_agent_file, read_agents
from proxy.cli.agent_writing import write_agent
from proxy.core.versions.components import COMPONENT_KINDS, parse_bundle

ROOT = Path(__file__).parent.parent.parent


def write(folder: Path, text: str, prompt: bytes | None = b"You help.") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "agent.yaml").write_text(text, encoding="utf-8")
    if prompt is not None:
        (folder / "prompt.md").write_bytes(prompt)
    return folder


def problems_of(directory: Path) -> list[str]:
    with pytest.raises(BadAgentFiles) as bad:
        read_agents(directory)
    return bad.value.problems


# Reading


def test_the_example_of_the_repository_is_read_whole() -> None:
    (agent,) = read_agents(ROOT / "config" / "agents")
    assert agent.path == "support-triage/agent.yaml"
    assert agent.agent == {
        "agent": "support-triage",
        "description": "Routes tickets to the right team",
        "default_label": "prod",
    }
    assert agent.version["model"] == {
        "provider": "openai",
        "name": "gpt-4o-mini",
        "parameters": {"temperature": 0.2, "max_output_tokens": {"default": 400}},
    }
    assert agent.version["prompt"]["text"] == (ROOT / "config/agents/support-triage/prompt.md").read_text()
    assert agent.version["prompt"]["variables"] == {"product": {"default": "Acme"}}
    assert agent.version["tools"] == {"mode": "merge", "items": []}
    assert agent.version["retrieval"] == {"index": "kb-2026-11", "top_k": 8}
    assert agent.version["policy"] == {"max_tool_calls": 3}
    assert agent.version["tested_against"]["score"] == 0.95
    assert agent.version["message"] == "first version"


def test_the_sample_workflow_of_the_repository_is_yaml_and_names_the_command() -> None:
    text = (ROOT / "config/ci/switchback-sync.yml").read_text()
    jobs = yaml.safe_load(text)["jobs"]
    assert set(jobs) == {"dry-run", "sync"}
    assert "switchback sync agents --dry-run" in text


def test_a_directory_may_be_one_agent_or_hold_many_at_any_depth(tmp_path: Path) -> None:
    write(tmp_path / "one", "agent: one\nprompt: {file: prompt.md}")
    write(tmp_path / "team" / "two", "agent: two")
    write(tmp_path / ".git" / "three", "agent: three")
    assert [(agent.name, agent.path) for agent in read_agents(tmp_path)] == [
        ("one", "one/agent.yaml"),
        ("two", "team/two/agent.yaml"),
    ]
    assert [agent.path for agent in read_agents(tmp_path / "one")] == ["agent.yaml"]
    assert read_agent_file(tmp_path / "one").name == read_agent_file(tmp_path / "one" / "agent.yaml").name == "one"


@pytest.mark.parametrize(
    "prompt",
    [
        b"",
        b"no end",
        "日本 👩‍👩‍👧 e\u0301 \x1b[31m \u2028".encode(),
        b"x\n" * 500_000,
    ],
    ids=["empty", "no final line end", "unicode", "a megabyte"],
)
def test_a_prompt_is_taken_to_the_last_byte(tmp_path: Path, prompt: bytes) -> None:
    write(tmp_path, "agent: a\nprompt: {file: prompt.md}", prompt)
    assert read_agent_file(tmp_path).version["prompt"]["text"].encode() == prompt


@pytest.mark.parametrize("prompt", [b"a\r\nb\nc\n", b"a\rb\rc\r", b"\xef\xbb\xbfa\r\nb\r\nc\r\n"])
def test_line_ends_and_a_mark_at_the_beginning_are_no_part_of_a_prompt(tmp_path: Path, prompt: bytes) -> None:
    write(tmp_path / "a", "agent: a\nprompt: {file: prompt.md}", prompt)
    write(tmp_path / "b", "agent: b\nprompt: {file: prompt.md}", b"a\nb\nc\n")
    read, plain = read_agents(tmp_path)
    assert read.version["prompt"]["text"] == "a\nb\nc\n"
    assert read.bundle_hash == plain.bundle_hash


def test_every_problem_of_every_file_is_told_at_once_with_its_path(tmp_path: Path) -> None:
    write(
        tmp_path / "a",
        "agent: a\nmodle: {}\nprompt: {file: prompt.md, mod: append}\nmodel: {parameters: {temprature: 1}}",
    )
    write(tmp_path / "b", "agent: B!\nmessage: [1]\ntested_against: yes")
    write(tmp_path / "c", "agent: c\nmodel: {parameters: {temperature: hot}}\ntools: {items: [3]}")
    write(tmp_path / "d", "agent: d\nagent: e")
    found = problems_of(tmp_path)
    assert "a/agent.yaml: modle: unknown key; did you mean model?" in found
    assert "a/agent.yaml: prompt.mod: unknown key; did you mean mode?" in found
    assert "a/agent.yaml: model.parameters.temprature: unknown key; did you mean temperature?" in found
    assert any(line.startswith("b/agent.yaml: agent: an agent is named with") for line in found)
    assert "b/agent.yaml: message: must be a text" in found
    assert "b/agent.yaml: tested_against: must be a mapping" in found
    assert "c/agent.yaml: model.parameters.temperature: has a value of the wrong kind: a number is wanted" in found
    assert any(line.startswith("c/agent.yaml: tools.items[0]:") for line in found)
    assert any(line.startswith("d/agent.yaml: is not valid YAML: the key 'agent' occurs twice") for line in found)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "agent: a\nretrieval: {since: 2026-11-01}",
            "retrieval.since: is a date, which JSON has not; put it in quotes",
        ),
        ("agent: a\nretrieval: {1: x}", "retrieval.1: a key must be a text; put it in quotes"),
        ("agent: a\npolicy: {x: .nan}", "policy.x: is not a number that JSON has"),
        ("agent: a\nprompt: {file: prompt.md, text: x}", "prompt.file: stands beside prompt.text; give one of them"),
        ("agent: a\nprompt: {file: missing.md}", "prompt.file: missing.md: cannot be read: No such file or directory"),
        ("agent: a\nprompt: {file: .}", "prompt.file: .: is not a file"),
        ("description: x", "agent: is missing; it names the agent"),
        ("agent: 7", "agent: must be a text"),
        ("agent: a\nallow_latest: 1", "allow_latest: must be true or false"),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path: Path, text: str, problem: str) -> None:
    write(tmp_path, text)
    assert problems_of(tmp_path) == [f"agent.yaml: {problem}"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "- a",
        "a: &x 1\nb: *x",
        "agent: [",
        "\x00",
        "!!python/object:os.system {}",
        "agent: a\n? [b]\n: c",
        "agent: 2026-13-45",
        "agent: !!bool x",
        "agent: !!int ''",
        "agent: !!timestamp x",
        "[" * 5_000,
    ],
)
def test_what_is_no_plain_mapping_is_refused(tmp_path: Path, text: str) -> None:
    write(tmp_path, text)
    (problem,) = problems_of(tmp_path)
    assert problem.startswith("agent.yaml: ")


@pytest.mark.parametrize(
    ("prompt", "problem"),
    [
        (b"ok\r\nno \xff", "is not UTF-8 (line 2)"),
        ("ok".encode("utf-16"), "is not UTF-8 but UTF-16: save it as UTF-8"),
    ],
)
def test_a_prompt_that_is_not_utf8_is_refused(tmp_path: Path, prompt: bytes, problem: str) -> None:
    write(tmp_path, "agent: a\nprompt: {file: prompt.md}", prompt)
    assert problems_of(tmp_path) == [f"agent.yaml: prompt.file: prompt.md: {problem}"]


def test_an_empty_directory_and_a_missing_one_are_told_apart(tmp_path: Path) -> None:
    assert problems_of(tmp_path) == [f"{tmp_path}: holds no agent.yaml"]
    assert problems_of(tmp_path / "no") == [f"{tmp_path / 'no'}: is not a directory"]


def test_an_agent_described_twice_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "x", "agent: a")
    write(tmp_path / "y", "agent: a")
    assert problems_of(tmp_path) == ["y/agent.yaml: agent: a is described in x/agent.yaml already"]


# No way out of the folder


@pytest.mark.parametrize("name", ["../secret.md", "/etc/hostname", "sub/../../secret.md"])
def test_a_prompt_outside_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "secret.md").write_text("secret")
    write(tmp_path / "a", f"agent: a\nprompt: {{file: {name}}}")
    assert problems_of(tmp_path) == [f"a/agent.yaml: prompt.file: {name} leads out of the agent's folder"]


def test_a_link_out_of_the_folder_is_refused_and_one_inside_is_read(tmp_path: Path) -> None:
    (tmp_path / "secret.md").write_text("secret")
    folder = write(tmp_path / "a", "agent: a\nprompt: {file: link.md}")
    (folder / "link.md").symlink_to("../secret.md")
    assert problems_of(tmp_path) == ["a/agent.yaml: prompt.file: link.md: leads out of a"]
    (folder / "link.md").unlink()
    (folder / "link.md").symlink_to("prompt.md")
    assert read_agent_file(folder).version["prompt"]["text"] == "You help."


def test_a_link_to_an_agent_elsewhere_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "elsewhere", "agent: b")
    directory = tmp_path / "agents"
    directory.mkdir()
    (directory / "b").symlink_to("../elsewhere")
    (directory / "agent.yaml").symlink_to("../elsewhere/agent.yaml")
    assert problems_of(directory) == [
        "agent.yaml: leads out of agents",
        "b: is a symbolic link, which is not followed",
    ]


# Writing, and reading back

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
SCALAR = (
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | TEXT
)
SCALAR |= st.sampled_from(
    ["yes", "null", "1e3", "2026-11-01", "<<", "=", "*a", "&a", "a: b", "# x", "0x1F", " x ", "a\n b\n", "\n", "~"]
)
FREE = st.dictionaries(
    st.sampled_from(["a", "<<", "yes", "1", "", "a b", "=", "é\u0085"]) | TEXT,
    st.recursive(SCALAR, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3), max_leaves=6),
    max_size=4,
)  # fmt: skip


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    text=st.text(st.characters(exclude_categories=["Cs"]), max_size=60).map(lambda text: text.replace("{{", "{")),
    retrieval=FREE,
    tested=FREE,
    tool=FREE,
    message=TEXT,
    description=TEXT,
)
def test_what_was_written_is_read_back_exactly(
    tmp_path: Path, text: str, retrieval: Any, tested: Any, tool: Any, message: str, description: str
) -> None:
    contents = {
        "prompt": {"text": text, "mode": "prepend", "variables": {"a": {}, "b": {"default": message}}},
        "model": {"provider": "openai", "parameters": {"stop": ["\r\n"], "extra": {"x": tool}}},
        "tools": {"mode": "replace", "items": [{**tool, "name": "t"}]},
        "retrieval": retrieval,
        "policy": {"max_tool_calls": 0, "other": tested},
    }
    bundle = parse_bundle(contents)
    version = {kind: bundle.content(kind) for kind in COMPONENT_KINDS} | {"tested_against": tested, "message": message}
    agent = {"agent": "a", "description": description, "default_label": "staging", "allow_latest": True}
    write_agent(tmp_path, agent, version)
    found = read_agent_file(tmp_path)
    assert found.version == version
    assert found.agent == {key: value for key, value in agent.items() if value != ""}
    assert found.bundle_hash == bundle.bundle_hash


def test_writing_the_same_again_gives_the_same_bytes(tmp_path: Path) -> None:
    example = read_agent_file(ROOT / "config/agents/support-triage")
    for folder in (tmp_path / "x", tmp_path / "y"):
        write_agent(folder, example.agent, example.version)
    written = [(tmp_path / name / "agent.yaml").read_bytes() for name in ("x", "y")]
    assert written[0] == written[1]
    assert read_agent_file(tmp_path / "x").version == example.version
    assert b"prompt:\n  file: prompt.md\n  mode: replace\n" in written[0]
    assert sorted(path.name for path in (tmp_path / "x").iterdir()) == ["agent.yaml", "prompt.md"]


def test_a_text_of_several_lines_is_written_as_a_block(tmp_path: Path) -> None:
    write_agent(tmp_path, {"agent": "a"}, {"message": "one\ntwo"})
    assert "message: |-\n  one\n  two\n" in (tmp_path / "agent.yaml").read_text()


def test_an_agent_without_a_version_is_written_with_its_settings_only(tmp_path: Path) -> None:
    write_agent(tmp_path, {"agent": "a", "description": "", "default_label": "prod"}, None)
    assert (tmp_path / "agent.yaml").read_text() == "agent: a\ndefault_label: prod\n"


def test_a_link_in_the_place_of_a_file_is_replaced_and_not_written_through(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("untouched")
    folder = tmp_path / "a"
    folder.mkdir()
    (folder / "prompt.md").symlink_to(precious)
    write_agent(folder, {"agent": "a"}, {"prompt": {"text": "new"}})
    assert precious.read_text() == "untouched"
    assert (folder / "prompt.md").read_text() == "new"


SEVERAL = """\
agent: a
prompt:
  file: prompt.md
  messages:
  - {role: user, text: "Sort {{it}}."}
  - {role: assistant, file: examples/one.md}
  variables: {it: {}}
"""


def test_a_prompt_of_several_messages_may_have_each_in_a_file(tmp_path: Path) -> None:
    write(tmp_path, SEVERAL)
    (tmp_path / "examples").mkdir()
    (tmp_path / "examples" / "one.md").write_bytes(b"Done.\r\n")
    (agent,) = read_agents(tmp_path)
    assert agent.version["prompt"]["messages"] == [
        {"role": "system", "text": "You help."},
        {"role": "user", "text": "Sort {{it}}."},
        {"role": "assistant", "text": "Done.\n"},
    ]


@pytest.mark.parametrize(
    ("message", "problem"),
    [
        ("{role: user, file: ../x.md}", "prompt.messages[0].file: ../x.md leads out of the agent's folder"),
        ("{role: user, text: x, file: x.md}", "prompt.messages[0].file: stands beside prompt.messages[0].text"),
        ("{role: user, content: x}", "prompt.messages[0].content: is unknown"),
        ("just text", "prompt.messages[0]: must be an object"),
    ],
)
def test_a_message_that_cannot_be_meant_is_told_with_its_path(tmp_path: Path, message: str, problem: str) -> None:
    write(tmp_path, f"agent: a\nprompt: {{messages: [{message}]}}")
    (told,) = problems_of(tmp_path)
    assert problem in told


@pytest.mark.parametrize(
    "messages",
    [
        [("system", "S\n"), ("user", "u")],
        [("system", "S"), ("developer", "D"), ("user", "u"), ("assistant", "a\n\n")],
        [("developer", "D")],
        [("user", " u {{it}}")],
    ],
)
def test_several_messages_that_were_written_are_read_back_exactly(
    tmp_path: Path, messages: list[tuple[str, str]]
) -> None:
    said = [{"role": role, "text": text} for role, text in messages]
    bundle = parse_bundle({"prompt": {"messages": said, "mode": "append", "variables": {"it": {}}}})
    version = {kind: bundle.content(kind) for kind in COMPONENT_KINDS}
    write_agent(tmp_path, {"agent": "a"}, version)
    found = read_agent_file(tmp_path)
    assert found.bundle_hash == bundle.bundle_hash
    assert (tmp_path / "prompt.md").exists() == (messages[0][0] == "system" and messages[1][0] == "user")
