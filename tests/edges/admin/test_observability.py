"""/metrics, /livez and /readyz: no token, and what they say is so now."""

from prometheus_client.parser import text_string_to_metric_families

from proxy.core.spending.caps import CounterKey
from tests.edges.admin.composition import AN_HOUR, NOON, Admin


async def fetched(admin: Admin, path: str) -> tuple[int, str, str]:
    async with admin.session.get(admin.origin + path) as answer:
        return answer.status, answer.headers["Content-Type"], await answer.text()


async def samples(admin: Admin) -> dict[tuple[str, ...], float]:
    status, content_type, text = await fetched(admin, "/metrics")
    assert status == 200
    assert content_type.startswith("text/plain; version=")
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def test_metrics_follow_what_is_in_force(admin: Admin) -> None:
    await admin.agent("support", "one")
    await admin.post("/switches", {"scope": {"agent": "support"}, "mode": "observe"})
    await admin.post("/switches", {"scope": {}, "mode": "observe", "expires": "2026-11-20T12:30:00Z"})
    cap = await admin.post("/caps", {"scope": {}, "window": "day", "unit": "calls", "limit": 4})
    none = await admin.post("/caps", {"scope": {}, "window": "day", "unit": "tokens", "limit": 0})
    counted = next(one for one in admin.commands.live.current.caps if one.id == cap["id"])
    admin.commands.ledger.load(counted, CounterKey(counted.id, NOON - 12 * AN_HOUR), 1)
    now = await samples(admin)
    assert now["switchback_switch_active", "agent"] == now["switchback_switch_active", "everything"] == 1
    assert now["switchback_cap_remaining_ratio", cap["id"]] == 0.75
    assert now["switchback_cap_remaining_ratio", none["id"]] == 0
    assert now["switchback_recorder_queue_length",] == now["switchback_holds_outstanding",] == 0

    await admin.call("DELETE", f"/caps/{none['id']}")
    admin.commands.clock.now += 24 * AN_HOUR
    later = await samples(admin)
    assert ("switchback_switch_active", "everything") not in later
    assert ("switchback_cap_remaining_ratio", none["id"]) not in later
    assert later["switchback_cap_remaining_ratio", cap["id"]] == 1


async def test_rollbacks_are_counted(admin: Admin) -> None:
    await admin.agent("support", "one", "two")
    await admin.call("PUT", "/agents/support/labels/prod", {"version": 2})
    await admin.post("/agents/support/rollback")
    await admin.post("/agents/support/rollback")
    assert (await samples(admin))["switchback_rollbacks_total", "support", "operator"] == 1


async def test_it_lives_and_is_ready_until_it_drains(admin: Admin) -> None:
    await admin.agent("support")
    assert await fetched(admin, "/livez") == (200, "text/plain; charset=utf-8", "ok\n")
    status, content_type, text = await fetched(admin, "/readyz")
    assert (status, content_type) == (200, "application/json")
    assert text == '{"ready":true,"revision":1,"reasons":[]}'
    admin.draining.set()
    assert await fetched(admin, "/readyz") == (
        503,
        "application/json",
        '{"ready":false,"revision":1,"reasons":["draining"]}',
    )
    assert (await fetched(admin, "/livez"))[0] == 200


async def test_it_stays_ready_while_the_store_is_away(admin: Admin) -> None:
    await admin.commands.store.close()
    assert (await fetched(admin, "/readyz"))[0] == 200
    assert (await fetched(admin, "/metrics"))[0] == 200


async def test_probes_may_ask_with_head(admin: Admin) -> None:
    async with admin.session.head(admin.origin + "/readyz") as answer:
        assert (answer.status, await answer.read()) == (200, b"")
