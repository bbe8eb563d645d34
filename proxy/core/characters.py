"""Which characters can deceive whoever reads a text, and where they are refused, escaped or replaced: the one place that says so.

Deceiving are: the controls (C0, DEL, C1), which move a cursor, colour or end a line; the marks, embeddings, overrides and isolates
of direction, which reorder it; and what takes no room at all (zero-width, joiners, tags, fillers), which makes two names look alike.

    names of agents, labels, tokens and tags, models of new versions   refused where they are made
    all else (reasons, messages, prompts, tools, user ids, answers)    anybody's text, kept as it is; and then
        in a line of the log                                            escaped, as JSON has it (`\\u202e`)
        in a label of a metric, a terminal, CSV                         replaced; CSV also defuses what begins like a formula
        in JSON answers                                                 as it is; the command prints JSON in ASCII

A file that people write has to be UTF-8 (`file_text`), or is refused with the line where it is not.

A reason is not refused for its characters: it comes with kill switches and rollbacks, which have to be in force at once.
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
#: Line feeds and tabs stay, and joiners between letters of scripts and signs that have them.
_DECEIVING_IN_TEXT = re.compile(
    rf"(?![\t\n])[{_CONTROLS}{_INVISIBLE}{_SURROGATES}]|(?<![^\x00-\x7f])[{_JOINERS}]|[{_JOINERS}](?![^\x00-\x7f])"
)


def is_plain(text: str) -> bool:
    """Whether `text` has none of the characters that deceive; line ends and tabs are among them."""
    return (text.isascii() and text.isprintable()) or _DECEIVING.search(text) is None


def plain(text: str) -> str:
    """`text` with each of them replaced."""
    return text if text.isascii() and text.isprintable() else _DECEIVING.sub(REPLACEMENT, text)


def plain_text(text: str) -> str:
    """A text of several lines with each of them replaced; line feeds, tabs and the joiners of scripts stay."""
    return _DECEIVING_IN_TEXT.sub(REPLACEMENT, text)


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


class NoText(ValueError):
    """The bytes are no text; the message goes on from the name of the file."""


def file_text(content: bytes, *, is_prompt: bool = False) -> str:
    """The text, every byte of it kept, a BOM too. Raises NoText.

    A NUL is in no text that people write: it comes of a binary file, or of UTF-16 without its mark. Only a prompt may hold one, because
    what the API took as a prompt is written out and read back as it is.
    """
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise NoText("is not UTF-8 but UTF-16: save it as UTF-8")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise NoText(f"is not UTF-8 (line {_line_at(content, error.start)})") from None
    nul = content.find(b"\0")
    if nul >= 0 and not is_prompt:
        raise NoText(f"holds a NUL byte (line {_line_at(content, nul)}): is it UTF-16, or no text?")
    return text


def _line_at(content: bytes, position: int) -> int:
    return content.count(b"\n", 0, position) + 1
