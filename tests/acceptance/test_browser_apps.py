"""Apps in the browser: what a page of another origin may do is a setting, and off unless set."""

from pathlib import Path
from typing import Any

import pytest
from multidict import CIMultiDictProxy

from tests.harness import CLAUDE, Deployment, deployed, eventually

CHAT = "/a/support/v1/chat/completions"
PAGE = "https://app.example"
USER: Any = [{"role": "user", "content": "hi"}]
BODY = {"model": "x", "messages": USER}
ASKED = "authorization, content-type, x-stainless-os"


async def preflight(
    deployment: Deployment, path: str = CHAT, origin: str = PAGE, **headers: str
) -> tuple[int, CIMultiDictProxy[str], str]:
    given = {
        "origin": origin,
        "access-control-request-method": "POST",
        "access-control-request-headers": ASKED,
        **headers,
    }
    async with deployment.session.options(deployment.server.traffic_url + path, headers=given) as answer:
        return answer.status, answer.headers, await answer.text()


def exposed(headers: CIMultiDictProxy[str]) -> set[str]:
    return {name.strip() for name in headers["access-control-expose-headers"].split(",")}


async def test_a_page_of_the_settings_may_call_and_read_what_was_resolved(tmp_path: Path) -> None:
    async with deployed(tmp_path / "home", cors={"origins": [PAGE, "http://localhost:5173"]}) as deployment:
        await deployment.operator.agent("support", "one")
        status, headers, text = await preflight(deployment)
        assert (status, text, headers["access-control-allow-origin"]) == (204, "", PAGE)
        assert headers["access-control-allow-headers"] == ASKED
        assert "POST" in headers["access-control-allow-methods"]
        assert "access-control-allow-private-network" not in headers
        for stream in (False, True):
            async with deployment.post(CHAT, BODY | {"stream": stream}, origin=PAGE) as answer:
                assert answer.status == 200
                assert answer.headers["access-control-allow-origin"] == PAGE
                assert "origin" in answer.headers.getall("vary")
                stamped = {name.lower() for name in answer.headers if name.lower().startswith("switchback-")}
                assert "switchback-version" in stamped <= exposed(answer.headers)
                await answer.read()
        async with deployment.post("/a/nobody/v1/chat/completions", BODY, origin="http://localhost:5173") as refused:
            assert refused.status == 404
            assert refused.headers["access-control-allow-origin"] == "http://localhost:5173"
        async with deployment.session.get(deployment.server.traffic_url + "/v1", headers={"origin": PAGE}) as there:
            assert there.headers["access-control-allow-origin"] == PAGE
        assert len(await deployment.operator.runs(3)) == 3
        assert len(deployment.simulator.calls) == 2


@pytest.mark.parametrize("path", [CHAT, "/a/claude/v1/messages", "/v1/embeddings", "/nobody/knows"])
async def test_the_sdk_of_each_wire_is_let_through_its_preflight(tmp_path: Path, path: str) -> None:
    async with deployed(tmp_path / "home", cors={"origins": ["*"]}) as deployment:
        status, headers, _ = await preflight(
            deployment, path, origin="https://any.example", access_control_request_private_network="true"
        )
        assert (status, headers["access-control-allow-origin"]) == (204, "*")


async def test_a_page_on_the_internet_may_reach_a_proxy_on_this_machine_where_its_origin_is_set(tmp_path: Path) -> None:
    async with deployed(tmp_path / "home", cors={"origins": [PAGE]}) as deployment:
        asks = {"access-control-request-private-network": "true"}
        _, headers, _ = await preflight(deployment, **asks)
        assert headers["access-control-allow-private-network"] == "true"


@pytest.mark.parametrize("cors", [{}, {"origins": ["https://other.example"]}, {"origins": [f"{PAGE}:8443"]}])
async def test_other_pages_are_told_what_to_set_and_their_preflight_is_no_run(
    tmp_path: Path, cors: dict[str, Any]
) -> None:
    async with deployed(tmp_path / "home", cors=cors) as deployment:
        await deployment.operator.agent("support", "one")
        await deployment.operator.agent("claude", "one", model=CLAUDE)
        for path, code in ((CHAT, ("error", "code")), ("/a/claude/v1/messages", ("error", "details", "error_code"))):
            status, headers, text = await preflight(deployment, path)
            assert status == 403
            assert "cors.origins" in text
            assert f'"{code[-1]}":"origin_not_allowed"' in text
            assert not [name for name in headers if name.lower().startswith("access-control-")]
        async with deployment.post(CHAT, BODY, origin=PAGE) as answer:
            assert not [name for name in answer.headers if name.lower().startswith("access-control-")]
        assert len(await deployment.operator.runs(1)) == 1


async def test_a_header_list_that_could_be_something_else_is_not_repeated(tmp_path: Path) -> None:
    async with deployed(tmp_path / "home", cors={"origins": ["*"]}) as deployment:
        status, headers, _ = await preflight(deployment, **{"access-control-request-headers": "a; b=<script>"})
        assert status == 204
        assert "access-control-allow-headers" not in headers


async def test_options_that_is_no_preflight_goes_to_the_provider(tmp_path: Path) -> None:
    async with deployed(tmp_path / "home", cors={"origins": ["*"]}) as deployment:
        url = deployment.server.traffic_url + "/v1/models"
        async with deployment.session.options(url, headers={"authorization": "Bearer x"}) as answer:
            await answer.read()
        await eventually(lambda: len(deployment.simulator.calls) == 1)
        assert deployment.simulator.calls[-1].method == "OPTIONS"
