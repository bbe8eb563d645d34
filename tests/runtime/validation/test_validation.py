"""The queue of answers to be judged: bounded, counted, and never in the way."""

from pathlib import Path
from typing import Any

import orjson
import pytest

from proxy import __version__
from proxy.assembly import JUDGE
from proxy.core.versions.judging import Verdict
from proxy.core.versions.validators import Validator
from proxy.judge import _built, schema_failure
from proxy.runtime.process.tasks import TaskSet
from proxy.runtime.telemetry.metrics import Metrics
from proxy.runtime.validation.jobs import TOO_LONG, Job
from proxy.runtime.validation.judging_process import JudgeLost, JudgeProgram, JudgingProcess
from proxy.runtime.validation.kept_answer import AnswerRoom
from proxy.runtime.validation.validation import RunVerdict, Validation
from proxy.wires.openai_chat.wire import OpenAIChat
from tests.harness import eventually
from tests.runtime.telemetry.test_run_series import a_run

JSON = (Validator("json"),)


def chat_answer(text: str) -> bytes:
    return OpenAIChat().text_reply(text, model="m", reply_id="r", created=0, streamed=False)


def raised(error: BaseException) -> None:
    raise error


class Bench:
    """A validation, and what it found and told."""

    def __init__(self, program: JudgeProgram = JUDGE, *, room_bytes: int = 100_000, queue_limit: int = 3) -> None:
        self.found: list[RunVerdict] = []
        self.lines: list[dict[str, Any]] = []
        self.errors: list[BaseException] = []
        self.metrics = Metrics(__version__)
        self.validation = Validation(
            program,
            self.metrics,
            self.found.append,
            lambda event, **members: self.lines.append({"event": event, **members}),
            self.errors.append,
            AnswerRoom(room_bytes),
            queue_limit,
        )

    def finish(self, text: str, *, validators: tuple[Validator, ...] = JSON, **members: Any) -> None:
        kept = self.validation.keep()
        reader = kept.reading(OpenAIChat().answer_reader(streamed=False, removes_usage_event=False))
        reader.feed(chat_answer(text))
        run = a_run(finish="stop", **members)
        self.validation.finished(run, kept, validators)

    def skipped(self, reason: str) -> float:
        return (
            self.metrics.registry.get_sample_value(
                "switchback_answers_not_judged_total", {"agent": a_run().agent, "reason": reason}
            )
            or 0.0
        )


async def test_a_full_queue_drops_the_newest_counts_it_and_gives_its_room_back() -> None:
    bench = Bench()
    for _ in range(5):
        bench.finish("{}")
    assert bench.skipped("queue_full") == 2
    assert bench.lines == [{"event": "answers_not_judged", "agent": a_run().agent, "reason": "queue_full", "count": 1}]
    tasks = TaskSet(raised)
    tasks.spawn(bench.validation.run(), "validation")
    await eventually(lambda: len(bench.found) == 3)
    await tasks.close()
    assert bench.validation.room.left_bytes == 100_000


async def test_answers_together_take_no_more_room_than_there_is() -> None:
    bench = Bench(room_bytes=2500)
    bench.finish("x" * 2000)
    bench.finish("x" * 2000)
    assert bench.skipped("no_room") == 1
    assert [judged.verdict for judged in bench.found] == [
        Verdict(None, "the answer was not kept: no room beside others")
    ]


async def test_what_waits_when_time_is_over_is_counted() -> None:
    bench = Bench()
    bench.finish("{}")
    await bench.validation.drain(0.0)
    assert bench.skipped("stopped") == 1
    assert bench.validation.room.left_bytes == 100_000


async def test_a_process_that_cannot_be_started_leaves_answers_unjudged_and_says_so(tmp_path: Path) -> None:
    bench = Bench(JudgeProgram("proxy.no_such_module", tmp_path))
    bench.finish("{}")
    tasks = TaskSet(raised)
    tasks.spawn(bench.validation.run(), "validation")
    await eventually(lambda: len(bench.found) == 1)
    await tasks.close()
    assert bench.found[0].verdict.passed is None
    assert bench.skipped("judge_lost") == 1


async def test_an_answer_that_cannot_be_asked_about_is_counted_and_those_behind_it_are_judged() -> None:
    bench = Bench()
    # No number of MessagePack.
    bench.finish("{}", validators=(Validator("max_chars", 10**30),))
    bench.finish("{}")
    tasks = TaskSet(raised)
    tasks.spawn(bench.validation.run(), "validation")
    await eventually(lambda: len(bench.found) == 2)
    await tasks.close()
    assert [judged.verdict for judged in bench.found] == [
        Verdict(None, "judging it failed (OverflowError)"),
        Verdict(True),
    ]
    assert [type(error) for error in bench.errors] == [OverflowError]
    assert bench.skipped("judge_lost") == 1
    assert bench.validation.room.left_bytes == 100_000


async def test_an_answer_that_is_being_judged_when_time_is_over_is_counted_too() -> None:
    bench = Bench(room_bytes=4_000_000)
    bench.finish("ab" * 500_000, validators=(Validator("regex", "(?:a|b)*c"),))
    bench.finish("{}")
    tasks = TaskSet(raised)
    tasks.spawn(bench.validation.run(), "validation")
    await eventually(lambda: bench.validation._judge.pid is not None)
    await bench.validation.drain(0.0)
    await tasks.close()
    assert bench.skipped("stopped") == 2
    assert bench.found == []


async def test_the_process_gets_no_key_of_a_provider(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "shows.py").write_text("import json, os; print(json.dumps(dict(os.environ)))")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary")
    monkeypatch.setenv("SWITCHBACK_ADMIN_TOKEN", "sb_canary")
    monkeypatch.setenv("LANG", "C.UTF-8")
    process = await JudgeProgram("shows", tmp_path).start()
    shown, _ = await process.communicate(b"")
    environment = orjson.loads(shown)
    assert not [name for name, value in environment.items() if "canary" in value]
    assert environment["LANG"] == "C.UTF-8"
    assert environment["PYTHONPATH"].startswith(str(tmp_path))


def test_a_schema_is_made_ready_once_and_not_for_ever() -> None:
    _built.cache_clear()
    schema = {"type": "object", "required": ["team"]}
    assert [schema_failure(schema, {}), schema_failure(schema, {"team": 1})] == ["breaks required", None]
    assert (_built.cache_info().misses, _built.cache_info().hits) == (1, 1)
    for number in range(100):
        schema_failure({"maximum": number}, 1)
    assert _built.cache_info().currsize < 50


@pytest.fixture
async def judging() -> Any:
    process = JudgingProcess(JUDGE)
    yield process
    await process.close()


async def test_a_loop_of_the_matcher_that_looks_at_no_signal_is_ended_all_the_same(judging: JudgingProcess) -> None:
    endless = Job("openai_chat", chat_answer("ab" * 500_000), (Validator("regex", "(?:a|b)*c"),))
    assert await judging.verdict(endless) == TOO_LONG
    assert await judging.verdict(Job("openai_chat", chat_answer("{}"), JSON)) == Verdict(True)


async def test_a_pattern_in_a_schema_is_stopped_as_one_outside_of_it(judging: JudgingProcess) -> None:
    text = orjson.dumps({"team": "a" * 60 + "!"}).decode()
    schema = {"properties": {"team": {"pattern": "(a+)+$"}}}
    job = Job("openai_chat", chat_answer(text), (Validator("json_schema", schema),))
    assert await judging.verdict(job) == TOO_LONG
    pid = judging.pid
    assert await judging.verdict(Job("openai_chat", chat_answer("{}"), JSON)) == Verdict(True)
    assert judging.pid == pid


@pytest.mark.parametrize(
    "schema",
    [{"type": "no such type"}, {"$ref": "#/$defs/missing"}, {"$ref": "https://example.com/x"}, {"pattern": "("}],
)
async def test_a_schema_that_cannot_be_used_says_neither_yes_nor_no(
    judging: JudgingProcess, schema: dict[str, Any]
) -> None:
    job = Job("openai_chat", chat_answer('"text"'), (Validator("json_schema", schema),))
    assert (await judging.verdict(job)).passed is None


async def test_what_it_cannot_read_and_what_takes_too_much_memory_is_unknown(judging: JudgingProcess) -> None:
    for job in (Job("no_wire", b"{}", JSON), Job("openai_chat", b"\xff", JSON)):
        assert (await judging.verdict(job)).passed is None


async def test_one_that_does_not_answer_is_killed() -> None:
    silent = JudgingProcess(JudgeProgram("json.tool", Path("/")), deadline_seconds=0.2)
    with pytest.raises(JudgeLost):
        await silent.verdict(Job("openai_chat", b"{}", JSON))
    assert silent.pid is None
