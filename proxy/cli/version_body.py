"""Builds the body of a new version from command line options: from nothing, or from a version that exists.

Only shapes are made here; whether they are allowed is the server's to say. Files are read as they are, to the last byte of
a prompt. Counterpart: `versions.py`, which has the options.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from proxy.cli.admin_client import Document
from proxy.cli.failures import EXIT_USAGE, CommandFailed
from proxy.cli.strict_json import strict_json
from proxy.core.characters import NoText, file_text
from proxy.core.errors import BadInput
from proxy.core.versions.prompt_content import LEADING_ROLES
from proxy.core.versions.recorded import COUNTED_POLICY, ENFORCED_POLICY, JUDGED_POLICY, RECORDED
from proxy.core.versions.validators import check_validators

COMPONENTS = ("prompt", "model", "tools", "retrieval", "policy")
_STANDARD_INPUT = Path("-")


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionOptions:
    """What the command line says of a new version; what is None or empty was not said."""

    prompt: str | None = None
    prompt_file: Path | None = None
    messages_file: Path | None = None
    mode: str | None = None
    variables: Sequence[str] = field(default_factory=tuple[str, ...])
    provider: str | None = None
    model: str | None = None
    temperature: float | None = None
    max_output_tokens: int | None = None
    parameters: Sequence[str] = field(default_factory=tuple[str, ...])
    tools_file: Path | None = None
    tools_mode: str | None = None
    retrieval_file: Path | None = None
    policy_file: Path | None = None
    policy: Sequence[str] = field(default_factory=tuple[str, ...])
    tested_against: Sequence[str] = field(default_factory=tuple[str, ...])


def says_nothing(options: VersionOptions) -> bool:
    """True where no option says anything of what a version contains."""
    return replace(options, tested_against=()) == VersionOptions()


def version_body(options: VersionOptions, start: Mapping[str, Any]) -> Document:
    """The components of `start` with what `options` say laid over them. Raises CommandFailed."""
    body: Document = {kind: dict(start[kind]) for kind in COMPONENTS if start.get(kind)}
    prompt = _prompt(options, _object(body, "prompt"))
    if prompt:
        body["prompt"] = prompt
    _lay_over(body, "model", _model(options, _object(body, "model")))
    _lay_over(body, "tools", _tools(options))
    if options.retrieval_file is not None:
        body["retrieval"] = _object_file(options.retrieval_file)
    if options.policy_file is not None:
        body["policy"] = _object_file(options.policy_file)
    _lay_over(body, "policy", _pairs("--policy", options.policy))
    _lay_over(body, "tested_against", _pairs("--tested-against", options.tested_against))
    return body


def recorded_apart(body: Document, start: Mapping[str, Any]) -> tuple[Document, list[str]]:
    """The body with what an older version's policy says and nobody reads under `recorded`, where a new version may have it; and
    its keys. What was said on the command line is left for the server to refuse."""
    policy, older = _object(body, "policy"), _object(start, "policy")
    known = (*ENFORCED_POLICY, *COUNTED_POLICY, RECORDED)
    if _are_validators(policy.get("validators")):
        known = (*known, *JUDGED_POLICY)
    moved = [key for key, value in policy.items() if key not in known and key in older and older[key] == value]
    if not moved:
        return body, []
    kept = {key: value for key, value in policy.items() if key not in moved}
    recorded = {**_object(policy, RECORDED), **{key: policy[key] for key in moved}}
    return {**body, "policy": {**kept, RECORDED: recorded}}, moved


def _are_validators(value: Any) -> bool:
    """Whether it is what answers are judged by; a version made before that was read may have anything there."""
    try:
        check_validators(value)
    except BadInput:
        return False
    return True


def _prompt(options: VersionOptions, start: Document) -> Document:
    if options.prompt is not None and options.prompt_file is not None:
        raise CommandFailed("--prompt and --prompt-file exclude each other", EXIT_USAGE)
    text = options.prompt if options.prompt_file is None else read_text(options.prompt_file, is_prompt=True)
    variables = dict(_object(start, "variables"))
    for declared in options.variables:
        name, separator, default = declared.partition("=")
        variables[name.strip()] = {"default": default} if separator else {}
    given = {"mode": options.mode, "variables": variables if options.variables else None}
    if text is not None or options.messages_file is not None:
        start = {name: value for name, value in start.items() if name not in ("text", "messages")} | _texts(
            text, options.messages_file, start
        )
    return {**start, **{name: value for name, value in given.items() if value is not None}}


def _texts(text: str | None, messages_file: Path | None, start: Document) -> Document:
    """A new text takes the place of the messages of the system, new messages that of the others."""
    begun = cast("list[Document]", start.get("messages") or [])
    leading = [message for message in begun if message.get("role") in LEADING_ROLES]
    following = [message for message in begun if message.get("role") not in LEADING_ROLES]
    if messages_file is not None:
        following = _messages_in(messages_file)
    if text is None and not any(message.get("role") in LEADING_ROLES for message in following):
        text, following = start.get("text"), leading + following
    said = {"text": text, "messages": following}
    return {name: value for name, value in said.items() if value is not None and value != []}


def _messages_in(path: Path) -> list[Document]:
    content = read_json(path)
    if not isinstance(content, list) or not all(isinstance(item, dict) for item in cast("list[Any]", content)):
        raise CommandFailed(f'{path}: must be a list of messages: [{{"role": "user", "text": "…"}}]', EXIT_USAGE)
    return cast("list[Document]", content)


def _model(options: VersionOptions, start: Document) -> Document:
    parameters = dict(_object(start, "parameters"))
    extra = dict(_object(parameters, "extra"))
    said = _pairs("--parameter", options.parameters)
    shorthand = {"temperature": options.temperature, "max_output_tokens": options.max_output_tokens}
    said.update({name: value for name, value in shorthand.items() if value is not None})
    for name, value in said.items():
        holder, key = (extra, name.removeprefix("extra.")) if name.startswith("extra.") else (parameters, name)
        if value is None:
            holder.pop(key, None)
        else:
            holder[key] = value
    if extra:
        parameters["extra"] = extra
    else:
        parameters.pop("extra", None)
    given = {"provider": options.provider, "name": options.model, "parameters": parameters if said else None}
    return {name: value for name, value in given.items() if value is not None}


def _tools(options: VersionOptions) -> Document:
    given: Document = {}
    if options.tools_file is not None:
        content = read_json(options.tools_file)
        if isinstance(content, list):
            given = {"mode": "merge", "items": content}
        elif isinstance(content, dict):
            given = cast("Document", content)
        else:
            raise CommandFailed(f"{options.tools_file}: must be a list of tools or {{mode, items}}", EXIT_USAGE)
    return given if options.tools_mode is None else {**given, "mode": options.tools_mode}


def _pairs(option: str, pairs: Sequence[str]) -> Document:
    """`name=value` pairs; a value that is no JSON is taken as text."""
    found: Document = {}
    for pair in pairs:
        name, separator, value = pair.partition("=")
        if not separator or not name.strip():
            raise CommandFailed(f"{option} is written NAME=VALUE, not {pair!r}", EXIT_USAGE)
        found[name.strip()] = json_or_text(value)
    return found


def _lay_over(body: Document, kind: str, given: Document) -> None:
    if given:
        body[kind] = {**_object(body, kind), **given}


def _object(holder: Mapping[str, Any], name: str) -> Document:
    value = holder.get(name)
    return cast("Document", value) if isinstance(value, dict) else {}


def read_text(path: Path, *, is_prompt: bool = False) -> str:
    """A file (or `-`, standard input) as UTF-8, every byte kept. Raises CommandFailed."""
    try:
        content = sys.stdin.buffer.read() if path == _STANDARD_INPUT else path.read_bytes()
        return file_text(content, is_prompt=is_prompt)
    except OSError as error:
        raise CommandFailed(f"{path}: cannot be read: {error.strerror}", EXIT_USAGE) from None
    except NoText as reason:
        raise CommandFailed(f"{path}: {reason}", EXIT_USAGE) from None


def json_or_text(value: str) -> Any:
    """What a word of the command line says: JSON, or where it is none the text itself."""
    try:
        return strict_json(value)
    except ValueError:
        return value


def read_json(path: Path) -> Any:
    """A JSON file. Raises CommandFailed."""
    try:
        return strict_json(read_text(path))
    except ValueError as error:
        raise CommandFailed(f"{path}: is not JSON: {error}", EXIT_USAGE) from None


def _object_file(path: Path) -> Document:
    content = read_json(path)
    if not isinstance(content, dict):
        raise CommandFailed(f"{path}: must be a JSON object", EXIT_USAGE)
    return cast("Document", content)
