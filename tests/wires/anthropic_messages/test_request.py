"""Golden vectors: what goes in, what version meets it, and the exact bytes that go to the provider."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.wires.anthropic_messages.wire import AnthropicMessages
from tests.wires.shared.met_requests import Requests

WIRE = AnthropicMessages()
OLD, NEW = "2023-06-01", "2026-10-21"
_requests = Requests(WIRE)
inject, injected = _requests.inject, _requests.injected
refusal_of, bound_of = _requests.refusal_of, _requests.bound_of
OURS = '{"type":"text","text":"Ours."}'
PLAIN = '{"text": "theirs", "type": "text"}'
MARKED = '{"type":"text","text":"big","cache_control":{"type": "ephemeral","ttl":"1h"}}'


@pytest.mark.parametrize(
    ("mode", "system", "expected"),
    [
        ("replace", '"th\\u00e9irs"', '"Ours."'),
        ("replace", "null", '"Ours."'),
        ("replace", f"[{PLAIN}]", f"[{OURS}]"),
        ("replace", f"[{MARKED}, {PLAIN}]", '[{"type":"text","text":"Ours.","cache_control":{"type": "ephemeral","ttl":"1h"}}]'),
        ("replace", "[]", '"Ours."'),
        ("prepend", '"th\\u00e9irs"', f'[{OURS},{{"type":"text","text":"th\\u00e9irs"}}]'),
        ("prepend", f"[ {MARKED} , {PLAIN} ]", f"[ {OURS},{MARKED} , {PLAIN} ]"),
        ("prepend", '""', '"Ours."'),
        ("append", '"theirs"', f'[{{"type":"text","text":"theirs"}},{OURS}]'),
        ("append", f"[ {MARKED} , {PLAIN} ]", f"[ {MARKED} , {PLAIN},{OURS} ]"),
        ("append", "[ ]", '"Ours."'),
        ("if_absent", '"theirs"', '"theirs"'),
        ("if_absent", f"[{PLAIN}]", f"[{PLAIN}]"),
        ("if_absent", '""', '"Ours."'),
        ("if_absent", "[]", '"Ours."'),
        ("if_absent", "null", '"Ours."'),
    ],
)  # fmt: skip
def test_the_prompt_meets_the_callers_own(mode: str, system: str, expected: str) -> None:
    body = '{"system": %s ,"messages":[{"role":"system","content":"mid"}],"model":"m"}'
    assert injected(body % system, {"prompt": {"text": "Ours.", "mode": mode}}) == body % expected


@pytest.mark.parametrize("mode", ["replace", "prepend", "append", "if_absent"])
def test_without_a_system_prompt_of_the_callers_ours_is_added(mode: str) -> None:
    version = {"prompt": {"text": "Ours.", "mode": mode}}
    assert injected('{"model":"m"}', version) == '{"model":"m","system":"Ours."}'


@pytest.mark.parametrize(("system", "param"), [("7", "system"), ("{}", "system"), ("[7]", "system[0]")])
def test_a_system_prompt_of_the_wrong_kind_is_refused_where_it_is_edited(system: str, param: str) -> None:
    body = f'{{"model":"m","system":{system}}}'
    assert refusal_of(body, {"prompt": {"text": "Ours."}}) == ("wrong_kind", param)
    assert injected(body, {}) == body


@pytest.mark.parametrize(
    ("body", "parameters", "expected"),
    [
        ('{"model":"m","temperature":1}', {"temperature": 0.2}, '{"model":"m","temperature":0.2}'),
        ('{"model":"m","temperature":1}', {"temperature": {"default": 0.2}}, '{"model":"m","temperature":1}'),
        ('{"model":"m"}', {"stop": "x"}, '{"model":"m","stop_sequences":["x"]}'),
        ('{"model":"m","stop_sequences":["a"]}', {"stop": {"default": ["x"]}}, '{"model":"m","stop_sequences":["a"]}'),
        ('{"model":"m"}', {"reasoning_effort": "minimal"}, '{"model":"m","output_config":{"effort":"low"}}'),
        ('{"model":"m","output_config":{ "effort":"max", "x":1 }}', {"reasoning_effort": "high"}, '{"model":"m","output_config":{ "effort":"high", "x":1 }}'),
        ('{"model":"m","output_config":{"effort":"max"}}', {"reasoning_effort": {"default": "high"}}, '{"model":"m","output_config":{"effort":"max"}}'),
        ('{"model":"m"}', {"reasoning_effort": "low", "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}}},
         '{"model":"m","output_config":{"effort":"low","format":{"type":"json_schema","schema":{"type":"object"}}}}'),
        ('{"model":"m"}', {"response_format": {"type": "json_schema", "schema": {"a": 1}}}, '{"model":"m","output_config":{"format":{"type":"json_schema","schema":{"a":1}}}}'),
        ('{"model":"m"}', {"tool_choice": "auto"}, '{"model":"m","tool_choice":{"type":"auto"}}'),
        ('{"model":"m"}', {"tool_choice": "required"}, '{"model":"m","tool_choice":{"type":"any"}}'),
        ('{"model":"m"}', {"tool_choice": "none"}, '{"model":"m","tool_choice":{"type":"none"}}'),
        ('{"model":"m"}', {"tool_choice": {"name": "f"}}, '{"model":"m","tool_choice":{"type":"tool","name":"f"}}'),
        ('{"model":"m"}', {"tool_choice": {"type": "function", "function": {"name": "f"}}}, '{"model":"m","tool_choice":{"type":"tool","name":"f"}}'),
        ('{"model":"m"}', {"tool_choice": {"type": "any", "disable_parallel_tool_use": True}}, '{"model":"m","tool_choice":{"type":"any","disable_parallel_tool_use":true}}'),
        ('{"model":"m"}', {"extra": {"service_tier": "auto", "thinking": {"type": "disabled"}}}, '{"model":"m","service_tier":"auto","thinking":{"type":"disabled"}}'),
        ('{"model":"m"}', {"extra": {"output_config": {"x": 1}}, "reasoning_effort": "low"}, '{"model":"m","output_config":{"x":1,"effort":"low"}}'),
    ],
)  # fmt: skip
def test_parameters_go_in_under_the_wires_own_names(body: str, parameters: dict[str, Any], expected: str) -> None:
    assert injected(body, {"model": {"parameters": parameters}}, wire_version=OLD) == expected


BOTH = ("temperature", "top_p")


@pytest.mark.parametrize(
    ("model", "wire_version", "dropped"),
    [
        ("claude-sonnet-4-0", OLD, ()),
        ("claude-sonnet-4-5", OLD, ("top_p",)),
        ("claude-sonnet-4-5", None, ("top_p",)),
        ("claude-sonnet-4-5", NEW, BOTH),
        ("claude-sonnet-4-5", "2027-01-01", BOTH),
        ("claude-opus-4-7", OLD, BOTH),
        ("claude-opus-4-8-20260601", OLD, BOTH),
        ("claude-sonnet-5", None, BOTH),
        ("claude-haiku-5-5", OLD, BOTH),
        ("us.anthropic.claude-opus-5-v1:0", OLD, BOTH),
        ("claude-opus-4-1", OLD, ("top_p",)),
    ],
)
def test_sampling_parameters_are_left_out_where_they_are_refused(
    model: str, wire_version: str | None, dropped: tuple[str, ...]
) -> None:
    version = {"model": {"name": model, "parameters": {"temperature": 0.2, "top_p": {"default": 0.9}}}}
    answer = inject(b'{"model":"m","max_tokens":5}', version, wire_version=wire_version)
    assert answer.dropped_parameters == dropped
    assert {*BOTH} - json.loads(answer.body).keys() == {*dropped}


def test_a_default_that_yields_to_the_caller_is_not_reported_as_dropped() -> None:
    version = {"model": {"parameters": {"temperature": {"default": 0.2}}}}
    answer = inject(b'{"model":"m","temperature":1}', version, wire_version=NEW)
    assert (answer.dropped_parameters, answer.body) == ((), b'{"model":"m","temperature":1}')


def test_what_the_wire_does_not_have_is_left_out_and_reported() -> None:
    parameters = {"seed": 7, "reasoning_effort": "none", "response_format": {"type": "json_object"}}
    answer = inject(b'{"model":"m"}', {"model": {"parameters": parameters}})
    assert answer.dropped_parameters == ("reasoning_effort", "response_format", "seed")
    assert answer.body == b'{"model":"m"}'


@pytest.mark.parametrize(
    ("callers", "version", "policy", "ceiling", "expected", "bound"),
    [
        ("", None, None, None, "", None),
        ("", None, None, 4096, ',"max_tokens":4096', 4096),
        (',"max_tokens": 9000', None, None, 4096, ',"max_tokens": 9000', 9000),
        (',"max_tokens":50', 100, None, None, ',"max_tokens":100', 100),
        (',"max_tokens":50', {"default": 100}, None, None, ',"max_tokens":50', 50),
        (',"max_tokens":500', None, 200, None, ',"max_tokens":200', 200),
        (',"max_tokens":0', None, 200, None, ',"max_tokens":0', 0),
        (',"max_tokens":null', {"default": 7}, None, None, ',"max_tokens":7', 7),
    ],
)
def test_the_required_output_bound_is_lowered_or_set_and_never_removed(
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


@pytest.mark.parametrize(
    ("bound", "thinking"),
    [
        (2049, {"type": "enabled", "budget_tokens": 2048}),
        (2048, {"type": "enabled", "budget_tokens": 1024}),
        (2047, None),
        (100, None),
    ],
)
def test_a_thinking_budget_that_no_longer_fits_is_lowered_or_left_out_and_reported(
    bound: int, thinking: dict[str, Any] | None
) -> None:
    body = b'{"model":"m","max_tokens":9000,"thinking":{"type":"enabled","budget_tokens":2048}}'
    by_policy = {"policy": {"max_output_tokens": bound}}
    by_parameter = {"model": {"parameters": {"max_output_tokens": bound}}}
    for answer in (inject(body, by_policy), inject(body, by_parameter)):
        sent = json.loads(answer.body)
        assert (sent["max_tokens"], sent.get("thinking")) == (bound, thinking)
        expected = () if bound > 2048 else ("thinking",) if thinking is None else ("thinking.budget_tokens",)
        assert answer.dropped_parameters == expected


def test_a_thinking_budget_of_the_versions_own_must_fit_too() -> None:
    version = {"model": {"parameters": {"extra": {"thinking": {"type": "enabled", "budget_tokens": 9000}}}}}
    answer = inject(b'{"model":"m","max_tokens":4000}', version)
    assert json.loads(answer.body)["thinking"] == {"type": "enabled", "budget_tokens": 2000}
    assert answer.dropped_parameters == ("thinking.budget_tokens",)


SAMPLING = '"temperature":1,"top_p":0.9,"top_k":5'
BUDGET = '"thinking":{"type":"enabled","budget_tokens":2000,"display":"omitted"}'


@pytest.mark.parametrize(
    ("model", "callers", "left", "dropped"),
    [
        ("claude-opus-4-7", SAMPLING, {}, ("temperature", "top_p", "top_k")),
        ("us.anthropic.claude-opus-4-7-v1:0", '"top_k":5', {}, ("top_k",)),
        ("claude-sonnet-4-5", SAMPLING, {"temperature": 1, "top_k": 5}, ("top_p",)),
        ("claude-sonnet-4-5", '"top_p":0.9', {"top_p": 0.9}, ()),
        ("claude-3-5-haiku-20241022", SAMPLING, {"temperature": 1, "top_p": 0.9, "top_k": 5}, ()),
        ("claude-sonnet-4-5", f"{SAMPLING},{BUDGET}", {"temperature": 1, "thinking": {"type": "enabled", "budget_tokens": 2000, "display": "omitted"}}, ("top_p", "top_k")),
        ("claude-opus-4@20250514", '"thinking":{"type":"adaptive"},"speed":"fast"', {}, ("speed", "thinking")),
        ("anthropic/claude-3.7-sonnet", '"thinking":{"type":"adaptive"}', {}, ("thinking",)),
        ("claude-opus-4-5", '"output_config":{"effort":"max"}', {"output_config": {"effort": "high"}}, ("output_config.effort",)),
        ("claude-opus-4-6", '"output_config":{"effort":"max"},"speed":"fast"', {"output_config": {"effort": "max"}, "speed": "fast"}, ()),
        ("claude-sonnet-4-0", '"output_config":{"format":{}}', {"output_config": {}}, ("output_config.format",)),
        ("claude-sonnet-4-5", '"output_config":{"format":{}}', {"output_config": {"format": {}}}, ()),
        ("claude-opus-4-7", BUDGET, {"thinking": {"type": "adaptive", "display": "omitted"}}, ("thinking.budget_tokens",)),
        ("claude-opus-4-7", '"thinking":{"type":"disabled"}', {"thinking": {"type": "disabled"}}, ()),
        ("claude-sonnet-4-5", BUDGET, {"thinking": {"type": "enabled", "budget_tokens": 2000, "display": "omitted"}}, ()),
        ("claude-sonnet-4-5", '"thinking":{"type":"adaptive"}', {}, ("thinking",)),
        ("claude-3-haiku-20240307", BUDGET, {}, ("thinking",)),
        ("claude-haiku-4-5", '"output_config":{"effort":"high","x":1}', {"output_config": {"x": 1}}, ("output_config.effort",)),
        ("claude-opus-4-6", '"output_config":{"effort":"high"}', {"output_config": {"effort": "high"}}, ()),
        ("glm-5", f"{SAMPLING},{BUDGET}", {"temperature": 1, "top_p": 0.9, "top_k": 5, "thinking": {"type": "enabled", "budget_tokens": 2000, "display": "omitted"}}, ()),
    ],
)  # fmt: skip
def test_what_the_versions_model_refuses_of_the_callers_is_left_out_and_reported(
    model: str, callers: str, left: dict[str, Any], dropped: tuple[str, ...]
) -> None:
    body = f'{{"model":"claude-x","max_tokens":4000,{callers}}}'
    answer = inject(body.encode(), {"model": {"name": model}}, wire_version=OLD)
    assert json.loads(answer.body) == {"model": model, "max_tokens": 4000, **left}
    assert answer.dropped_parameters == dropped


@pytest.mark.parametrize(
    ("model", "asked", "most"),
    [
        ("claude-3-haiku-20240307", 64_000, 4_096),
        ("claude-3-5-haiku-20241022", 64_000, 8_192),
        ("us.anthropic.claude-opus-4-1-20250805-v1:0", 64_000, 32_000),
        ("claude-opus-4", 64_000, 32_000),
        ("claude-sonnet-4-5", 128_000, 64_000),
        ("claude-sonnet-4-5", 64_000, 64_000),
        ("claude-opus-5", 200_000, 200_000),
    ],
)
def test_a_bound_beyond_what_the_versions_model_writes_is_lowered_and_reported(
    model: str, asked: int, most: int
) -> None:
    answer = inject(b'{"model":"claude-x","max_tokens":%d}' % asked, {"model": {"name": model}})
    assert (json.loads(answer.body)["max_tokens"], answer.max_output_tokens) == (most, most)
    assert answer.dropped_parameters == (() if asked == most else ("max_tokens",))


@pytest.mark.parametrize(
    ("parameters", "callers", "left", "dropped"),
    [
        ({"temperature": 0.2}, BUDGET, {"thinking"}, ("temperature",)),
        ({"tool_choice": "required"}, BUDGET, {"thinking"}, ("tool_choice",)),
        ({"tool_choice": "auto"}, BUDGET, {"thinking", "tool_choice"}, ()),
        ({"temperature": 0.2}, '"thinking":{"type":"disabled"}', {"thinking", "temperature"}, ()),
        ({"temperature": 0.2}, '"top_p":0.9', {"temperature"}, ("top_p",)),
        ({"top_p": 0.9}, '"temperature":0.2', {"top_p"}, ("temperature",)),
    ],
)
def test_what_the_version_sets_goes_together_with_what_the_caller_sends(
    parameters: dict[str, Any], callers: str, left: set[str], dropped: tuple[str, ...]
) -> None:
    body = f'{{"model":"claude-sonnet-4-5","max_tokens":9000,{callers}}}'
    answer = inject(body.encode(), {"model": {"name": "claude-sonnet-4-5", "parameters": parameters}}, wire_version=OLD)
    assert json.loads(answer.body).keys() - {"model", "max_tokens"} == left
    assert answer.dropped_parameters == dropped


def test_without_another_model_the_callers_parameters_are_the_providers_to_judge() -> None:
    body = f'{{"model":"claude-opus-4-7","max_tokens":9000,{SAMPLING},{BUDGET}}}'
    for version in ({"model": {"name": "claude-opus-4-7"}}, {"policy": {"max_output_tokens": 9000}}, None):
        assert injected(body, version) == body


@pytest.mark.parametrize(
    "thinking", ['{"type":"adaptive"}', '{"type":"disabled"}', "null", '{"type":"enabled","budget_tokens":"x"}']
)
def test_other_thinking_is_the_providers_business(thinking: str) -> None:
    body = '{"model":"m","max_tokens":%s,"thinking":%s}'
    assert injected(body % (9000, thinking), {"policy": {"max_output_tokens": 100}}) == body % (100, thinking)


def test_a_thinking_budget_nobody_touched_is_the_providers_business() -> None:
    body = '{"model":"m","max_tokens":100,"thinking":{"type":"enabled","budget_tokens":2048}}'
    assert injected(body, {}) == body


TOOL = {"name": "search", "description": "Finds.", "parameters": {"type": "object"}}
SHAPED = '{"name":"search","description":"Finds.","input_schema":{"type":"object"}}'
THEIRS = '{"name": "search", "input_schema": {}}'
SERVER = '{"type":"web_search_20250305","name":"web_search"}'
SEARCHES = {"web_search", "web_search_20250305"}


@pytest.mark.parametrize(
    ("mode", "items", "callers", "expected", "names"),
    [
        ("replace", [TOOL], f',"tools":[{SERVER}]', f',"tools":[{SHAPED}]', {"search"}),
        ("replace", [], f',"tools":[{SERVER}],"tool_choice":{{"type":"auto"}}', "", set()),
        ("merge", [TOOL], f',"tools":[{THEIRS} , {SERVER}]', f',"tools":[{SHAPED} , {SERVER}]', {"search", *SEARCHES}),
        ("merge", [TOOL], f',"tools":[{SERVER}]', f',"tools":[{SERVER},{SHAPED}]', {"search", *SEARCHES}),
        ("merge", [TOOL], "", f',"tools":[{SHAPED}]', {"search"}),
        ("keep", [TOOL], f',"tools":[{SERVER}]', f',"tools":[{SERVER}]', SEARCHES),
        ("merge", [{"name": "bare", "strict": True}], "", ',"tools":[{"name":"bare","input_schema":{"type":"object","properties":{}},"strict":true}]', {"bare"}),
        ("merge", [{"name": "raw", "input_schema": {}, "cache_control": {}}], "", ',"tools":[{"name":"raw","input_schema":{},"cache_control":{}}]', {"raw"}),
        ("merge", [{"type": "web_search_20250305", "name": "web_search"}], "", f',"tools":[{SERVER}]', SEARCHES),
    ],
)  # fmt: skip
def test_tools_are_replaced_merged_or_kept(
    mode: str, items: list[Any], callers: str, expected: str, names: set[str]
) -> None:
    answer = inject(f'{{"model":"m"{callers}}}'.encode(), {"tools": {"mode": mode, "items": items}})
    assert answer.body.decode() == f'{{"model":"m"{expected}}}'
    assert WIRE.read(answer.body).tool_names == names


def test_a_stream_is_not_asked_for_what_it_tells_anyway() -> None:
    body = b'{"model":"m","stream":true,"max_tokens":5,"messages":[]}'
    answer = inject(body, {})
    assert answer.body is body
    assert not answer.removes_usage_event


def test_the_facts_of_a_request() -> None:
    body = (
        f'{{"model":"m","stream":true,"max_tokens":5,"metadata":{{"user_id":"u"}},"tools":[{THEIRS}],'
        '"switchback":{"user":"x"}}'
    )
    facts = WIRE.read(body.encode())
    assert (facts.model, facts.streamed, facts.choices, facts.max_output_tokens) == ("m", True, 1, 5)
    assert (facts.claims.user, facts.claims.switchback, facts.tool_names) == ("u", {"user": "x"}, {"search"})
    assert "switchback" not in injected(body, None)


@pytest.mark.parametrize(
    ("member", "param"),
    [
        ('"model":1', "model"),
        ('"stream":"true"', "stream"),
        *((f'"max_tokens":{value}', "max_tokens") for value in ("-1", "1.5", '"5"', "1e9", "true")),
        ('"metadata":"u"', "metadata"),
        ('"metadata":{"user_id":true}', "user_id"),
        ('"switchback":[]', "switchback"),
        ('"tools":{}', "tools"),
    ],
)
def test_a_member_of_the_wrong_kind_is_refused_by_name(member: str, param: str) -> None:
    assert refusal_of(f"{{{member}}}") == ("wrong_kind", param)


@pytest.mark.parametrize(("body", "version"), [('{"model":"agent:triage"}', {}), ("{}", {})])
def test_the_name_of_an_agent_is_no_model(body: str, version: dict[str, Any]) -> None:
    assert refusal_of(body, version) == ("model_missing", "model")


VERSION = {
    "prompt": {"text": "Ours.", "mode": "prepend"},
    "model": {"name": "claude-sonnet-4-5", "parameters": {"stop": "x", "reasoning_effort": "low"}},
    "tools": {"mode": "merge", "items": [TOOL]},
    "policy": {"max_output_tokens": 10},
}
EDITED = {"model", "system", "stop_sequences", "output_config", "tools", "max_tokens"}
others = st.dictionaries(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=6).filter(
        lambda name: name not in {*EDITED, "stream", "metadata", "switchback", "thinking", "service_tier", "speed"}
    ),
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
    max_size=4,
)


@given(others, st.sampled_from(["text", [{"type": "text", "text": "é"}], None]), others, st.sampled_from([None, 1]))
@settings(max_examples=100)
def test_what_the_version_does_not_mention_passes_byte_for_byte_in_its_order(
    before: dict[str, Any], system: Any, after: dict[str, Any], indent: int | None
) -> None:
    sent = {**before, "system": system, **after, "messages": [{"role": "user", "content": "é"}], "max_tokens": 50}
    body = json.dumps(sent, indent=indent, ensure_ascii=indent is None).encode()
    answer = inject(body, VERSION).body
    received = json.loads(answer)
    assert {name: value for name, value in received.items() if name not in EDITED} == {
        name: value for name, value in sent.items() if name not in EDITED
    }
    assert [name for name in received if name in sent] == list(sent)
    assert body[body.index(b'"messages"') : body.index(b'"max_tokens"')] in answer
    assert (received["max_tokens"], received["model"]) == (10, "claude-sonnet-4-5")


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("POST", "/v1/messages", "/v1/messages"),
        ("POST", "/messages", "/v1/messages"),
        ("GET", "/v1/messages", None),
        ("POST", "/v1/messages/count_tokens", None),
        ("POST", "/v1/messages/batches", None),
        ("POST", "/v1/messages?beta=true", None),
        ("POST", "/v1/chat/completions", None),
    ],
)
def test_only_the_exact_path_is_this_wires(method: str, path: str, expected: str | None) -> None:
    operation = WIRE.operation(method, path)
    assert (None if operation is None else operation.path) == expected


@pytest.mark.parametrize(
    "members",
    [
        '"messages":[{"role":"user","content":"hello é"}],"system":"s"',
        '"messages":[{"role":"assistant","content":[{"type":"thinking","thinking":"x","signature":"y"},'
        '{"type":"redacted_thinking","data":"z"},{"type":"text","text":"x","cache_control":null},'
        '{"type":"tool_use","id":"1","name":"f","input":{"a":[1]}}]},'
        '{"role":"user","content":[{"type":"tool_result","tool_use_id":"1","content":[{"type":"text","text":"42"}]}]}]',
        f'"messages":[],"tools":[{THEIRS}],"system":[{PLAIN}],"thinking":{{"type":"adaptive"}}',
    ],
)
def test_text_is_bounded_by_its_bytes(members: str) -> None:
    body = f'{{"model":"m",{members}}}'.encode()
    bound = bound_of(body)
    assert bound is not None
    assert bound >= len(body)


def test_tools_add_the_providers_own_instructions_to_the_bound() -> None:
    without = bound_of(b'{"model":"m","messages":[],"xools":[]}')
    assert without is None
    plain, tools = b'{"model":"m","messages":[],"metadata":{}}', b'{"model":"m","messages":[],"tools":   []}'
    assert (bound_of(tools) or 0) > (bound_of(plain) or 0) + 500


@pytest.mark.parametrize(
    "members",
    [
        '"messages":[{"role":"user","content":[{"type":"image","source":{}}]}]',
        '"messages":[{"role":"user","content":[{"type":"document","source":{}}]}]',
        '"messages":[{"role":"user","content":[{"type":"tool_result","content":[{"type":"image","source":{}}]}]}]',
        '"messages":[{"role":"assistant","content":[{"type":"server_tool_use","id":"x","name":"web_search","input":{}}]}]',
        f'"messages":[],"tools":[{SERVER}]',
        '"messages":[],"tools":[{"type":"bash_20250124","name":"bash"}]',
        '"messages":[],"container":"container_1"',
        '"messages":[],"mcp_servers":[{}]',
        '"messages":[],"thread":"t"',
        '"messages":[],"system":7',
        '"messages":[],"messages":[]',
    ],
)
def test_what_is_more_than_text_has_no_bound(members: str) -> None:
    assert bound_of(f'{{"model":"m",{members}}}'.encode()) is None
