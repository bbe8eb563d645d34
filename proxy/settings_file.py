"""The file of settings as it is read: strict YAML, `${NAME}` references to the environment, keys that stand in files of their own.

What the settings are is settings.py.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import yaml

from proxy.core.characters import NoText, file_text

_MAX_FILE_BYTES = 1024 * 1024
_REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")


class SettingsError(Exception):
    """The settings cannot be used; `problems` has one line for each reason, with its path."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class _StrictLoader(yaml.SafeLoader):
    """YAML without duplicate keys (the last would silently win) and without aliases (which can explode)."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:  # pyright: ignore[reportIncompatibleMethodOverride] types-PyYAML leaves index untyped
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases (*name) are not supported")
        return super().compose_node(parent, index)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride] untyped in types-PyYAML
        try:
            built: Any = super().construct_object(node, deep)  # pyright: ignore[reportUnknownMemberType] untyped in types-PyYAML
            if isinstance(built, str) and not built.isascii():
                built.encode()
        except (ValueError, LookupError, AttributeError, TypeError):
            # What it is may be a secret, and is not shown.
            kind = "text" if node.tag.endswith(":str") else node.tag.rpartition(":")[2]
            raise yaml.YAMLError(
                f"what stands there is no valid {kind} (line {node.start_mark.line + 1}); put texts in quotes"
            ) from None
        return built

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise yaml.YAMLError(f"a key must be a text (line {key_node.start_mark.line + 1})")
            key: Any = self.construct_object(key_node, deep=True)  # pyright: ignore[reportUnknownMemberType] untyped in types-PyYAML
            if key in seen:
                raise yaml.YAMLError(f"the key {key!r} occurs twice (line {key_node.start_mark.line + 1})")
            seen.add(key)
        return super().construct_mapping(node, deep)


def load_yaml(text: str) -> Any:
    """One YAML document, read strictly; a BOM before it is none of it. Raises yaml.YAMLError alone, in one sentence with the line."""
    text = text.removeprefix("\ufeff")
    try:
        return yaml.load(text, _StrictLoader)  # noqa: S506 a SafeLoader, made stricter
    except RecursionError:
        raise yaml.YAMLError("it is nested too deep") from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise yaml.YAMLError(f"the character U+{ord(text[error.position]):04X} is not allowed (line {line})") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        said = ", ".join(filter(None, (error.context, error.problem)))
        raise yaml.YAMLError(said if mark is None else f"{said} (line {mark.line + 1})") from None


def file_content(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            read = file.read(_MAX_FILE_BYTES + 1)
        if len(read) > _MAX_FILE_BYTES:
            raise SettingsError([f"{path}: larger than {_MAX_FILE_BYTES} bytes"])
        content = load_yaml(file_text(read))
    except OSError as error:
        raise SettingsError([f"{path}: cannot be read: {error.strerror}"]) from None
    except NoText as reason:
        raise SettingsError([f"{path}: {reason}"]) from None
    except yaml.YAMLError as error:
        raise SettingsError([f"{path}: is not valid YAML: {error}"]) from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise SettingsError([f"{path}: must be a mapping of settings"])
    return cast("dict[str, Any]", content)


def expanded(value: Any, environment: Mapping[str, str], path: str, problems: list[str]) -> Any:
    if isinstance(value, dict):
        items = cast("dict[Any, Any]", value).items()
        return {str(key): expanded(item, environment, f"{path}.{key}".lstrip("."), problems) for key, item in items}
    if isinstance(value, list):
        return [expanded(item, environment, f"{path}[]", problems) for item in cast("list[Any]", value)]
    if not isinstance(value, str):
        return value

    def replaced(match: re.Match[str]) -> str:
        found = environment.get(match[1]) or match[2]
        if found is None:
            problems.append(f"{path}: the environment variable {match[1]} is not set")
            return ""
        return found

    text = _REFERENCE.sub(replaced, value)
    # A reference that expands to nothing leaves the setting unset rather than set to an empty secret.
    return None if text == "" and value != "" else text


def read_key_files(content: dict[str, Any], problems: list[str]) -> None:
    """Read the keys that stand in files, as secrets are mounted; one that is given in both ways is a mistake."""
    providers = content.get("providers")
    if not isinstance(providers, dict):
        return
    for name, given in cast("dict[str, Any]", providers).items():
        provider = cast("dict[str, Any]", given) if isinstance(given, dict) else {}
        path = provider.get("api_key_file")
        if not isinstance(path, str):
            continue
        where = f"providers.{name}.api_key_file"
        if provider.get("api_key") is not None:
            problems.append(f"{where}: give api_key or api_key_file, not both")
            continue
        try:
            key = Path(path).read_text(encoding="utf-8").strip()
        except (OSError, ValueError) as error:
            problems.append(f"{where}: {path} cannot be read: {getattr(error, 'strerror', None) or 'it is no text'}")
            continue
        if not key.isascii() or not key.isprintable() or not key:
            problems.append(f"{where}: {path} must hold one key, in one line")
            continue
        provider["api_key"] = key
