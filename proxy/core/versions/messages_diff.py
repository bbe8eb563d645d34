"""What changed in a prompt of several messages: message by message, and each changed text by words.

A prompt that is one text counts as one `system` message here, so that a text that became a list shows what became of it. Messages
that both sides have pair up; between two of those, what stands in the same place with the same role is one message that changed.
Counterparts: prompt_diff.py (words of one text), tools_diff.py.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any, TypedDict

from proxy.core.versions.field_diff import FieldChange, member_changes
from proxy.core.versions.prompt_content import PromptRole
from proxy.core.versions.prompt_diff import Hunk, HunkDocument, prompt_hunks

Message = Mapping[str, Any]
#: A message before and after with their places; None where a side has none.
Pair = tuple[int | None, int | None]
_LIST_MEMBERS = ("text", "messages")


class MessageDiffDocument(TypedDict):
    """A message of a prompt whose text changed, by words."""

    path: str
    role: PromptRole
    text: list[HunkDocument]


@dataclass(frozen=True, slots=True)
class MessageDiff:
    """A message whose text changed. `path` is its place after the change, as in `prompt.messages[1]`."""

    path: str
    role: PromptRole
    hunks: tuple[Hunk, ...]

    def document(self) -> MessageDiffDocument:
        return {"path": self.path, "role": self.role, "text": [hunk.document() for hunk in self.hunks]}


def has_messages(*prompts: Mapping[str, Any]) -> bool:
    """Whether one of these prompts, in their normal form, has several messages."""
    return any("messages" in prompt for prompt in prompts)


def messages_changes(
    before: Mapping[str, Any], after: Mapping[str, Any]
) -> tuple[list[FieldChange], list[MessageDiff]]:
    """The differences of two prompts in their normal form: fields, and the texts that changed."""
    changes: list[FieldChange] = []
    texts: list[MessageDiff] = []
    old, new = _messages_of(before), _messages_of(after)
    for at_before, at_after in _pairs(old, new):
        path = f"prompt.messages[{at_before if at_after is None else at_after}]"
        if at_before is None and at_after is not None:
            changes.append(FieldChange(path, "added", None, new[at_after]))
        elif at_after is None and at_before is not None:
            changes.append(FieldChange(path, "removed", old[at_before], None))
        elif at_before is not None and at_after is not None:
            was, now = old[at_before], new[at_after]
            changes += member_changes(path, was, now)
            if was["text"] != now["text"]:
                texts.append(MessageDiff(path, now["role"], prompt_hunks(was["text"], now["text"])))
    changes += member_changes("prompt", _rest(before), _rest(after))
    return changes, texts


def _messages_of(prompt: Mapping[str, Any]) -> Sequence[Message]:
    if "messages" in prompt:
        return prompt["messages"]
    return [{"role": "system", "text": prompt["text"]}] if prompt["text"] else []


def _rest(prompt: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in prompt.items() if name not in _LIST_MEMBERS}


def _pairs(old: Sequence[Message], new: Sequence[Message]) -> Iterator[Pair]:
    matcher = SequenceMatcher(None, [_key(one) for one in old], [_key(one) for one in new], autojunk=False)
    for op, old_from, old_to, new_from, new_to in matcher.get_opcodes():
        if op == "equal":
            continue
        before, after = list(range(old_from, old_to)), list(range(new_from, new_to))
        while before and after:
            if old[before[0]]["role"] == new[after[0]]["role"] or len(before) == len(after):
                yield before.pop(0), after.pop(0)
            elif len(before) > len(after):
                yield before.pop(0), None
            else:
                yield None, after.pop(0)
        yield from ((index, None) for index in before)
        yield from ((None, index) for index in after)


def _key(message: Message) -> tuple[str, str]:
    return message["role"], message["text"]
