"""What becomes of a caller's parameters on OpenAI's wires: those whose values the model of a version does not know, and the
options of a stream.

Belongs here: values that are brought into what the model takes, lists of which a part is left out, asking for a stream's usage. Members
that a model refuses whatever they say are each wire's `model_rules`; which model knows what is openai_models.py. What is changed is
named, so that the run can say so.
"""

from typing import Final

import msgspec

from proxy.wires.json.edits import MemberEdits
from proxy.wires.json.members import parse_members
from proxy.wires.json.values import JsonDecoder, decode, json_text
from proxy.wires.shared.openai_models import fitting_effort, has_fixed_sampling, refuses_effort, refuses_verbosity
from proxy.wires.shared.version_parts import FLAG, TEXT

_TEXTS: Final[JsonDecoder[list[str]]] = msgspec.json.Decoder(list[str])
#: What can be included only by a model that reasons, and only by one whose sampling is not fixed.
_OF_REASONING: Final = "reasoning.encrypted_content"
_OF_SAMPLING: Final = "message.output_text.logprobs"


def fit_effort(edits: MemberEdits, model: str, name: str) -> tuple[str, ...]:
    """Let the effort under `name` be one the model knows; that name where it was changed. Raises BadInput(`wrong_kind`)."""
    raw = edits.given(name) if edits.has(name) else None
    if raw is None:
        return ()
    effort = decode(raw, TEXT, name, "a text") or ""
    fitting = fitting_effort(model, effort)
    if fitting == effort:
        return ()
    edits.set(name, json_text(fitting))
    return (name,)


def fit_inside(edits: MemberEdits, model: str) -> tuple[str, ...]:
    """Take out of `text`, `reasoning` and `include` of a Responses request what the model refuses; the names of that.

    Raises BadInput(`wrong_kind`).
    """
    dropped: tuple[str, ...] = ()
    raw = edits.given("text") if refuses_verbosity(model) and edits.has("text") else None
    if raw is not None:
        inside = MemberEdits(parse_members(raw, "text"))
        if inside.has("verbosity"):
            inside.remove("verbosity")
            edits.set("text", inside.render())
            dropped = ("verbosity",)
    raw = edits.given("reasoning") if edits.has("reasoning") else None
    if raw is not None:
        inside = MemberEdits(parse_members(raw, "reasoning"))
        if fit_effort(inside, model, "effort"):
            edits.set("reasoning", inside.render())
            dropped += ("reasoning.effort",)
    return dropped + _fit_included(edits, model)


def _fit_included(edits: MemberEdits, model: str) -> tuple[str, ...]:
    raw = edits.given("include") if edits.has("include") else None
    if raw is None:
        return ()
    included = decode(raw, _TEXTS, "include", "a list of texts")
    refused = [
        name
        for name, is_refused in ((_OF_REASONING, refuses_effort(model)), (_OF_SAMPLING, has_fixed_sampling(model)))
        if is_refused and name in included
    ]
    if not refused:
        return ()
    edits.set("include", msgspec.json.encode([name for name in included if name not in refused]))
    return tuple(refused)


def ask_for_usage(edits: MemberEdits) -> bool:
    """Ask for the stream's usage where the caller did not; whether that was so. Raises BadInput(`wrong_kind`)."""
    raw = edits.given("stream_options") if edits.has("stream_options") else None
    if raw is None:
        edits.set("stream_options", b'{"include_usage":true}')
        return True
    options = parse_members(raw, "stream_options")
    if options.decoded("include_usage", FLAG, "true or false"):
        return False
    inner = MemberEdits(options)
    inner.set("include_usage", b"true")
    edits.set("stream_options", inner.render())
    return True
