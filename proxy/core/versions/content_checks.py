"""Checks of what an author wrote in a version, each of which names the path of what is wrong.

Counterparts: components.py and prompt_content.py, which say what may stand where.
"""

from collections.abc import Mapping
from typing import Any, cast

from proxy.core.errors import BadInput


def bad_version(path: str, problem: str) -> BadInput:
    """The refusal of a version for what stands at a path."""
    return BadInput("bad_version", f"{path} {problem}", param=path)


def object_at(path: str, value: Any) -> dict[str, Any]:
    """An object; None is an empty one. Raises BadInput(`bad_version`)."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise bad_version(path, "must be an object")
    return cast("dict[str, Any]", value)


def check_known(content: Mapping[str, Any], path: str, allowed: tuple[str, ...]) -> None:
    """Raises BadInput(`bad_version`) for a member of another name."""
    for key in content:
        if key not in allowed:
            raise bad_version(f"{path}.{key}", f"is unknown; {path} has {', '.join(allowed)}")


def typed(content: Mapping[str, Any], path: str, key: str, kind: type, default: Any) -> Any:
    """A member of one kind, `default` where there is none. Raises BadInput(`bad_version`)."""
    value = content.get(key)
    if value is None:
        return default
    if not isinstance(value, kind):
        raise bad_version(f"{path}.{key}", f"must be a {'text' if kind is str else kind.__name__}")
    return value


def choice(content: Mapping[str, Any], path: str, key: str, allowed: tuple[str, ...], default: str) -> str:
    """A member that is one of a few words. Raises BadInput(`bad_version`)."""
    value = content.get(key, default)
    if value not in allowed:
        raise bad_version(f"{path}.{key}", f"must be one of {', '.join(allowed)}")
    return value
