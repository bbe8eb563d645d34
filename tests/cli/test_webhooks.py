"""`switchback webhooks`: how telling others goes, what is dead, and sending it again."""

import json

DEAD = {
    "id": "msg_1.ops",
    "endpoint": "ops",
    "state": "dead",
    "event": {"type": "label.moved", "timestamp": "2026-11-20T14:03:00Z", "data": {}},
    "tries": 10,
    "next_try_at": None,
    "problem": "answered 503",
}
ENDPOINT = {
    "name": "ops",
    "host": "hooks.example",
    "form": "standard",
    "events": ["label"],
    "signed": True,
    "waiting": 0,
    "dead": 1,
    "delivered": 4,
    "last_delivered_at": "2026-11-20T14:03:00Z",
    "last_problem": "answered 503",
}


async def test_endpoints_are_listed_with_what_waits_and_what_is_dead(switchback, admin):
    admin.answer("GET", "/webhooks", {"items": [ENDPOINT], "next": None})
    result = await switchback("webhooks", "list")
    assert result.exit_code == 0
    assert "hooks.example" in result.stdout
    assert "answered 503" in result.stdout


async def test_dead_letters_are_listed_and_sent_again(switchback, admin):
    admin.answer("GET", "/webhooks/deliveries", {"items": [DEAD], "next": None})
    listed = await switchback("webhooks", "deliveries", "--state", "dead", "--json")
    assert json.loads(listed.stdout)["items"] == [DEAD]
    assert admin.last.query["state"] == "dead"
    admin.answer("POST", "/webhooks/deliveries/msg_1.ops/resend", {**DEAD, "state": "waiting"})
    sent = await switchback("webhooks", "resend", "msg_1.ops")
    assert (sent.exit_code, sent.stdout) == (0, "msg_1.ops is tried again\n")


async def test_a_delivery_that_is_not_there_fails(switchback, admin):
    admin.refuse("POST", "/webhooks/deliveries/msg_2.ops/resend", 404, "delivery_not_found", "no delivery")
    assert (await switchback("webhooks", "resend", "msg_2.ops")).exit_code != 0
