"""The settings by name, for whoever looks for one on the command line."""

from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel

from proxy.settings import PREFIX, Settings


def setting_paths(model: type[BaseModel] = Settings, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Each setting by its dotted path, and what it says of itself; NAME stands for the name of a provider."""
    for name, field in model.model_fields.items():
        inner: Any = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from setting_paths(inner, f"{prefix}{name}.")
            continue
        kinds = [kind for kind in get_args(inner) if isinstance(kind, type) and issubclass(kind, BaseModel)]
        yield prefix + name, field.description or ""
        for kind in kinds:
            yield from setting_paths(kind, f"{prefix}{name}.NAME.")


def environment_name(path: str) -> str:
    """The variable that says a setting."""
    return PREFIX + path.upper().replace(".", "__")
