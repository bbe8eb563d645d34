"""Ids in bodies as programs send them, the same on every wire and where no wire reads: a text, a number for its digits, or none."""

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from proxy.core.calls.caller import BodyClaims, Caller
from proxy.core.calls.identity import identify
from proxy.core.errors import BadInput
from proxy.wires.anthropic_messages.wire import AnthropicMessages
from proxy.wires.openai_chat.wire import OpenAIChat
from proxy.wires.openai_responses.wire import OpenAIResponses
from proxy.wires.passed_bodies import read_passed

SAID = [{"role": "user", "content": "hi"}]
#: By where a user stands in a body: what reads that, and the body with it.
PLACES: dict[str, Any] = {
    "chat": (OpenAIChat().read, lambda user: {"model": "m", "messages": SAID, "user": user}),
    "chat, safety": (OpenAIChat().read, lambda user: {"model": "m", "messages": SAID, "safety_identifier": user}),
    "responses": (OpenAIResponses().read, lambda user: {"model": "m", "input": "hi", "user": user}),
    "messages": (
        AnthropicMessages().read,
        lambda user: {"model": "m", "max_tokens": 9, "messages": SAID, "metadata": {"user_id": user}},
    ),
    "embeddings": (lambda body: read_passed(body, "openai"), lambda user: {"model": "m", "input": "hi", "user": user}),
    "batches": (lambda body: read_passed(body, "anthropic"), lambda user: {"metadata": {"user_id": user}}),
}
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=600)
IDS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS
    | st.lists(st.integers(), max_size=2) | st.dictionaries(st.text(max_size=3), st.integers(), max_size=2)
)  # fmt: skip


def found(place: str, user: Any) -> Caller | str | None:
    """Who calls; the code of a refusal; None where nothing of the body is known."""
    read, body = PLACES[place]
    try:
        facts = read(json.dumps(body(user)).encode())
        return None if facts is None else identify("a", (), facts.claims, None)
    except BadInput as refusal:
        return refusal.code


@pytest.mark.parametrize("place", PLACES)
@given(user=IDS)
@example(user=10**400)
@example(user=-0.0)
@example(user="\ufeff")
@example(user="a\u202eb")
@example(user='{"account_uuid": 1}')
def test_an_id_is_its_text_or_digits_or_refused_or_not_known(place: str, user: Any) -> None:
    who = found(place, user)
    if isinstance(who, str):
        # A number beyond all that floats can be is in no JSON that the proxy reads.
        is_endless = isinstance(user, int) and abs(user) > 10**300
        assert who == "malformed_json" if is_endless else who in ("wrong_kind", "bad_identifier")
        return
    is_id = user is None or isinstance(user, str) or (isinstance(user, int) and not isinstance(user, bool))
    if who is None:
        # Only where no wire reads, and only what is no id, or a number that none has.
        assert not is_id or (isinstance(user, int) and abs(user) > 10**300)
        return
    assert is_id
    as_text = "" if user is None else str(user)
    if not as_text.startswith("{"):
        assert (who.user or "") == as_text.strip()


@given(user=st.integers(-(10**30), 10**30) | st.text("aé漢 \u00a0-1", max_size=20))
def test_one_user_is_one_user_wherever_the_id_stands(user: int | str) -> None:
    header = [(b"switchback-user", str(user).strip().encode())]
    by_header = identify("a", header, BodyClaims(), None).user
    by_member = identify("a", (), BodyClaims(switchback={"user": user}), None).user
    told = {place: who.user for place in PLACES if isinstance(who := found(place, user), Caller)}
    assert told == dict.fromkeys(PLACES, by_header)
    assert by_member == by_header


@pytest.mark.parametrize(
    ("body", "user"),
    [
        ({"safety_identifier": "", "user": "bob"}, "bob"),
        ({"safety_identifier": None, "user": 7}, "7"),
        ({"safety_identifier": 7, "user": "bob"}, "7"),
        ({"safety_identifier": "", "user": ""}, None),
    ],
)
@pytest.mark.parametrize("place", ["chat", "responses", "embeddings"])
def test_an_empty_id_names_nobody_and_leaves_it_to_the_next(place: str, body: Any, user: str | None) -> None:
    read, whole = PLACES[place]
    members = {**whole(None), **body}
    assert identify("a", (), read(json.dumps(members).encode()).claims, None).user == user


@pytest.mark.parametrize(
    ("conversation", "expected"), [(42, "42"), ({"id": 42}, "42"), ({"id": ""}, None), ("", None), ({}, None)]
)
def test_a_conversation_may_be_a_number(conversation: Any, expected: str | None) -> None:
    body = json.dumps({"model": "m", "input": "hi", "conversation": conversation}).encode()
    assert OpenAIResponses().read(body).claims.conversation == expected
