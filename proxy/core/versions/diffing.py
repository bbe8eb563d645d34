"""What changed between two versions: field by field, grouped as people review it, and the prompt by words.

The groups: `metadata` (who, why, from what, tested how), `behavior` (prompt, model), `capabilities` (tools, retrieval),
`guardrails` (policy). Either side may be a version or plain contents (a file not created yet), which are brought into the
normal form first. Parts: field_diff.py, tools_diff.py, prompt_diff.py, messages_diff.py. Counterpart: cli/diff_view.py shows it to people.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypedDict, cast, get_args

from proxy.core.versions.components import COMPONENT_KINDS, parse_bundle
from proxy.core.versions.field_diff import FieldChange, FieldChangeDocument, joined, member_changes, value_changes
from proxy.core.versions.messages_diff import MessageDiff, MessageDiffDocument, has_messages, messages_changes
from proxy.core.versions.prompt_diff import Hunk, HunkDocument, prompt_hunks
from proxy.core.versions.tools_diff import tools_changes
from proxy.core.versions.versions import Version

ChangeGroup = Literal["metadata", "behavior", "capabilities", "guardrails"]
CHANGE_GROUPS: tuple[ChangeGroup, ...] = get_args(ChangeGroup)
_METADATA = ("author", "message", "parent", "tested_against", "source")

Contents = Mapping[str, Any]


class VersionDiffDocument(TypedDict):
    """What changed, field by field in four groups, and the prompt by words: its text, or each of its messages that changed."""

    metadata: list[FieldChangeDocument]
    behavior: list[FieldChangeDocument]
    capabilities: list[FieldChangeDocument]
    guardrails: list[FieldChangeDocument]
    prompt: list[HunkDocument]
    messages: list[MessageDiffDocument]
    changes_behavior: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionDiff:
    """The differences from one version to another. `prompt` has no hunks where the text did not change, nor where one of the two
    has several messages: then `messages` has those whose text changed."""

    metadata: tuple[FieldChange, ...] = ()
    behavior: tuple[FieldChange, ...] = ()
    capabilities: tuple[FieldChange, ...] = ()
    guardrails: tuple[FieldChange, ...] = ()
    prompt: tuple[Hunk, ...] = ()
    messages: tuple[MessageDiff, ...] = ()

    @property
    def is_empty(self) -> bool:
        return not any(self.changes(group) for group in CHANGE_GROUPS)

    @property
    def changes_behavior(self) -> bool:
        """True where the two would treat a call differently, so that their bundle hashes differ."""
        return bool(self.behavior or self.capabilities or self.guardrails)

    def changes(self, group: ChangeGroup) -> tuple[FieldChange, ...]:
        """The changes of one group."""
        match group:
            case "metadata":
                return self.metadata
            case "behavior":
                return self.behavior
            case "capabilities":
                return self.capabilities
            case "guardrails":
                return self.guardrails

    def document(self) -> VersionDiffDocument:
        """As the admin API answers it: the four groups, `prompt` as hunks, and whether behaviour changes at all."""
        return {
            "metadata": [change.document() for change in self.metadata],
            "behavior": [change.document() for change in self.behavior],
            "capabilities": [change.document() for change in self.capabilities],
            "guardrails": [change.document() for change in self.guardrails],
            "prompt": [hunk.document() for hunk in self.prompt],
            "messages": [message.document() for message in self.messages],
            "changes_behavior": self.changes_behavior,
        }


def diff_versions(before: Version | Contents, after: Version | Contents) -> VersionDiff:
    """Compare two versions, or contents in the words of the API (missing components are empty).

    Metadata is compared where both sides have it: a file has no author. Raises BadInput(`bad_version`) for contents that
    no version could have.
    """
    old, new = _normal(before), _normal(after)
    of_prompt, hunks, messages = _prompt_changes(old["prompt"], new["prompt"])
    return VersionDiff(
        metadata=tuple(_metadata_changes(_metadata(before), _metadata(after))),
        behavior=(
            *of_prompt,
            *_model_changes(old["model"], new["model"]),
        ),
        capabilities=(
            *tools_changes(old["tools"], new["tools"]),
            *member_changes("retrieval", old["retrieval"], new["retrieval"]),
        ),
        guardrails=tuple(member_changes("policy", old["policy"], new["policy"])),
        prompt=hunks,
        messages=tuple(messages),
    )


def _prompt_changes(
    before: Contents, after: Contents
) -> tuple[list[FieldChange], tuple[Hunk, ...], Sequence[MessageDiff]]:
    if has_messages(before, after):
        changes, messages = messages_changes(before, after)
        return changes, (), messages
    is_same_text = before["text"] == after["text"]
    hunks = () if is_same_text else prompt_hunks(before["text"], after["text"])
    return list(member_changes("prompt", before, after)), hunks, ()


def _normal(side: Version | Contents) -> dict[str, Any]:
    if isinstance(side, Version):
        return side.contents()
    bundle = parse_bundle({kind: side.get(kind) for kind in COMPONENT_KINDS})
    return {kind: bundle.content(kind) for kind in COMPONENT_KINDS}


def _metadata(side: Version | Contents) -> dict[str, Any]:
    if isinstance(side, Version):
        return {name: getattr(side, name) for name in _METADATA}
    return {name: side[name] for name in _METADATA if name in side}


def _metadata_changes(before: Contents, after: Contents) -> Iterator[FieldChange]:
    for name in _METADATA:
        if name in before and name in after:
            yield from value_changes(name, before[name], after[name])


def _model_changes(before: Contents, after: Contents) -> Iterator[FieldChange]:
    for name in ("provider", "name", "embeddings"):
        old, new = before.get(name), after.get(name)
        if old != new:
            kind: Literal["added", "removed", "changed"] = (
                "added" if old is None else "removed" if new is None else "changed"
            )
            yield FieldChange(f"model.{name}", kind, old, new)
    yield from _parameter_changes(before["parameters"], after["parameters"])


def _parameter_changes(before: Contents, after: Contents) -> Iterator[FieldChange]:
    """Parameters with `{value, enforced}` on each side, so that a change from enforced to default shows as one."""
    path = "model.parameters"
    for name in [*before, *(name for name in after if name not in before)]:
        place = joined(path, name)
        if name == "extra":
            yield from member_changes(place, before.get(name, {}), after.get(name, {}))
            continue
        old = _parameter(before[name]) if name in before else None
        new = _parameter(after[name]) if name in after else None
        if old is None or new is None:
            yield FieldChange(place, "added" if old is None else "removed", old, new)
        elif old["enforced"] == new["enforced"] and isinstance(old["value"], dict) and isinstance(new["value"], dict):
            yield from value_changes(place, cast("Any", old["value"]), cast("Any", new["value"]))
        elif any(True for _ in value_changes(place, old, new)):
            yield FieldChange(place, "changed", old, new)


def _parameter(content: Any) -> dict[str, Any]:
    if isinstance(content, dict) and set(cast("dict[str, Any]", content)) == {"default"}:
        return {"value": cast("dict[str, Any]", content)["default"], "enforced": False}
    return {"value": content, "enforced": True}
