"""`switchback diff`: what changed between two versions, for people. Rendering only; core/versions/diffing.py finds the changes.

Prompts are other people's text: whatever could move a cursor, colour, reorder or hide is shown as a visible symbol, and nothing
is read as markup. In a terminal inserted words are green and deleted ones red and struck; elsewhere they stand in `{+ +}` and
`[- -]`. Long unchanged stretches are left out here, never in the data (`--json`).
"""

import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, cast

import typer
from rich.console import Console
from rich.style import Style
from rich.text import Text

from proxy.cli.admin_client import AdminClient, Document, segment
from proxy.cli.admin_command import AgentName, admin_command
from proxy.cli.failures import EXIT_USAGE, CommandFailed
from proxy.cli.git_verbs import all_told
from proxy.cli.showing import Show
from proxy.cli.version_names import version_number
from proxy.core.versions.recorded import remark_on

GROUPS = ("metadata", "behavior", "capabilities", "guardrails")
_CONTEXT_LINES = 2
_MAX_VALUE = 200
_STYLES = {
    "equal": Style(),
    "insert": Style(color="green"),
    "delete": Style(color="red", strike=True),
    "elided": Style(dim=True),
    "heading": Style(bold=True),
}
_MARKS = {"insert": ("{+", "+}"), "delete": ("[-", "-]")}
#: Control characters, surrogates, what reorders a line, and what is not seen at all (zero width, tags, fillers); joiners
#: within scripts and emoji stay.
_UNSAFE = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f"
    "\u3164\ud800-\udfff\ufeff\uffa0\ufff9-\ufffb\U000e0000-\U000e0fff]"
)
_TEXT_OF_MESSAGE = re.compile(r"prompt\.messages\[\d+\]\.text\Z")
_BLANKS = str.maketrans({" ": "·", "\u00a0": "⍽"})


def visible(text: str) -> str:
    """`text` with every character that a terminal obeys or an eye misses as a symbol; line feeds stay."""
    return _UNSAFE.sub(_symbol, text)


def _symbol(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code == 0x09:
        return "\N{RIGHTWARDS ARROW}   "
    if code < 0x20:
        return chr(0x2400 + code)
    return "\N{SYMBOL FOR DELETE}" if code == 0x7F else f"⟨U+{code:04X}⟩"


def render(document: Mapping[str, Any], *, in_colour: bool) -> Text:
    """A diff document as text: changed fields by group, then the prompt. Says so where nothing changed."""
    text = Text()
    for group in GROUPS:
        changes = cast("list[Document]", document.get(group) or [])
        if not changes:
            continue
        text.append(f"{group}\n", _STYLES["heading"])
        for change in changes:
            _add_change(text, change, in_colour)
    hunks = cast("list[Document]", document.get("prompt") or [])
    if hunks:
        text.append("prompt\n", _STYLES["heading"])
        _add_hunks(text, hunks, in_colour)
    for message in cast("list[Document]", document.get("messages") or []):
        text.append(f"{message.get('path')} ({message.get('role')})\n", _STYLES["heading"])
        _add_hunks(text, cast("list[Document]", message.get("text") or []), in_colour)
    if not text.plain:
        text.append("no differences\n")
    return text


def _add_hunks(text: Text, hunks: Sequence[Document], in_colour: bool) -> None:
    for op, piece in _shown_hunks(hunks):
        _add(text, op, piece, in_colour)
    if not text.plain.endswith("\n"):
        text.append("\n")


def _add_change(text: Text, change: Document, in_colour: bool) -> None:
    path = str(change.get("path"))
    said = remark_on(path, change.get("before" if change.get("kind") == "removed" else "after"))
    text.append(f"  {visible(path)}{f' ({said})' if said else ''}: ".replace("\n", "␊"))
    if path == "prompt.text" or _TEXT_OF_MESSAGE.match(path):
        text.append(f"{change.get('kind')}, see below\n")
        return
    before, after = _shown_value(change.get("before")), _shown_value(change.get("after"))
    match change.get("kind"):
        case "added":
            _add(text, "insert", after, in_colour)
        case "removed":
            _add(text, "delete", before, in_colour)
        case _:
            _add(text, "delete", before, in_colour)
            text.append(" → ")
            _add(text, "insert", after, in_colour)
    text.append("\n")


def _shown_value(value: Any) -> str:
    """On one line; a parameter with whether it is enforced or a default."""
    if isinstance(value, dict) and set(cast("Document", value)) == {"value", "enforced"}:
        parameter = cast("Document", value)
        return f"{_shown_value(parameter['value'])} ({'enforced' if parameter['enforced'] else 'default'})"
    shown = value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)
    shown = visible(shown).replace("\n", "␊")
    return shown if len(shown) <= _MAX_VALUE else f"{shown[:_MAX_VALUE]}… ({len(shown)} characters)"


def _add(text: Text, op: str, piece: str, in_colour: bool) -> None:
    before, after = ("", "") if in_colour else _MARKS.get(op, ("", ""))
    text.append(f"{before}{piece}{after}", _STYLES[op])


def _shown_hunks(hunks: Sequence[Document]) -> Iterator[tuple[str, str]]:
    last = len(hunks) - 1
    for index, hunk in enumerate(hunks):
        op, text = str(hunk.get("op")), str(hunk.get("text"))
        if op in _MARKS:
            yield op, _with_visible_ends(text)
        else:
            # The line end of an unchanged CRLF is no news; a changed one is shown.
            yield from _elided(visible(text.replace("\r\n", "\n")), is_first=index == 0, is_last=index == last)


def _with_visible_ends(text: str) -> str:
    """A changed text in which line ends show; where it is blank altogether, so do its spaces."""
    shown = visible(text).replace("\n", "↵\n")
    return shown.translate(_BLANKS) if not text.strip() else shown


def _elided(text: str, *, is_first: bool, is_last: bool) -> Iterator[tuple[str, str]]:
    """An unchanged stretch: only its lines next to a change."""
    lines = text.split("\n")
    head = 0 if is_first else _CONTEXT_LINES
    tail = 0 if is_last else _CONTEXT_LINES
    # The first and last pieces belong to the lines of the changes beside them.
    left_out = len(lines) - (head + 1) - (tail + 1)
    if left_out <= 1:
        yield "equal", text
        return
    start = "" if is_first else "\n".join(lines[: head + 1]) + "\n"
    end = "" if is_last else "\n".join(lines[-(tail + 1) :])
    dropped = text.count("\n") - start.count("\n") - end.count("\n")
    yield "equal", start
    yield "elided", f"⋯ {dropped} unchanged lines ⋯\n"
    yield "equal", end


def print_diff(document: Mapping[str, Any]) -> None:
    """To standard output: coloured where that is a terminal that wants colour, marked elsewhere."""
    console = Console(file=sys.stdout, markup=False, highlight=False, emoji=False, soft_wrap=True)
    in_colour = console.is_terminal and console.color_system is not None and not console.no_color
    console.print(render(document, in_colour=in_colour), end="")


def register(app: typer.Typer) -> None:
    """Add `diff` to the command."""
    admin_command(
        app,
        "diff",
        "switchback diff support-triage 6 7",
        "switchback diff support-triage prod staging",
        "switchback diff support-triage prod --file config/agents/support-triage",
    )(show_diff)


def show_diff(
    api: AdminClient,
    show: Show,
    agent: AgentName,
    before: Annotated[str, typer.Argument(metavar="A", help="A version's number, a label, or `latest`.")],
    after: Annotated[str | None, typer.Argument(metavar="B", help="The same, of the other side.")] = None,
    file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Compare A with this agent.yaml (or its folder) instead of B.")
    ] = None,
) -> None:
    """Show what changed from version A to version B, or to a file that is no version yet."""
    if (after is None) == (file is None):
        raise CommandFailed("say what to compare with: B, or --file", EXIT_USAGE)
    old = version_number(api, agent, before)
    if file is not None:
        document = _diff_with_file(api, agent, old, file)
    else:
        document = api.get(f"{_versions(agent)}/{old}/diff/{version_number(api, agent, cast('str', after))}")
    if show.as_json:
        show.document(document)
    else:
        print_diff(document)


def _diff_with_file(api: AdminClient, agent: str, version: int, path: Path) -> Document:
    # Heavy: readers of YAML and JSON, which only the verbs about files need.
    from proxy.cli.agent_files import BadAgentFiles, read_agent_file  # noqa: PLC0415
    from proxy.core.versions.diffing import diff_versions  # noqa: PLC0415
    from proxy.core.versions.new_versions import with_plain_texts  # noqa: PLC0415

    try:
        file = read_agent_file(path)
    except BadAgentFiles as bad:
        raise all_told(bad.problems) from None
    if file.name != agent:
        raise CommandFailed(f"{path} describes the agent {file.name}, not {agent}", EXIT_USAGE)
    return {**diff_versions(with_plain_texts(api.get(f"{_versions(agent)}/{version}")), file.version).document()}


def _versions(agent: str) -> str:
    return f"/agents/{segment(agent)}/versions"
