"""Langfuse prompts as its API answers them (`GET /api/public/v2/prompts/{name}`), text and chat.

`{{name}}` is the only syntax of variables; a reference to another prompt (`@@@langfusePrompt:…@@@`) must have been resolved by
Langfuse. `config` is whatever its users put there: the names of model parameters are taken over, the rest is reported. Labels
are moved with `switchback label`, not imported.
"""

import re
from typing import Any, cast

from proxy.cli.importers.imported import (
    APPS_MESSAGES,
    Document,
    Draft,
    ImportedVersion,
    take_messages,
    take_parameters,
    take_text,
)
from proxy.cli.importers.json_file import read_object

_REFERENCE = re.compile(r"@@@langfusePrompt:.*?@@@", re.DOTALL)
_PROVENANCE = ("id", "name", "version", "createdAt", "updatedAt", "createdBy", "projectId", "tags")
_REASONS = {
    "labels": "labels are moved with `switchback label`",
    "isActive": "labels are moved with `switchback label`",
    "resolutionGraph": "prompts it was put together from are part of the text now",
}


def import_langfuse(content: str, file_name: str) -> ImportedVersion:
    """A Langfuse prompt as the body of a version. Raises CannotImport."""
    members = dict(read_object(content, file_name))
    draft = Draft("langfuse", file_name)
    name = members.get("name")
    for key in _PROVENANCE:
        value = members.pop(key, None)
        if value not in (None, []):
            draft.source[key] = value
    message = members.pop("commitMessage", None)
    draft.message = message if isinstance(message, str) else ""
    _take_prompt(draft, members.pop("type", None), members.pop("prompt", None))
    _take_config(draft, members.pop("config", None))
    for key, value in members.items():
        if value not in (None, [], {}):
            draft.unknown[key] = _REASONS.get(key, "is not known here")
    return draft.done(name)


def _take_prompt(draft: Draft, kind: Any, prompt: Any) -> None:
    if kind not in (None, "text", "chat"):
        draft.problems.append(f"type: {kind!r} is neither text nor chat")
    following: list[Document] = []
    if isinstance(prompt, str):
        text = prompt
    elif isinstance(prompt, list):
        messages = [_message(draft, index, item) for index, item in _items(prompt)]
        text, following = take_messages(draft, "prompt", messages)
    else:
        draft.problems.append("prompt: is neither a text nor a list of messages")
        return
    if not text and not following:
        draft.problems.append("prompt: there is no text, and no message with one")
    for one in (text, *(message["text"] for message in following)):
        draft.problems += [f"prompt: {reference} refers to another prompt" for reference in _REFERENCE.findall(one)]
    take_text(draft, "prompt", text, messages=following)


def _items(prompt: Any) -> list[tuple[int, Any]]:
    return list(enumerate(cast("list[Any]", prompt)))


def _message(draft: Draft, index: int, item: Any) -> Any:
    """Chat messages carry `type: chatmessage`; `type: placeholder` stands for messages that the app puts in."""
    if not isinstance(item, dict):
        return item
    message = cast("Document", item)
    if message.get("type") == "placeholder":
        draft.notes.append(
            f"prompt[{index}]: the placeholder {message.get('name')!r} is for messages that the app sends"
        )
        return {"role": APPS_MESSAGES}
    return message


def _take_config(draft: Draft, config: Any) -> None:
    if config in (None, {}):
        return
    if not isinstance(config, dict):
        draft.unknown["config"] = "is not an object"
        return
    members = dict(cast("Document", config))
    model = members.pop("model", None)
    if isinstance(model, str):
        draft.model = {"name": model}
        draft.notes.append("config.model: no provider is named; the wire's default one will be used")
    elif model is not None:
        draft.unknown["config.model"] = "is not the name of a model"
    take_parameters(draft, "config.", members)
