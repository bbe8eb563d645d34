"""Writes an agent and one of its versions as the files that agent_files.py reads: `agent.yaml`, and the prompt to the last byte.

Stable: the same documents give the same bytes. What has its default is left out. Files are replaced whole, so that neither a
crash nor a link in their place can make half of one or write elsewhere.
"""

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import yaml

from proxy.cli.agent_files import AGENT_FILE, BadAgentFiles
from proxy.core.errors import BadInput
from proxy.core.versions.components import COMPONENT_KINDS, parse_bundle
from proxy.core.versions.prompt_content import LEADING_ROLES

PROMPT_FILE = "prompt.md"
_LINE_COLUMNS = 120


class _BlockDumper(yaml.SafeDumper):
    """Block style, no aliases (the reader refuses them), texts of several lines as literal blocks where that is exact."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    if "\n" in text and all(_is_plain_line(line) for line in text.split("\n")):
        style = "|"
    else:
        # Only double quotes keep line breaks other than line feeds.
        style = None if text.isprintable() else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)  # pyright: ignore[reportUnknownMemberType] types-PyYAML leaves it partly untyped


def _is_plain_line(line: str) -> bool:
    return line.isprintable() and line == line.strip()


_BlockDumper.add_representer(str, _represent_text)


def write_agent(folder: Path, agent: Mapping[str, Any], version: Mapping[str, Any] | None) -> list[Path]:
    """Write the files of one agent into `folder` (made if missing): the agent's document and a version's, as the API has them.

    Without a version only the agent's settings are written. Returns the files written, agent.yaml last. Raises BadAgentFiles.
    """
    content: dict[str, Any] = {"agent": agent["agent"]}
    if agent.get("description"):
        content["description"] = agent["description"]
    content["default_label"] = agent.get("default_label") or "prod"
    if agent.get("allow_latest"):
        content["allow_latest"] = True
    if agent.get("unapplied", "refuse") != "refuse":
        content["unapplied"] = agent["unapplied"]
    try:
        files = {} if version is None else _add_version(content, version)
        text = yaml.dump(
            content,
            Dumper=_BlockDumper,
            sort_keys=False,
            allow_unicode=True,
            default_flow_style=False,
            width=_LINE_COLUMNS,
        )
        files[AGENT_FILE] = text.encode()
        folder.mkdir(parents=True, exist_ok=True)
        return [_replace(folder / name, data) for name, data in files.items()]
    except OSError as error:
        raise BadAgentFiles([f"{folder}: cannot be written: {error.strerror}"]) from None
    except UnicodeEncodeError:
        raise BadAgentFiles([f"{folder}: holds half a character (a lone surrogate), which no file can"]) from None
    except (BadInput, yaml.YAMLError) as error:
        raise BadAgentFiles([f"{folder}: cannot be written: {error}"]) from None


def _add_version(content: dict[str, Any], version: Mapping[str, Any]) -> dict[str, bytes]:
    """Put what differs from the default into `content`; the prompt's text becomes a file of its own."""
    bundle = parse_bundle({kind: version.get(kind) for kind in COMPONENT_KINDS})
    empty = parse_bundle({})
    files: dict[str, bytes] = {}
    for kind in ("model", "prompt", "tools", "retrieval", "policy"):
        component = bundle.content(kind)
        if component == empty.content(kind):
            continue
        if kind == "prompt":
            text, component = _text_apart(component)
            if text:
                files[PROMPT_FILE] = text.encode("utf-8")
                component = {"file": PROMPT_FILE, **component}
        is_free = kind in ("retrieval", "policy")
        content[kind] = {key: value for key, value in component.items() if is_free or value not in (None, "", {})}
    if version.get("tested_against"):
        content["tested_against"] = dict(cast("dict[str, Any]", version["tested_against"]))
    if version.get("message"):
        content["message"] = version["message"]
    return files


def _text_apart(prompt: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The text that goes to a file of its own, and the rest of the component: read again they are the same."""
    rest = dict(prompt)
    messages = rest.get("messages")
    if not messages:
        return rest.pop("text"), rest
    is_alone = messages[0]["role"] == "system" and messages[1]["role"] not in LEADING_ROLES
    if not is_alone:
        return "", rest
    return messages[0]["text"], {**rest, "messages": messages[1:]}


def _replace(path: Path, data: bytes) -> Path:
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    return path
