"""Says what a command has to say, in lines and as JSON: standard output has the result, standard error what stands beside it.

Every text of a server is somebody's text: a prompt, a reason, a user id. Markup in it and characters that deceive
(core/characters.py) are made harmless before it is printed; JSON output escapes everything outside ASCII. Tables are showing.py's;
what lays them out takes 30 ms to import, which the start of a server does without.
"""

import codecs
import json
import re
import sys
from collections.abc import Iterable

from proxy.core.characters import plain_text

_LINE_ENDS = re.compile(r"\r\n|[\u2028\u2029]")


def clean_block(text: object) -> str:
    """`text` without anything that moves the cursor, colours, or reorders; lines and tabs stay."""
    return plain_text(_LINE_ENDS.sub("\n", str(text)))


def clean(text: object) -> str:
    """`text` on one line, harmless."""
    return " ".join(clean_block(text).split())


def print_json(document: object) -> None:
    """For programs: ASCII only, so that nothing in it can reach a terminal."""
    sys.stdout.write(json.dumps(document, indent=2) + "\n")


def say(line: str) -> None:
    """One line of our own words; what it quotes is made harmless."""
    sys.stdout.write(clean(line) + "\n")


def say_block(text: object) -> None:
    """A text of several lines, such as a prompt."""
    sys.stdout.write(clean_block(text).rstrip("\n") + "\n")


def say_exactly(text: str) -> None:
    """A text as it is, to the last byte, into a pipe or file; made harmless where a terminal would read it."""
    if sys.stdout.isatty():
        say_block(text)
    else:
        sys.stdout.flush()
        sys.stdout.buffer.write(text.encode("utf-8", "surrogatepass"))


def write_pieces(pieces: Iterable[bytes]) -> None:
    """A file of any length as it is into a pipe or file, text made harmless where a terminal would read it."""
    if sys.stdout.isatty():
        for text in codecs.iterdecode(pieces, "utf-8", "replace"):
            sys.stdout.write(clean_block(text))
        return
    sys.stdout.flush()
    for piece in pieces:
        sys.stdout.buffer.write(piece)


def note(line: str) -> None:
    """One line beside the result, on standard error."""
    sys.stderr.write(clean(line) + "\n")


def note_json(document: object) -> None:
    """One object beside the result, on standard error, for programs."""
    sys.stderr.write(json.dumps(document, indent=2) + "\n")
