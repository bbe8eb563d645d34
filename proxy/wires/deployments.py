"""Azure OpenAI: OpenAI's wires below paths that name a deployment, where a model goes by the name its owner gave it.

Belongs here: what such a path asks for in OpenAI's own words, and what a request is made of a version's model there. The formats are those of
OpenAI's wires; which deployment has which model is a setting of the provider. Pure.

Protocol facts: `/openai/deployments/{deployment}/chat/completions?api-version=...` names the deployment in the path, and the body's `model`
says nothing; `/openai/responses` and all below `/openai/v1` name it as the body's `model`. Some clients put `deployments` behind `/openai/v1`,
too.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Final
from urllib.parse import quote, unquote

from proxy.core.calls.caller import BodyClaims
from proxy.wires.json.edits import MemberEdits
from proxy.wires.json.members import parse_members
from proxy.wires.json.values import json_text
from proxy.wires.wire import Injection, RequestFacts

#: Where a key goes.
KEY_HEADER: Final = b"api-key"
_BELOW: Final = "/openai"
_PATH: Final = re.compile(r"/openai(?:/v1)?(?:/deployments/(?P<deployment>[^/]+))?(?P<rest>/.+)\Z")
_IN_PATH: Final = re.compile(rb"(?<=/deployments/)[^/?]+")


def plain_path(path: str) -> tuple[str, str | None] | None:
    """What a path asks for as OpenAI itself has it, and the deployment it names; None: it is no such path."""
    found = _PATH.match(path)
    if found is None:
        return None
    deployment = found["deployment"]
    return "/v1" + found["rest"], None if deployment is None else unquote(deployment)


def base_path_of(path: str) -> str:
    """What stands before a target that is below `/v1`, for the path of a resource's base URL: `/openai`, `/openai/v1`, or left out."""
    return path.rstrip("/").removesuffix("/v1").removesuffix(_BELOW) + _BELOW


def target_below(base_path: str, target: bytes) -> bytes:
    """What is asked of a resource: a path of its own as it is, any other below `/openai`."""
    before = base_path.removesuffix(_BELOW) if plain_path(target.partition(b"?")[0].decode("ascii")) else base_path
    return before.encode() + target


def asked_of(facts: RequestFacts, deployment: str) -> RequestFacts:
    """What a request asks whose path names a deployment, whatever model its body names."""
    claims = facts.claims
    return replace(
        facts,
        claims=BodyClaims(
            model=deployment,
            user=claims.user,
            conversation=claims.conversation,
            switchback=claims.switchback,
            prompt=claims.prompt,
        ),
        model=deployment,
    )


def at_deployment(
    injection: Injection, target: bytes, in_path: str | None, deployments: Mapping[str, str]
) -> Injection:
    """A request to the deployment that has its model. `target`: what is asked for; `in_path`: the deployment that it names;
    `deployments`: their models by their names, of which the first with a model is meant. Its `model` is then the model itself, so that
    it has a price. Raises BadInput(`duplicate_key`)."""
    asked = injection.model
    if asked is None:
        return injection
    deployment = asked
    if asked not in deployments:
        deployment = next((name for name, model in deployments.items() if model == asked), asked)
    body = injection.body
    if deployment != asked or in_path not in (None, deployment):
        edits = MemberEdits(parse_members(body))
        edits.set("model", json_text(deployment))
        body = edits.render()
    if in_path is not None and in_path != deployment:
        name = quote(deployment, safe="").encode()
        target = _IN_PATH.sub(lambda _: name, target, count=1)
        return replace(injection, body=body, model=deployments.get(deployment, deployment), target=target)
    return replace(injection, body=body, model=deployments.get(deployment, deployment))
