"""Reads and checks requests of the Gemini API, as strictly as the real one where that matters to a proxy.

Members may be spelled as JSON has them or as the protocol's files do, never both; unknown ones are refused by name. A function
calling config needs functions; a schema needs a JSON type; a count takes a prompt only inside of `generateContentRequest`. Returns an
`Ask`, raises `Refused`; how answers look is in `google.py`.
"""

import re
from collections.abc import Mapping
from typing import Any

import orjson

from proxy.simulator.asking import Ask, JsonObject, Refused, is_count, is_list, is_object, names
from proxy.simulator.models import Model
from proxy.simulator.wire import Headers, Models

MEMBERS = names(
    "model contents systemInstruction generationConfig safetySettings tools toolConfig cachedContent labels serviceTier store"
)
CONFIG_MEMBERS = names(
    "temperature topP topK candidateCount maxOutputTokens stopSequences responseMimeType responseSchema responseJsonSchema"
    " thinkingConfig seed presencePenalty frequencyPenalty responseModalities speechConfig mediaResolution responseLogprobs logprobs"
)
TOOL_MEMBERS = names(
    "functionDeclarations googleSearch googleSearchRetrieval codeExecution urlContext fileSearch googleMaps computerUse mcpServers"
)
FUNCTION_MEMBERS = names("name description parameters parametersJsonSchema response responseJsonSchema behavior")
COUNT_MEMBERS = names("contents generateContentRequest")
CAPITAL = re.compile("[A-Z]")


def check_caller(headers: Headers) -> None:
    """Raises Refused with 403 without a key, as the real one does."""
    scheme, _, token = headers.get("Authorization", "").partition(" ")
    if not headers.get("x-goog-api-key", "").strip() and not (scheme.lower() == "bearer" and token.strip()):
        raise Refused(403, "Method doesn't allow unregistered callers.", kind="PERMISSION_DENIED")


def read_generation(body: JsonObject, model_name: str, models: Models, *, stream: bool) -> Ask:
    """A request of `generateContent` or `streamGenerateContent`."""
    request = spelled(body, MEMBERS, "")
    model = model_of(model_name, models)
    contents = _contents(request)
    config = spelled(request.get("generationConfig") or {}, CONFIG_MEMBERS, "generation_config")
    tools = _tools(request.get("tools"))
    functions, own = tools
    mode, named = _choice(request, functions)
    if (config.get("responseSchema") is not None or config.get("responseJsonSchema") is not None) and config.get(
        "responseMimeType"
    ) != "application/json":
        raise Refused(400, "response_schema needs response_mime_type: application/json")
    if config.get("responseSchema") is not None and config.get("responseJsonSchema") is not None:
        raise Refused(400, "response_schema and response_json_schema cannot be set at the same time")
    _check_thinking(model, config.get("thinkingConfig"))
    system = texts_of(request.get("systemInstruction"))
    if request.get("cachedContent") and (system or functions or own):
        raise Refused(
            400,
            "CachedContent can not be used with GenerateContent request setting system_instruction, tools or tool_config.",
        )
    last = contents[-1]
    return Ask(
        model=model,
        system=system,
        user=next((texts_of(content) for content in reversed(contents) if _says(content)), ""),
        counted_bytes=_counted(request),
        stream=stream,
        tool_result=_result(last),
        max_output_tokens=_count(config, "maxOutputTokens", 1),
        choices=_count(config, "candidateCount", 1) or 1,
        stop=tuple(config.get("stopSequences") or ()),
        tools=functions,
        tool_choice=mode,
        tool_named=named,
        searches_web="googleSearch" in own,
    )


def read_count(body: JsonObject, model_name: str, models: Models) -> int:
    """The size of what a `countTokens` request covers, in bytes."""
    request = spelled(body, COUNT_MEMBERS, "")
    model_of(model_name, models)
    inner = request.get("generateContentRequest")
    if inner is None:
        _contents(request)
        return _counted(request)
    if request.get("contents"):
        raise Refused(400, "contents and generate_content_request cannot both be set.")
    asked = spelled(inner, MEMBERS, "generate_content_request")
    if asked.get("model") != f"models/{model_name}":
        raise Refused(400, "The model in the request does not match the model in the path.")
    _contents(asked)
    return _counted(asked)


def model_of(name: str, models: Models) -> Model:
    """The model of that name. Raises Refused with 404."""
    model = models.get(name)
    if model is None or model.wire != "google":
        raise Refused(
            404,
            f"models/{name} is not found for API version v1beta, or is not supported for generateContent.",
            kind="NOT_FOUND",
        )
    return model


def texts_of(content: Any) -> str:
    """The texts of a content's parts, without thoughts."""
    return "".join(str(part["text"]) for part in _parts(content) if "text" in part and not part.get("thought"))


def _parts(content: Any) -> list[JsonObject]:
    parts = content.get("parts") if is_object(content) else None
    listed = [parts] if is_object(parts) else parts if is_list(parts) else []
    return [part for part in listed if is_object(part)]


def _contents(request: JsonObject) -> list[JsonObject]:
    contents = request.get("contents")
    listed = [contents] if is_object(contents) else contents
    if not is_list(listed) or not listed:
        raise Refused(400, "* GenerateContentRequest.contents: contents is not specified")
    for index, content in enumerate(listed):
        if not is_object(content) or not _parts(content):
            raise Refused(400, f"* GenerateContentRequest.contents[{index}].parts: contents.parts must not be empty.")
        if content.get("role", "user") not in ("user", "model", "function"):
            raise Refused(400, "Please use a valid role: user, model.")
    return listed


def _says(content: JsonObject) -> bool:
    return content.get("role", "user") == "user" and bool(texts_of(content))


def _result(content: JsonObject) -> str | None:
    """What the tools said, where that ends the conversation."""
    found = [part.get("functionResponse", part.get("function_response")) for part in _parts(content)]
    results = [orjson.dumps(one.get("response")).decode() for one in found if is_object(one)]
    return "".join(results) if results else None


def _counted(request: JsonObject) -> int:
    size = sum(len(texts_of(content).encode()) for content in (request.get("systemInstruction"),))
    contents = request.get("contents")
    for content in [contents] if is_object(contents) else contents or []:
        for part in _parts(content):
            size += len(str(part["text"]).encode()) if "text" in part else len(orjson.dumps(part))
    return size + (len(orjson.dumps(request["tools"])) if request.get("tools") else 0)


def _tools(tools: Any) -> tuple[dict[str, JsonObject], frozenset[str]]:
    """The functions by name with their schemas, and the provider's own tools."""
    functions: dict[str, JsonObject] = {}
    own: set[str] = set()
    for index, item in enumerate([tools] if is_object(tools) else tools or []):
        tool = spelled(item, TOOL_MEMBERS, f"tools[{index}]")
        own |= tool.keys() - {"functionDeclarations"}
        for function in tool.get("functionDeclarations") or ():
            declared = spelled(function, FUNCTION_MEMBERS, f"tools[{index}].function_declarations")
            name = declared.get("name")
            if not isinstance(name, str) or not name:
                raise Refused(
                    400,
                    f"* GenerateContentRequest.tools[{index}].function_declarations[0].name: Invalid function name.",
                )
            if name in functions:
                raise Refused(400, f"Duplicate function declaration found: {name}")
            functions[name] = declared.get("parametersJsonSchema") or declared.get("parameters") or {}
    return functions, frozenset(own)


def _choice(request: JsonObject, functions: Mapping[str, JsonObject]) -> tuple[str, str]:
    config = request.get("toolConfig")
    raw = config.get("functionCallingConfig", config.get("function_calling_config")) if is_object(config) else None
    if not is_object(raw):
        return "auto", ""
    if not functions:
        raise Refused(400, "Function calling config is set without function_declarations.")
    mode = str(raw.get("mode", "AUTO")).upper()
    allowed: list[str] = raw.get("allowedFunctionNames", raw.get("allowed_function_names")) or []
    if mode not in ("AUTO", "ANY", "NONE", "VALIDATED"):
        raise Refused(400, f"Invalid value at 'tool_config.function_calling_config.mode': {mode!r}")
    if any(name not in functions for name in allowed):
        raise Refused(400, "allowed_function_names holds a name that is not declared.")
    if mode == "ANY" and len(allowed) == 1:
        return "tool", allowed[0]
    return ("any" if mode == "ANY" else "none" if mode == "NONE" else "auto"), ""


def _check_thinking(model: Model, thinking: Any) -> None:
    if thinking is None:
        return
    says = spelled(thinking, names("includeThoughts thinkingBudget thinkingLevel"), "thinking_config")
    if "thinkingBudget" in says and "thinkingLevel" in says:
        raise Refused(400, "You can only set only one of thinking budget and thinking level.")
    if "thinkingLevel" in says and model.id.startswith("gemini-2"):
        raise Refused(400, "Thinking level is not supported for this model.")


def _count(config: JsonObject, name: str, least: int) -> int | None:
    value = config.get(name)
    if value is not None and (not is_count(value) or value < least):
        raise Refused(400, f"Invalid value at 'generation_config.{_snake(name)}'")
    return value


def spelled(value: Any, known: frozenset[str], where: str) -> JsonObject:
    """An object with its members as JSON spells them. Raises Refused for unknown ones, and for both spellings."""
    if not is_object(value):
        raise Refused(400, f"Invalid value at '{where}'")
    found: JsonObject = {}
    by_snake = {_snake(name): name for name in known}
    for name, member in value.items():
        camel = name if name in known else by_snake.get(name)
        if camel is None:
            raise Refused(
                400,
                f'Invalid JSON payload received. Unknown name "{name}"{where and f" at {where!r}"}: Cannot find field.',
            )
        if camel in found:
            raise Refused(400, f'Invalid JSON payload received. Duplicate field "{name}".')
        found[camel] = member
    return found


def _snake(name: str) -> str:
    return CAPITAL.sub(lambda found: "_" + found[0].lower(), name)
