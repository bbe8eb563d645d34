"""Prompts that apps name by an id, as OpenAI's hosted prompt objects are: resolved here, with no code of the app changed."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.harness import MODEL, Deployment, deployed

VERSIONED = "gpt-4.1-mini"
HOSTED = "pmpt_68b0c0ffee"


@pytest.fixture
async def hosted(tmp_path: Path) -> AsyncIterator[Deployment]:
    """An agent of two versions that stands behind a prompt's id, and `prod` on the second."""
    async with deployed(tmp_path / "home", prompt_ids={HOSTED: "support"}) as running:
        await running.operator.agent("support")
        for number, text in enumerate(("Greet {{who}}.", "Be kind to {{who}}."), start=1):
            prompt = {"text": text, "variables": {"who": {"default": "them"}}}
            await running.operator.version("support", "", parent=number - 1 or None, model=VERSIONED, prompt=prompt)
        await running.operator.label("support", "prod", 2)
        yield running


def sent(deployment: Deployment) -> dict[str, Any]:
    return deployment.simulator.calls[-1].json


@pytest.mark.parametrize("name", [HOSTED, "support"])
async def test_a_prompt_named_by_its_id_is_the_agents_version(hosted: Deployment, name: str) -> None:
    app = hosted.openai(None)
    answer = await app.responses.with_raw_response.create(
        prompt={"id": name, "variables": {"who": {"type": "input_text", "text": "Ann"}}},
        input="hello",
        include=["file_search_call.results"],
    )
    assert answer.headers["switchback-version"] == "support@2"
    body = {"include": ["file_search_call.results"], "input": "hello", "instructions": "Be kind to Ann."}
    assert sent(hosted) == body | {"model": VERSIONED}
    (run,) = await hosted.operator.runs(1)
    assert (run["agent"], run["version"], run["label"]) == ("support", 2, "prod")
    assert run["cost_usd"] == hosted.simulator.billed_nanodollars / 1e9 > 0


@pytest.mark.parametrize(("version", "expected"), [("1", "Greet them."), ("prod", "Be kind to them.")])
async def test_its_version_is_a_number_or_a_label(hosted: Deployment, version: str, expected: str) -> None:
    async with hosted.openai(None).responses.stream(
        model=MODEL, prompt={"id": HOSTED, "version": version}, input="hello"
    ) as stream:
        assert (await stream.get_final_response()).output_text
    assert (sent(hosted)["instructions"], sent(hosted)["model"]) == (expected, VERSIONED)
    assert "prompt" not in sent(hosted)


async def test_a_prompt_alone_is_answered(hosted: Deployment) -> None:
    assert (await hosted.openai(None).responses.create(prompt={"id": HOSTED})).output_text
    assert sent(hosted) == {"input": [{"role": "developer", "content": "Be kind to them."}], "model": VERSIONED}


@pytest.mark.parametrize(
    ("prompt", "status", "code"),
    [
        ({"id": "pmpt_unknown"}, 404, "agent_not_found"),
        ({"id": "No Name Of Ours"}, 404, "agent_not_found"),
        ({"id": HOSTED, "version": "9"}, 404, "version_not_found"),
        ({"id": HOSTED, "version": "canary"}, 404, "label_not_set"),
        ({"id": HOSTED, "version": "-?"}, 400, "bad_agent"),
        ({"id": HOSTED, "variables": {"who": {"type": "input_image", "file_id": "f"}}}, 400, "wrong_kind"),
        ({"variables": {}}, 400, "wrong_kind"),
        ("support", 400, "wrong_kind"),
    ],
)
async def test_what_cannot_be_resolved_is_refused_and_reaches_nobody(
    hosted: Deployment, prompt: Any, status: int, code: str
) -> None:
    with pytest.raises(openai.APIStatusError) as caught:
        await hosted.openai(None).responses.create(model=MODEL, prompt=prompt, input="hello")
    assert (caught.value.status_code, caught.value.code) == (status, code)
    assert not hosted.simulator.calls


async def test_two_names_of_different_agents_are_a_conflict(hosted: Deployment) -> None:
    await hosted.operator.agent("other", "Ours.")
    assert (await hosted.openai("support").responses.create(prompt={"id": HOSTED}, input="hello")).output_text
    with pytest.raises(openai.BadRequestError) as caught:
        await hosted.openai("other").responses.create(prompt={"id": HOSTED}, input="hello")
    assert caught.value.code == "agent_conflict"


async def test_variables_of_the_proxys_own_go_before_those_of_the_prompt(hosted: Deployment) -> None:
    await hosted.openai(None).responses.create(
        prompt={"id": HOSTED, "variables": {"who": "Ann"}},
        input="hello",
        extra_headers={"Switchback-Variables": '{"who": "Bob"}'},
    )
    assert sent(hosted)["instructions"] == "Be kind to Bob."
