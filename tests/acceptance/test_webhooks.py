"""Changes are told to endpoints: signed, retried, kept over a restart, given up in the end, and never in the way of anything."""

import asyncio
import base64
import hmac
from collections.abc import AsyncIterator
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiohttp import web

from proxy.core.webhooks.signing import PAUSES_SECONDS, secret_bytes
from proxy.edges.webhooks.posting import HttpPosting, is_public
from proxy.runtime.webhooks.endpoints import Endpoint, PostFailed
from proxy.settings import SettingsError, load_settings
from proxy.simulator.app import Simulator
from tests.acceptance.several_workers import many
from tests.harness import PATIENCE_SECONDS, Refused, deployed, eventually

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


class Receiver:
    """An endpoint that answers as it is told."""

    def __init__(self) -> None:
        self.status = 204
        self.taken: list[tuple[dict[str, str], bytes]] = []
        self.tries = 0
        self.url = ""
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        app = web.Application()
        app.router.add_post("/hook", self._take)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/hook"

    async def stop(self) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    @property
    def events(self) -> list[dict[str, Any]]:
        return [orjson.loads(body) for _, body in self.taken]

    @property
    def types(self) -> list[str]:
        return [event["type"] for event in self.events]

    async def _take(self, request: web.Request) -> web.Response:
        self.tries += 1
        body = await request.read()
        if self.status < 300:
            self.taken.append((dict(request.headers), body))
        return web.Response(status=self.status, headers={"location": self.url} if self.status == 302 else {})


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    made = Receiver()
    await made.start()
    yield made
    await made.stop()


def settings(receiver: Receiver, **members: Any) -> dict[str, Any]:
    return {"webhooks": {"ops": {"url": receiver.url, "secret": SECRET, "allow_private": True, **members}}}


async def told(receiver: Receiver, count: int) -> None:
    await eventually(lambda: len(receiver.taken) >= count)


async def test_label_moves_and_switches_are_told_signed_and_in_their_order(tmp_path: Path, receiver: Receiver) -> None:
    async with deployed(tmp_path / "home", **settings(receiver)) as deployment:
        await deployment.operator.agent("support", "be brief")
        made = await deployment.operator.post("/switches", scope={"agent": "support"}, mode="block", why="a try")
        await deployment.operator.request("DELETE", f"/switches/{made['id']}?why=over")
        await told(receiver, 3)
        assert receiver.types == ["label.moved", "switch.on", "switch.off"]
        moved = receiver.events[0]["data"]
        assert (moved["subject"], moved["why"]) == ("agents/support/labels/prod", "a test")
        for headers, body in receiver.taken:
            signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
            expected = hmac.new(secret_bytes(SECRET), signed, sha256).digest()
            assert headers["webhook-signature"] == "v1," + base64.b64encode(expected).decode()
        (shown,) = (await deployment.operator.get("/webhooks"))["items"]
        assert (shown["name"], shown["host"], shown["delivered"], shown["waiting"]) == ("ops", "127.0.0.1", 3, 0)
        assert receiver.url not in str(shown)
        assert SECRET not in str(shown)


async def test_a_rollout_taken_back_is_told_with_the_sentence_of_its_evidence(
    tmp_path: Path, receiver: Receiver
) -> None:
    hooks = settings(receiver, events=["rollout"])
    async with deployed(tmp_path / "home", rollout_tick_seconds=0.05, **hooks) as deployment:
        await deployment.operator.agent("support", "good")
        await deployment.operator.version("support", "[[simulate: status=500]]", parent=1)
        plan = {"steps": [{"percentage": 50, "min_duration": "1h", "min_runs": 0, "min_users": 0}]}
        await deployment.operator.post(
            "/agents/support/rollouts", label="prod", candidate=2, plan=plan, why="a test", force=True
        )

        async def is_over() -> bool:
            for number in range(10):
                async with deployment.post(
                    "/a/support/v1/chat/completions",
                    {"model": "x", "messages": [{"role": "user", "content": "hi"}]},
                    switchback_user=f"user-{number}-{len(receiver.taken)}-{receiver.tries}-{id(object())}",
                ) as answer:
                    await answer.read()
            return "label.rolled_back" in receiver.types

        await eventually(is_over)
        ended = next(event for event in receiver.events if event["type"] == "label.rolled_back")
        assert "errors" in ended["data"]["sentence"]


async def test_what_an_endpoint_refuses_is_kept_over_a_restart_and_told_under_the_same_id(
    tmp_path: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nothing is sent again by itself meanwhile, however long the restart takes.
    monkeypatch.setattr("proxy.core.webhooks.signing.PAUSES_SECONDS", (3600,) * len(PAUSES_SECONDS))
    receiver.status = 500
    simulator = Simulator()
    await simulator.start()
    async with deployed(tmp_path / "home", simulator=simulator, **settings(receiver)) as first:
        await first.operator.agent("support", "be brief")

        async def failed() -> bool:
            page = await first.operator.get("/webhooks/deliveries?state=waiting")
            return bool(page["items"]) and page["items"][0]["tries"] > 0

        await eventually(failed)
        (waiting,) = (await first.operator.get("/webhooks/deliveries?endpoint=ops"))["items"]
        assert waiting["problem"] == "answered 500"
    receiver.status = 204
    async with deployed(tmp_path / "home", simulator=simulator, **settings(receiver)) as second:
        sent = await second.operator.post(f"/webhooks/deliveries/{waiting['id']}/resend")
        assert sent["state"] == "waiting"
        await told(receiver, 1)
        assert waiting["id"] == f"{receiver.taken[0][0]['webhook-id']}.ops"
        with pytest.raises(Refused) as refused:
            await second.operator.post("/webhooks/deliveries/msg_none.ops/resend")
        assert refused.value.code == "delivery_not_found"
    await simulator.stop()
    assert receiver.types == ["label.moved"]


async def test_what_is_given_up_is_a_dead_letter_until_somebody_sends_it_again(
    tmp_path: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proxy.core.webhooks.signing.PAUSES_SECONDS", (0,) * len(PAUSES_SECONDS))
    monkeypatch.setattr("proxy.runtime.webhooks.webhooks._LOOK_SECONDS", 0.01)
    receiver.status = 503
    lines: list[dict[str, Any]] = []
    hooks = settings(receiver)
    async with deployed(tmp_path / "home", log=lambda line: lines.append(orjson.loads(line)), **hooks) as deployment:
        await deployment.operator.agent("support", "be brief")

        async def is_dead() -> bool:
            return bool((await deployment.operator.get("/webhooks/deliveries?state=dead"))["items"])

        await eventually(is_dead)
        tries = receiver.tries
        assert tries == len(PAUSES_SECONDS) + 1
        (dead,) = (await deployment.operator.get("/webhooks/deliveries?state=dead"))["items"]
        assert (dead["state"], dead["next_try_at"], dead["problem"]) == ("dead", None, "answered 503")
        assert any(line.get("event") == "webhook_dead" for line in lines)
        receiver.status = 204
        await deployment.operator.post(f"/webhooks/deliveries/{dead['id']}/resend")
        await told(receiver, 1)
        assert (await deployment.operator.get("/webhooks/deliveries"))["items"] == []


async def test_an_endpoint_that_is_gone_is_not_tried_again_and_a_redirect_is_not_followed(
    tmp_path: Path, receiver: Receiver
) -> None:
    receiver.status = 410
    async with deployed(tmp_path / "home", **settings(receiver)) as deployment:
        await deployment.operator.agent("support", "be brief")

        async def state() -> str:
            items = (await deployment.operator.get("/webhooks/deliveries"))["items"]
            return items[0]["state"] if items else ""

        async def is_dead() -> bool:
            return await state() == "dead"

        await eventually(is_dead)
        assert receiver.tries == 1
        receiver.status = 302
        await deployment.operator.label("support", "staging", 1)
        await eventually(lambda: receiver.tries == 2)


async def test_slack_gets_a_text_and_a_soft_cap_warns_once_a_window(tmp_path: Path, receiver: Receiver) -> None:
    hooks = {"webhooks": {"channel": {"url": receiver.url, "form": "slack", "allow_private": True, "events": ["cap"]}}}
    async with deployed(tmp_path / "home", **hooks) as deployment:
        await deployment.operator.agent("support", "be brief")
        await deployment.operator.post(
            "/caps", scope={"agent": "support"}, window="total", unit="calls", limit=1, at_limit="warn", why="a test"
        )
        await told(receiver, 1)
        await many(deployment, 5)
        await told(receiver, 2)
        await deployment.operator.post("/switches", scope={"agent": "support"}, mode="observe", why="not asked for")
        texts = [event["text"] for event in receiver.events]
    assert texts[0].startswith("cap.set")
    assert texts[1].startswith("cap.warned")
    assert len(texts) == 2
    assert "webhook-signature" not in {name.lower() for headers, _ in receiver.taken for name in headers}


async def test_of_several_workers_one_process_tells(tmp_path: Path, receiver: Receiver) -> None:
    async with deployed(tmp_path / "home", workers=2, **settings(receiver)) as deployment:
        await deployment.operator.agent("support", "be brief")
        await told(receiver, 1)
        await deployment.operator.label("support", "staging", 1)
        await told(receiver, 2)
    assert receiver.types == ["label.moved", "label.moved"]
    assert len({headers["webhook-id"] for headers, _ in receiver.taken}) == 2


async def test_an_endpoint_that_never_answers_delays_no_change_and_no_other(tmp_path: Path, receiver: Receiver) -> None:
    silent_ones: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(lambda _, writer: silent_ones.append(writer), "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    silent = {"url": url, "secret": SECRET, "allow_private": True, "timeout_seconds": 60}
    hooks = {"webhooks": {"silent": silent, **settings(receiver)["webhooks"]}}
    async with asyncio.timeout(PATIENCE_SECONDS), deployed(tmp_path / "home", **hooks) as deployment:
        await deployment.operator.agent("support", "be brief")
        for number in range(5):
            await deployment.operator.label("support", f"l{number}", 1)
            await told(receiver, number + 2)
    assert silent_ones
    for writer in silent_ones:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
    server.close()


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("93.184.216.34", True),
        ("2606:2800:220:1::1", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("::1", False),
        ("fe80::1%eth0", False),
        ("fd00::1", False),
        ("::ffff:127.0.0.1", False),
        ("64:ff9b::7f00:1", False),
        ("2002:7f00:1::", False),
        ("localhost", False),
    ],
)
def test_an_address_is_public_or_not(address: str, expected: bool) -> None:
    assert is_public(address) is expected


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.1", "[::1]", "0", "[::ffff:127.0.0.1]"])
async def test_no_spelling_of_a_private_host_is_asked(receiver: Receiver, host: str) -> None:
    url = receiver.url.replace("127.0.0.1", host)
    endpoint = Endpoint(
        name="ops", url=url, host=host, secret=SECRET, events=("label",), form="standard", allow_private=False,
        timeout_seconds=5,
    )  # fmt: skip
    with pytest.raises(PostFailed) as failed:
        await HttpPosting().post(endpoint, {}, b"{}")
    assert receiver.tries == 0
    assert host not in ("127.0.0.1", "localhost", "[::1]") or "no public address" in str(failed.value)
    assert "/hook" not in str(failed.value)


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ("url: https://h.example", "secret is missing"),
        ("url: https://h.example, secret: whsec_", "whsec_"),
        ("url: http://h.example, form: slack", "allow_http"),
        ("url: 'ftp://h.example', form: slack", "must be a URL"),
        ("url: https://h.example, form: slack, ur: x", "did you mean url"),
        ("url: https://h.example, form: slack, events: [labels]", "label"),
    ],
)
def test_an_endpoint_that_could_not_be_told_safely_is_a_problem_of_the_settings(
    tmp_path: Path, members: str, said: str
) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text(f"webhooks: {{ops: {{{members}}}}}")
    with pytest.raises(SettingsError) as failed:
        load_settings(file, {})
    assert said in str(failed.value)
    assert "h.example/" not in str(failed.value)
