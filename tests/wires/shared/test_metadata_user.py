"""Who is meant by Anthropic's `metadata.user_id`."""

import json
from typing import Any

import pytest

from proxy.wires.anthropic_messages.wire import AnthropicMessages
from proxy.wires.passed_bodies import read_passed
from proxy.wires.shared.metadata_user import user_and_conversation

DEVICE, ACCOUNT, SESSION = "ab" * 32, "6f1c0e0e-1111-4222-8333-444455556666", "0d5e7a1b-aaaa-4bbb-8ccc-ddddeeeeffff"


@pytest.mark.parametrize(
    ("user_id", "expected"),
    [
        ({"device_id": DEVICE, "account_uuid": ACCOUNT, "session_id": SESSION}, (ACCOUNT, SESSION)),
        ({"session_id": SESSION, "account_uuid": "", "device_id": DEVICE}, (DEVICE, SESSION)),
        ({"device_id": DEVICE, "account_uuid": None}, (DEVICE, None)),
        ({"session_id": SESSION}, (None, SESSION)),
        (f"user_{DEVICE}_account_{ACCOUNT}_session_{SESSION}", (ACCOUNT, SESSION)),
        (f"user_{DEVICE}_account__session_{SESSION}", (DEVICE, SESSION)),
        (f' {{ "account_uuid": "{ACCOUNT}" }}\n', (ACCOUNT, None)),
        ("user_42", ("user_42", None)),
        ("user_a_account_b", ("user_a_account_b", None)),
        ("{not json", ("{not json", None)),
        ({"name": "Ada"}, ('{"name": "Ada"}', None)),
        ({"session_id": True, "device_id": ["x"]}, ('{"session_id": true, "device_id": ["x"]}', None)),
        ({"session_id": 7, "account_uuid": 42, "device_id": DEVICE}, ("42", "7")),
        ({"session_id": 7.5, "account_uuid": 0}, ("0", None)),
        ('{"account_uuid": "\\ud800"}', ('{"account_uuid": "\\ud800"}', None)),
    ],
)
def test_account_or_device_is_the_user_and_the_session_the_conversation(
    user_id: Any, expected: tuple[str | None, str | None]
) -> None:
    text = user_id if isinstance(user_id, str) else json.dumps(user_id)
    assert user_and_conversation(text) == expected
    body = json.dumps({"model": "m", "max_tokens": 1, "messages": [], "metadata": {"user_id": text}}).encode()
    for facts in (AnthropicMessages().read(body), read_passed(body, "anthropic")):
        assert facts is not None
        assert (facts.claims.user, facts.claims.conversation) == expected


def test_nobody_is_named_by_nothing_and_a_text_without_end_is_not_parsed() -> None:
    assert user_and_conversation(None) == (None, None)
    long = json.dumps({"device_id": "x" * 5000, "session_id": SESSION})
    assert user_and_conversation(long) == (long, None)
