"""JSON schemas, by a library that need not be installed: making one ready to judge by, and saying what is wrong with one.

The library is imported where a schema first comes: it takes a quarter of a second, and most have none. Nothing is fetched for a
reference.
"""

from collections.abc import Mapping
from typing import Any, Final, cast

from proxy.core.errors import BadInput
from proxy.core.versions.validators import PLACE, Validator

#: What to do where the library is not there.
NOT_INSTALLED: Final = "the extra `validators` is not installed: pip install 'switchback-proxy[validators]'"
_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_REFERENCES: Final = ("$ref", "$dynamicRef", "$recursiveRef")


def ready(schema: Any) -> Any:
    """What finds the breaks of a schema: a validator of the library. Raises its SchemaError, ImportError where it is not there."""
    from jsonschema import validators  # noqa: PLC0415
    from referencing import Registry  # noqa: PLC0415

    kind: Any = validators.validator_for(schema, default=validators.Draft202012Validator)
    kind.check_schema(schema)
    return kind(schema, registry=Registry[Any]())


def check_schemas(validators: tuple[Validator, ...]) -> None:
    """Blocks, for large ones. Raises BadInput(`bad_version`) for a schema that is none, or that nobody here can look at."""
    for index, validator in enumerate(validators):
        problem = _problem(validator.argument) if validator.kind == "json_schema" else None
        if problem is not None:
            path = f"{PLACE}[{index}].{validator.kind}"
            raise BadInput("bad_version", f"{path} {problem}", param=path)


def _problem(schema: Mapping[str, Any]) -> str | None:
    try:
        from jsonschema import validators  # noqa: PLC0415
        from jsonschema.exceptions import SchemaError  # noqa: PLC0415
        from referencing import Registry, Resource  # noqa: PLC0415
        from referencing.exceptions import Unresolvable  # noqa: PLC0415
        from referencing.jsonschema import DRAFT202012  # noqa: PLC0415
    except ImportError:
        return f"cannot be looked at: {NOT_INSTALLED}"
    dialect = schema.get("$schema", _DIALECT)
    kind_for: Any = validators.validator_for
    if not isinstance(dialect, str) or kind_for({"$schema": dialect}, default=None) is None:
        return f"names a dialect in $schema that is not known; leave it out, or say {_DIALECT}"
    try:
        ready(schema)
        root = Resource[Any].from_contents(schema, default_specification=DRAFT202012)
        _check_resolved(root, Registry[Any]().with_resource(root.id() or "", root).resolver(root.id() or ""))
    except SchemaError as error:
        where = "".join(f"/{step}" for step in cast("Any", error).absolute_path)
        return f"is no JSON schema: {f'at {where}: ' if where else ''}{cast('Any', error).message[:200]}"
    except Unresolvable as error:
        return f"refers to {error.ref!r}, which is not in it"
    except RecursionError:
        return "is nested too deeply"
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        return f"cannot be used ({type(error).__name__})"
    return None


def _check_resolved(part: Any, resolver: Any) -> None:
    """Raises Unresolvable for a reference that leads nowhere."""
    resolver = resolver.in_subresource(part)
    contents: Any = part.contents
    if isinstance(contents, Mapping):
        members = cast("Mapping[str, Any]", contents)
        for name in _REFERENCES:
            if isinstance(members.get(name), str):
                resolver.lookup(members[name])
    for inner in part.subresources():
        _check_resolved(inner, resolver)
