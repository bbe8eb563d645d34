"""Reads and checks the body of a Chat Completions request, as strictly as the real API where that matters to a proxy.

Unknown top-level members, `stream_options` without `stream`, both names of the output limit, parameters that reasoning
models dropped, and conversations out of order are refused. Returns an `Ask`, raises `Refused`; nothing is answered here.
"""

from typing import Any

from proxy.simulator.asking import Ask, JsonObject, Refused, counted_bytes, is_count, is_list, is_object, names, text_of
from proxy.simulator.models import Model
from proxy.simulator.wire import Headers, Models

CHAT_MEMBERS = names(
    "messages model audio frequency_penalty function_call functions logit_bias logprobs max_completion_tokens max_tokens"
    " metadata modalities moderation n parallel_tool_calls prediction presence_penalty prompt_cache_key"
    " prompt_cache_options prompt_cache_retention reasoning_effort response_format safety_identifier seed service_tier"
    " stop store stream stream_options temperature tool_choice tools top_logprobs top_p user verbosity"
    " web_search_options"
)
ROLES = ("system", "developer", "user", "assistant", "tool", "function")
MAX_TOOLS = 128
MAX_STOPS = 4


def read_chat(body: JsonObject, _headers: Headers, models: Models) -> Ask:
    """The checked request. Raises Refused."""
    check_members(body, CHAT_MEMBERS)
    model = known_model(body, models, "chat")
    messages = _messages(body)
    _check_parameters(body, model)
    tools = _tools(body)
    choice, named = _tool_choice(body, tools)
    stream_options = check_stream(body)
    system = [text_of(message.get("content")) for message in messages if message["role"] in ("system", "developer")]
    users = [text_of(message.get("content")) for message in messages if message["role"] == "user"]
    return Ask(
        model=model,
        system="\n".join(system),
        user=users[-1] if users else "",
        counted_bytes=sum(map(_message_bytes, messages)) + counted_bytes(body.get("tools")),
        stream=bool(body.get("stream")),
        tool_result=text_of(messages[-1].get("content")) if messages[-1]["role"] == "tool" else None,
        max_output_tokens=_output_limit(body, model),
        choices=count(body, "n", 1, 128) or 1,
        stop=stops(body),
        tools=tools,
        tool_choice=choice,
        tool_named=named,
        parallel_tools=body.get("parallel_tool_calls") is not False,
        include_usage=stream_options.get("include_usage") is True,
        obfuscate=stream_options.get("include_obfuscation") is not False,
    )


def check_members(body: JsonObject, allowed: frozenset[str]) -> None:
    """Raises Refused for a top-level member that the API does not have."""
    unknown = [name for name in body if name not in allowed]
    if unknown:
        plural = "s" if len(unknown) > 1 else ""
        raise Refused(400, f"Unrecognized request argument{plural} supplied: {', '.join(unknown)}")


def known_model(body: JsonObject, models: Models, kind: str) -> Model:
    """The model of the body. Raises Refused where it is missing, unknown, or serves another endpoint."""
    name = body.get("model")
    if not isinstance(name, str) or not name:
        raise Refused(400, "you must provide a model parameter")
    model = models.get(name)
    if model is None or model.wire != "openai":
        message = f"The model `{name}` does not exist or you do not have access to it."
        raise Refused(404, message, code="model_not_found")
    if model.kind != kind:
        raise Refused(404, f"This is a {model.kind} model and not supported at this endpoint.", param="model")
    return model


def check_stream(body: JsonObject) -> JsonObject:
    """The stream options, empty without. Raises Refused where they stand without `stream`."""
    stream, options = body.get("stream"), body.get("stream_options")
    if stream is not None and not isinstance(stream, bool):
        raise Refused(400, "Invalid type for 'stream': expected a boolean.", param="stream", code="invalid_type")
    if options is None:
        return {}
    if not stream:
        message = "The 'stream_options' parameter is only allowed when 'stream' is enabled."
        raise Refused(400, message, param="stream_options")
    if not is_object(options) or set(options) - {"include_usage", "include_obfuscation"}:
        raise Refused(400, "Invalid 'stream_options'.", param="stream_options", code="invalid_value")
    return options


def count(body: JsonObject, name: str, least: int, most: int) -> int | None:
    """The whole number under `name`, None where absent. Raises Refused outside `least` to `most`."""
    value = body.get(name)
    if value is None:
        return None
    if not is_count(value):
        message = f"Invalid type for '{name}': expected an integer."
        raise Refused(400, message, param=name, code="invalid_type")
    if not least <= value <= most:
        code = "integer_below_min_value" if value < least else "integer_above_max_value"
        raise Refused(400, f"Invalid '{name}': must be from {least} to {most}.", param=name, code=code)
    return value


def stops(body: JsonObject) -> tuple[str, ...]:
    """The stop sequences: a string or a list of at most four. Raises Refused."""
    value: Any = body.get("stop")
    if value is None:
        return ()
    texts: list[Any] = value if is_list(value) else [value]
    if len(texts) > MAX_STOPS or not all(isinstance(text, str) for text in texts):
        raise Refused(400, f"Invalid 'stop': at most {MAX_STOPS} strings.", param="stop", code="invalid_value")
    return tuple(texts)


def _messages(body: JsonObject) -> list[JsonObject]:
    messages = body.get("messages")
    if messages is None:
        raise Refused(
            400, "Missing required parameter: 'messages'.", param="messages", code="missing_required_parameter"
        )
    if not is_list(messages) or not messages:
        raise Refused(400, "Invalid 'messages': expected a non-empty array.", param="messages", code="invalid_type")
    called: set[str] = set()
    for index, message in enumerate(messages):
        where = f"messages[{index}]"
        if not is_object(message) or message.get("role") not in ROLES:
            raise Refused(400, f"Invalid '{where}.role'.", param=f"{where}.role", code="invalid_value")
        content = message.get("content")
        if content is None and message["role"] != "assistant":
            raise Refused(400, f"Missing '{where}.content'.", param=f"{where}.content", code="invalid_type")
        if content is not None and not isinstance(content, str) and not is_list(content):
            raise Refused(400, f"Invalid '{where}.content'.", param=f"{where}.content", code="invalid_type")
        called.update(str(call.get("id")) for call in _tool_calls(message, where))
        if message["role"] == "tool" and message.get("tool_call_id") not in called:
            text = "messages with role 'tool' must be a response to a preceding message with 'tool_calls'."
            raise Refused(400, f"Invalid parameter: {text}", param=f"{where}.role")
    return messages


def _message_bytes(message: JsonObject) -> int:
    size = counted_bytes(message.get("content"))
    for call in _tool_calls(message, "messages"):
        inner = call.get("function") or call.get("custom")
        if is_object(inner):
            size += sum(map(counted_bytes, inner.values()))
    return size


def _tool_calls(message: JsonObject, where: str) -> list[JsonObject]:
    calls: Any = message.get("tool_calls") or []
    if not is_list(calls) or not all(is_object(call) for call in calls):
        raise Refused(400, f"Invalid type for '{where}.tool_calls'.", param=f"{where}.tool_calls", code="invalid_type")
    return calls


def _check_parameters(body: JsonObject, model: Model) -> None:
    for name, highest in (("temperature", 2), ("top_p", 1)):
        value = body.get(name)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= highest:
            raise Refused(400, f"Invalid '{name}': must be from 0 to {highest}.", param=name, code="invalid_value")
        if not model.takes_sampling and value != 1:
            message = f"Unsupported value: '{name}' does not support {value} with this model, only the default (1)."
            raise Refused(400, message, param=name, code="unsupported_value")
    if not model.takes_max_tokens and body.get("max_tokens") is not None:
        _unsupported("max_tokens", " Use 'max_completion_tokens' instead.")
    if not model.takes_stop and body.get("stop") is not None:
        _unsupported("stop", "")


def _unsupported(name: str, advice: str) -> None:
    message = f"Unsupported parameter: '{name}' is not supported with this model.{advice}"
    raise Refused(400, message, param=name, code="unsupported_parameter")


def _output_limit(body: JsonObject, model: Model) -> int | None:
    old = count(body, "max_tokens", 1, 10**6)
    new = count(body, "max_completion_tokens", 1, 10**6)
    if old is not None and new is not None:
        message = "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported."
        raise Refused(400, message, code="invalid_parameter_combination")
    return old if new is None else new


def _tools(body: JsonObject) -> dict[str, JsonObject]:
    items = body.get("tools")
    if items is None:
        return {}
    if not is_list(items) or not items or len(items) > MAX_TOOLS:
        raise Refused(400, f"Invalid 'tools': expected 1 to {MAX_TOOLS} items.", param="tools", code="invalid_type")
    tools: dict[str, JsonObject] = {}
    for index, item in enumerate(items):
        kind = item.get("type") if is_object(item) else None
        inner = item.get(kind) if kind in ("function", "custom") else None
        if not is_object(inner) or not isinstance(inner.get("name"), str):
            where = f"tools[{index}]"
            raise Refused(400, f"Missing required parameter: '{where}.function'.", param=where)
        parameters = inner.get("parameters")
        tools[inner["name"]] = parameters if is_object(parameters) else {}
    return tools


def _tool_choice(body: JsonObject, tools: dict[str, JsonObject]) -> tuple[str, str]:
    choice = body.get("tool_choice")
    if choice is None:
        return "auto", ""
    if not tools:
        raise Refused(400, "'tool_choice' is only allowed when 'tools' are specified.", param="tool_choice")
    if choice in ("auto", "none", "required"):
        return ("any" if choice == "required" else choice), ""
    function = choice.get("function") if is_object(choice) else None
    if not is_object(function) or function.get("name") not in tools:
        raise Refused(400, "Invalid value for 'tool_choice'.", param="tool_choice", code="invalid_value")
    return "tool", function["name"]
