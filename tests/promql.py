"""What an expression of PromQL names: series, their labels, labels that it groups by. Enough to hold one against a real scrape."""

import re
from dataclasses import dataclass, field

#: What Prometheus adds to every series when it scrapes.
ADDED = frozenset({"instance", "job"})
_WORDS = frozenset({"and", "or", "unless", "bool", "offset"})
_FUNCTIONS = frozenset(
    {"absent", "avg", "count", "histogram_quantile", "increase", "max", "min", "rate", "sum", "topk", "label_values"}
)
_GROUPING = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^()]*)\)")
_SELECTOR = re.compile(r"([A-Za-z_:][\w:]*)\s*\{([^{}]*)\}")
_NAME = re.compile(r"(?<![\w.$])([A-Za-z_:][\w:]*)\s*(\(?)")
_PAIRS = {")": "(", "]": "[", "}": "{"}


@dataclass
class Named:
    """What one expression names."""

    series: dict[str, set[str]] = field(default_factory=dict[str, set[str]])
    grouped: set[str] = field(default_factory=set[str])


def named_in(expression: str) -> Named:
    """Raises ValueError for a function that is not known here, or brackets that do not match."""
    text = re.sub(r'"(?:[^"\\]|\\.)*"', '""', expression)
    _check_brackets(text)
    text = re.sub(r"\[[^\]]*\]", "", text)
    named = Named()
    for labels in _GROUPING.findall(text):
        named.grouped |= {label.strip() for label in labels.split(",") if label.strip()}
    text = _GROUPING.sub(" ", text)
    for name, matchers in _SELECTOR.findall(text):
        named.series.setdefault(name, set()).update(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers))
    text = re.sub(r"\{[^{}]*\}", "", text)
    for name, opening in _NAME.findall(text):
        if opening:
            if name not in _FUNCTIONS and name not in _WORDS:
                raise ValueError(f"{name} is no function known here: {expression}")
        elif name not in _WORDS:
            named.series.setdefault(name, set())
    return named


def problems_of(expression: str, told: set[str], scraped: dict[str, set[str]]) -> list[str]:
    """What of an expression, and of labels its text tells, is in no series of a scrape (`scraped`: labels by name of series)."""
    named = named_in(expression)
    problems = [f"no series {name}: {expression}" for name in named.series if name not in scraped]
    there = set(ADDED)
    for name, labels in named.series.items():
        have = scraped.get(name, set())
        there |= have
        problems += [f"{name} has no label {label}: {expression}" for label in labels - have - ADDED]
    kept = named.grouped if re.search(r"\bby\s*\(", expression) else there
    problems += [f"nothing to group by {label}: {expression}" for label in named.grouped - there]
    problems += [f"the text tells {label}, which is not left: {expression}" for label in told - kept]
    return problems


def _check_brackets(text: str) -> None:
    opened: list[str] = []
    for character in text:
        if character in "([{":
            opened.append(character)
        elif character in _PAIRS and (not opened or opened.pop() != _PAIRS[character]):
            raise ValueError(f"brackets do not match: {text}")
    if opened:
        raise ValueError(f"brackets do not match: {text}")
