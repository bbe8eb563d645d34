import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from proxy.cli import importing
from proxy.cli.admin_command import new_group
from proxy.cli.importers.imported import CannotImport, ImportedVersion, Importer
from proxy.cli.importers.langfuse_prompt import import_langfuse
from proxy.cli.importers.litellm_prompt import import_litellm
from proxy.cli.importers.openai_prompt import import_openai
from proxy.cli.importing import ImportFormat, told_format
from proxy.core.versions.components import COMPONENT_KINDS, parse_bundle

OPENAI = {
    "id": "pmpt_123",
    "object": "prompt",
    "name": "Support triage",
    "version": "7",
    "model": "gpt-4.1",
    "instructions": "You help {{customer_name}} with {{ issue }}.",
    "variables": {"customer_name": "Acme"},
    "temperature": 0.3,
    "top_p": 1,
    "max_output_tokens": 2048,
    "reasoning": {"effort": "low", "summary": "auto"},
    "text": {"format": {"type": "json_schema", "name": "x", "schema": {"type": "object"}, "strict": True}},
    "tool_choice": "auto",
    "tools": [{"type": "function", "name": "lookup", "parameters": {"type": "object"}, "strict": True}],
    "store": True,
    "include": ["reasoning.encrypted_content"],
}
LANGFUSE_CHAT = {
    "id": "cm1",
    "name": "movie-critic",
    "version": 3,
    "type": "chat",
    "prompt": [
        {"type": "chatmessage", "role": "system", "content": "As a {{criticLevel}} critic, be fair."},
        {"type": "placeholder", "name": "chat_history"},
        {"role": "user", "content": "What should I watch?"},
    ],
    "config": {"model": "gpt-4o", "temperature": 0.5, "max_tokens": 100, "supported_languages": ["en"]},
    "labels": ["production", "latest"],
    "tags": ["movies"],
    "commitMessage": "fairer",
    "resolutionGraph": None,
    "createdAt": "2026-01-01T00:00:00.000Z",
}
LITELLM = """---
model: openai/gpt-4o
temperature: 0.7
max_tokens: 200
input:
  schema:
    name: string
    age: integer
output:
  format: json
---
System: You are a helpful assistant for {{name}}.
Be brief.

User: {{age}} years
"""


def body_of(importer: Importer, content: Any, file_name: str = "prompt.json") -> dict[str, Any]:
    return importer(content if isinstance(content, str) else json.dumps(content), file_name).body


def problems_of(importer: Importer, content: Any, file_name: str = "prompt.json") -> list[str]:
    with pytest.raises(CannotImport) as cannot:
        importer(content if isinstance(content, str) else json.dumps(content), file_name)
    return cannot.value.problems


# OpenAI


def test_an_openai_prompt_object_becomes_a_version() -> None:
    imported = import_openai(json.dumps(OPENAI), "prompt.json")
    assert imported.agent_name_hint == "support-triage"
    assert imported.body["prompt"] == {
        "text": "You help {{customer_name}} with {{ issue }}.",
        "mode": "replace",
        "variables": {"customer_name": {"default": "Acme"}, "issue": {}},
    }
    assert imported.body["model"] == {
        "provider": "openai",
        "name": "gpt-4.1",
        "parameters": {
            "temperature": 0.3,
            "top_p": 1,
            "max_output_tokens": 2048,
            "reasoning_effort": "low",
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "x", "schema": {"type": "object"}, "strict": True},
            },
        },
    }
    assert imported.body["tools"] == {"mode": "merge", "items": OPENAI["tools"]}
    assert imported.body["source"] == {
        "import": {
            "format": "openai",
            "file": "prompt.json",
            "id": "pmpt_123",
            "object": "prompt",
            "name": "Support triage",
            "version": "7",
        }
    }


def test_what_openai_has_and_a_version_has_not_is_named() -> None:
    assert list(import_openai(json.dumps(OPENAI), "p").unknown) == ["reasoning.summary", "store", "include"]


def test_leading_system_and_developer_messages_are_one_text_and_the_others_follow_it() -> None:
    messages = [
        {"role": "system", "content": "One."},
        {
            "role": "developer",
            "content": [{"type": "input_text", "text": "Two."}, {"type": "input_image", "image_url": "x"}],
        },
        {"role": "user", "content": "Three {{x}}."},
        {"role": "assistant", "content": [{"type": "output_text", "text": "3"}]},
        {"role": "system", "content": "Four."},
        {"role": "tool", "content": "Five."},
        {"role": "user", "content": " "},
    ]
    imported = import_openai(json.dumps({"messages": messages, "model": "gpt-5"}), "p")
    assert imported.body["prompt"] == {
        "text": "One.\n\nTwo.",
        "messages": [{"role": "user", "text": "Three {{x}}."}, {"role": "assistant", "text": "3"}],
        "mode": "replace",
        "variables": {"x": {}},
    }
    assert list(imported.unknown) == ["messages[1].content[1]", "messages[4]", "messages[5]", "messages[6]"]
    assert any("to send them no more" in note for note in imported.notes)


def test_a_saved_answer_tells_that_its_values_were_filled_in() -> None:
    answer = {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "status": "completed",
        "model": "gpt-4.1-2025-04-14",
        "instructions": [
            {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "Help Acme."}]}
        ],
        "output": [{"type": "message"}],
        "prompt": {"id": "pmpt_9", "version": "2", "variables": {"customer": "Acme"}},
        "parallel_tool_calls": True,
        "truncation": "disabled",
        "text": {"format": {"type": "text"}, "verbosity": "medium"},
        "usage": {"input_tokens": 1},
        "tools": [],
        "temperature": 1.0,
    }
    imported = import_openai(json.dumps(answer), "p")
    assert imported.body["prompt"]["text"] == "Help Acme."
    assert imported.body["source"]["import"] == {"format": "openai", "file": "p", "id": "pmpt_9", "version": "2"}
    assert list(imported.unknown) == ["prompt.variables"]
    assert "output, status, usage" in imported.notes[0]
    assert imported.agent_name_hint == "pmpt_9"


def test_a_reference_to_a_prompt_object_holds_no_text() -> None:
    (problem,) = problems_of(import_openai, {"prompt": {"id": "pmpt_1", "version": "2"}, "model": "gpt-5"})
    assert "only names a prompt object" in problem


# Langfuse


def test_a_langfuse_chat_prompt_becomes_a_version() -> None:
    imported = import_langfuse(json.dumps(LANGFUSE_CHAT), "p.json")
    assert imported.agent_name_hint == "movie-critic"
    assert imported.body["prompt"]["text"] == "As a {{criticLevel}} critic, be fair."
    assert imported.body["prompt"]["variables"] == {"criticLevel": {}}
    assert imported.body["model"] == {"name": "gpt-4o", "parameters": {"temperature": 0.5, "max_output_tokens": 100}}
    assert imported.body["message"] == "fairer"
    assert imported.body["source"]["import"]["version"] == 3
    assert list(imported.unknown) == ["prompt[2]", "config.supported_languages", "labels"]


def test_messages_behind_a_placeholder_of_langfuse_are_named() -> None:
    messages = [
        {"role": "user", "content": "Sort {{it}}."},
        {"type": "placeholder", "name": "history"},
        {"role": "user", "content": "Again."},
    ]
    imported = import_langfuse(json.dumps({"name": "x", "type": "chat", "prompt": messages}), "p")
    assert imported.body["prompt"]["messages"] == [{"role": "user", "text": "Sort {{it}}."}]
    assert imported.body["prompt"]["variables"] == {"it": {}}
    assert list(imported.unknown) == ["prompt[2]"]


def test_a_langfuse_text_prompt_keeps_its_text_to_the_last_character() -> None:
    text = 'As a {{ level }}\r\ncritic\u2028 {"a": {"b": 1}} 日本 '
    assert body_of(import_langfuse, [{"name": "x", "prompt": text}])["prompt"]["text"] == text


def test_a_reference_to_another_langfuse_prompt_is_refused() -> None:
    text = "Start @@@langfusePrompt:name=base|label=production@@@ end"
    assert problems_of(import_langfuse, {"name": "x", "prompt": text}) == [
        "prompt: @@@langfusePrompt:name=base|label=production@@@ refers to another prompt"
    ]


@pytest.mark.parametrize("text", ["{{user-name}}", "{{a.b}}", "{{#if a}}", "{{{a}}}", "\\{{a}}", "{{ }}"])
def test_a_placeholder_that_would_become_plain_text_is_refused(text: str) -> None:
    assert problems_of(import_langfuse, {"name": "x", "prompt": f"Hi {text}!"})


def test_several_prompts_in_one_file_are_refused() -> None:
    assert "holds 2 prompts" in problems_of(import_langfuse, [LANGFUSE_CHAT, LANGFUSE_CHAT])[0]


# LiteLLM


def test_a_litellm_prompt_file_becomes_a_version() -> None:
    imported = import_litellm(LITELLM, "triage.v2.prompt")
    assert imported.agent_name_hint == "triage"
    assert imported.body["prompt"] == {
        "text": "You are a helpful assistant for {{name}}.\nBe brief.",
        "messages": [{"role": "user", "text": "{{age}} years"}],
        "mode": "replace",
        "variables": {"name": {}, "age": {}},
    }
    assert imported.body["model"] == {
        "provider": "openai",
        "name": "gpt-4o",
        "parameters": {"temperature": 0.7, "max_output_tokens": 200},
    }
    assert list(imported.unknown) == ["input.schema.age", "output.format"]


def test_a_litellm_text_without_roles_is_the_users_as_there() -> None:
    imported = import_litellm("\ufeff---\r\nmodel: groq/llama\r\n---\r\nHello\r\n  {{ name }}\r\n", "hello.prompt")
    assert imported.body["prompt"]["text"] == ""
    assert imported.body["prompt"]["messages"] == [{"role": "user", "text": "Hello\n  {{ name }}"}]
    assert imported.body["model"]["name"] == "groq/llama"
    assert len(imported.notes) == 2
    (message,) = import_litellm("plain text", "x.prompt").body["prompt"]["messages"]
    assert message == {"role": "user", "text": "plain text"}


@pytest.mark.parametrize(
    "text",
    [
        "{% if a %}x{% endif %}",
        "{{ a | upper }}",
        "{{ a.b }}",
        "{{ 7*7 }}",
        "{# note #}",
        "{{#each a}}x{{/each}}",
        "{{ ''.__class__ }}",
        '{{ {"a": 1} }}',
        "{{ a",
    ],
)
def test_anything_else_of_a_template_language_is_refused(text: str) -> None:
    problems = problems_of(import_litellm, f"---\nmodel: gpt-4o\n---\nSystem: Hi {text}", "x.prompt")
    assert all("template language" in problem for problem in problems)


@pytest.mark.parametrize(
    "content", ["---\na: [\n---\nx", "---\n- a\n---\nx", "---\nmodel: a\n---\n", "", "---\nmodel: a\n---\nUser:"]
)
def test_a_prompt_file_without_usable_parts_is_refused(content: str) -> None:
    assert problems_of(import_litellm, content, "x.prompt")


# All of them


def imported_or_refused(importer: Importer, content: str) -> ImportedVersion | None:
    """None where it was refused, which must come with reasons."""
    refusals: list[CannotImport] = []
    try:
        return importer(content, "p")
    except CannotImport as cannot:
        refusals.append(cannot)
    assert all(refusal.problems for refusal in refusals)
    return None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["type", "role", "content", "text", "x"]), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
MEMBERS = st.dictionaries(
    st.sampled_from(["instructions", "prompt", "messages", "model", "tools", "variables", "config", "type", "text", "name", "top_p", "object", "id", "labels", "?"]),
    JSON | st.sampled_from(["response", "chat", "hello {{a}}"]),
    max_size=6,
)  # fmt: skip


@pytest.mark.parametrize("importer", [import_openai, import_langfuse])
@settings(max_examples=120, deadline=None)
@given(members=MEMBERS)
def test_any_json_becomes_a_version_that_may_be_created_or_is_refused_with_reasons(
    importer: Importer, members: dict[str, Any]
) -> None:
    imported = imported_or_refused(importer, json.dumps(members))
    if imported is None:
        return
    parse_bundle({kind: imported.body[kind] for kind in COMPONENT_KINDS if kind in imported.body})
    if members.get("?"):
        assert any("?" in path for path in imported.unknown)


@settings(max_examples=80, deadline=None)
@given(st.text())
def test_any_text_becomes_a_version_or_is_refused(text: str) -> None:
    for importer in (import_openai, import_langfuse, import_litellm):
        imported = imported_or_refused(importer, text)
        assert imported is None or parse_bundle({"prompt": imported.body["prompt"]})


@pytest.mark.parametrize("content", ["nonsense", "3", '{"a": 1, "a": 2}', "[]", "[" * 100_000])
@pytest.mark.parametrize("importer", [import_openai, import_langfuse])
def test_what_is_no_single_object_is_refused(importer: Importer, content: str) -> None:
    assert problems_of(importer, content)


@pytest.mark.parametrize(
    ("content", "name", "expected"),
    [
        (json.dumps(OPENAI), "a.json", ImportFormat.OPENAI),
        (json.dumps([LANGFUSE_CHAT]), "a.json", ImportFormat.LANGFUSE),
        (LITELLM, "a.prompt", ImportFormat.LITELLM),
        (LITELLM, "a.txt", ImportFormat.LITELLM),
        ("nonsense", "a", ImportFormat.OPENAI),
    ],
)
def test_the_format_is_told_by_name_and_content(content: str, name: str, expected: ImportFormat) -> None:
    assert told_format(content, name) is expected


# The verb


@pytest.fixture
def switchback_import(admin: Any) -> Callable[..., Any]:
    group = new_group()
    importing.register(group)
    # A second command, because typer takes the name of an only one away.
    group.command("other")(lambda: None)

    async def run(*arguments: str) -> Any:
        environment = {"SWITCHBACK_ADMIN_URL": admin.url, "SWITCHBACK_TOKEN": "x"}
        return await asyncio.to_thread(CliRunner().invoke, group, ["import", *arguments], env=environment)

    return run


async def test_an_import_creates_the_agent_and_the_version_and_tells_what_it_left_out(
    admin: Any, switchback_import: Any, tmp_path: Path
) -> None:
    (tmp_path / "prompt.json").write_text(json.dumps(OPENAI))
    admin.refuse("GET", "/agents/triage", 404, "agent_not_found", "no agent")
    admin.answer("POST", "/agents", {"agent": "triage"}, 201)
    admin.answer("POST", "/agents/triage/versions", {"version": 1}, 201)
    done = await switchback_import(str(tmp_path / "prompt.json"), "--agent", "triage")
    assert done.exit_code == 0, done.output
    assert "not taken over: reasoning.summary: is not known here" in done.stdout
    assert "created version 1 of triage" in done.stdout
    assert admin.last.body["parent"] is None
    assert admin.last.body["prompt"]["text"] == OPENAI["instructions"]


async def test_a_dry_run_asks_the_server_nothing(admin: Any, switchback_import: Any, tmp_path: Path) -> None:
    (tmp_path / "hello.prompt").write_text(LITELLM)
    done = await switchback_import(str(tmp_path / "hello.prompt"), "--dry-run", "--json")
    result = json.loads(done.stdout)
    assert (result["agent"], result["version"], result["dry_run"]) == ("hello", None, True)
    assert result["unknown"]["output.format"]
    shown = await switchback_import(str(tmp_path / "hello.prompt"), "--dry-run")
    assert "dry run, nothing was changed" in shown.stdout
    assert admin.asked == []


async def test_a_file_that_cannot_be_taken_over_is_wrong_usage_with_every_reason(
    switchback_import: Any, tmp_path: Path
) -> None:
    (tmp_path / "x.prompt").write_text("System: {{ a.b }} {% if c %}")
    done = await switchback_import(str(tmp_path / "x.prompt"))
    assert done.exit_code == 2
    assert done.stderr.count("template language") == 2


async def test_a_file_that_is_no_prompt_is_named_once(switchback_import: Any, tmp_path: Path) -> None:
    (tmp_path / "prompt.json").write_text("no json")
    done = await switchback_import(str(tmp_path / "prompt.json"), "--agent", "a")
    assert done.stderr.startswith(f"error: {tmp_path}/prompt.json: is not JSON: ")
