"""Validators of a version's policy: what a finished answer must be like. Judging by them is judging.py's.

    policy: {validators: [json, {json_schema: {…}}, {regex: "^\\\\d+$"}, {not_regex: "as an AI"}, {max_chars: 2000}]}

Each has one spelling, so that equal policies have equal hashes. A version made before validators were read may hold anything under
that name, which then is only recorded.
"""

import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, cast, get_args

from proxy.core.errors import BadInput
from proxy.core.nearest import nearest_of

ValidatorKind = Literal["json", "json_schema", "regex", "not_regex", "max_chars"]
KINDS: Final[tuple[ValidatorKind, ...]] = get_args(ValidatorKind)
PLACE: Final = "policy.validators"
MAX_VALIDATORS: Final = 20
MAX_PATTERN: Final = 2000
#: An answer is judged up to this size on its wire; what is larger is not.
MAX_ANSWER_BYTES: Final = 4 * 1024 * 1024
#: Members of a schema that name another one; of the same document where they begin so.
_REFERENCES: Final = ("$ref", "$dynamicRef", "$recursiveRef")
_OWN: Final = "#"
_PATTERNS: Final = ("regex", "not_regex")


@dataclass(frozen=True, slots=True)
class Validator:
    """One demand on an answer. `argument`: the schema, the pattern, the most characters; None for `json`."""

    kind: ValidatorKind
    argument: Any = None


def read_validators(value: Any) -> tuple[Validator, ...]:
    """The validators of a policy. Raises BadInput(`bad_version`) that names the one that is none."""
    if value is None:
        return ()
    if not isinstance(value, list):
        raise _bad(PLACE, f"must be a list of {', '.join(KINDS)}")
    items = cast("list[Any]", value)
    if len(items) > MAX_VALIDATORS:
        raise _bad(PLACE, f"has more than {MAX_VALIDATORS} validators")
    return tuple(_read(item, f"{PLACE}[{index}]") for index, item in enumerate(items))


def check_validators(value: Any) -> None:
    """What new ones must be beyond that: patterns that compile, schemas that stand alone. Raises BadInput(`bad_version`)."""
    for index, validator in enumerate(read_validators(value)):
        at = f"{PLACE}[{index}].{validator.kind}"
        if validator.kind in _PATTERNS:
            _check_pattern(validator.argument, at)
        elif validator.kind == "json_schema":
            _check_references(validator.argument, at)


def _read(item: Any, at: str) -> Validator:
    if item == "json":
        return Validator("json")
    if not isinstance(item, Mapping) or len(cast("Mapping[Any, Any]", item)) != 1:
        raise _bad(at, f"must be json, or an object of one member: {', '.join(KINDS[1:])}")
    ((kind, argument),) = cast("Mapping[Any, Any]", item).items()
    match kind:
        case "json_schema" if isinstance(argument, Mapping):
            return Validator("json_schema", dict(cast("Mapping[str, Any]", argument)))
        case "regex" | "not_regex" if isinstance(argument, str) and 0 < len(argument) <= MAX_PATTERN:
            return Validator(kind, argument)
        case "max_chars" if isinstance(argument, int) and not isinstance(argument, bool) and argument > 0:
            return Validator("max_chars", argument)
        case "json":
            raise _bad(at, "is written as the text json, without an argument")
        case "json_schema":
            raise _bad(f"{at}.{kind}", "must be an object, a JSON schema")
        case "regex" | "not_regex":
            raise _bad(f"{at}.{kind}", f"must be a pattern of at most {MAX_PATTERN} characters")
        case "max_chars":
            raise _bad(f"{at}.{kind}", "must be a whole number of at least 1")
        case _:
            raise _bad(at, f"is unknown; there are {', '.join(KINDS)}{nearest_of(kind, KINDS)}")


def _check_pattern(pattern: str, at: str) -> None:
    try:
        with warnings.catch_warnings():
            # Of what a later Python may read differently.
            warnings.simplefilter("ignore")
            re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise _bad(at, f"is no regular expression that Python reads: {error}") from None


def _check_references(schema: Any, at: str) -> None:
    """Nothing is fetched for a schema: what it needs stands in it."""
    waiting = [schema]
    while waiting:
        part = waiting.pop()
        if isinstance(part, Mapping):
            members = cast("Mapping[str, Any]", part)
            for name in _REFERENCES:
                target = members.get(name)
                if isinstance(target, str) and not target.startswith(_OWN):
                    raise _bad(at, f"refers to {target!r}: put it under $defs of the schema and refer to #/$defs/…")
            waiting.extend(members.values())
        elif isinstance(part, list):
            waiting.extend(cast("list[Any]", part))


def _bad(path: str, what: str) -> BadInput:
    return BadInput("bad_version", f"{path} {what}", param=path)
