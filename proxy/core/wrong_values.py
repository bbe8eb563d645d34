"""What is wrong with a value and what is accepted, in our words, wherever a value is read: command line, admin API, settings.

The kinds are those that pydantic names its faults by (https://docs.pydantic.dev/latest/errors/validation_errors/); its own
sentences speak of inputs and parsing, which nobody asked about. A sentence never holds the value itself, which may be a secret.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from proxy.core.nearest import nearest_of

_KINDS = {
    "missing": "is missing",
    "string_type": "must be a text",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "decimal_type": "must be a number",
    "decimal_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "int_parsing_size": "must be a whole number of at most 15 digits",
    "path_type": "must be the path of a file",
}
_BOUNDS = ("ge", "gt", "le", "lt")
#: What belongs to a fault that pydantic has no sentence of its own for.
_VALUE_ERROR = "Value error, "
#: How a sentence begins that pydantic says of a kind not named here.
_INPUT = re.compile(r"Input should be |Input should ")
_CHOICE = re.compile(r"'([^']*)'")


def accepted(
    kind: str,
    message: str,
    context: Mapping[str, Any],
    *,
    bounds: Mapping[str, float] | None = None,
    is_whole: bool = False,
    example: object = None,
    given: object = None,
) -> str:
    """What is accepted in place of a value: `must be a whole number from 1 to 500, such as 50`.

    `kind`, `message` and `context` are a fault's as pydantic tells them. `bounds`: all that the value has (`ge`, `gt`, `le`,
    `lt`), also those that were kept; `is_whole`: of a number that must be. `example`: a value that would do. `given`: what came, told by nothing but the nearest choice.
    """
    limits = {name: context[name] for name in _BOUNDS if name in context} | dict(bounds or {})
    if kind == "literal_error":
        choices = _CHOICE.findall(str(context.get("expected", "")))
        return f"must be {in_words(choices)}{nearest_of(given, choices)}"
    if limits and (kind.startswith(("int_", "greater_", "less_", "float_", "decimal_"))):
        sentence = f"must be a {'whole ' if is_whole or kind.startswith('int_') else ''}number{_range(limits)}"
    elif (length := _length(kind, context)) is not None:
        return length
    elif kind == "string_pattern_mismatch":
        sentence = f"must match {context.get('pattern')}" if example is None else "has not the form it must have"
    else:
        sentence = _KINDS.get(kind) or _INPUT.sub("must be ", message).removeprefix(_VALUE_ERROR)
    # A sentence of our own says what it means to.
    return sentence if example is None or kind == "value_error" else f"{sentence}, such as {example}"


def in_words(choices: Sequence[str]) -> str:
    """`a, b or c`."""
    *rest, last = choices or ("nothing",)
    return f"{', '.join(rest)} or {last}" if rest else last


def _range(limits: Mapping[str, float]) -> str:
    low, above, high, below = (limits.get(name) for name in _BOUNDS)
    if low is not None and high is not None:
        return f" from {_plain(low)} to {_plain(high)}"
    if above is not None and high is not None:
        return f" above {_plain(above)} and up to {_plain(high)}"
    if low is not None:
        return f", {_plain(low)} or more"
    if above is not None:
        return f" above {_plain(above)}"
    return f", {_plain(high)} or less" if high is not None else f" below {_plain(below or 0)}"


def _plain(number: float) -> str:
    return f"{number:.0f}" if float(number).is_integer() else f"{number:g}"


def _length(kind: str, context: Mapping[str, Any]) -> str | None:
    match kind:
        case "string_too_short" | "too_short" if context.get("min_length") == 1:
            return "must not be empty"
        case "string_too_short":
            return f"must have at least {context.get('min_length')} characters"
        case "string_too_long":
            return f"must have at most {context.get('max_length')} characters"
        case "too_long":
            return f"must have at most {context.get('max_length')} members"
        case "too_short":
            return f"must have at least {context.get('min_length')} members"
        case _:
            return None
