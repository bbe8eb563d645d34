"""OpenAI prompt objects, saved as JSON before their shutdown on 2026-11-30.

There is no documented export: a user has the object as the dashboard's requests carry it, the request that the playground's
"code" shows, or the saved answer of a Responses call that named the prompt. All use the members of the Responses API
(`instructions` or messages, `model`, `tools`, `reasoning`, `text.format`, …), which is what is read here; the chat spellings
are understood too. `{{name}}` is the only syntax of variables.
"""

from typing import Any, cast

from proxy.cli.importers.imported import (
    CannotImport,
    Document,
    Draft,
    ImportedVersion,
    take_format,
    take_messages,
    take_parameters,
    take_text,
    take_variables,
)
from proxy.cli.importers.json_file import read_object

#: Where the object came from: recorded with the version.
_PROVENANCE = ("id", "prompt_id", "name", "version", "created_at", "updated_at", "is_default", "object")
#: What a saved answer tells of one call, not of the prompt.
_OF_THE_ANSWER = (
    "background",
    "billing",
    "completed_at",
    "error",
    "incomplete_details",
    "metadata",
    "output",
    "output_text",
    "previous_response_id",
    "prompt_cache_key",
    "safety_identifier",
    "status",
    "store",
    "usage",
    "user",
)
#: Members whose usual value only repeats the default of the API.
_DEFAULTS: Document = {
    "parallel_tool_calls": True,
    "tool_choice": "auto",
    "truncation": "disabled",
    "service_tier": ("auto", "default"),
    "top_logprobs": 0,
    "stream": False,
}


def import_openai(content: str, file_name: str) -> ImportedVersion:
    """A saved OpenAI prompt object as the body of a version. Raises CannotImport."""
    members = dict(read_object(content, file_name))
    draft = Draft("openai", file_name)
    is_answer = members.get("object") == "response"
    referred = members.pop("prompt", None)
    name = members.get("name")
    if is_answer:
        name = _take_answer(draft, members, referred)
    elif isinstance(referred, dict):
        members = _unfolded(draft, members, cast("Document", referred))
        name = members.get("name", name)
    elif referred is not None:
        draft.unknown["prompt"] = "is not an object"
    draft.source = {key: members.pop(key) for key in _PROVENANCE if members.get(key) is not None} | draft.source
    for key in _PROVENANCE:
        members.pop(key, None)
    _take_text(draft, members)
    model = members.pop("model", None)
    if isinstance(model, str):
        draft.model = {"provider": "openai", "name": model}
    elif model is not None:
        draft.unknown["model"] = "is not the name of a model"
    _take_output(draft, members.pop("text", None))
    for key, usual in _DEFAULTS.items():
        if key in members and (members[key] == usual or (isinstance(usual, tuple) and members[key] in usual)):
            del members[key]
    take_parameters(draft, "", members)
    return draft.done(name or draft.source.get("prompt_id") or draft.source.get("id"))


def _unfolded(draft: Draft, members: Document, inner: Document) -> Document:
    """A request or answer that wraps the prompt object. A bare reference says where the content is, not what it is."""
    if set(inner) <= {"id", "prompt_id", "version", "variables"} and not _has_text(members):
        raise CannotImport("prompt: only names a prompt object; its text is not in this file")
    for key in inner:
        if key in members:
            draft.problems.append(f"prompt.{key}: stands on the outer level too")
    return {**members, **inner}


def _has_text(members: Document) -> bool:
    return any(members.get(key) for key in ("instructions", "messages", "input"))


def _take_answer(draft: Draft, members: Document, referred: Any) -> Any:
    """Leave out what belongs to the one call; say that its values were filled in already."""
    prompt = cast("Document", referred) if isinstance(referred, dict) else {}
    left = [key for key in _OF_THE_ANSWER if members.pop(key, None) not in (None, [], {})]
    if left:
        draft.notes.append(f"members of the saved answer are no part of a version: {', '.join(left)}")
    for key in ("id", "created_at", "object", "name"):
        members.pop(key, None)
    draft.source = {key: prompt[key] for key in ("id", "version") if prompt.get(key) is not None}
    if prompt.get("variables"):
        draft.unknown["prompt.variables"] = (
            "their values are filled in already in the text of an answer; put the {{names}} back before you release it"
        )
    return prompt.get("id")


def _take_text(draft: Draft, members: Document) -> None:
    """Instructions first, then the messages."""
    texts: list[str] = []
    following: list[Document] = []
    instructions = members.pop("instructions", None)
    if isinstance(instructions, str):
        texts.append(instructions)
    elif isinstance(instructions, list):
        text, following = take_messages(draft, "instructions", cast("list[Any]", instructions))
        texts.append(text)
    elif instructions is not None:
        draft.unknown["instructions"] = "is neither a text nor a list of messages"
    for key in ("messages", "input"):
        value = members.pop(key, None)
        if isinstance(value, list):
            text, behind = take_messages(draft, key, cast("list[Any]", value))
            texts.append(text)
            following += behind
        elif value is not None:
            draft.unknown[key] = "is what a user said in one call, which the app sends"
    declared = take_variables(draft, "variables", members.pop("variables", None))
    text = "\n\n".join(text for text in texts if text)
    if not text and not following:
        draft.problems.append("there is no text: no instructions, and no message")
    take_text(draft, "prompt.text", text, declared, following)


def _take_output(draft: Draft, value: Any) -> None:
    """`text: {format, verbosity}` of the Responses API."""
    if value is None:
        return
    members = cast("Document", value) if isinstance(value, dict) else {"": value}
    for key, item in members.items():
        if key == "format":
            take_format(draft, "text.format", item)
        elif key == "verbosity" and item == "medium":
            continue
        elif item is not None:
            draft.unknown[f"text.{key}".rstrip(".")] = "is not known here"
