"""What is wrong with a command line, in our words: what a value must be, with an example, or what an unknown option may have meant.

One rule for unknown options: the command's own option that is spelled nearly so, or that speaks of the word; a setting of that
name, or one that speaks of the word, where the command reads settings; a command that has the option. So nobody has to list what
people try.
"""

import re
from collections.abc import Iterator
from typing import Any

from proxy.core.nearest import did_you_mean
from proxy.core.wrong_values import accepted

_NAME = "switchback"
_NEAR = 0.7
#: Of a command's own options and settings; more would be a manual.
_SHOWN = 3
_WORD = re.compile(r"[a-z0-9]+")
#: What people put before or behind a number.
_NUMBERED = re.compile(r"[A-Za-z#]?([1-9][0-9]*)")
_EXAMPLES = {"int": (3, 503), "float": (10.0, 0.5)}
_LEAST_STEM = 4


def told_better(wrong: Any) -> None:
    """Change the message of a usage error, as Typer raises it, where a better one is known."""
    if hasattr(wrong, "possibilities"):
        # Its own guesses go by letters alone.
        wrong.possibilities = None
        hint = _meant(wrong.ctx, wrong.option_name)
        if hint is not None:
            wrong.message = f"{wrong.message}; {hint}"
        return
    faults = getattr(wrong.__cause__, "errors", None)
    if faults is not None and getattr(wrong, "param", None) is not None:
        wrong.message = _value(wrong.param, faults()[0])


def _value(parameter: Any, fault: Any) -> str:
    """What a parameter takes, an example, and what came instead."""
    described = parameter.type_descriptor
    bounds = {"ge": described.parameter_info.min, "le": described.parameter_info.max}
    limits = {name: limit for name, limit in bounds.items() if limit is not None}
    examples = _EXAMPLES.get(getattr(described.annotation, "__name__", ""), ())
    low, high = limits.get("ge", 0), limits.get("le", float("inf"))
    example = next((f"{number:g}" for number in (*examples, low) if low <= number <= high), None)
    given = fault["input"]
    context: dict[str, Any] = fault.get("ctx") or {}
    is_whole = described.annotation is int
    said = accepted(
        fault["type"], fault["msg"], context, bounds=limits, is_whole=is_whole, example=example, given=given
    )
    if fault["type"] == "value_error":
        return said
    number = _NUMBERED.fullmatch(given) if isinstance(given, str) else None
    meant = f"; did you mean {number[1]}?" if number is not None and low <= int(number[1]) <= high else ""
    return f"{said}, not {given!r}{meant}"


def _meant(context: Any, option: str) -> str | None:
    words = _WORD.findall(option.lower())
    own = dict(_options(context))
    near = did_you_mean(option, own, _NEAR)
    if near is not None:
        return near
    if not words or len(words[0]) == 1:
        return None
    speaking = [name for name, text in own.items() if set(words) <= set(_WORD.findall(text.lower()))]
    if speaking:
        return f"did you mean {speaking[0]}?"
    settings = _settings_hint(words) if "--config" in own else None
    return settings or _elsewhere(context, option)


def _options(context: Any) -> Iterator[tuple[str, str]]:
    """Each option of a command, and what its help says of it."""
    for parameter in context.command.get_params(context):
        record = parameter.get_help_record(context)
        for name in (*parameter.opts, *parameter.secondary_opts):
            if name.startswith("--") and record is not None:
                yield name, " ".join(record)


def _settings_hint(words: list[str]) -> str:
    # Heavy: only a slip of whoever starts a server needs the settings here.
    from proxy.cli.setting_names import environment_name, setting_paths  # noqa: PLC0415

    scored = [(_score(words, path, says), path) for path, says in setting_paths()]
    best = max(score for score, _ in scored)
    if not best:
        return "what is no option is a setting: SWITCHBACK_…, or in the file of --config (README, Settings)"
    found = [path for score, path in scored if score == best]
    if len(found) == 1:
        return f"there is the setting {found[0]}: {environment_name(found[0])}=…, or in the file of --config"
    more = ", …" if len(found) > _SHOWN else ""
    return f"there are the settings {', '.join(found[:_SHOWN])}{more}: in the file of --config, or as {environment_name(found[0])}=…"


def _score(words: list[str], path: str, says: str) -> float:
    """How well a setting answers to all the words: as parts of its name, as words of what it says, as stems of its name. The
    shorter name is the likelier. 0: not at all."""
    names, spoken = _WORD.findall(path.lower().replace("_", " ")), set(_WORD.findall(says.lower()))
    total = 0.0
    for word in words:
        if word in names:
            total += 3
        elif word in spoken:
            total += 2
        elif len(word) >= _LEAST_STEM and any(name.startswith(word) or word.startswith(name) for name in names):
            total += 1
        else:
            return 0
    return total - path.count(".") / 10


def _elsewhere(context: Any, option: str) -> str | None:
    """Which commands have the option."""
    root = context.find_root()
    having = [path for path, command in _commands(root.command, _NAME) if _has(command, option)]
    if having and len(having) <= _SHOWN:
        return f"it is an option of {', '.join(having)}"
    return f"it stands behind the command: {_NAME} … {option}" if having and context is root else None


def _commands(group: Any, path: str) -> Iterator[tuple[str, Any]]:
    for name, command in getattr(group, "commands", {}).items():
        yield f"{path} {name}", command
        yield from _commands(command, f"{path} {name}")


def _has(command: Any, option: str) -> bool:
    return any(option in (*parameter.opts, *parameter.secondary_opts) for parameter in command.params)
