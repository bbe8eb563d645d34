"""Reads the JSON a user saved: one object, strictly. Shared by the formats that are JSON."""

from typing import Any, cast

from proxy.cli.importers.imported import CannotImport, Document
from proxy.cli.strict_json import strict_json


def read_object(content: str, file_name: str) -> Document:
    """The object in `content`, or the only one of a list. Raises CannotImport."""
    try:
        value: Any = strict_json(content)
    except ValueError as error:
        raise CannotImport(f"{file_name}: is not JSON: {error}") from None
    if isinstance(value, dict) and set(cast("Document", value)) <= {"data", "meta", "object"} and "data" in value:
        value = cast("Document", value)["data"]
    if isinstance(value, list):
        items = cast("list[Any]", value)
        if len(items) != 1:
            raise CannotImport(f"{file_name}: holds {len(items)} prompts; save the one to import in a file of its own")
        value = items[0]
    if not isinstance(value, dict):
        raise CannotImport(f"{file_name}: is not a JSON object")
    return cast("Document", value)
