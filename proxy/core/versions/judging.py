"""Judging the text of a finished answer by validators: it passes all, or one says why not, or nobody can tell.

A reason names the validator and never what the answer said: reasons are kept with outcomes, which people read who may not read
answers. How long it may take is whoever's calls this.
"""

import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from proxy.core.versions.validators import PLACE, Validator

#: What a document breaks of a schema, as a place in the schema; None: nothing. Raises Unjudged.
SchemaCheck = Callable[[Any, Any], str | None]
_JSON_KINDS: Final = ("json", "json_schema")


class Unjudged(Exception):
    """Nobody can tell whether the answer passes; the first argument says why."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """`passed` None: nobody can tell. `why` names the validator that failed, or what was in the way."""

    passed: bool | None
    why: str = ""


def judge(text: str, validators: Sequence[Validator], schema_failure: SchemaCheck) -> Verdict:
    """What the validators say of an answer's text, in their order. One that fails decides, whatever others cannot tell."""
    document: Any = None
    is_document = False
    if any(validator.kind in _JSON_KINDS for validator in validators):
        try:
            document, is_document = orjson.loads(text), True
        except orjson.JSONDecodeError as error:
            if "depth limit" in str(error):
                return Verdict(None, "the answer's JSON is nested too deeply to be read")
    unknown: Verdict | None = None
    for index, validator in enumerate(validators):
        try:
            failure = _failure(validator, text, document, is_document, schema_failure)
        except Unjudged as reason:
            unknown = unknown or Verdict(None, f"{PLACE}[{index}].{validator.kind}: {reason}")
            continue
        if failure is not None:
            return Verdict(False, f"{PLACE}[{index}].{validator.kind}: {failure}")
    return unknown or Verdict(True)


def _failure(
    validator: Validator, text: str, document: Any, is_document: bool, schema_failure: SchemaCheck
) -> str | None:
    match validator.kind:
        case "max_chars":
            return f"{len(text)} characters" if len(text) > validator.argument else None
        case "json" | "json_schema" if not is_document:
            return "the answer is no JSON"
        case "json":
            return None
        case "json_schema":
            return schema_failure(validator.argument, document)
        case "regex":
            return None if _found(validator.argument, text) else "not found"
        case "not_regex":
            return "found" if _found(validator.argument, text) else None


def _found(pattern: str, text: str) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return re.search(pattern, text) is not None
    except re.error as error:
        raise Unjudged(f"is no regular expression that Python reads: {error}") from None
