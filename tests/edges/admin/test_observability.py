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
    await admin.post("/switches", {"scope": {"agent": "support"}, "mode": "observe", "why": "look"})
    await admin.post("/switches", {"scope": {}, "mode": "observe", "why": "look", "expires": "2026-11-20T12:30:00Z"})
    cap = await admin.post("/caps", {"scope": {}, "window": "day", "unit": "calls", "limit": 4})
    none = await admin.post("/caps", {"scope": {}, "window": "day", "unit": "tokens", "limit": 0})
    counted = next(one for one in admin.commands.live.current.caps if one.id == cap["id"])
    admin.commands.ledger.load(counted, CounterKey(counted.id, NOON - 12 * AN_HOUR), 1, 1)
    now = await samples(admin)
    assert now["switchback_switch_active", "observe", "agent=support"] == 1
    assert now["switchback_switch_active", "observe", "everything"] == 1
    assert now["switchback_cap_remaining_ratio", cap["id"], "everything", "calls", "day"] == 0.75
    assert now["switchback_cap_remaining_ratio", none["id"], "everything", "tokens", "day"] == 0
    assert now["switchback_cap_charged_by_crashes_ratio", cap["id"], "everything", "calls", "day"] == 0.25
    assert now["switchback_cap_charged_by_crashes_ratio", none["id"], "everything", "tokens", "day"] == 0
    assert now["switchback_recorder_queue_length",] == now["switchback_holds_outstanding",] == 0

    await admin.call("DELETE", f"/caps/{none['id']}")
    admin.commands.clock.now += 24 * AN_HOUR
    later = await samples(admin)
    assert ("switchback_switch_active", "observe", "everything") not in later
    assert ("switchback_cap_remaining_ratio", none["id"], "everything", "tokens", "day") not in later
    assert later["switchback_cap_remaining_ratio", cap["id"], "everything", "calls", "day"] == 1


async def test_a_cap_whose_ledger_is_not_read_has_no_series_and_one_whose_clock_went_back_keeps_its_window(
    admin: Admin,
) -> None:
    cap = await admin.post("/caps", {"scope": {}, "window": "day", "unit": "calls", "limit": 4})
    series = "switchback_cap_remaining_ratio", cap["id"], "everything", "calls", "day"
    ledger = admin.commands.ledger
    counted = next(one for one in admin.commands.live.current.caps if one.id == cap["id"])
    ledger.load(counted, CounterKey(counted.id, NOON - 12 * AN_HOUR), 1)
    admin.commands.clock.now -= 13 * AN_HOUR
    assert (await samples(admin))[series] == 0.75
    ledger.is_loaded = False
    assert series not in await samples(admin)
    (told,) = (await admin.get("/caps"))["items"]
    assert (told["spent"], told["held"], told["remaining"]) == (None, None, None)
    ledger.is_loaded = True
    assert (await samples(admin))[series] == 0.75


async def test_labels_say_which_version_they_serve(admin: Admin) -> None:
    await admin.agent("support", "one", "two")
    assert (await samples(admin))["switchback_label_info", "support", "prod", "1"] == 1
    await admin.call("PUT", "/agents/support/labels/prod", {"version": 2})
    now = await samples(admin)
    assert now["switchback_label_info", "support", "prod", "2"] == 1
    assert ("switchback_label_info", "support", "prod", "1") not in now


async def test_what_switches_and_caps_are_about_is_readable_and_names_no_user(admin: Admin) -> None:
    await admin.agent("support", "one")
    await admin.post("/switches", {"scope": {"agent": "support", "tag": "tenant=a"}, "mode": "block", "why": "a test"})
    for user in ("ada", "*"):
        await admin.post("/caps", {"scope": {"user": user}, "window": "day", "unit": "usd", "limit": 4})
    found = await samples(admin)
    assert found["switchback_switch_active", "block", "agent=support,tag=tenant=a"] == 1
    scopes = sorted(key[2] for key in found if key[0] == "switchback_cap_remaining_ratio")
    assert scopes == ["user=*", "user=one"]


async def test_there_is_no_series_of_when_a_counter_was_made_and_the_process_tells_of_itself(admin: Admin) -> None:
    _, _, text = await fetched(admin, "/metrics")
    assert "_created" not in text
    found = await samples(admin)
    for name in ("cpu_seconds_total", "resident_memory_bytes", "open_fds", "max_fds", "start_time_seconds"):
        assert found[f"process_{name}",] > 0


async def test_rollbacks_are_counted(admin: Admin) -> None:
    await admin.agent("support", "one", "two")
    await admin.call("PUT", "/agents/support/labels/prod", {"version": 2})
    await admin.post("/agents/support/rollback")
    await admin.post("/agents/support/rollback")
    assert (await samples(admin))["switchback_rollbacks_total", "support", "operator"] == 1


async def test_the_share_of_each_arm_of_a_rollout_is_told(admin: Admin) -> None:
    await admin.agent("support", "one", "two", "three")
    arms = [{"name": "b", "version": 2, "percentage": 20}, {"name": "c", "version": 3, "percentage": 30}]
    assert (await admin.post("/agents/support/rollouts", {"label": "prod", "arms": arms})).status == 201
    found = await samples(admin)
    shares = {key[1:]: share for key, share in found.items() if key[0] == "switchback_rollout_share_ratio"}
    assert shares == {("support", "b", "prod"): 0.2, ("support", "c", "prod"): 0.3}


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
