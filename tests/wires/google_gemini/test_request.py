"""Golden vectors: what goes in, what version meets it, and the exact bytes and target that go to the provider."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.wires.google_gemini.gemini_requests import COUNT, GENERATE, STREAM, WIRE, inject, injected, read, refusal_of

OURS = '{"text":"Ours."}'
HI = '"contents":[{"role":"user","parts":[{"text":"hi"}]}]'


@pytest.mark.parametrize(
    ("mode", "theirs", "expected"),
    [
        ("replace", '{"parts": [{"text": "th\\u00e9irs"}]}', f'{{"parts":[{OURS}]}}'),
        ("replace", "null", f'{{"parts":[{OURS}]}}'),
        ("replace", '{"role":"system","parts":{"text":"x"}}', f'{{"parts":[{OURS}]}}'),
        ("prepend", '{"role": "user", "parts": [ {"text": "a"} , {"text":"b"} ]}', f'{{"role": "user", "parts": [ {OURS},{{"text": "a"}} , {{"text":"b"}} ]}}'),
        ("append", '{"parts": [ {"text": "a"} ]}', f'{{"parts": [ {{"text": "a"}},{OURS} ]}}'),
        ("append", '{"parts":{"text":"a"}}', f'{{"parts":[{{"text":"a"}},{OURS}]}}'),
        ("prepend", '{"parts":[]}', f'{{"parts":[{OURS}]}}'),
        ("append", "{}", f'{{"parts":[{OURS}]}}'),
        ("if_absent", '{"parts":[{"text":"a"}]}', '{"parts":[{"text":"a"}]}'),
        ("if_absent", '{"parts":{"text":"a"}}', '{"parts":{"text":"a"}}'),
        ("if_absent", '{"parts":[]}', f'{{"parts":[{OURS}]}}'),
        ("if_absent", "null", f'{{"parts":[{OURS}]}}'),
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", ["systemInstruction", "system_instruction"])
def test_the_prompt_meets_the_callers_own(name: str, mode: str, theirs: str, expected: str) -> None:
    body = f'{{"{name}": %s ,{HI}}}'
    assert injected(body % theirs, {"prompt": {"text": "Ours.", "mode": mode}}) == body % expected


@pytest.mark.parametrize("mode", ["replace", "prepend", "append", "if_absent"])
def test_without_a_system_prompt_of_the_callers_ours_is_added(mode: str) -> None:
    version = {"prompt": {"text": "Ours.", "mode": mode}}
    assert injected(f"{{{HI}}}", version) == f'{{{HI},"systemInstruction":{{"parts":[{OURS}]}}}}'


@pytest.mark.parametrize(
    ("mode", "sent", "expected"),
    [
        ("replace", f"{{{HI}}}", '{"contents":[%s,{"role":"user","parts":[{"text":"hi"}]}],"systemInstruction":{"parts":[{"text":"Ours."}]}}'),
        ("replace", '{"contents" : {"parts":{"text":"hi"}}}', '{"contents" : [%s,{"parts":{"text":"hi"}}],"systemInstruction":{"parts":[{"text":"Ours."}]}}'),
        ("if_absent", f'{{{HI},"systemInstruction":{{"parts":{{"text":"a"}}}}}}', f'{{{HI},"systemInstruction":{{"parts":{{"text":"a"}}}}}}'),
    ],
)  # fmt: skip
def test_examples_stand_before_the_callers_contents(mode: str, sent: str, expected: str) -> None:
    messages = [
        {"role": "system", "text": "Ours."},
        {"role": "user", "text": "Sort {{x}}"},
        {"role": "assistant", "text": "Done."},
    ]
    version = {"prompt": {"messages": messages, "mode": mode, "variables": {"x": None}}}
    ours = '{"role":"user","parts":[{"text":"Sort \\"1\\""}]},{"role":"model","parts":[{"text":"Done."}]}'
    assert injected(sent, version, variables={"x": '"1"'}) == expected.replace("%s", ours)
    assert refusal_of('{"contents":7}', version | {"prompt": {"messages": [{"role": "user", "text": "u"}]}}) == (
        "wrong_kind",
        "contents",
    )


def test_variables_are_filled_in() -> None:
    version = {"prompt": {"text": 'Hi {{who}} "x"', "variables": {"who": None}}}
    sent = json.loads(injected(f"{{{HI}}}", version, variables={"who": 'A"b'}))
    assert sent["systemInstruction"] == {"parts": [{"text": 'Hi A"b "x"'}]}


@pytest.mark.parametrize(
    ("body", "refusal"),
    [
        ('{"systemInstruction":"text"}', ("wrong_kind", "systemInstruction")),
        ('{"systemInstruction":{"parts":7}}', ("wrong_kind", "systemInstruction.parts")),
        ('{"systemInstruction":{},"system_instruction":{}}', ("duplicate_key", "systemInstruction")),
        ('{"systemInstruction":{},"systemInstruction":{}}', ("duplicate_key", "systemInstruction")),
        ('{"generationConfig":{},"generation_config":{}}', ("duplicate_key", "generationConfig")),
        ('{"generationConfig":{"maxOutputTokens":1,"max_output_tokens":2}}', ("duplicate_key", "maxOutputTokens")),
        ('{"generationConfig":{"maxOutputTokens":-1}}', ("wrong_kind", "maxOutputTokens")),
        ('{"generationConfig":{"candidateCount":0}}', ("wrong_kind", "candidateCount")),
        ('{"generationConfig":[]}', ("wrong_kind", "generationConfig")),
        ('{"tools":7}', ("wrong_kind", "tools")),
        ('{"tools":[{"functionDeclarations":{}}]}', ("wrong_kind", "tools.functionDeclarations")),
        ('{"cachedContent":"cachedContents/x"}', ("version_not_applicable", "cachedContent")),
    ],
)
def test_what_a_version_cannot_be_put_into_is_refused(body: str, refusal: tuple[str, str]) -> None:
    assert refusal_of(body, {"prompt": {"text": "Ours.", "mode": "append"}}) == refusal


def test_cached_contents_go_with_a_version_that_brings_neither_prompt_nor_tools() -> None:
    body = '{"cachedContent":"cachedContents/x"}'
    assert injected(body, {"prompt": {"text": "Ours.", "mode": "if_absent"}}) == body
    assert refusal_of(body, {"tools": {"mode": "replace", "items": []}})[0] == "version_not_applicable"


@pytest.mark.parametrize(
    ("config", "parameters", "expected"),
    [
        ('{"temperature":1, "topK": 7}', {"temperature": 0.2}, '{"temperature":0.2, "topK": 7}'),
        ('{"temperature":1}', {"temperature": {"default": 0.2}}, '{"temperature":1}'),
        ('{"temperature":null}', {"temperature": {"default": 0.2}}, '{"temperature":0.2}'),
        ('{"top_p":1}', {"top_p": 0.5, "seed": 3}, '{"top_p":0.5,"seed":3}'),
        ("{}", {"stop": "x"}, '{"stopSequences":["x"]}'),
        ('{"stop_sequences":["a"]}', {"stop": {"default": ["x"]}}, '{"stop_sequences":["a"]}'),
        ("{}", {"reasoning_effort": "low"}, '{"thinkingConfig":{"thinkingBudget":1024}}'),
        ('{"thinkingConfig":{ "includeThoughts":true,"thinkingLevel":"high" }}', {"reasoning_effort": "high"},
         '{"thinkingConfig":{ "includeThoughts":true,"thinkingBudget":24576 }}'),
        ('{"thinkingConfig":{"thinkingBudget":0}}', {"reasoning_effort": {"default": "high"}}, '{"thinkingConfig":{"thinkingBudget":0}}'),
        ('{"responseSchema":{"type":"STRING"},"responseMimeType":"x"}', {"response_format": {"type": "json_schema", "schema": {"type": "object"}}},
         '{"responseMimeType":"application/json","responseJsonSchema":{"type":"object"}}'),
        ("{}", {"response_format": {"type": "json_object"}}, '{"responseMimeType":"application/json"}'),
        ('{"responseSchema":{}}', {"response_format": {"default": {"type": "json_object"}}}, '{"responseSchema":{}}'),
        ("{}", {"max_output_tokens": 50}, '{"maxOutputTokens":50}'),
        ('{"max_output_tokens":99}', {"max_output_tokens": 50}, '{"max_output_tokens":50}'),
        ('{"maxOutputTokens":99}', {"max_output_tokens": {"default": 50}}, '{"maxOutputTokens":99}'),
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", ["generationConfig", "generation_config"])
def test_parameters_meet_the_callers_own(name: str, config: str, parameters: dict[str, Any], expected: str) -> None:
    body = f'{{{HI}, "{name}": %s}}'
    assert injected(body % config, {"model": {"parameters": parameters}}) == body % expected


@pytest.mark.parametrize(
    ("model", "effort", "thinking"),
    [
        ("gemini-3-pro-preview", "minimal", {"thinkingLevel": "low"}),
        ("gemini-3.8-flash", "minimal", {"thinkingLevel": "minimal"}),
        ("gemini-3.8-flash", "max", {"thinkingLevel": "high"}),
        ("gemini-flash-latest", "medium", {"thinkingLevel": "medium"}),
        ("gemini-2.5-flash", "none", {"thinkingBudget": 0}),
        ("gemini-2.5-pro", "none", None),
        ("gemini-3-pro-preview", "none", None),
        ("gemini-2.0-flash", "high", None),
        ("gemma-3-27b-it", "high", None),
        ("gemini-2.5-pro", "odd", None),
    ],
)
def test_effort_is_said_as_the_model_knows_it(model: str, effort: str, thinking: Any) -> None:
    injection = inject(f"{{{HI}}}", {"model": {"name": model, "parameters": {"reasoning_effort": effort}}})
    sent = json.loads(injection.body).get("generationConfig", {}).get("thinkingConfig")
    assert sent == thinking
    assert injection.dropped_parameters == (() if thinking else ("reasoning_effort",))


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("auto", {"mode": "AUTO"}),
        ("none", {"mode": "NONE"}),
        ("required", {"mode": "ANY"}),
        ({"name": "f"}, {"mode": "ANY", "allowedFunctionNames": ["f"]}),
        ({"mode": "VALIDATED"}, {"mode": "VALIDATED"}),
    ],
)
def test_the_choice_of_tools_keeps_what_else_is_configured(choice: Any, expected: Any) -> None:
    body = f'{{{HI},"toolConfig":{{"retrievalConfig":{{"languageCode":"de"}}}}}}'
    sent = json.loads(injected(body, {"model": {"parameters": {"tool_choice": choice}}}))
    assert sent["toolConfig"] == {"retrievalConfig": {"languageCode": "de"}, "functionCallingConfig": expected}


F, G = {"name": "f", "description": "d", "parameters": {"type": "object"}}, {"name": "g"}
OUR_F = '{"name":"f","description":"d","parametersJsonSchema":{"type":"object"}}'


@pytest.mark.parametrize(
    ("mode", "items", "theirs", "expected"),
    [
        ("replace", [F, G], '[{"googleSearch":{}}]', f'[{{"functionDeclarations":[{OUR_F},{{"name":"g"}}]}}]'),
        ("replace", [{"type": "google_search"}], '[{"functionDeclarations":[]}]', '[{"googleSearch":{}}]'),
        ("merge", [F], '[{"functionDeclarations":[{"name": "a"},{"name":"f","x":1}]},{"code_execution":{}}]',
         f'[{{"functionDeclarations":[{{"name": "a"}},{OUR_F}]}},{{"code_execution":{{}}}}]'),
        ("merge", [F, G], '[{"function_declarations":[{"name":"f"}]}]', f'[{{"function_declarations":[{OUR_F}]}},{{"functionDeclarations":[{{"name":"g"}}]}}]'),
        ("merge", [G], '{"googleSearch":{}}', '[{"googleSearch":{}},{"functionDeclarations":[{"name":"g"}]}]'),
        ("merge", [{"type": "googleSearch", "timeRangeFilter": {}}], '[{"google_search":{}}]', '[{"google_search":{"timeRangeFilter":{}}}]'),
        ("keep", [F], '[{"googleSearch":{}}]', '[{"googleSearch":{}}]'),
    ],
)  # fmt: skip
def test_tools_meet_the_callers_own(mode: str, items: list[Any], theirs: str, expected: str) -> None:
    body = f'{{{HI},"tools":%s}}'
    assert injected(body % theirs, {"tools": {"mode": mode, "items": items}}) == body % expected


def test_no_tools_take_their_configuration_along() -> None:
    body = f'{{{HI},"tools":[{{"googleSearch":{{}}}}],"toolConfig":{{}}}}'
    assert injected(body, {"tools": {"mode": "replace", "items": []}}) == f"{{{HI}}}"


def test_all_names_of_tools_are_read() -> None:
    tools = (
        '[{"functionDeclarations":[{"name":"f"}]},{"function_declarations":[{"name":"g"}]},{"google_search":{}},{"urlContext":{}},'
        '{"mcpServers":[{"name":"m"}]}]'
    )
    assert read(f'{{"tools":{tools}}}').tool_names == {
        "f", "g", "googleSearch", "google_search", "urlContext", "url_context", "m",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("asked", "named", "expected"),
    [
        (GENERATE, "gemini-2.5-pro", "/v1beta/models/gemini-2.5-pro:generateContent"),
        (GENERATE, "models/gemini-2.5-pro", "/v1beta/models/gemini-2.5-pro:generateContent"),
        (GENERATE, "gemini-2.5-flash", None),
        (GENERATE, None, None),
        (
            "/v1/models/agent%3Asupport@7:streamGenerateContent?alt=sse",
            "m",
            "/v1/models/m:streamGenerateContent?alt=sse",
        ),
        (GENERATE, "tunedModels/mine", "/v1beta/tunedModels/mine:generateContent"),
        ("/v1beta/tunedModels/a:generateContent", "m", "/v1beta/models/m:generateContent"),
        (GENERATE, "odd?name#x", "/v1beta/models/odd%3Fname%23x:generateContent"),
    ],
)
def test_the_model_stands_in_the_path(asked: str, named: str | None, expected: str | None) -> None:
    version = {"model": {"name": named} if named else {}}
    injection = inject(f"{{{HI}}}", version, asked)
    assert injection.target == (expected.encode() if expected else None)
    assert injection.body == f"{{{HI}}}".encode()


@pytest.mark.parametrize(
    ("path", "operation", "upstream", "model"),
    [
        ("/v1/models/m:generateContent", "generate_content", "/v1/models/m:generateContent", "m"),
        ("/models/m:generateContent", "generate_content", "/v1beta/models/m:generateContent", "m"),
        ("/v1alpha/models/agent:a:countTokens", "count_tokens", "/v1alpha/models/agent:a:countTokens", "agent:a"),
        ("/v1beta/models/agents/a:streamGenerateContent", "stream_generate_content", "/v1beta/models/agents/a:streamGenerateContent", "agents/a"),
        ("/v1beta/tunedModels/t:generateContent", "generate_content", "/v1beta/tunedModels/t:generateContent", "tunedModels/t"),
        ("/v1beta/models/m:generatecontent", None, "", None),
        ("/v1beta/models/m", None, "", None),
        ("/v2/models/m:generateContent", None, "", None),
        ("/v1beta/models/m:generateContent/x", None, "", None),
    ],
)  # fmt: skip
def test_paths_are_recognised(path: str, operation: str | None, upstream: str, model: str | None) -> None:
    found = WIRE.operation("POST", path)
    assert (found and (found.name, found.path)) == ((operation, upstream) if operation else None)
    assert WIRE.operation("GET", path) is None
    if operation:
        facts = read("{}", path)
        assert (facts.model, facts.claims.model) == (model, model)


def test_what_is_asked_is_read_in_either_spelling() -> None:
    body = '{"generation_config":{"max_output_tokens":9,"candidateCount":3},"model":"models/other"}'
    facts = read(body, STREAM)
    assert (facts.max_output_tokens, facts.choices, facts.streamed, facts.streams_list) == (9, 3, True, True)
    assert facts.further_models == {"other"}
    assert not read(body, STREAM + "?alt=sse").streams_list
    assert not read(body).streamed


def test_the_output_ceiling_is_put_in_where_nobody_bounds_the_output() -> None:
    assert injected(f"{{{HI}}}", None, output_ceiling=70) == f'{{{HI},"generationConfig":{{"maxOutputTokens":70}}}}'
    body = f'{{{HI},"generationConfig":{{"maxOutputTokens":5}}}}'
    assert injected(body, None, output_ceiling=70) == body
    assert json.loads(injected(body, {"policy": {"max_output_tokens": 3}}))["generationConfig"] == {
        "maxOutputTokens": 3
    }


def test_raw_members_go_in_without_lifting_a_bound() -> None:
    extra = {"safetySettings": [], "generationConfig": {"topK": 5, "candidateCount": 8, "maxOutputTokens": 10**6}}
    body = f'{{{HI},"generationConfig":{{"topP":0.1,"topK":1}}}}'
    sent = injected(body, {"model": {"parameters": {"extra": extra}}})
    assert sent == f'{{{HI},"generationConfig":{{"topP":0.1,"topK":5}},"safetySettings":[]}}'


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (f"{{{HI}}}", f'{{"generateContentRequest":{{{HI},"systemInstruction":{{"parts":[{OURS}]}},"model":"models/gemini-2.5-pro"}}}}'),
        (f'{{"generateContentRequest": {{"model":"models/x",{HI}}} }}',
         f'{{"generateContentRequest": {{"model":"models/gemini-2.5-pro",{HI},"systemInstruction":{{"parts":[{OURS}]}}}} }}'),
    ],
)  # fmt: skip
def test_a_count_covers_the_prompt(body: str, expected: str) -> None:
    version = {"model": {"name": "gemini-2.5-pro"}, "prompt": {"text": "Ours."}}
    injection = inject(body, version, COUNT)
    assert injection.body.decode() == expected
    assert injection.target == b"/v1beta/models/gemini-2.5-pro:countTokens"


def test_a_count_without_a_version_goes_as_it_came() -> None:
    for body in (f"{{{HI}}}", f'{{"generateContentRequest":{{"model":"models/x",{HI}}}}}'):
        assert injected(body, None, COUNT) == body


def test_what_is_ours_never_goes_on() -> None:
    assert injected(f'{{"switchback":{{"user":"u"}},{HI}}}', None) == f"{{{HI}}}"
    assert injected(f'{{"switchback":{{}},{HI}}}', None, COUNT) == f"{{{HI}}}"


@pytest.mark.parametrize(
    ("body", "is_bounded"),
    [
        (f"{{{HI}}}", True),
        ('{"contents":{"parts":{"text":"x"}}}', True),
        ('{"contents":[{"parts":[{"functionCall":{"name":"f","args":{}}},{"functionResponse":{"name":"f","response":{}}}]}]}', True),
        ('{"contents":[{"parts":[{"inlineData":{"mimeType":"image/png","data":""}}]}]}', False),
        ('{"contents":[{"parts":[{"file_data":{"fileUri":"x"}}]}]}', False),
        ('{"contents":[{"parts":[{"functionResponse":{"name":"f","response":{},"parts":[{"inlineData":{}}]}}]}]}', False),
        (f'{{{HI},"cachedContent":"c"}}', False),
        (f'{{{HI},"tools":[{{"googleSearch":{{}}}}]}}', False),
        (f'{{{HI},"tools":[{{"functionDeclarations":[{{"name":"f"}}]}}]}}', True),
        (f'{{{HI},"generationConfig":{{"responseModalities":["TEXT"]}}}}', True),
        (f'{{{HI},"generation_config":{{"response_modalities":["IMAGE"]}}}}', False),
        (f'{{{HI},"somethingNew":{{}}}}', False),
        (f'{{{HI},{HI}}}', False),
        ('{"systemInstruction":{"parts":[{"inlineData":{}}]}}', False),
    ],
)  # fmt: skip
def test_only_what_is_nothing_but_text_has_a_bound(body: str, is_bounded: bool) -> None:
    injection = inject(body, None)
    bound = WIRE.input_tokens_bound(injection)
    assert (bound is not None) == is_bounded
    assert bound is None or bound >= len(body)


def test_models_that_answer_with_pictures_have_no_bound_of_text() -> None:
    injection = inject(f"{{{HI}}}", {"model": {"name": "gemini-2.5-flash-image"}})
    assert WIRE.input_tokens_bound(injection) is None


@pytest.mark.parametrize(
    ("model", "searches"), [("gemini-2.5-flash", 1), ("gemini-3.8-flash", None), ("gemini-flash-latest", None)]
)
def test_searches_are_bounded_where_they_are_billed_once(model: str, searches: int | None) -> None:
    injection = inject(f'{{{HI},"tools":[{{"googleSearch":{{}}}}]}}', {"model": {"name": model}})
    apart = WIRE.billed_apart(injection)
    assert (apart.web_searches, apart.rounds, apart.unpriced) == (searches, None, None)
    assert WIRE.billed_apart(inject('{"tools":[{"googleMaps":{}}]}', None)).unpriced == "googleMaps"


NAMES = st.sampled_from(["contents", "labels", "safetySettings", "store", "généré", "x y"]) | st.text(max_size=5)
VALUES: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
SEPARATORS = st.sampled_from([(",", ":"), (", ", ": "), (" , ", " :  ")])


@given(st.dictionaries(NAMES, VALUES, max_size=6), SEPARATORS, st.booleans())
@settings(max_examples=200)
def test_what_a_version_does_not_name_keeps_its_bytes(
    members: dict[str, Any], separators: tuple[str, str], escapes: bool
) -> None:
    ours = {"systemInstruction", "system_instruction", "generationConfig", "generation_config", "tools", "switchback"}
    members = {name: value for name, value in members.items() if name not in ours | {"model", "cachedContent"}}
    before = json.dumps(members, separators=separators, ensure_ascii=escapes)
    body = before[:-1] + (", " if members else "") + '"generationConfig": {"topK" : 1.50, "temperature":2}}'
    version = {"prompt": {"text": "Ours."}, "model": {"name": "m", "parameters": {"temperature": 0}}}
    expected = before[:-1] + (", " if members else "") + '"generationConfig": {"topK" : 1.50, "temperature":0}'
    assert injected(body, version) == f'{expected},"systemInstruction":{{"parts":[{OURS}]}}}}'
    assert injected(body, None) == body
