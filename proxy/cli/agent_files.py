"""Agents as files: a folder with `agent.yaml` and the prompt beside it, read into API bodies, every problem told at once.

Reading is strict: unknown keys are named with the nearest known one, what is no JSON is refused, line ends of prompts
are those of new versions, and no path leads out of the folder, not by `..` and not by a link. What a component may contain is core's to say.
Counterpart: agent_writing.py writes the same format back, so that what was read is what was written.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from proxy.core.characters import NoText, file_text
from proxy.core.errors import BadInput
from proxy.core.names import check_agent_name, check_label_name
from proxy.core.nearest import did_you_mean
from proxy.core.versions.components import (
    COMPONENT_KINDS,
    NEUTRAL_PARAMETERS,
    ComponentKind,
    parse_bundle,
)
from proxy.core.versions.new_versions import with_plain_texts
from proxy.core.versions.prompt_content import MAX_PROMPT_BYTES

Document = dict[str, Any]

AGENT_FILE = "agent.yaml"
_MAX_FILE_BYTES = 8 * 1024 * 1024
_UNAPPLIED = ("refuse", "pass")
_SETTINGS = ("agent", "description", "default_label", "allow_latest", "unapplied")
_NOTES = ("tested_against", "message")
KEYS = (*_SETTINGS, *COMPONENT_KINDS, *_NOTES)
_KEYS_BY_PATH: Mapping[str, tuple[str, ...]] = {
    "": KEYS,
    "prompt": ("file", "text", "messages", "mode", "variables"),
    "model": ("provider", "name", "parameters", "embeddings"),
    "model.parameters": (*NEUTRAL_PARAMETERS, "extra"),
    "tools": ("mode", "items"),
}


class BadAgentFiles(Exception):
    """Files that cannot be used; `problems` has one line for each reason, with file and path."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = list(problems)


@dataclass(frozen=True, slots=True)
class AgentFile:
    """One agent as its files say it: bodies in the words of the API, components in their normal form.

    `path` is that of its agent.yaml, relative to the directory that was read, with `/`.
    """

    path: str
    agent: Document
    version: Document
    bundle_hash: str

    @property
    def name(self) -> str:
        return self.agent["agent"]

    @property
    def evaluations(self) -> list[str]:
        """The evaluations the version passed, as its notes name them: one, or a list."""
        named = self.version["tested_against"].get("evaluation")
        ids = cast("list[Any]", named) if isinstance(named, list) else [named]
        return [
            str(one) for one in ids if isinstance(one, str | int) and not isinstance(one, bool) and str(one).strip()
        ]


def read_agents(directory: Path, *, may_be_none: bool = False) -> list[AgentFile]:
    """Every agent below `directory` (or the one that it is), by path. Raises BadAgentFiles with every problem, among them that
    there is none, unless there `may_be_none`."""
    problems: list[str] = []
    found: list[AgentFile] = []
    for path in _agent_files(directory, problems):
        try:
            found.append(_read_one(path, directory, shown_path(path, directory)))
        except BadAgentFiles as bad:
            problems += bad.problems
    by_name: dict[str, AgentFile] = {}
    for agent in found:
        first = by_name.setdefault(agent.name, agent)
        if first is not agent:
            problems.append(f"{agent.path}: agent: {agent.name} is described in {first.path} already")
    if not found and not problems and not may_be_none:
        problems.append(f"{directory}: holds no {AGENT_FILE}")
    if problems:
        raise BadAgentFiles(problems)
    return found


def read_agent_file(path: Path) -> AgentFile:
    """One agent, by its agent.yaml or the folder it stands in. Raises BadAgentFiles, which names the file as `path` does."""
    file = path / AGENT_FILE if path.is_dir() else path
    return _read_one(file, file.parent, str(file))


def _agent_files(directory: Path, problems: list[str]) -> Iterator[Path]:
    if not directory.is_dir():
        problems.append(f"{directory}: is not a directory")
        return
    for folder, names, files in os.walk(directory, followlinks=False):
        place = Path(folder)
        if AGENT_FILE in files:
            yield place / AGENT_FILE
        names[:] = sorted(name for name in names if not name.startswith("."))
        links = [place / name for name in names if (place / name).is_symlink()]
        problems += [
            f"{shown_path(link, directory)}: is a symbolic link, which is not followed"
            for link in links
            if (link / AGENT_FILE).exists()
        ]


def _read_one(path: Path, directory: Path, shown: str) -> AgentFile:
    content = load_mapping(path, directory, shown, "with the key `agent`")
    problems = [*_unknown_keys(content), *not_json("", content)]
    settings = _settings(content, problems)
    components = {kind: content.get(kind) for kind in COMPONENT_KINDS}
    components["prompt"] = _prompt(content.get("prompt"), path.parent, problems)
    components = with_plain_texts(components)
    normal: Document = {}
    # An unknown key is told once, with its nearest; the component's own check would tell it again.
    if not problems:
        for kind in COMPONENT_KINDS:
            normal[kind] = _normal(kind, components[kind], problems)
    notes: Document = {"tested_against": content.get("tested_against") or {}, "message": content.get("message") or ""}
    if not isinstance(notes["tested_against"], dict):
        problems.append("tested_against: must be a mapping")
    if not isinstance(notes["message"], str):
        problems.append("message: must be a text")
    if problems:
        raise BadAgentFiles([f"{shown}: {problem}" for problem in problems])
    version = {**normal, **notes}
    return AgentFile(shown, settings, version, parse_bundle(normal).bundle_hash)


def load_mapping(path: Path, directory: Path, shown: str, wanted: str) -> Document:
    """A YAML file below `directory` that holds a mapping; `wanted`: what of. Raises BadAgentFiles."""
    # Heavy: the strict reader stands in settings, which brings pydantic; only verbs that read agent files need it.
    from yaml import YAMLError  # noqa: PLC0415

    from proxy.settings_file import load_yaml  # noqa: PLC0415

    text = _text(path, directory, _MAX_FILE_BYTES, shown)
    try:
        content = load_yaml(text)
    except YAMLError as error:
        raise BadAgentFiles([f"{shown}: is not valid YAML: {error}"]) from None
    if not isinstance(content, dict):
        raise BadAgentFiles([f"{shown}: must be a mapping {wanted}"])
    return cast("Document", content)


def _text(path: Path, inside: Path, limit_bytes: int, shown: str, *, is_prompt: bool = False) -> str:
    """A regular file below `inside`, every byte kept. Raises BadAgentFiles."""
    try:
        if not path.resolve(strict=True).is_relative_to(inside.resolve(strict=True)):
            raise BadAgentFiles([f"{shown}: leads out of {inside.name or inside}"])
        if not path.is_file():
            raise BadAgentFiles([f"{shown}: is not a file"])
        with path.open("rb") as file:
            content = file.read(limit_bytes + 1)
    except (OSError, ValueError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise BadAgentFiles([f"{shown}: cannot be read: {reason}"]) from None
    if len(content) > limit_bytes:
        raise BadAgentFiles([f"{shown}: is larger than {limit_bytes} bytes"])
    try:
        return file_text(content, is_prompt=is_prompt)
    except NoText as reason:
        raise BadAgentFiles([f"{shown}: {reason}"]) from None


def _settings(content: Document, problems: list[str]) -> Document:
    name = content.get("agent")
    settings: Document = {"agent": name}
    checks = {"agent": check_agent_name, "default_label": check_label_name}
    for key, kind, wanted in (
        ("agent", str, "a text"),
        ("description", str, "a text"),
        ("default_label", str, "a text"),
        ("allow_latest", bool, "true or false"),
        ("unapplied", str, "refuse or pass"),
    ):
        value = content.get(key)
        if value is None:
            if key == "agent":
                problems.append("agent: is missing; it names the agent")
            continue
        if not isinstance(value, kind) or (key == "unapplied" and value not in _UNAPPLIED):
            problems.append(f"{key}: must be {wanted}")
            continue
        settings[key] = value
        try:
            if key in checks:
                checks[key](cast("str", value))
        except BadInput as bad:
            problems.append(f"{key}: {bad.message}")
    return settings


def _prompt(prompt: Any, folder: Path, problems: list[str]) -> Any:
    """The component with the texts of files in the places of their names."""
    if not isinstance(prompt, dict):
        return prompt
    content = _with_text("prompt", cast("Document", prompt), folder, problems)
    messages = content.get("messages")
    if isinstance(messages, list):
        content["messages"] = [
            _with_text(f"prompt.messages[{index}]", cast("Document", message), folder, problems)
            if isinstance(message, dict)
            else message
            for index, message in enumerate(cast("list[Any]", messages))
        ]
    return content


def _with_text(path: str, said: Document, folder: Path, problems: list[str]) -> Document:
    """A prompt or a message of one, with the text of the file that it names."""
    content = dict(said)
    name = content.pop("file", None)
    if name is None:
        return content
    if not isinstance(name, str) or not name:
        problems.append(f"{path}.file: must be the name of a file")
    elif "text" in content:
        problems.append(f"{path}.file: stands beside {path}.text; give one of them")
    elif Path(name).is_absolute() or ".." in Path(name).parts:
        problems.append(f"{path}.file: {name} leads out of the agent's folder")
    else:
        try:
            content["text"] = _text(folder / name, folder, MAX_PROMPT_BYTES, f"{path}.file: {name}", is_prompt=True)
        except BadAgentFiles as bad:
            problems += bad.problems
    return content


def _normal(kind: ComponentKind, component: Any, problems: list[str]) -> Document:
    try:
        return parse_bundle({kind: component}).content(kind)
    except BadInput as bad:
        problems.append(bad.message if bad.param is None else f"{bad.param}:{bad.message.removeprefix(bad.param)}")
        return {}


def _unknown_keys(content: Document) -> Iterator[str]:
    for path, known in _KEYS_BY_PATH.items():
        place: Any = content
        for key in filter(None, path.split(".")):
            place = cast("Document", place).get(key) if isinstance(place, dict) else None
        if not isinstance(place, dict):
            continue
        for key in cast("dict[Any, Any]", place):
            if key not in known:
                hint = did_you_mean(key, known, near=0.5) or f"there are {', '.join(known)}"
                yield f"{path}.{key}: unknown key; {hint}".lstrip(".")


def not_json(path: str, value: Any) -> Iterator[str]:
    """YAML knows more than JSON: dates, bytes, sets, keys that are no text, numbers that are none."""
    if isinstance(value, dict):
        for key, item in cast("dict[Any, Any]", value).items():
            place = f"{path}.{key}".lstrip(".")
            if not isinstance(key, str):
                yield f"{place}: a key must be a text; put it in quotes"
            yield from not_json(place, item)
    elif isinstance(value, list):
        for index, item in enumerate(cast("list[Any]", value)):
            yield from not_json(f"{path}[{index}]", item)
    elif isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        yield f"{path}: is not a number that JSON has"
    elif value is not None and not isinstance(value, str | int | float):
        yield f"{path}: is a {type(value).__name__}, which JSON has not; put it in quotes"


def shown_path(path: Path, directory: Path) -> str:
    """A path as problems name it: below `directory`, with `/`."""
    return path.relative_to(directory).as_posix()
