"""What changed in a prompt, by words: hunks that join to both texts again, byte for byte, whatever they contain.

Decision: the standard library's SequenceMatcher, whose worst case is cubic, is only ever given few tokens. Lines are matched
first, words only inside changed lines. Of either, common beginning and end are taken off, long sequences are cut into chunks
where the content says so (hence stable when something is inserted), and only changed chunks are looked into; every comparison
is paid from a budget of steps. Where that is used up a block is told as deleted and inserted whole: coarser, never wrong.
Counterpart: cli/diff_view.py shows it.
"""

import re
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import pairwise
from typing import Literal, TypedDict

HunkOp = Literal["equal", "insert", "delete"]

#: Words, with the marks and joiners that belong to them; scripts without spaces by character; spaces, line ends and
#: everything else one by one. The last alternative takes any character, so that no text is ever lost.
_UNSPACED = "\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
_TOKEN = re.compile(rf"\r\n|[\r\n]|[^\S\r\n]+|[^\s!-/:-@\[-^`{{-~{_UNSPACED}]+|.", re.DOTALL)

#: Steps (inner loop passes of SequenceMatcher, estimated from above) that lines and words may take: a second or so each.
_BUDGET_STEPS = 8_000_000
_STEPS_PER_COMPARISON = 1_000
#: Longest sequences that are compared directly.
_DIRECT = 256
#: About so many chunks are made of a longer one.
_CHUNKS = 128

Block = tuple[Literal["equal", "replace"], int, int, int, int]


class HunkDocument(TypedDict):
    """A stretch of the prompt that both have, or that was inserted or deleted."""

    op: HunkOp
    text: str


@dataclass(frozen=True, slots=True)
class Hunk:
    """A stretch of text that both have, or that was inserted or deleted."""

    op: HunkOp
    text: str

    def document(self) -> HunkDocument:
        return {"op": self.op, "text": self.text}


@dataclass(slots=True)
class _Budget:
    steps: int = _BUDGET_STEPS

    def pays(self, before: Sequence[str], after: Sequence[str]) -> bool:
        """Takes the price of one comparison; False, and nothing taken, where too little is left."""
        counts = Counter(after)
        pairs = sum(counts[token] for token in before if not token.isspace())
        price = _STEPS_PER_COMPARISON + min(len(before), len(after)) * (len(before) + pairs)
        if price > self.steps:
            return False
        self.steps -= price
        return True


def prompt_hunks(before: str, after: str) -> tuple[Hunk, ...]:
    """The hunks from `before` to `after`: equal and deleted ones join to `before`, equal and inserted ones to `after`.

    Between two equal hunks stands at most one deleted and one inserted, in this order. Nothing at all for two empty texts.
    """
    return tuple(_tidied(_line_hunks(before, after)))


def words_of(text: str) -> list[str]:
    """The tokens words are compared by; they join to `text`."""
    return _TOKEN.findall(text)


def _line_hunks(before: str, after: str) -> Iterator[Hunk]:
    old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
    words_budget = _Budget()
    for op, old_from, old_to, new_from, new_to in _blocks(old, new, _Budget()):
        deleted, inserted = "".join(old[old_from:old_to]), "".join(new[new_from:new_to])
        if op == "equal":
            yield Hunk("equal", deleted)
        else:
            yield from _word_hunks(deleted, inserted, words_budget)


def _word_hunks(before: str, after: str, budget: _Budget) -> Iterator[Hunk]:
    if not before or not after:
        yield from (Hunk("delete", before), Hunk("insert", after))
        return
    old, new = words_of(before), words_of(after)
    for op, old_from, old_to, new_from, new_to in _blocks(old, new, budget):
        deleted, inserted = "".join(old[old_from:old_to]), "".join(new[new_from:new_to])
        if op == "equal":
            yield Hunk("equal", deleted)
        else:
            yield from (Hunk("delete", deleted), Hunk("insert", inserted))


def _blocks(old: Sequence[str], new: Sequence[str], budget: _Budget) -> Iterator[Block]:
    """Equal and replaced stretches of two token sequences, together covering both."""
    start = _common(old, new)
    end = _common(old[start:][::-1], new[start:][::-1])
    old_end, new_end = len(old) - end, len(new) - end
    yield ("equal", 0, start, 0, start)
    middle_old, middle_new = old[start:old_end], new[start:new_end]
    matched = _direct_blocks if max(len(middle_old), len(middle_new)) <= _DIRECT else _chunked_blocks
    for block in matched(middle_old, middle_new, budget):
        yield _moved(block, start, start)
    yield ("equal", old_end, len(old), new_end, len(new))


def _common(old: Sequence[str], new: Sequence[str]) -> int:
    count = 0
    for one, other in zip(old, new, strict=False):
        if one != other:
            break
        count += 1
    return count


def _direct_blocks(old: Sequence[str], new: Sequence[str], budget: _Budget) -> Iterator[Block]:
    if not old or not new or not budget.pays(old, new):
        yield ("replace", 0, len(old), 0, len(new))
        return
    # Blank tokens never anchor a match, they only extend one: cheaper, and hunks do not hang on single spaces.
    matcher = SequenceMatcher(str.isspace, old, new, autojunk=False)
    for op, old_from, old_to, new_from, new_to in matcher.get_opcodes():
        yield ("equal" if op == "equal" else "replace", old_from, old_to, new_from, new_to)


def _chunked_blocks(old: Sequence[str], new: Sequence[str], budget: _Budget) -> Iterator[Block]:
    """Match chunks first, then what lies inside the chunks that changed."""
    tokens_per_chunk = max(len(old), len(new)) // _CHUNKS + 1
    old_cuts, new_cuts = _cuts(old, tokens_per_chunk), _cuts(new, tokens_per_chunk)
    old_chunks = ["".join(old[start:end]) for start, end in pairwise(old_cuts)]
    new_chunks = ["".join(new[start:end]) for start, end in pairwise(new_cuts)]
    for op, old_from, old_to, new_from, new_to in _pieces(old_chunks, new_chunks, budget):
        start, end, new_start, new_end = old_cuts[old_from], old_cuts[old_to], new_cuts[new_from], new_cuts[new_to]
        if op == "equal":
            yield ("equal", start, end, new_start, new_end)
            continue
        is_all = end - start == len(old) and new_end - new_start == len(new)
        inner = _pieces if is_all else _blocks
        for block in inner(old[start:end], new[new_start:new_end], budget):
            yield _moved(block, start, new_start)


def _cuts(tokens: Sequence[str], tokens_per_chunk: int) -> list[int]:
    """Where chunks begin and end. A cut depends on the token before it alone, so an insertion moves no later cut."""
    ends = [
        index
        for index, token in enumerate(tokens, start=1)
        if index < len(tokens) and zlib.crc32(token.encode("utf-8", "surrogatepass")) % tokens_per_chunk == 0
    ]
    return [0, *ends, len(tokens)]


def _pieces(old: Sequence[str], new: Sequence[str], budget: _Budget) -> Iterator[Block]:
    """Compared piece by piece, pieces paired by their place, none longer than can be compared directly."""
    pieces = max(1, -(-max(len(old), len(new)) // _DIRECT))
    for piece in range(pieces):
        old_from, old_to = len(old) * piece // pieces, len(old) * (piece + 1) // pieces
        new_from, new_to = len(new) * piece // pieces, len(new) * (piece + 1) // pieces
        for block in _direct_blocks(old[old_from:old_to], new[new_from:new_to], budget):
            yield _moved(block, old_from, new_from)


def _moved(block: Block, old_by: int, new_by: int) -> Block:
    op, old_from, old_to, new_from, new_to = block
    return (op, old_from + old_by, old_to + old_by, new_from + new_by, new_to + new_by)


@dataclass(slots=True)
class _Group:
    """An equal text and the change that follows it."""

    equal: list[str]
    deleted: list[str]
    inserted: list[str]

    @property
    def is_replacement(self) -> bool:
        return bool(self.deleted and self.inserted)


def _tidied(hunks: Iterator[Hunk]) -> Iterator[Hunk]:
    """Neighbours of one kind joined, and a lone blank between two replaced words replaced with them."""
    groups = [_Group([], [], [])]
    for hunk in hunks:
        if not hunk.text:
            continue
        group = groups[-1]
        if hunk.op == "delete":
            group.deleted.append(hunk.text)
        elif hunk.op == "insert":
            group.inserted.append(hunk.text)
        elif group.deleted or group.inserted:
            groups.append(_Group([hunk.text], [], []))
        else:
            group.equal.append(hunk.text)
    pieces: list[tuple[HunkOp, Callable[[_Group], list[str]]]] = [
        ("equal", lambda group: group.equal),
        ("delete", lambda group: group.deleted),
        ("insert", lambda group: group.inserted),
    ]
    for group in _merged(groups):
        for op, texts in pieces:
            if texts(group):
                yield Hunk(op, "".join(texts(group)))


def _merged(groups: list[_Group]) -> list[_Group]:
    kept = groups[:1]
    for group in groups[1:]:
        last, between = kept[-1], "".join(group.equal)
        is_blank = between.isspace() and between.splitlines() == [between]
        if is_blank and last.is_replacement and group.is_replacement:
            last.deleted += [between, *group.deleted]
            last.inserted += [between, *group.inserted]
        else:
            kept.append(group)
    return kept
