"""Servers that speak the OpenAI wire in ways of their own: one `Wire` each, at its own base path, for `Simulator(wires=…)`.

What differs is what a proxy meets: members that are refused or silently ignored, where a stream tells its usage, what the usage says beside the
usual counts, comments between events. Everything else is `openai.py`, which these are made of.

Facts: each server's API reference and reports of its users, 2026-11.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import orjson

from proxy.simulator.answering import Answer
from proxy.simulator.asking import Ask, JsonObject, Refused
from proxy.simulator.openai import DONE, OPENAI, chat_frames, whole_chat
from proxy.simulator.openai_extras import COMPLETIONS, EMBEDDINGS
from proxy.simulator.openai_reading import read_chat
from proxy.simulator.openai_responses import OPENAI_RESPONSES
from proxy.simulator.openai_usage import usage_of
from proxy.simulator.wire import Frame, Generation, Headers, Models, Wire

Usage = Callable[[JsonObject, Ask, Answer], JsonObject]


def _as_usual(usage: JsonObject, _ask: Ask, _answer: Answer) -> JsonObject:
    return usage


@dataclass(frozen=True, slots=True)
class Habit:
    """How one server differs."""

    base_path: str
    forbidden: tuple[str, ...] = ()
    """Members it refuses with 422."""
    ignored: tuple[str, ...] = ()
    """Members it takes and does not look at."""
    tells: Literal["asked", "with the finish", "x_groq", "always"] = "asked"
    """Where a stream has its usage: in a chunk of its own if asked, with the finish reason, in a member beside it, or in a last chunk."""
    usage: Usage = _as_usual
    comment: bytes = b""
    """Stands before a stream, and between its events."""


def _hits(usage: JsonObject, _ask: Ask, answer: Answer) -> JsonObject:
    """Cached tokens under names of its own."""
    plain = {name: value for name, value in usage.items() if name != "prompt_tokens_details"}
    missed = answer.input_tokens - answer.cached_tokens
    return {**plain, "prompt_cache_hit_tokens": answer.cached_tokens, "prompt_cache_miss_tokens": missed}


def _cost(usage: JsonObject, ask: Ask, answer: Answer) -> JsonObject:
    """What the call is billed, in dollars."""
    dollars = ask.model.nanodollars(answer) / 1e9
    return {**usage, "cost": dollars, "is_byok": False, "cost_details": {"upstream_inference_cost": None}}


def _reasoning_beside(usage: JsonObject, _ask: Ask, answer: Answer) -> JsonObject:
    """Reasoning is no part of the completion's tokens, only of the sum."""
    return {**usage, "completion_tokens": answer.output_tokens - answer.reasoning_tokens}


def _thoughts_hidden(usage: JsonObject, ask: Ask, answer: Answer) -> JsonObject:
    """As above, without saying what they are."""
    told = _reasoning_beside(usage, ask, answer)
    return {name: told[name] for name in ("prompt_tokens", "completion_tokens", "total_tokens")}


def _bare(usage: JsonObject, _ask: Ask, _answer: Answer) -> JsonObject:
    return {name: usage[name] for name in ("prompt_tokens", "completion_tokens", "total_tokens")}


NEWER_BOUND = "max_completion_tokens"
HABITS: Mapping[str, Habit] = {
    "deepseek": Habit("/v1", ignored=(NEWER_BOUND,), usage=_hits, comment=b": keep-alive\n\n"),
    "fireworks": Habit("/inference/v1", ignored=(NEWER_BOUND,), tells="with the finish", usage=_bare),
    "gemini": Habit("/v1beta/openai", usage=_thoughts_hidden),
    "groq": Habit("/openai/v1", tells="x_groq", usage=_bare),
    "mistral": Habit("/v1", forbidden=("stream_options", NEWER_BOUND), tells="with the finish", usage=_bare),
    "ollama": Habit("/v1", ignored=(NEWER_BOUND,), usage=_bare),
    "openrouter": Habit(
        "/api/v1",
        ignored=(NEWER_BOUND, "stream_options"),
        tells="always",
        usage=_cost,
        comment=b": OPENROUTER PROCESSING\n\n",
    ),
    "together": Habit("/v1", ignored=(NEWER_BOUND,), tells="with the finish", usage=_bare),
    "vllm": Habit("/v1", usage=_bare),
    "xai": Habit("/v1", usage=_reasoning_beside),
}


def _generation(habit: Habit) -> Generation:
    def read(body: JsonObject, headers: Headers, models: Models) -> Ask:
        extra = [name for name in habit.forbidden if name in body]
        if extra:
            detail = [
                {"type": "extra_forbidden", "loc": ["body", name], "msg": "Extra inputs are not permitted"}
                for name in extra
            ]
            raise Refused(422, orjson.dumps({"detail": detail}).decode())
        seen = {name: value for name, value in body.items() if name not in habit.ignored}
        return read_chat(seen, headers, models)

    def whole(body: JsonObject, ask: Ask, answer: Answer) -> JsonObject:
        content = whole_chat(body, ask, answer)
        if isinstance(content.get("usage"), dict):
            content["usage"] = habit.usage(content["usage"], ask, answer)
        return content

    def frames(body: JsonObject, ask: Ask, answer: Answer) -> Sequence[Frame]:
        asked = ask.include_usage
        sent = list(chat_frames(body, replace(ask, include_usage=asked and habit.tells in ("asked", "x_groq")), answer))
        told = None if answer.usage_order == "none" else usage_of(answer)
        usage = told if told is None or answer.usage_order else habit.usage(told, ask, answer)
        return _commented(_with_usage(sent, usage, habit), habit.comment)

    return Generation(read, whole, frames)


def _with_usage(frames: list[Frame], usage: JsonObject | None, habit: Habit) -> list[Frame]:
    """The stream with its usage where the server tells it."""
    chunks = [_content_of(frame) for frame in frames]
    finish = max(index for index, chunk in enumerate(chunks) if _is_finish(chunk))
    for index, chunk in enumerate(chunks):
        if chunk is None:
            continue
        if habit.tells == "with the finish" and index == finish:
            chunk["usage"] = usage
        elif habit.tells == "x_groq" and index in (0, finish):
            chunk["x_groq"] = {"id": "req_simulated"} | ({"usage": usage} if index else {})
        elif chunk.get("usage"):
            chunk["usage"] = usage
    if habit.tells == "always" and usage is not None:
        last = next(chunk for chunk in reversed(chunks) if chunk is not None)
        chunks.insert(-1, {**last, "choices": [], "usage": usage})
        frames.insert(-1, Frame(b"", False))
    return [
        frame if chunk is None else Frame(b"data: " + orjson.dumps(chunk) + b"\n\n", frame.is_piece)
        for frame, chunk in zip(frames, chunks, strict=True)
    ]


def _commented(frames: list[Frame], comment: bytes) -> list[Frame]:
    if not comment:
        return frames
    return [part for frame in frames for part in (Frame(comment, False), frame)]


def _content_of(frame: Frame) -> JsonObject | None:
    return None if frame.data == DONE else orjson.loads(frame.data.removeprefix(b"data: "))


def _is_finish(chunk: JsonObject | None) -> bool:
    choices: list[Any] = [] if chunk is None else chunk["choices"]
    return any(choice["finish_reason"] for choice in choices)


def _wire(name: str, habit: Habit) -> Wire:
    base = habit.base_path
    return replace(
        OPENAI,
        name=name,
        generations={
            f"{base}/chat/completions": _generation(habit),
            f"{base}/completions": COMPLETIONS,
            f"{base}/embeddings": EMBEDDINGS,
        },
    )


def azure(deployments: Mapping[str, str]) -> Wire:
    """A resource with these deployments, by name the model of each: in the path, or as the body's `model` below `/openai/v1`."""

    def check_caller(headers: Headers) -> None:
        if not headers.get("api-key"):
            OPENAI.check_caller(headers)

    def of(generation: Generation, deployment: str | None) -> Generation:
        def read(body: JsonObject, headers: Headers, models: Models) -> Ask:
            named = body.get("model") if deployment is None else deployment
            if not isinstance(named, str) or named not in deployments:
                raise Refused(404, "The API deployment for this resource does not exist.", code="DeploymentNotFound")
            return generation.read({**body, "model": deployments[named]}, headers, models)

        return replace(generation, read=read)

    plain = {"chat/completions": Generation(read_chat, _filtered_whole, _filtered_frames), "embeddings": EMBEDDINGS}
    generations = {f"/openai/v1/{path}": of(generation, None) for path, generation in plain.items()}
    generations |= {
        f"/openai/v1/{path}": of(OPENAI_RESPONSES.generations[f"/v1/{path}"], None) for path in ("responses",)
    }
    generations |= {
        f"/openai/deployments/{name}/{path}": of(generation, name)
        for name in deployments
        for path, generation in plain.items()
    }
    return replace(OPENAI, name="azure", generations=generations, check_caller=check_caller)


def _filtered_whole(body: JsonObject, ask: Ask, answer: Answer) -> JsonObject:
    return {**whole_chat(body, ask, answer), "prompt_filter_results": [FILTERED]}


def _filtered_frames(body: JsonObject, ask: Ask, answer: Answer) -> Sequence[Frame]:
    """The first event has no choices: what the filter said of the prompt."""
    first = {"choices": [], "created": 0, "id": "", "model": "", "object": "", "prompt_filter_results": [FILTERED]}
    return [Frame(b"data: " + orjson.dumps(first) + b"\n\n", False), *chat_frames(body, ask, answer)]


FILTERED: JsonObject = {"prompt_index": 0, "content_filter_results": {"hate": {"filtered": False, "severity": "safe"}}}
DIALECTS: Mapping[str, Wire] = {name: _wire(name, habit) for name, habit in HABITS.items()}
