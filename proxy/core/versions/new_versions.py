"""What a version must be when it is made, beyond what a stored one must be to be read.

Versions are never changed, so a rule that came later than some of them stands here and not in components.py, through which
all of them pass again at every start.

Decision: line ends of prompts and of variables' defaults become LF, and a byte order mark before them goes, here and in one place
for every door: a checkout on another system, or an editor, must not make a version that says the same. Other white space is the
author's: a blank at the end of a line, or a line break at the end of a file, may mean something to a model. Versions made
before keep their bytes, and are compared by what they would be now.
"""

from collections.abc import Mapping
from typing import Any, cast

from proxy.core.characters import is_plain
from proxy.core.errors import BadInput
from proxy.core.nearest import did_you_mean
from proxy.core.versions.components import COMPONENT_KINDS, Bundle, parse_bundle
from proxy.core.versions.prompts import look_alike
from proxy.core.versions.recorded import COUNTED_POLICY, ENFORCED_POLICY, JUDGED_POLICY, RECORDED
from proxy.core.versions.validators import check_validators

#: Each is looked up in every call; 400,000 took a quarter of a second to cut, in which nothing else ran.
MAX_PLACEHOLDERS = 10_000
MAX_MODEL_NAME = 200
POLICY_KEYS = (*ENFORCED_POLICY, *COUNTED_POLICY, *JUDGED_POLICY, RECORDED)


def with_plain_texts(components: Mapping[str, Any]) -> dict[str, Any]:
    """The components with their texts as they are kept. What is of the wrong kind stays as it is, for `parse_bundle`."""
    prompt = components.get("prompt")
    if not isinstance(prompt, Mapping):
        return dict(components)
    plain = _plain_members(prompt)
    variables, messages = plain.get("variables"), plain.get("messages")
    if isinstance(variables, Mapping):
        declarations = cast("Mapping[str, Any]", variables).items()
        plain["variables"] = {name: _plain_members(declared) for name, declared in declarations}
    if isinstance(messages, list):
        plain["messages"] = [_plain_members(message) for message in cast("list[Any]", messages)]
    return {**components, "prompt": plain}


def _plain_members(value: Any) -> Any:
    if not isinstance(value, Mapping):
        return value
    return {key: _plain(member) for key, member in cast("Mapping[str, Any]", value).items()}


def says_the_same(made: Bundle, new: Bundle) -> bool:
    """Whether a version that is there says what a new one would say."""
    if made.bundle_hash == new.bundle_hash:
        return True
    kept = {kind: made.content(kind) for kind in COMPONENT_KINDS}
    return parse_bundle(with_plain_texts(kept)).bundle_hash == new.bundle_hash


def _plain(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    return value.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")


def check_new_version(components: Mapping[str, Any]) -> None:
    """Raises BadInput(`bad_version`) for a prompt with too many placeholders or with what only looks like one, a model name that
    is no name, a policy key that nobody reads. What is of the wrong kind altogether is left to `parse_bundle`."""
    _check_policy(components.get("policy"))
    texts = _texts_of(components)
    if sum(text.count("{{") for text in texts.values()) > MAX_PLACEHOLDERS:
        raise _bad(next(iter(texts)), f"has more than {MAX_PLACEHOLDERS} placeholders")
    for path, text in texts.items():
        _check_text(path, text)
    for key in ("name", "embeddings"):
        name = _member(components, "model", key)
        if not isinstance(name, str) or (is_plain(name) and name == name.strip() and len(name) <= MAX_MODEL_NAME):
            continue
        raise _bad(
            f"model.{key}",
            f"must be at most {MAX_MODEL_NAME} characters without control or invisible ones, and without spaces around it",
        )


def _texts_of(components: Mapping[str, Any]) -> dict[str, str]:
    """The texts of the prompt by their paths."""
    texts = {"prompt.text": _member(components, "prompt", "text")}
    messages = _member(components, "prompt", "messages")
    for index, message in enumerate(cast("list[Any]", messages) if isinstance(messages, list) else ()):
        if isinstance(message, Mapping):
            texts[f"prompt.messages[{index}].text"] = cast("Mapping[str, Any]", message).get("text")
    return {path: text for path, text in texts.items() if isinstance(text, str)}


def _check_text(path: str, text: str) -> None:
    strange = look_alike(text)
    if strange is not None:
        raise _bad(
            path,
            f"holds {strange}, which looks like a template and would reach the model as it stands: placeholders are {{{{name}}}} "
            "with letters, digits and _; a backslash before it (\\{{) makes it plain text, and what begins with {% or {# can be "
            "a variable's default",
        )


def _check_policy(policy: Any) -> None:
    """What stands beside the keys that are read would look like a rule: it goes to `recorded`, which says what it is."""
    if not isinstance(policy, Mapping):
        return
    for key, value in cast("Mapping[Any, Any]", policy).items():
        if key == RECORDED and not isinstance(value, Mapping):
            raise _bad("policy.recorded", "must be an object")
        if key not in POLICY_KEYS:
            hint = did_you_mean(key, POLICY_KEYS) or f"there are {', '.join(POLICY_KEYS)}."
            raise _bad(f"policy.{key}", f"is unknown; {hint} What is only written down goes to policy.recorded")
    check_validators(cast("Mapping[Any, Any]", policy).get("validators"))


def _member(components: Mapping[str, Any], kind: str, name: str) -> Any:
    component = components.get(kind)
    return cast("Mapping[str, Any]", component).get(name) if isinstance(component, Mapping) else None


def _bad(path: str, what: str) -> BadInput:
    return BadInput("bad_version", f"{path} {what}", param=path)
