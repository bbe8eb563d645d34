"""Reads and checks requests of the Anthropic wire, as strictly as the real API where that matters to a proxy.

The version header is required and decides what is allowed: from 2026-10-21 on sampling parameters are gone, as they are
for newer models under every version. Unknown members are refused; members of beta features need an `anthropic-beta`
header. Returns an `Ask`, raises `Refused`; how answers look is in `anthropic.py`.
"""

from typing import Any

import orjson

from proxy.simulator.asking import Ask, JsonObject, Refused, counted_bytes, is_count, is_list, is_object, names, text_of
from proxy.simulator.models import Model
from proxy.simulator.wire import Headers, Models, Request

VERSIONS = ("2023-01-01", "2023-06-01", "2026-10-21")
WITHOUT_SAMPLING = "2026-10-21"
SAMPLING = ("temperature", "top_p", "top_k")
MEMBERS = names(
    "max_tokens messages model cache_control container diagnostics inference_geo metadata output_config service_tier"
    " speed stop_sequences stream system temperature thinking tool_choice tools top_k top_p"
)
BETA_MEMBERS = names("fallbacks compaction context_management mcp_servers thread billing_policy output_format betas")
COUNT_MEMBERS = names("messages model cache_control output_config speed system thinking tool_choice tools")
LEAST_THINKING = 1_024


def check_caller(headers: Headers) -> None:
    """Raises Refused with 401 without a key (bearer or `x-api-key`), with 400 without a known version."""
    scheme, _, key = headers.get("Authorization", "").partition(" ")
    bearer = scheme.lower() == "bearer" and key.strip()
    if not bearer and not headers.get("x-api-key", "").strip():
        raise Refused(401, "An API key is required: send x-api-key or Authorization: Bearer.")
    version = headers.get("anthropic-version")
    if version is None:
        raise Refused(400, "anthropic-version: header is required")
    if version not in VERSIONS:
        raise Refused(400, f"anthropic-version: {version!r} is not a valid version")


def read_messages(body: JsonObject, headers: Headers, models: Models) -> Ask:
    """The checked request for an answer. Raises Refused."""
    allowed = MEMBERS | BETA_MEMBERS if headers.get("anthropic-beta") else MEMBERS
    _check_members(body, allowed)
    limit = body.get("max_tokens")
    if limit is None:
        raise Refused(400, "max_tokens: Field required")
    if not is_count(limit) or limit < 0:
        raise Refused(400, "max_tokens: Input should be a valid integer, at least 0")
    stream = body.get("stream")
    if stream is not None and not isinstance(stream, bool):
        raise Refused(400, "stream: Input should be a valid boolean")
    _check_thinking(body.get("thinking"), limit)
    return _ask(body, headers, models, limit)


def read_count(request: Request, models: Models) -> Ask:
    """The checked request for a count of tokens, which takes neither `max_tokens` nor `stream`. Raises Refused."""
    try:
        body = orjson.loads(request.body)
    except orjson.JSONDecodeError:
        body = None
    if not is_object(body):
        raise Refused(400, "The request body is not a valid JSON object.")
    _check_members(body, COUNT_MEMBERS)
    return _ask(body, request.headers, models, None)


def _ask(body: JsonObject, headers: Headers, models: Models, limit: int | None) -> Ask:
    model = _model(body, models)
    _check_sampling(body, headers["anthropic-version"], model)
    messages = _messages(body, model)
    stops: Any = body.get("stop_sequences") or []
    if not is_list(stops) or not all(isinstance(stop, str) for stop in stops):
        raise Refused(400, "stop_sequences: Input should be a valid list of strings")
    tools = _tools(body)
    choice, named, parallel = _tool_choice(body, tools)
    users = [message["content"] for message in messages if message["role"] == "user"]
    # A turn may be nothing but tool results; what the user said stands in an earlier one.
    said = [text for text in map(text_of, users) if text]
    middle = [text_of(message["content"]) for message in messages if message["role"] == "system"]
    return Ask(
        model=model,
        system="\n".join([_system(body), *middle]) if middle else _system(body),
        user=said[-1] if said else "",
        counted_bytes=counted_bytes(body.get("system"))
        + sum(counted_bytes(message["content"]) for message in messages)
        + counted_bytes(body.get("tools")),
        stream=bool(body.get("stream")),
        tool_result=_tool_result(messages[-1]["content"]),
        max_output_tokens=limit,
        stop=tuple(stops),
        tools=tools,
        tool_choice=choice,
        tool_named=named,
        parallel_tools=parallel,
    )


def _check_members(body: JsonObject, allowed: frozenset[str]) -> None:
    for name in body:
        if name not in allowed:
            raise Refused(400, f"{name}: Extra inputs are not permitted")


def _model(body: JsonObject, models: Models) -> Model:
    name = body.get("model")
    if not isinstance(name, str) or not name:
        raise Refused(400, "model: Field required")
    model = models.get(name)
    if model is None or model.wire != "anthropic":
        raise Refused(404, f"model: {name}")
    return model


def _check_sampling(body: JsonObject, version: str, model: Model) -> None:
    for name in SAMPLING:
        if name not in body:
            continue
        if version >= WITHOUT_SAMPLING:
            raise Refused(400, f"{name}: not supported as of API version {WITHOUT_SAMPLING}")
        if not model.takes_sampling:
            raise Refused(400, f"`{name}` is deprecated for this model")
        value = body[name]
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise Refused(400, f"{name}: Input should be a valid number")
        if name != "top_k" and not 0 <= value <= 1:
            raise Refused(400, f"{name}: range: 0..1")


def _check_thinking(thinking: Any, limit: int) -> None:
    if not is_object(thinking) or thinking.get("type") != "enabled":
        return
    budget = thinking.get("budget_tokens")
    if not is_count(budget) or budget < LEAST_THINKING:
        raise Refused(400, f"thinking.enabled.budget_tokens: Input should be at least {LEAST_THINKING}")
    if budget >= limit:
        raise Refused(400, "`max_tokens` must be greater than `thinking.budget_tokens`")


def _messages(body: JsonObject, model: Model) -> list[JsonObject]:
    messages = body.get("messages")
    if messages is None:
        raise Refused(400, "messages: Field required")
    if not is_list(messages) or not messages:
        raise Refused(400, "messages: at least one message is required")
    # System messages inside the conversation came with the models that dropped sampling.
    roles = ("user", "assistant") if model.takes_sampling else ("user", "assistant", "system")
    for index, message in enumerate(messages):
        if not is_object(message) or "content" not in message or set(message) - {"role", "content"}:
            raise Refused(400, f"messages.{index}: Input should be an object with role and content")
        if message.get("role") not in roles:
            raise Refused(400, f'messages: Unexpected role "{message.get("role")}"; use the top-level `system`')
        content = message["content"]
        if not isinstance(content, str) and not (is_list(content) and all(map(is_object, content))):
            raise Refused(400, f"messages.{index}.content: Input should be a valid string or list")
    return messages


def _system(body: JsonObject) -> str:
    system = body.get("system")
    if system is None or isinstance(system, str):
        return system or ""
    if not is_list(system) or not all(is_object(block) and block.get("type") == "text" for block in system):
        raise Refused(400, "system: Input should be a valid string or list of text blocks")
    return "\n".join(str(block.get("text", "")) for block in system)


def _tool_result(content: Any) -> str | None:
    if not is_list(content):
        return None
    results = [block for block in content if block.get("type") == "tool_result"]
    return "".join(text_of(block.get("content")) for block in results) if results else None


def _tools(body: JsonObject) -> dict[str, JsonObject]:
    items: Any = body.get("tools") or []
    if not is_list(items):
        raise Refused(400, "tools: Input should be a valid list")
    tools: dict[str, JsonObject] = {}
    for index, item in enumerate(items):
        if not is_object(item) or not isinstance(item.get("name"), str):
            raise Refused(400, f"tools.{index}.name: Field required")
        if item.get("type", "custom") == "custom" and not is_object(item.get("input_schema")):
            raise Refused(400, f"tools.{index}.custom.input_schema: Field required")
        if set(item) & {"function", "parameters"}:
            raise Refused(400, f"tools.{index}.custom: Extra inputs are not permitted")
        tools[item["name"]] = item.get("input_schema") or {}
    return tools


def _tool_choice(body: JsonObject, tools: dict[str, JsonObject]) -> tuple[str, str, bool]:
    choice = body.get("tool_choice")
    if choice is None:
        return "auto", "", True
    kind = choice.get("type") if is_object(choice) else None
    if not is_object(choice) or kind not in ("auto", "any", "tool", "none"):
        raise Refused(400, "tool_choice: Input should be an object with a type of auto, any, tool or none")
    if not tools:
        raise Refused(400, "tool_choice: may only be specified while providing tools")
    named = choice.get("name", "") if kind == "tool" else ""
    if kind == "tool" and named not in tools:
        raise Refused(400, f"tool_choice: Tool '{named}' not found in provided tools")
    return str(kind), str(named), choice.get("disable_parallel_tool_use") is not True
