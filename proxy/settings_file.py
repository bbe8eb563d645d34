"""The file of settings as it is read: strict YAML, `${NAME}` references to the environment, keys that stand in files of their own.

What the settings are is settings.py.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import yaml

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

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key: Any = self.construct_object(key_node, deep=True)  # pyright: ignore[reportUnknownMemberType] untyped in types-PyYAML
            if key in seen:
                raise yaml.YAMLError(f"the key {key!r} occurs twice (line {key_node.start_mark.line + 1})")
            seen.add(key)
        return super().construct_mapping(node, deep)


def load_yaml(text: str) -> Any:
    """One YAML document, read strictly. Raises yaml.YAMLError."""
    return yaml.load(text, _StrictLoader)  # noqa: S506 a SafeLoader, made stricter


def file_content(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > _MAX_FILE_BYTES:
            raise SettingsError([f"{path}: larger than {_MAX_FILE_BYTES} bytes"])
        content = load_yaml(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise SettingsError([f"{path}: cannot be read: {error.strerror}"]) from None
    except UnicodeDecodeError:
        raise SettingsError([f"{path}: is not UTF-8"]) from None
    except (yaml.YAMLError, RecursionError) as error:
        raise SettingsError([f"{path}: is not valid YAML: {' '.join(str(error).split())}"]) from None
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
