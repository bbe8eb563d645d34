"""JSON Schemas of what the admin API takes and answers, made from the declarations that reading and answering use themselves.

Requests are pydantic models (bodies.py, queries.py), answers TypedDicts (core's documents, answers/), which msgspec describes. An
answer has the members that are described and no others, so its objects are closed.
"""

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, cast

import msgspec
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

_REFERENCE = "#/components/schemas/"
_DOCUMENT = "Document"
_LISTED = re.compile(r"Listed_(\w+?)_\Z")

Schema = dict[str, Any]
Schemas = dict[str, Schema]


def reference(name: str) -> Schema:
    """A schema that stands among the components."""
    return {"$ref": _REFERENCE + name}


def referenced(schema: Schema) -> str:
    """The name of the component that a schema refers to; empty for one that stands there itself."""
    return str(schema.get("$ref", "")).removeprefix(_REFERENCE)


def body_schemas(models: Iterable[type[BaseModel]]) -> Schemas:
    """The schemas of request bodies, by the names of their models."""
    ordered = sorted(models, key=lambda model: model.__name__)
    _, found = models_json_schema([(model, "validation") for model in ordered], ref_template=_REFERENCE + "{model}")
    return without_titles(found.get("$defs", {}))


def query_schema(model: type[BaseModel]) -> Schema:
    """The schema of a query's parameters. Null stands for a parameter that is left out, which nobody can send."""
    return _walked(without_titles(model.model_json_schema(by_alias=True)), _sendable)


def answer_schemas(contents: Sequence[Any]) -> tuple[list[Schema], Schemas]:
    """The schema of each content, and the components they refer to: `AgentDocument` is called Agent, its list AgentList."""
    found, components = msgspec.json.schema_components(contents, ref_template=_REFERENCE + "{name}")
    named = {_named(name): _closed(_renamed(schema)) for name, schema in components.items()}
    assert len(named) == len(components), "two answers would have one name"
    return [_renamed(schema) for schema in found], named


def partial_schema(content: Any, members: Collection[str] | None = None, *, or_null: bool = False) -> Schema:
    """For a request's member that has the members of a document, or `members` of them, none of which must be there; `or_null`:
    null leaves one out, too."""
    (found,), components = msgspec.json.schema_components([content], ref_template=_REFERENCE + "{name}")

    def whole(schema: Schema) -> Schema:
        inlined = components.get(referenced(schema), schema)
        return _closed({key: value for key, value in inlined.items() if key != "required"})

    schema = _walked(without_titles(found), whole)
    if or_null:
        schema["properties"] = {name: _or_null(inner) for name, inner in schema["properties"].items()}
    if members is not None:
        schema["properties"] = {name: schema["properties"][name] for name in members}
    return schema


def member_schema(kind: Any) -> Schema:
    """What core/shapes.py says of a member, for a request's member that is checked elsewhere."""
    return msgspec.json.schema(kind)


def without_titles(schema: Any) -> Any:
    """Titles repeat the name of what they stand at, and generators take them for names of classes."""

    def untitled(found: Schema) -> Schema:
        return {key: value for key, value in found.items() if key != "title" or not isinstance(value, str)}

    return _walked(schema, untitled)


def _named(name: str) -> str:
    listed = _LISTED.match(name)
    return f"{_named(listed[1])}List" if listed is not None else name.removesuffix(_DOCUMENT)


def _renamed(schema: Schema) -> Schema:
    def rename(found: Schema) -> Schema:
        target = referenced(found)
        return {**found, **reference(_named(target))} if target else found

    return without_titles(_walked(schema, rename))


def _sendable(schema: Schema) -> Schema:
    choices = [choice for choice in schema.get("anyOf", []) if choice != {"type": "null"}]
    if len(choices) != 1:
        return schema
    return {**choices[0], **{key: value for key, value in schema.items() if key not in ("anyOf", "default")}}


def _or_null(schema: Schema) -> Schema:
    return schema if {"type": "null"} in schema.get("anyOf", ()) else {"anyOf": [schema, {"type": "null"}]}


def _closed(schema: Schema) -> Schema:
    return {**schema, "additionalProperties": False} if "properties" in schema else schema


def _walked(schema: Any, change: Callable[[Schema], Schema]) -> Any:
    if isinstance(schema, list):
        return [_walked(item, change) for item in cast("list[Any]", schema)]
    if not isinstance(schema, dict):
        return schema
    return {key: _walked(value, change) for key, value in change(cast("Schema", schema)).items()}
