"""Golden vectors: what goes in, what version meets it, and the exact bytes that go to the provider."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.core.calls.caller import PromptClaim
from proxy.core.errors import BadInput, Refusal
from proxy.core.versions.components import parse_bundle
from proxy.wires.wire import InjectionPlan
from tests.wires.openai_responses.responses_requests import WIRE, inject, injected, prompt, refusal_of

MODEL = {"name": "gpt-4o-mini"}

OURS = ',"instructions":"Ours."'
THEIRS = ',"instructions":"Theirs \\u00e9."'
SYS = '{"role": "system", "content": "theirs"}'
DEV = '{"type":"message","content":[{"type":"input_text","text":"dev"}],"role":"developer"}'
USER = '{ "role":"user","content":"h\\u00ef" }'
CALL = '{"type":"function_call","call_id":"c","name":"f","arguments":"{}"}'
S = '{"role":"system","content":"Ours."}'
D = '{"role":"developer","content":"Ours."}'


@pytest.mark.parametrize(
    ("mode", "sent", "expected"),
    [
        ("replace", '"input":"hi"', f'"input":"hi"{OURS}'),
        ("replace", f'"input":"hi"{THEIRS}', f'"input":"hi"{OURS}'),
        ("replace", '"instructions":null,"input":"hi"', '"instructions":"Ours.","input":"hi"'),
        ("replace", f'"input":[{SYS}, {USER}]', f'"input":[{USER}]{OURS}'),
        ("replace", f'"input":[ {SYS} , {DEV} , {USER} ]{THEIRS}', f'"input":[ {USER} ]{OURS}'),
        ("replace", f'"input":[{USER},{SYS}]', f'"input":[{USER},{SYS}]{OURS}'),
        ("replace", f'"input":[{CALL},{SYS}]', f'"input":[{CALL},{SYS}]{OURS}'),
        ("replace", f'"input":[{",".join([DEV] * 6)},{USER}]', f'"input":[{USER}]{OURS}'),
        ("replace", f'"input":[{SYS} , {DEV} ]{THEIRS}', f'"input":[{S} ]'),
        ("replace", f'"input":[{DEV}]', f'"input":[{D}]'),
        ("replace", '"input":[]', f'"input":[]{OURS}'),
        ("replace", '"previous_response_id":"resp_1"', f'"previous_response_id":"resp_1"{OURS}'),
        ("prepend", f'"input":[{SYS},{USER}]', f'"input":[{SYS},{USER}]{OURS}'),
        ("prepend", f'"input":"hi"{THEIRS}', '"input":"hi","instructions":"Ours.\\n\\nTheirs \\u00e9."'),
        ("append", f'"input":"hi"{THEIRS}', '"input":"hi","instructions":"Theirs \\u00e9.\\n\\nOurs."'),
        ("append", '"input":"hi"', f'"input":"hi"{OURS}'),
        ("append", f'"input":[{SYS}, {DEV} , {USER}]{THEIRS}', f'"input":[{SYS}, {DEV},{S} , {USER}]{THEIRS}'),
        ("append", f'"input":[ {USER} ]', f'"input":[ {USER} ]{OURS}'),
        ("if_absent", f'"input":"hi"{THEIRS}', f'"input":"hi"{THEIRS}'),
        ("if_absent", f'"input":[{SYS},{USER}]', f'"input":[{SYS},{USER}]'),
        ("if_absent", f'"input":[{USER},{SYS}]', f'"input":[{USER},{SYS}]{OURS}'),
        ("if_absent", '"instructions":"","input":"hi"', '"instructions":"Ours.","input":"hi"'),
    ],
)  # fmt: skip
def test_the_prompt_meets_the_callers_own(mode: str, sent: str, expected: str) -> None:
    assert injected(f'{{"model":"m", {sent}}}', prompt(mode)) == f'{{"model":"m", {expected}}}'


def test_a_version_without_a_prompt_leaves_the_callers_untouched() -> None:
    body = f'{{"input":[{SYS},{USER}]{THEIRS},"model":"m"}}'.encode()
    assert inject(body, {}).body is body


def test_variables_are_filled_in_and_written_as_json() -> None:
    version = {"prompt": {"text": 'Hi {{who}}, "{{ what }}"\n', "variables": {"who": {}, "what": {"default": "é"}}}}
    answer = inject(b'{"model":"m","input":"x"}', version, variables={"who": 'A"}\\', "else": "x"})
    assert json.loads(answer.body)["instructions"] == 'Hi A"}\\, "é"\n'
    assert answer.ignored_variables == 1
    assert refusal_of('{"model":"m","input":"x"}', version)[0] == "variable_missing"


@pytest.mark.parametrize(
    ("sent", "param"),
    [
        ('"input":[1]', "input[0]"),
        ('"input":[{"role":["system"]}]', "input[0]"),
        (f'"input":[{SYS},null]', "input[1]"),
        ('"instructions":["x"],"input":"hi"', "instructions"),
        ('"instructions":7,"input":"hi"', "instructions"),
    ],
)
def test_what_is_of_the_wrong_kind_is_refused_where_a_prompt_goes_in(sent: str, param: str) -> None:
    assert refusal_of(f'{{"model":"m",{sent}}}', prompt("replace")) == ("wrong_kind", param)


def test_what_nobody_edits_is_the_providers_business() -> None:
    body = b'{"model":"m","input":[1,{"role":7}],"instructions":7}'
    expected = b'{"model":"gpt-4o-mini","input":[1,{"role":7}],"instructions":7}'
    assert inject(body, {"model": MODEL}).body == expected


@pytest.mark.parametrize(
    ("body", "parameters", "expected"),
    [
        ('{"model":"m","temperature":1}', {"temperature": 0.2}, '{"model":"m","temperature":0.2}'),
        ('{"model":"m","temperature":1}', {"temperature": {"default": 0.2}}, '{"model":"m","temperature":1}'),
        ('{"model":"m"}', {"top_p": 0.5}, '{"model":"m","top_p":0.5}'),
        ('{"model":"m"}', {"reasoning_effort": "low"}, '{"model":"m","reasoning":{"effort":"low"}}'),
        ('{"model":"m","reasoning":{ "summary":"auto","effort":"high" }}', {"reasoning_effort": "low"},
         '{"model":"m","reasoning":{ "summary":"auto","effort":"low" }}'),
        ('{"model":"m","reasoning":{"effort":"high"}}', {"reasoning_effort": {"default": "low"}}, '{"model":"m","reasoning":{"effort":"high"}}'),
        ('{"model":"m","reasoning":{"summary":"auto"}}', {"reasoning_effort": {"default": "low"}},
         '{"model":"m","reasoning":{"summary":"auto","effort":"low"}}'),
        ('{"model":"m"}', {"tool_choice": "any"}, '{"model":"m","tool_choice":"required"}'),
        ('{"model":"m"}', {"tool_choice": "search"}, '{"model":"m","tool_choice":{"type":"function","name":"search"}}'),
        ('{"model":"m"}', {"tool_choice": {"type": "function", "function": {"name": "search"}}},
         '{"model":"m","tool_choice":{"type":"function","name":"search"}}'),
        ('{"model":"m"}', {"tool_choice": {"type": "web_search"}}, '{"model":"m","tool_choice":{"type":"web_search"}}'),
        ('{"model":"m","text":{"verbosity":"low"}}', {"response_format": {"type": "json_object"}},
         '{"model":"m","text":{"verbosity":"low","format":{"type":"json_object"}}}'),
        ('{"model":"m"}', {"response_format": {"type": "json_schema", "schema": {"type": "object"}, "strict": True}},
         '{"model":"m","text":{"format":{"type":"json_schema","name":"answer","schema":{"type":"object"},"strict":true}}}'),
        ('{"model":"m"}', {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {}}}},
         '{"model":"m","text":{"format":{"type":"json_schema","name":"x","schema":{}}}}'),
        ('{"model":"m"}', {"extra": {"truncation": "auto", "store": False}}, '{"model":"m","store":false,"truncation":"auto"}'),
    ],
)  # fmt: skip
def test_parameters_go_in_under_the_wires_own_names(body: str, parameters: dict[str, Any], expected: str) -> None:
    assert injected(body, {"model": {"parameters": parameters}}) == expected


@pytest.mark.parametrize(
    ("model", "dropped"),
    [
        ("o3-mini", {"temperature", "stop", "seed"}),
        ("gpt-5", {"temperature", "stop", "seed"}),
        ("gpt-4o", {"stop", "seed", "reasoning_effort"}),
        ("llama-4", {"stop", "seed"}),
    ],
)
def test_parameters_the_wire_or_the_model_does_not_take_are_left_out_and_reported(
    model: str, dropped: set[str]
) -> None:
    parameters = {"temperature": 0.2, "stop": "x", "seed": 1, "reasoning_effort": "low"}
    answer = inject(b'{"model":"m","input":"x"}', {"model": {"name": model, "parameters": parameters}})
    assert set(answer.dropped_parameters) == dropped
    left = json.loads(answer.body).keys() - {"model", "input"}
    assert left == {"reasoning" if name == "reasoning_effort" else name for name in parameters.keys() - dropped}


@pytest.mark.parametrize(
    ("model", "callers", "left", "dropped"),
    [
        ("o3-mini", '"temperature":1,"top_p":null,"top_logprobs":2', {}, ("temperature", "top_p", "top_logprobs")),
        ("gpt-4o", '"reasoning":{"effort":"low"},"text":{"verbosity":"low","format":{"type":"text"}}',
         {"text": {"format": {"type": "text"}}}, ("reasoning", "verbosity")),
        ("gpt-4o", '"text":{"format":{"type":"text"}}', {"text": {"format": {"type": "text"}}}, ()),
        ("o3", '"text":{"verbosity":"low"},"reasoning":{"effort":"minimal","summary":"auto"}',
         {"text": {}, "reasoning": {"effort": "low", "summary": "auto"}}, ("verbosity", "reasoning.effort")),
        ("o3", '"include":["message.output_text.logprobs","reasoning.encrypted_content"]',
         {"include": ["reasoning.encrypted_content"]}, ("message.output_text.logprobs",)),
        ("gpt-4.1", '"include":["message.output_text.logprobs","reasoning.encrypted_content"]',
         {"include": ["message.output_text.logprobs"]}, ("reasoning.encrypted_content",)),
        ("gpt-5.2", '"text":{"verbosity":"low"},"reasoning":{"effort":"xhigh"},"include":["reasoning.encrypted_content"]',
         {"text": {"verbosity": "low"}, "reasoning": {"effort": "xhigh"}, "include": ["reasoning.encrypted_content"]}, ()),
        ("gpt-4o", '"max_output_tokens":100000', {"max_output_tokens": 16384}, ("max_output_tokens",)),
        ("llama-4", '"temperature":1,"reasoning":{}', {"temperature": 1, "reasoning": {}}, ()),
    ],
)  # fmt: skip
def test_what_the_versions_model_refuses_of_the_callers_is_left_out_and_reported(
    model: str, callers: str, left: dict[str, Any], dropped: tuple[str, ...]
) -> None:
    answer = inject(f'{{"model":"m",{callers}}}'.encode(), {"model": {"name": model}})
    assert json.loads(answer.body) == {"model": model, **left}
    assert answer.dropped_parameters == dropped


@pytest.mark.parametrize(
    ("callers", "version", "policy", "ceiling", "expected", "bound"),
    [
        ("", None, None, None, "", None),
        ("", None, None, 4096, ',"max_output_tokens":4096', 4096),
        (',"max_output_tokens":9000', None, None, 4096, ',"max_output_tokens":9000', 9000),
        (',"max_output_tokens":50', 100, None, None, ',"max_output_tokens":100', 100),
        (',"max_output_tokens":null', {"default": 100}, None, None, ',"max_output_tokens":100', 100),
        (',"max_output_tokens":500', None, 200, None, ',"max_output_tokens":200', 200),
    ],
)
def test_the_output_bound_is_the_versions_then_the_callers_then_the_ceiling(
    callers: str, version: Any, policy: int | None, ceiling: int | None, expected: str, bound: int | None
) -> None:
    parameters = {} if version is None else {"max_output_tokens": version}
    components = {
        "model": {"parameters": parameters},
        "policy": {} if policy is None else {"max_output_tokens": policy},
    }
    answer = inject(f'{{"model":"m"{callers}}}'.encode(), components, output_ceiling=ceiling)
    assert (answer.body.decode(), answer.max_output_tokens) == (f'{{"model":"m"{expected}}}', bound)


TOOL = {"name": "search", "description": "Finds.", "parameters": {"type": "object"}}
TOOL_SENT = '{"type":"function","name":"search","description":"Finds.","parameters":{"type":"object"}}'
SAME = '{"type": "function", "name": "search"}'
OTHER = '{"type":"custom","name":"other"}'
WEB = '{"type":"web_search","filters":{}}'
MCP = '{"type":"mcp","server_label":"docs","server_url":"https://docs.example"}'
MCP_ITEM = {"type": "mcp", "server_label": "docs", "server_url": "https://new.example"}
MCP_SENT = '{"type":"mcp","server_label":"docs","server_url":"https://new.example"}'
MCP_OTHER = '{"type":"mcp","server_label":"wiki","server_url":"https://wiki.example"}'


@pytest.mark.parametrize(
    ("mode", "items", "callers", "expected", "names"),
    [
        ("replace", [TOOL], f',"tools":[{OTHER}]', f',"tools":[{TOOL_SENT}]', {"search"}),
        ("replace", [TOOL], "", f',"tools":[{TOOL_SENT}]', {"search"}),
        ("replace", [], f',"tools":[{OTHER}],"tool_choice":"auto"', "", set()),
        ("merge", [TOOL], f',"tools":[ {OTHER} , {SAME} ]', f',"tools":[ {OTHER} , {TOOL_SENT} ]', {"search", "other"}),
        ("merge", [TOOL], f',"tools":[ {WEB} ]', f',"tools":[ {WEB},{TOOL_SENT} ]', {"search", "web_search"}),
        ("merge", [{"type": "web_search"}], f',"tools":[{WEB}]', ',"tools":[{"type":"web_search"}]', {"web_search"}),
        ("merge", [MCP_ITEM], f',"tools":[{MCP_OTHER}, {MCP}]', f',"tools":[{MCP_OTHER}, {MCP_SENT}]', {"docs", "wiki"}),
        ("keep", [TOOL], f',"tools":[{OTHER}]', f',"tools":[{OTHER}]', {"other"}),
        ("merge", [{"name": "bare", "strict": True}], "", ',"tools":[{"type":"function","name":"bare","strict":true}]', {"bare"}),
    ],
)  # fmt: skip
def test_tools_are_replaced_merged_or_kept(
    mode: str, items: list[Any], callers: str, expected: str, names: set[str]
) -> None:
    answer = inject(f'{{"model":"m"{callers}}}'.encode(), {"tools": {"mode": mode, "items": items}})
    assert answer.body.decode() == f'{{"model":"m"{expected}}}'
    assert WIRE.read(answer.body).tool_names == names


def test_tools_inside_of_others_and_in_the_conversation_are_seen() -> None:
    space = '{"type":"namespace","name":"crm","tools":[{"type":"function","name":"refund"}]}'
    more = '{"type":"additional_tools","role":"developer","tools":[{"type":"function","name":"pay"}]}'
    found = f'{{"type":"tool_search_output","call_id":"c","tools":[{MCP}]}}'
    request = WIRE.read(f'{{"model":"m","tools":[{space}],"input":[{more},{found},{USER}]}}'.encode())
    assert request.tool_names == {"crm", "refund", "pay", "docs"}


@pytest.mark.parametrize("sent", ['"conv_1"', '{"id":"conv_1"}'])
def test_a_conversation_that_the_provider_keeps_is_the_callers(sent: str) -> None:
    claims = WIRE.read(f'{{"input":"hi","conversation":{sent},"user":"u","safety_identifier":"s"}}'.encode()).claims
    assert (claims.conversation, claims.user) == ("conv_1", "s")
    assert refusal_of('{"model":"m","conversation":true}') == ("wrong_kind", "conversation")


def test_a_response_made_in_the_background_is_bounded_by_nothing() -> None:
    assert inject(b'{"model":"m","input":"x","background":true}', None).unbounded_because is not None
    assert inject(b'{"model":"m","input":"x","background":false}', None).unbounded_because is None
    of_the_versions = {"model": {"parameters": {"extra": {"background": True}}}}
    assert inject(b'{"model":"m","input":"x"}', of_the_versions).unbounded_because is not None


HOSTED = '"prompt":{"id":"pmpt_1","version":"3","variables":{"who":{"type":"input_text","text":"Ann"},"what":"x"}}'


def test_a_prompt_that_the_provider_would_keep_is_read_and_never_sent() -> None:
    request = WIRE.read(f'{{"input":"hi",{HOSTED},"model":null}}'.encode())
    assert request.claims.prompt == PromptClaim("pmpt_1", "3", {"who": "Ann", "what": "x"})
    version = {"model": MODEL, "prompt": {"text": "Ours."}}
    assert injected(f'{{"input":"hi",{HOSTED}}}', version) == f'{{"input":"hi","model":"gpt-4o-mini"{OURS}}}'
    assert injected('{"model":"m","prompt":null}', {}) == '{"model":"m","prompt":null}'


@pytest.mark.parametrize(
    ("mode", "more", "expected"),
    [
        ("replace", "", f'"model":"m","input":[{D}]'),
        ("replace", ',"input":null', f'"model":"m","input":[{D}]'),
        ("append", ',"instructions":"Theirs."', '"model":"m","input":[{"role":"developer","content":"Theirs.\\n\\nOurs."}]'),
        ("replace", ',"previous_response_id":"r"', f'"model":"m","previous_response_id":"r"{OURS}'),
        ("replace", ',"conversation":"c"', f'"model":"m","conversation":"c"{OURS}'),
    ],
)  # fmt: skip
def test_without_an_input_the_prompt_is_what_is_answered(mode: str, more: str, expected: str) -> None:
    assert injected(f'{{"model":"m",{HOSTED}{more}}}', prompt(mode)) == f"{{{expected}}}"


@pytest.mark.parametrize(
    ("sent", "param"),
    [
        ('"prompt":"pmpt_1"', "prompt"),
        ('"prompt":{}', "prompt.id"),
        ('"prompt":{"id":7}', "prompt"),
        ('"prompt":{"id":"p","variables":{"x":{"type":"input_image","file_id":"f"}}}', "prompt.variables.x"),
        ('"prompt":{"id":"p","variables":{"x":7}}', "prompt"),
        ('"prompt":{"id":"p"},"max_output_tokens":-1', "max_output_tokens"),
        ('"prompt":{"id":"p"},"prompt":{"id":"q"}', "prompt"),
    ],
)
def test_a_body_that_names_a_prompt_is_nobody_elses_to_judge(sent: str, param: str) -> None:
    with pytest.raises(Refusal) as caught:
        WIRE.read(f'{{"model":"m","input":"x",{sent}}}'.encode())
    assert not isinstance(caught.value, BadInput)
    assert (caught.value.status, caught.value.param) == (400, param)


def test_the_switchback_member_never_reaches_the_provider() -> None:
    body = '{"switchback":{"agent":"x","user":"u"},"model":"m"}'
    assert WIRE.read(body.encode()).claims.switchback == {"agent": "x", "user": "u"}
    assert injected(body, None) == '{"model":"m"}'


@pytest.mark.parametrize(
    ("body", "version", "expected"),
    [
        ('{"model":"agent:triage"}', {"model": MODEL}, '{"model":"gpt-4o-mini"}'),
        ('{"store":false}', {"model": MODEL}, '{"store":false,"model":"gpt-4o-mini"}'),
        ('{"model":"gpt-4o"}', {}, '{"model":"gpt-4o"}'),
    ],
)
def test_the_versions_model_wins(body: str, version: dict[str, Any], expected: str) -> None:
    answer = inject(body.encode(), version)
    assert (answer.body.decode(), answer.model) == (expected, json.loads(expected)["model"])


@pytest.mark.parametrize(
    ("body", "version"),
    [('{"model":"agent:triage"}', {}), ("{}", {}), ('{"model":"agent:triage"}', None)],
)
def test_the_name_of_an_agent_is_no_model(body: str, version: dict[str, Any] | None) -> None:
    assert refusal_of(body, version) == ("model_missing", "model")


FULL = {
    "prompt": {"text": "Ours."},
    "model": {"name": "gpt-4.1", "parameters": {"temperature": 0.2, "extra": {"store": False}}},
    "tools": {"mode": "merge", "items": [TOOL]},
    "policy": {"max_output_tokens": 10},
}
EDITED = {"model", "input", "instructions", "temperature", "store", "tools", "max_output_tokens"}
READ = {"stream", "user", "safety_identifier", "switchback", "service_tier", "speed", "conversation", "background"}
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
others = st.dictionaries(
    texts.filter(lambda name: name not in EDITED | READ | {"text", "reasoning"}),
    st.none() | st.booleans() | st.integers() | texts | st.just([1.50, {}]),
    max_size=4,
)


@given(others, others, st.booleans(), st.sampled_from([None, 1]))
@settings(max_examples=100)
def test_what_the_version_does_not_mention_passes_byte_for_byte_in_its_order(
    before: dict[str, Any], after: dict[str, Any], streamed: bool, indent: int | None
) -> None:
    # Longer than any name or text that is made up, so that it is found where it stands and nowhere else.
    tail = {"role": "user", "content": "where it ends: é"}
    sent = {**before, "input": [{"role": "system", "content": "x"}, tail], "stream": streamed, **after, "model": "m"}
    body = json.dumps(sent, indent=indent, ensure_ascii=indent is None).encode()
    answer = inject(body, FULL).body
    received = json.loads(answer)
    assert {name: value for name, value in received.items() if name not in EDITED} == {
        name: value for name, value in sent.items() if name not in EDITED
    }
    assert received["input"] == [tail]
    assert [name for name in received if name in sent] == list(sent)
    assert answer.startswith(body[: body.index(b'{"role"' if indent is None else b'{\n   "role"')])
    assert body[body.index(b"where it ends") : body.index(b'"model"')] in answer


def test_the_injected_bytes_are_the_same_every_time_and_leave_the_request_reusable() -> None:
    body = b'{"model":"m","input":[{"role":"user","content":"hi"}],"stream":true}'
    request = WIRE.read(body)
    answers = {WIRE.inject(request, InjectionPlan(bundle=parse_bundle(FULL))).body for _ in range(3)}
    assert len(answers) == 1
    assert WIRE.inject(request, InjectionPlan(bundle=None)).body is body


@pytest.mark.parametrize("mode", ["replace", "prepend", "append", "if_absent"])
@pytest.mark.parametrize("head", ["", '{"role":"developer","content":"theirs"},'])
@pytest.mark.parametrize("more", ["", THEIRS, ',"background":true', f',"tools":[{WEB}]'])
def test_requests_that_are_alike_are_injected_as_if_each_were_the_first(mode: str, head: str, more: str) -> None:
    # The same surroundings again and again, with other conversations in them: what is remembered of them changes nothing.
    conversations = [
        '{"role":"user","content":"one"}',
        '{"role":"user","content":"two"},{"role":"assistant","content":"é"},{"role":"user","content":"three"}',
        f'{{"role":"user","content":"call"}},{CALL},{{"type":"function_call_output","call_id":"c","output":"42"}}',
        '{"role":"user","content":[{"type":"input_image","image_url":"https://x"}]}',
        '{"role":"system","content":"late"},{"role":"user","content":"four"}',
    ]
    for conversation in conversations * 4:
        body = f'{{"model":"m","input":[{head}{conversation}]{more}}}'.encode()
        seen, fresh = WIRE, type(WIRE)()
        plan = InjectionPlan(bundle=parse_bundle(FULL | prompt(mode)), output_ceiling=500)
        found = [wire.inject(wire.read(body), plan) for wire in (seen, fresh)]
        assert found[0].body == found[1].body
        assert [seen.input_tokens_bound(found[0]), found[0].unbounded_because] == [
            fresh.input_tokens_bound(found[1]),
            found[1].unbounded_because,
        ]
        if found[0].unbounded_because is None and fresh.input_tokens_bound(found[1]) is None:
            assert seen.billed_apart(found[0]) == fresh.billed_apart(found[1])


@pytest.mark.parametrize(
    ("names", "text", "param"),
    [(10_001, "x", "prompt.variables"), (200_000, "x", "prompt"), (1, "x" * 2_000_000, "prompt")],
)
def test_a_prompt_of_more_variables_than_any_declares_is_refused_before_it_is_read(
    names: int, text: str, param: str
) -> None:
    body = {"model": "m", "input": "hi", "prompt": {"id": "p", "variables": {f"v{n}": text for n in range(names)}}}
    with pytest.raises(Refusal) as refused:
        WIRE.read(json.dumps(body).encode())
    assert (refused.value.code, refused.value.param) == ("wrong_kind", param)


@pytest.mark.parametrize(
    ("members", "chain"),
    [
        ('"previous_response_id":"resp_1"', "resp_1"),
        ('"previous_response_id":"resp_1","conversation":{"id":"conv_1"}', "resp_1"),
        ('"conversation":"conv_1"', "conv_1"),
        ('"previous_response_id":null', None),
        (f'"previous_response_id":"{"r" * 513}"', None),
    ],
)
def test_what_a_call_goes_on_with_is_what_the_provider_keeps(members: str, chain: str | None) -> None:
    assert WIRE.read(f'{{"model":"m",{members}}}'.encode()).claims.chain == chain
