"""A provider format that nobody speaks, as different from the others as the proxy allows: what adding a wire comes to.

Three things, as the recipe says: the wire, its family's row, and what the simulator answers on it. The model stands in the path,
the temperature in a header, the prompt in a member of its own; streams are lines of JSON.
"""

from collections.abc import Sequence
from typing import Any

import orjson

from proxy.core.calls.caller import BodyClaims
from proxy.core.errors import Refusal
from proxy.core.spending.usage import Usage
from proxy.core.steps import Steps
from proxy.simulator import wire as simulated
from proxy.simulator.answering import Answer, pieces_of
from proxy.simulator.asking import Ask, Refused
from proxy.simulator.models import Model
from proxy.wires.families import Family
from proxy.wires.json.edits import MemberEdits
from proxy.wires.json.members import parse_members
from proxy.wires.json.values import json_text
from proxy.wires.shared.request_bounds import RequestBounds
from proxy.wires.shared.version_bytes import prompt_json
from proxy.wires.shared.version_parts import FLAG, final_model, output_bound, read_switchback_member, read_whole_number
from proxy.wires.wire import (
    NO_HEAD,
    AnswerFacts,
    BilledApart,
    Injection,
    InjectionPlan,
    Operation,
    RequestFacts,
    RequestHead,
)

PATH = "/v1/toy/"
LINES = "application/x-ndjson"
MODELS = {
    name: Model(name, "toy", name, price, price, price, 2 * price)  # type: ignore[arg-type]
    for name, price in (("toy-small", 1_000), ("toy-large", 3_000))
}
FAMILY = Family(
    name="toy",  # type: ignore[arg-type]
    default_origin="https://toys.example",
    key_headers=frozenset({b"api-key"}),
    own_key=(b"api-key", b""),
    key_shapes=(b"toy-",),
    model_list="/v1/toys",
    versioned_paths=(PATH + "MODEL",),
    paths=(),
)


class _Lines:
    """An answer of lines, or of one, which is the same."""

    def __init__(self, *, is_stream: bool) -> None:
        self.facts = AnswerFacts()
        self.is_stream = is_stream
        self._rest = b""

    def feed(self, piece: bytes) -> bytes:
        *lines, self._rest = (self._rest + piece).split(b"\n")
        for line in lines:
            self._read(line)
        return piece

    def finish(self) -> bytes:
        self._read(self._rest)
        self._rest = b""
        return b""

    def held_back(self) -> bytes:
        return b""

    @property
    def takes_event(self) -> bool:
        return self.is_stream and not self._rest and not self.facts.is_complete

    def _read(self, line: bytes) -> None:
        if not line:
            return
        said = orjson.loads(line)
        self.facts.output_bytes += len(said.get("text", ""))
        if "used" in said:
            self.facts.model = said["model"]
            self.facts.usage = Usage(input_tokens=said["used"][0], output_tokens=said["used"][1])
            self.facts.finish, self.facts.is_complete = "stop", True


class ToyWire:
    name = "toy"
    family: Any = "toy"
    stream_type = LINES.encode()
    is_conversation = True

    def __init__(self, _bounds: RequestBounds | None = None) -> None:
        pass

    def operation(self, method: str, path: str) -> Operation | None:
        if method != "POST" or not path.startswith(PATH):
            return None
        return Operation("toy", path, "generates", is_metered=True, is_in_force=True, has_output=True)

    def read(self, body: bytes, head: RequestHead = NO_HEAD, /) -> RequestFacts:
        members = parse_members(body)
        model = head.target.decode().removeprefix(PATH).partition("?")[0]
        user = next((value.decode() for name, value in head.headers if name == b"toy-user"), None)
        return RequestFacts(
            claims=BodyClaims(model=model, user=user, switchback=read_switchback_member(members)),
            model=model,
            streamed=members.decoded("lines", FLAG, "true or false") or False,
            choices=1,
            max_output_tokens=read_whole_number(members, "most", 1, 1_000_000),
            tool_names=frozenset(),
            document=members,
        )

    def read_in_steps(self, body: bytes, head: RequestHead = NO_HEAD, /) -> Steps[RequestFacts]:
        yield
        return self.read(body, head)

    def inject(self, request: RequestFacts, plan: InjectionPlan) -> Injection:
        edits, bundle = MemberEdits(request.document), plan.bundle
        edits.remove("switchback")
        model = final_model(bundle, request.model)
        headers: dict[bytes, bytes | None] = {b"toy-user": None}
        if bundle is not None:
            edits.set("guidance", prompt_json(bundle, plan.variables))
            if (temperature := bundle.model.parameters.get("temperature")) is not None:
                headers[b"toy-temperature"] = str(temperature.value).encode()
        bound = output_bound(bundle, request.max_output_tokens, plan.output_ceiling)
        if bound is not None:
            edits.set("most", b"%d" % bound)
        return Injection(
            body=edits.render(),
            model=model,
            max_output_tokens=bound,
            target=f"{PATH}{model}".encode(),
            headers=headers,
        )

    def input_tokens_bound(self, injection: Injection) -> int | None:
        return len(injection.body)

    def billed_apart(self, injection: Injection) -> BilledApart:
        raise AssertionError(injection)

    def answer_reader(self, *, streamed: bool, removes_usage_event: bool) -> _Lines:
        assert not removes_usage_event
        return _Lines(is_stream=streamed)

    def answer_text(self, answer: bytes) -> str | None:
        return "".join(orjson.loads(line).get("text", "") for line in answer.splitlines() if line)

    def error_status(self, refusal: Refusal) -> int:
        return refusal.status

    def error_body(self, refusal: Refusal, request_id: str) -> bytes:
        return b'{"no":%b,"id":%b}' % (json_text(refusal.code), json_text(request_id))

    def error_event(self, refusal: Refusal, request_id: str) -> bytes:
        return self.error_body(refusal, request_id) + b"\n"

    def smallest_call(self, model: str) -> bytes:
        del model
        return b'{"ask":"x","most":1}'

    def text_reply(self, text: str, *, model: str, reply_id: str, created: int, streamed: bool) -> bytes:
        del reply_id, created, streamed
        return b'{"text":%b,"model":%b,"used":[0,0]}\n' % (json_text(text), json_text(model))


def _reading(model: str) -> simulated.Generation:
    def read(body: Any, _headers: simulated.Headers, models: simulated.Models) -> Ask:
        texts = [body.get("guidance", ""), body["ask"]]
        return Ask(
            model=models[model],
            system=texts[0],
            user=texts[1],
            counted_bytes=sum(map(len, texts)),
            stream=body.get("lines", False),
            max_output_tokens=body.get("most"),
        )

    return simulated.Generation(read, _whole, _frames)


def _whole(_body: Any, _ask: Ask, answer: Answer) -> Any:
    return {"text": answer.choices[0].text, **_end(answer)}


def _frames(_body: Any, _ask: Ask, answer: Answer) -> Sequence[simulated.Frame]:
    pieces = pieces_of(answer.choices[0].text, None)
    lines = [({"text": piece}, True) for piece in pieces] + [(_end(answer), False)]
    return [simulated.Frame(orjson.dumps(line) + b"\n", is_piece) for line, is_piece in lines]


def _end(answer: Answer) -> Any:
    return {"model": answer.model, "used": [answer.input_tokens, answer.output_tokens]}


def _check_key(headers: simulated.Headers) -> None:
    if not headers.get("api-key"):
        raise Refused(401, "who are you?")


SIMULATED = simulated.Wire(
    name="toy",
    answers=lambda path, _headers: path.startswith(PATH),
    check_caller=_check_key,
    generations={PATH + name: _reading(name) for name in MODELS},
    other=lambda _request, _models: {},
    headers=lambda _number, _ask, _scenario: {},
    error_body=lambda refused, _number: {"no": refused.message},
    error_frame=b'{"no":"error"}\n',
    malformed_frame=b'{"text":\n',
    stream_type=LINES,
)
