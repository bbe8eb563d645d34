"""Reads and checks the body of a Responses request, as strictly as the real API where that matters to a proxy.

Unknown top-level members, `stream_options` without `stream`, a conversation named twice, parameters that reasoning models dropped,
and an empty input are refused. Returns an `Ask`, raises `Refused`; nothing is answered here. Counterpart: `openai_reading.py`.
"""

from typing import Any

from proxy.simulator.asking import Ask, JsonObject, Refused, counted_bytes, is_list, is_object, names, text_of
from proxy.simulator.models import Model
from proxy.simulator.openai_reading import check_members, count, known_model
from proxy.simulator.wire import Headers, Models

MEMBERS = names(
    "access_programs background context_management conversation image include input instructions max_output_tokens"
    " max_tool_calls metadata model moderation parallel_tool_calls previous_response_id prompt prompt_cache_key"
    " prompt_cache_options prompt_cache_retention reasoning safety_identifier service_tier store stream stream_options"
    " temperature text tool_choice tools top_logprobs top_p truncation user"
)
SYSTEM_ROLES = ("system", "developer")
ROLES = (*SYSTEM_ROLES, "user", "assistant")
LEAST_OUTPUT = 16
CALLS = {"function_call": "function_call_output", "custom_tool_call": "custom_tool_call_output"}
OUTPUTS = tuple(CALLS.values())
HOSTED = names(
    "apply_patch code_interpreter computer computer_use_preview file_search image_generation local_shell mcp namespace"
    " programmatic_tool_calling shell tool_search web_search web_search_2025_08_26 web_search_preview"
)


def read_responses(body: JsonObject, _headers: Headers, models: Models) -> Ask:
    """The checked request. Raises Refused."""
    check_members(body, MEMBERS)
    model = known_model(body, models, "chat")
    items = _items(body)
    _check_parameters(body, model)
    tools = _tools(body)
    choice, named = _tool_choice(body, tools)
    instructions, options = body.get("instructions") or "", body.get("stream_options")
    if not isinstance(instructions, str):
        raise Refused(400, "Invalid type for 'instructions': expected a string.", param="instructions")
    system = [text_of(item.get("content")) for item in items if item.get("role") in SYSTEM_ROLES]
    users = [text_of(item.get("content")) for item in items if item.get("role") == "user"]
    last = items[-1] if items else {}
    return Ask(
        model=model,
        system="\n".join(text for text in (instructions, *system) if text),
        user=users[-1] if users else "",
        counted_bytes=counted_bytes(instructions) + sum(map(_item_bytes, items)) + counted_bytes(body.get("tools")),
        stream=body.get("stream") is True,
        tool_result=text_of(last.get("output")) if last.get("type") in OUTPUTS else None,
        max_output_tokens=count(body, "max_output_tokens", LEAST_OUTPUT, 10**6),
        tools=tools,
        tool_choice=choice,
        tool_named=named,
        searches_web=any(str(item["type"]).startswith("web_search") for item in body.get("tools") or ()),
        parallel_tools=body.get("parallel_tool_calls") is not False,
        obfuscate=not is_object(options) or options.get("include_obfuscation") is not False,
    )


def _items(body: JsonObject) -> list[JsonObject]:
    given: Any = body.get("input")
    if body.get("previous_response_id") is not None and body.get("conversation") is not None:
        raise Refused(400, "Mutually exclusive parameters: 'conversation' and 'previous_response_id'.")
    if isinstance(given, str):
        return [{"role": "user", "content": given}]
    if given is None and (body.get("conversation") or body.get("previous_response_id") or body.get("prompt")):
        return []
    if not is_list(given) or not given:
        raise Refused(400, "Missing required parameter: 'input'.", param="input", code="missing_required_parameter")
    called: set[str] = set()
    for index, item in enumerate(given):
        _check_item(item, f"input[{index}]", called, has_more=body.get("previous_response_id") is not None)
    return given


def _check_item(item: Any, where: str, called: set[str], *, has_more: bool) -> None:
    kind = item.get("type", "message") if is_object(item) else None
    if kind == "message" and (
        item.get("role") not in ROLES or not (isinstance(item.get("content"), str) or is_list(item["content"]))
    ):
        raise Refused(400, f"Invalid value: '{where}'.", param=where, code="invalid_value")
    if kind is None:
        raise Refused(400, f"Invalid type for '{where}': expected an object.", param=where, code="invalid_type")
    if kind in CALLS:
        called.add(str(item.get("call_id")))
    if kind in OUTPUTS and not has_more and item.get("call_id") not in called:
        message = f"No tool call found for {kind.removesuffix('_output')} output with call_id {item.get('call_id')}."
        raise Refused(400, message, param="input")


def _item_bytes(item: JsonObject) -> int:
    texts = (item.get(name) for name in ("content", "output", "arguments", "input", "name"))
    return sum(map(counted_bytes, texts))


def _check_parameters(body: JsonObject, model: Model) -> None:
    for name, highest in (("temperature", 2), ("top_p", 1)):
        value = body.get(name)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= highest:
            raise Refused(400, f"Invalid '{name}': must be from 0 to {highest}.", param=name, code="invalid_value")
        if not model.takes_sampling:
            _unsupported(name)
    if model.takes_sampling and is_object(body.get("reasoning")) and body["reasoning"].get("effort") is not None:
        _unsupported("reasoning.effort")
    options = body.get("stream_options")
    if options is not None and not body.get("stream"):
        message = "The 'stream_options' parameter is only allowed when 'stream' is enabled."
        raise Refused(400, message, param="stream_options")


def _unsupported(name: str) -> None:
    message = f"Unsupported parameter: '{name}' is not supported with this model."
    raise Refused(400, message, param=name, code="unsupported_parameter")


def _tools(body: JsonObject) -> dict[str, JsonObject]:
    items: Any = body.get("tools") or []
    if not is_list(items):
        raise Refused(400, "Invalid 'tools': expected an array.", param="tools", code="invalid_type")
    tools: dict[str, JsonObject] = {}
    for index, item in enumerate(items):
        kind = item.get("type") if is_object(item) else None
        where = f"tools[{index}]"
        if kind in ("function", "custom"):
            if not isinstance(item.get("name"), str):
                raise Refused(400, f"Missing required parameter: '{where}.name'.", param=f"{where}.name")
            parameters = item.get("parameters")
            tools[item["name"]] = parameters if is_object(parameters) else {}
        elif kind not in HOSTED:
            raise Refused(400, f"Invalid value: '{kind}'.", param=f"{where}.type", code="invalid_value")
        elif kind == "mcp" and not item.get("server_label"):
            raise Refused(400, f"Missing required parameter: '{where}.server_label'.", param=f"{where}.server_label")
    return tools


def _tool_choice(body: JsonObject, tools: dict[str, JsonObject]) -> tuple[str, str]:
    choice = body.get("tool_choice")
    if choice is None or choice in ("auto", "none", "required"):
        return ("any" if choice == "required" else choice or "auto"), ""
    if is_object(choice) and choice.get("type") in ("function", "custom"):
        if choice.get("name") not in tools:
            raise Refused(400, "Tool choice not found in 'tools' parameter.", param="tool_choice")
        return "tool", choice["name"]
    return "auto", ""
