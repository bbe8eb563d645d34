"""Golden vectors: what goes in, what version meets it, and the exact bytes that go to the provider."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.core.versions.components import parse_bundle
from proxy.wires.wire import InjectionPlan
from tests.wires.openai_chat.chat_requests import OTHER, WIRE, inject, injected, prompt, refusal_of

MODEL = {"name": "gpt-4o-mini"}

S = '{"role":"system","content":"Ours."}'
D = '{"role":"developer","content":"Ours."}'
SYS = '{"role": "system", "content": "theirs"}'
DEV = '{"content":[{"type":"text","text":"dev"}],"role":"developer"}'
USER = '{ "role":"user","content":"h\\u00ef" }'


@pytest.mark.parametrize(
    ("mode", "messages", "expected"),
    [
        ("replace", f"[{SYS}, {USER}]", f"[{S}, {USER}]"),
        ("replace", f"[ {SYS} , {DEV} , {USER} ]", f"[ {S} , {USER} ]"),
        ("replace", f"[{DEV},{SYS},{USER}]", f"[{D},{USER}]"),
        ("replace", f"[{USER}]", f"[{S},{USER}]"),
        ("replace", f"[{SYS},{USER},{SYS}]", f"[{S},{USER},{SYS}]"),
        ("replace", f"[{SYS}]", f"[{S}]"),
        ("replace", "[]", f"[{S}]"),
        ("prepend", f"[{SYS},{USER}]", f"[{S},{SYS},{USER}]"),
        ("prepend", f"[{DEV},{USER}]", f"[{D},{DEV},{USER}]"),
        ("prepend", f"[{USER}]", f"[{S},{USER}]"),
        ("append", f"[{SYS}, {DEV}, {USER}]", f"[{SYS}, {DEV},{S}, {USER}]"),
        ("append", f"[ {USER} ]", f"[ {S},{USER} ]"),
        ("if_absent", f"[{SYS},{USER}]", f"[{SYS},{USER}]"),
        ("if_absent", f"[{USER}]", f"[{S},{USER}]"),
        ("if_absent", f"[{USER},{SYS}]", f"[{S},{USER},{SYS}]"),
        ("replace", '[{"role":"system","content":""},{"role":"user","content":null}]', f'[{S},{{"role":"user","content":null}}]'),
    ],
)  # fmt: skip
def test_the_prompt_meets_the_callers_own(mode: str, messages: str, expected: str) -> None:
    body = '{"model":"m", "messages": %s ,"x":1e5}'
    assert injected(body % messages, prompt(mode)) == body % expected


def test_a_version_without_a_prompt_leaves_the_callers_untouched() -> None:
    body = f'{{"messages":[{SYS},{USER}],"model":"m"}}'.encode()
    assert inject(body, {}).body is body


def test_variables_are_filled_in_and_written_as_json() -> None:
    version = {"prompt": {"text": 'Hi {{who}}, "{{ what }}"\n', "variables": {"who": {}, "what": {"default": "é"}}}}
    answer = inject(b'{"model":"m","messages":[]}', version, variables={"who": 'A"}\\', "else": "x"})
    assert json.loads(answer.body)["messages"] == [{"role": "system", "content": 'Hi A"}\\, "é"\n'}]
    assert answer.ignored_variables == 1
    assert refusal_of('{"model":"m","messages":[]}', version)[0] == "variable_missing"


@pytest.mark.parametrize(
    "messages", ["null", '"hi"', "{}", "[1]", '[{"content":"x"}]', '[{"role":["system"]}]', "[null]"]
)
def test_messages_of_the_wrong_kind_are_refused_where_a_prompt_goes_in(messages: str) -> None:
    code, param = refusal_of(f'{{"model":"m","messages":{messages}}}', prompt("replace"))
    assert code == "wrong_kind"
    assert param is not None
    assert param.startswith("messages")


def test_messages_nobody_edits_are_the_providers_business() -> None:
    body = b'{"model":"m","messages":[1,{"role":7}]}'
    assert inject(body, {"model": MODEL}).body == b'{"model":"gpt-4o-mini","messages":[1,{"role":7}]}'


def test_missing_messages_are_refused_where_a_prompt_goes_in() -> None:
    assert refusal_of('{"model":"m"}', prompt("if_absent")) == ("wrong_kind", "messages")


@pytest.mark.parametrize(
    ("body", "parameters", "expected"),
    [
        ('{"model":"m","temperature":1}', {"temperature": 0.2}, '{"model":"m","temperature":0.2}'),
        ('{"model":"m","temperature":1}', {"temperature": {"default": 0.2}}, '{"model":"m","temperature":1}'),
        ('{"model":"m","temperature":null}', {"temperature": {"default": 0.2}}, '{"model":"m","temperature":0.2}'),
        ('{"model":"m"}', {"temperature": {"default": 0.2}}, '{"model":"m","temperature":0.2}'),
        ('{"model":"m"}', {"seed": 7, "top_p": 0.5}, '{"model":"m","top_p":0.5,"seed":7}'),
        ('{"model":"m","stop":"a"}', {"stop": ["b", "c"]}, '{"model":"m","stop":["b","c"]}'),
        ('{"model":"m"}', {"reasoning_effort": "low"}, '{"model":"m","reasoning_effort":"low"}'),
        ('{"model":"m"}', {"tool_choice": "required"}, '{"model":"m","tool_choice":"required"}'),
        ('{"model":"m"}', {"tool_choice": "any"}, '{"model":"m","tool_choice":"required"}'),
        ('{"model":"m"}', {"tool_choice": "search"}, '{"model":"m","tool_choice":{"type":"function","function":{"name":"search"}}}'),
        ('{"model":"m"}', {"tool_choice": {"name": "search"}}, '{"model":"m","tool_choice":{"type":"function","function":{"name":"search"}}}'),
        ('{"model":"m"}', {"tool_choice": {"type": "tool", "name": "search"}}, '{"model":"m","tool_choice":{"type":"function","function":{"name":"search"}}}'),
        ('{"model":"m"}', {"tool_choice": {"type": "allowed_tools", "allowed_tools": {}}}, '{"model":"m","tool_choice":{"type":"allowed_tools","allowed_tools":{}}}'),
        ('{"model":"m"}', {"response_format": {"type": "json_object"}}, '{"model":"m","response_format":{"type":"json_object"}}'),
        ('{"model":"m"}', {"response_format": {"type": "json_schema", "schema": {"type": "object"}, "strict": True}},
         '{"model":"m","response_format":{"type":"json_schema","json_schema":{"name":"answer","schema":{"type":"object"},"strict":true}}}'),
        ('{"model":"m"}', {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {}}}},
         '{"model":"m","response_format":{"type":"json_schema","json_schema":{"name":"x","schema":{}}}}'),
        ('{"model":"m","verbosity":"high"}', {"extra": {"verbosity": "low", "logprobs": True}}, '{"model":"m","verbosity":"low","logprobs":true}'),
    ],
)  # fmt: skip
def test_parameters_go_in_under_the_wires_own_names(body: str, parameters: dict[str, Any], expected: str) -> None:
    assert injected(body, {"model": {"parameters": parameters}}) == expected


@pytest.mark.parametrize(
    ("model", "dropped"),
    [
        ("o3-mini", ("temperature", "stop")),
        ("o4-mini-2025-04-16", ("temperature", "stop")),
        ("o1", ("temperature",)),
        ("gpt-5", ("temperature", "stop")),
        ("gpt-5.2", ("stop",)),
        ("gpt-5.5", ()),
        ("gpt-4o", ()),
        ("gpt-5-chat-latest", ()),
    ],
)
def test_parameters_the_model_refuses_are_left_out_and_reported(model: str, dropped: tuple[str, ...]) -> None:
    version = {"model": {"name": model, "parameters": {"temperature": 0.2, "stop": "x"}}}
    answer = inject(b'{"model":"m","messages":[]}', version)
    assert answer.dropped_parameters == dropped
    assert not set(dropped) & set(json.loads(answer.body))


SAMPLING = '"temperature":1,"presence_penalty":0.1,"logprobs":true'


@pytest.mark.parametrize(
    ("model", "callers", "left", "dropped"),
    [
        ("o3-mini", '"max_tokens":100', {"max_completion_tokens": 100}, ()),
        ("o3-mini", '"max_completion_tokens":100', {"max_completion_tokens": 100}, ()),
        ("gpt-5.2", '"max_tokens":100,"temperature":1', {"max_completion_tokens": 100, "temperature": 1}, ()),
        ("o3-mini", '"max_tokens":null', {}, ()),
        ("o3-mini", SAMPLING, {}, ("temperature", "presence_penalty", "logprobs")),
        ("openai/O3-mini", SAMPLING, {}, ("temperature", "presence_penalty", "logprobs")),
        ("o4-mini", '"stop":"x","parallel_tool_calls":false,"top_p":null', {}, ("top_p", "stop", "parallel_tool_calls")),
        ("gpt-5-chat-latest", '"stop":"x","temperature":1,"reasoning_effort":"low"', {"stop": "x", "temperature": 1}, ("reasoning_effort",)),
        ("gpt-5.2", '"stop":"x","temperature":1', {"temperature": 1}, ("stop",)),
        ("gpt-5.1-codex", '"stop":"x","temperature":1', {}, ("temperature", "stop")),
        ("codex-mini-latest", '"temperature":1,"max_tokens":9', {"max_completion_tokens": 9}, ("temperature",)),
        ("ft:o4-mini-2025-04-16:acme::1", '"top_p":1,"max_tokens":9', {"max_completion_tokens": 9}, ("top_p",)),
        ("ft:gpt-4o-mini-2024-07-18:acme::1", '"reasoning_effort":"low","seed":1', {"seed": 1}, ("reasoning_effort",)),
        ("gpt-4o-search-preview", '"temperature":1,"web_search_options":{}', {"web_search_options": {}}, ("temperature",)),
        ("o3", '"verbosity":"low","prediction":{},"seed":1', {"seed": 1}, ("verbosity", "prediction")),
        ("gpt-4.1", '"web_search_options":{},"prediction":{},"audio":{},"modalities":["text","audio"]', {"prediction": {}}, ("audio", "modalities", "web_search_options")),
        ("gpt-4o-audio-preview", '"audio":{},"modalities":["text","audio"]', {"audio": {}, "modalities": ["text", "audio"]}, ()),
        # A value that the model does not know becomes the nearest one that it does.
        ("o3", '"reasoning_effort":"minimal"', {"reasoning_effort": "low"}, ("reasoning_effort",)),
        ("gpt-5", '"reasoning_effort":"none"', {"reasoning_effort": "minimal"}, ("reasoning_effort",)),
        ("gpt-5.1", '"reasoning_effort":"xhigh"', {"reasoning_effort": "high"}, ("reasoning_effort",)),
        ("gpt-5-pro", '"reasoning_effort":"low"', {"reasoning_effort": "high"}, ("reasoning_effort",)),
        ("o3", '"reasoning_effort":"low"', {"reasoning_effort": "low"}, ()),
        ("o3", '"reasoning_effort":"of tomorrow"', {"reasoning_effort": "of tomorrow"}, ()),
        ("gpt-6", '"reasoning_effort":"max","stop":"x","audio":{}', {"reasoning_effort": "max", "stop": "x", "audio": {}}, ()),
        ("gpt-4o-mini", '"max_tokens":100000', {"max_tokens": 16384}, ("max_tokens",)),
        ("o3", '"max_tokens":200000', {"max_completion_tokens": 100000}, ("max_completion_tokens",)),
        ("gpt-3.5-turbo", '"max_completion_tokens":4096', {"max_completion_tokens": 4096}, ()),
        ("mistral-large", '"max_tokens":100000', {"max_tokens": 100000}, ()),
        ("gpt-4o", '"reasoning_effort":"low","verbosity":"low","max_completion_tokens":9', {"max_completion_tokens": 9}, ("reasoning_effort", "verbosity")),
        ("mistral-large", f'"max_tokens":9,{SAMPLING}', {"max_tokens": 9, "temperature": 1, "presence_penalty": 0.1, "logprobs": True}, ()),
    ],
)  # fmt: skip
def test_what_the_versions_model_refuses_of_the_callers_is_left_out_and_reported(
    model: str, callers: str, left: dict[str, Any], dropped: tuple[str, ...]
) -> None:
    answer = inject(f'{{"model":"m",{callers}}}'.encode(), {"model": {"name": model}})
    assert json.loads(answer.body) == {"model": model, **left}
    assert answer.dropped_parameters == dropped


def test_a_bound_of_the_versions_goes_under_the_name_its_model_knows() -> None:
    version = {"model": {"name": "o3", "parameters": {"max_output_tokens": 50}}}
    answer = inject(b'{"model":"m","max_tokens":100}', version)
    assert json.loads(answer.body) == {"model": "o3", "max_completion_tokens": 50}


def test_what_the_version_sets_and_the_caller_too_is_reported_once() -> None:
    version = {"model": {"name": "o3", "parameters": {"temperature": 0.2}}}
    answer = inject(b'{"model":"m","temperature":1}', version)
    assert (answer.body, answer.dropped_parameters) == (b'{"model":"o3"}', ("temperature",))


def test_without_another_model_the_callers_parameters_are_the_providers_to_judge() -> None:
    body = f'{{"model":"o3","max_tokens":9,{SAMPLING}}}'
    for version in ({"model": {"name": "o3"}}, {}, None):
        assert injected(body, version) == body


@pytest.mark.parametrize(
    ("callers", "version", "policy", "ceiling", "expected", "bound"),
    [
        ("", None, None, None, "", None),
        ("", None, None, 4096, ',"max_completion_tokens":4096', 4096),
        (',"max_tokens":9000', None, None, 4096, ',"max_tokens":9000', 9000),
        (',"max_tokens":50', 100, None, None, ',"max_tokens":100', 100),
        (',"max_completion_tokens":50', 100, None, None, ',"max_completion_tokens":100', 100),
        ("", 100, None, 4096, ',"max_completion_tokens":100', 100),
        (',"max_tokens":50', {"default": 100}, None, None, ',"max_tokens":50', 50),
        (',"max_tokens":null', {"default": 100}, None, None, ',"max_tokens":100', 100),
        (',"max_tokens":null,"max_completion_tokens":7', 100, None, None, ',"max_tokens":null,"max_completion_tokens":100', 100),
        (',"max_tokens":500', None, 200, None, ',"max_tokens":200', 200),
        (',"max_tokens":50', None, 200, None, ',"max_tokens":50', 50),
        ("", None, 200, 4096, ',"max_completion_tokens":200', 200),
        (',"max_tokens":5', 500, 200, None, ',"max_tokens":200', 200),
    ],
)  # fmt: skip
def test_the_output_bound_is_the_versions_then_the_callers_then_the_ceiling(
    callers: str, version: Any, policy: int | None, ceiling: int | None, expected: str, bound: int | None
) -> None:
    parameters = {} if version is None else {"max_output_tokens": version}
    components = {
        "model": {"parameters": parameters},
        "policy": {} if policy is None else {"max_output_tokens": policy},
    }
    answer = inject(f'{{"model":"m"{callers}}}'.encode(), components, output_ceiling=ceiling)
    assert answer.body.decode() == f'{{"model":"m"{expected}}}'
    assert answer.max_output_tokens == bound


TOOL = {"name": "search", "description": "Finds.", "parameters": {"type": "object"}}
OURS = '{"type":"function","function":{"name":"search","description":"Finds.","parameters":{"type":"object"}}}'
THEIRS = '{"type": "function", "function": {"name": "search"}}'


@pytest.mark.parametrize(
    ("mode", "items", "callers", "expected", "names"),
    [
        ("replace", [TOOL], f',"tools":[{OTHER}]', f',"tools":[{OURS}]', {"search"}),
        ("replace", [TOOL], "", f',"tools":[{OURS}]', {"search"}),
        ("replace", [], f',"tools":[{OTHER}],"tool_choice":"auto","parallel_tool_calls":false', "", set()),
        ("replace", [], "", "", set()),
        ("replace", [], ',"functions":[{"name":"f"}],"function_call":"auto"', "", set()),
        ("merge", [TOOL], f',"tools":[ {OTHER} , {THEIRS} ]', f',"tools":[ {OTHER} , {OURS} ]', {"search", "other"}),
        ("merge", [TOOL], f',"tools":[ {OTHER} ]', f',"tools":[ {OTHER},{OURS} ]', {"search", "other"}),
        ("merge", [TOOL], ',"tools":[]', f',"tools":[{OURS}]', {"search"}),
        ("merge", [TOOL], ',"tools":null', f',"tools":{f"[{OURS}]"}', {"search"}),
        ("merge", [], f',"tools":[{OTHER}]', f',"tools":[{OTHER}]', {"other"}),
        ("keep", [TOOL], f',"tools":[{OTHER}]', f',"tools":[{OTHER}]', {"other"}),
        ("merge", [{"type": "custom", "custom": {"name": "c"}, "name": "c"}], "", ',"tools":[{"type":"custom","custom":{"name":"c"},"name":"c"}]', {"c"}),
        ("merge", [{"name": "bare", "strict": True}], "", ',"tools":[{"type":"function","function":{"name":"bare","strict":true}}]', {"bare"}),
    ],
)  # fmt: skip
def test_tools_are_replaced_merged_or_kept(
    mode: str, items: list[Any], callers: str, expected: str, names: set[str]
) -> None:
    answer = inject(f'{{"model":"m"{callers}}}'.encode(), {"tools": {"mode": mode, "items": items}})
    assert answer.body.decode() == f'{{"model":"m"{expected}}}'
    assert WIRE.read(answer.body).tool_names == names


@pytest.mark.parametrize(
    ("body", "expected", "removes"),
    [
        ('{"model":"m","stream":true}', '{"model":"m","stream":true,"stream_options":{"include_usage":true}}', True),
        ('{"stream":true,"stream_options":null,"model":"m"}', '{"stream":true,"stream_options":{"include_usage":true},"model":"m"}', True),
        ('{"stream":true,"stream_options":{ "include_obfuscation" : false }}',
         '{"stream":true,"stream_options":{ "include_obfuscation" : false,"include_usage":true }}', True),
        ('{"stream":true,"stream_options":{"include_usage":false}}', '{"stream":true,"stream_options":{"include_usage":true}}', True),
        ('{"stream":true,"stream_options":{"include_usage": true}}', '{"stream":true,"stream_options":{"include_usage": true}}', False),
        ('{"stream":false,"stream_options":{}}', '{"stream":false,"stream_options":{}}', False),
        ('{"model":"m","stream":null}', '{"model":"m","stream":null}', False),
    ],
)  # fmt: skip
def test_the_usage_of_a_stream_is_asked_for_where_the_caller_did_not(body: str, expected: str, removes: bool) -> None:
    answer = inject(body.encode(), None)
    assert (answer.body.decode(), answer.removes_usage_event) == (expected, removes)


def test_the_switchback_member_never_reaches_the_provider() -> None:
    body = '{"switchback":{"agent":"x","user":"u"},"model":"m"}'
    assert WIRE.read(body.encode()).claims.switchback == {"agent": "x", "user": "u"}
    assert injected(body, None) == '{"model":"m"}'


@pytest.mark.parametrize(
    ("body", "version", "expected"),
    [
        ('{"model":"agent:triage"}', {"model": MODEL}, '{"model":"gpt-4o-mini"}'),
        ('{"n":1}', {"model": MODEL}, '{"n":1,"model":"gpt-4o-mini"}'),
        ('{"model":null}', {"model": MODEL}, '{"model":"gpt-4o-mini"}'),
        ('{"model":"gpt-4o"}', {}, '{"model":"gpt-4o"}'),
        ('{"model":"gpt\\u002d4o-mini"}', {"model": MODEL}, '{"model":"gpt\\u002d4o-mini"}'),
    ],
)
def test_the_versions_model_wins(body: str, version: dict[str, Any], expected: str) -> None:
    answer = inject(body.encode(), version)
    assert answer.body.decode() == expected
    assert answer.model == json.loads(expected)["model"]


@pytest.mark.parametrize(
    ("body", "version"),
    [('{"model":"agent:triage"}', {}), ("{}", {}), ('{"model":"agent:triage"}', None)],
)
def test_the_name_of_an_agent_is_no_model(body: str, version: dict[str, Any] | None) -> None:
    assert refusal_of(body, version) == ("model_missing", "model")


def test_a_call_of_no_agent_passes_unchanged() -> None:
    body = b' { "model" : "m", "messages":[], "temperature":1.0, "n": 2 } '
    answer = inject(body, None)
    assert answer.body is body
    assert (answer.model, answer.max_output_tokens) == ("m", None)


FULL = {
    "prompt": {"text": "Ours."},
    "model": {"name": "gpt-4o-mini", "parameters": {"temperature": 0.2, "stop": "x", "extra": {"seed": 1}}},
    "tools": {"mode": "merge", "items": [TOOL]},
    "policy": {"max_output_tokens": 10},
}
EDITED = {
    "model",
    "messages",
    "temperature",
    "stop",
    "seed",
    "tools",
    "max_tokens",
    "max_completion_tokens",
    "stream_options",
}
others = st.dictionaries(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=6).filter(
        lambda name: (
            name not in {*EDITED, "stream", "n", "user", "safety_identifier", "switchback", "functions", "tool_choice"}
            and name not in {"service_tier", "speed"}
        )
    ),
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"]), max_size=5) | st.just([1.50, {}]),
    max_size=4,
)  # fmt: skip


@given(others, others, st.booleans(), st.sampled_from([None, 1]))
@settings(max_examples=100)
def test_what_the_version_does_not_mention_passes_byte_for_byte_in_its_order(
    before: dict[str, Any], after: dict[str, Any], streamed: bool, indent: int | None
) -> None:
    # Longer than any name or text that is made up, so that it is found where it stands and nowhere else.
    tail = {"role": "user", "content": "where it ends: é"}
    sent = {**before, "messages": [{"role": "system", "content": "x"}, tail], "stream": streamed, **after, "model": "m"}
    body = json.dumps(sent, indent=indent, ensure_ascii=indent is None).encode()
    answer = inject(body, FULL).body
    received = json.loads(answer)
    assert {name: value for name, value in received.items() if name not in EDITED} == {
        name: value for name, value in sent.items() if name not in EDITED
    }
    assert [name for name in received if name in sent] == list(sent)
    first, last = body.index(b'{"role"' if indent is None else b'{\n   "role"'), body.index(b'"model"')
    assert answer.startswith(body[:first])
    between = body[body.index(b"where it ends") : last]
    assert between in answer


def test_the_injected_bytes_are_the_same_every_time_and_leave_the_request_reusable() -> None:
    body = b'{"model":"m","messages":[],"stream":true}'
    request = WIRE.read(body)
    answers = {WIRE.inject(request, InjectionPlan(bundle=parse_bundle(FULL))).body for _ in range(3)}
    assert len(answers) == 1
    assert WIRE.inject(request, InjectionPlan(bundle=None)).body.startswith(body[:-1])
    assert request.document.body is body
