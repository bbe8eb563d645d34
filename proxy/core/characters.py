"""Which characters can deceive whoever reads a text, and where they are refused, escaped or replaced: the one place that says so.

Deceiving are: the controls (C0, DEL, C1), which move a cursor, colour or end a line; the marks, embeddings, overrides and isolates
of direction, which reorder it; and what takes no room at all (zero-width, joiners, tags, fillers), which makes two names look alike.

    names (agents, labels, tokens, tags, providers, models of new versions)   refused where they are made
    a reason, a version's message, a description                              refused where they are made; lines and tabs stay
    prompts, tools, policies, user ids, models that calls name, answers       anybody's text: kept as they are, and
        in a line of the log                                                   escaped, as JSON has it (`\\u202e`)
        in a label of a metric                                                 replaced
        in a terminal                                                          replaced; in a prompt the joiners of scripts stay
        in CSV                                                                 replaced, and starts of formulas defused
        in JSON answers                                                        as they are; the command prints JSON in ASCII
"""

import re

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_CONTROLS = r"\x00-\x1f\x7f-\x9f"
#: Every one but the joiners U+200C and U+200D, without which some scripts cannot be written.
_INVISIBLE = (
    r"\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\u3164"
    r"\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
_SURROGATES = r"\ud800-\udfff"
_JOINERS = r"\u200c\u200d"
_DECEIVING = re.compile(f"[{_CONTROLS}{_INVISIBLE}{_SURROGATES}{_JOINERS}]")
_DECEIVING_IN_TEXT = re.compile(f"[{_CONTROLS}{_INVISIBLE}{_SURROGATES}]")
_WHITE = ("\t", "\n", "\r")


def is_plain(text: str) -> bool:
    """Whether `text` has none of the characters that deceive; line ends and tabs are among them."""
    return (text.isascii() and text.isprintable()) or _DECEIVING.search(text) is None


def is_plain_text(text: str) -> bool:
    """The same for a text of several lines: line ends, tabs and the joiners of scripts may be in it."""
    return all(found[0] in _WHITE for found in _DECEIVING_IN_TEXT.finditer(text))


def plain(text: str) -> str:
    """`text` with each of them replaced."""
    return text if text.isascii() and text.isprintable() else _DECEIVING.sub(REPLACEMENT, text)


def plain_text(text: str) -> str:
    """A text of several lines with each of them replaced; line feeds, tabs and the joiners of scripts stay."""
    return _DECEIVING_IN_TEXT.sub(lambda found: found[0] if found[0] in "\t\n" else REPLACEMENT, text)


def escaped_json(line: bytes) -> bytes:
    """JSON in UTF-8 with each of them as its escape, the same value for whoever parses it. C0 is escaped already, as JSON demands."""
    if line.isascii() and b"\x7f" not in line:
        return line
    return _DECEIVING.sub(_escape, line.decode("utf-8", "surrogatepass")).encode()


def _escape(found: re.Match[str]) -> str:
    character = found[0]
    if character == "\n":
        # Between two lines.
        return character
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))
