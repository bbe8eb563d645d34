"""The verbs that look back: what was served, what ran, what was said about it, and whether the record of it holds."""

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest

from proxy.cli.admin_client import Download
from proxy.cli.downloads import save
from proxy.cli.failures import CommandFailed
from proxy.cli.showing import Show
from proxy.core.proof.audit import NO_PREVIOUS, AuditDraft, seal
from tests.cli.terminal import Terminal

SERVED = {
    "label": "prod",
    "time": "2026-09-20T14:03:00.000000Z",
    "release": 7,
    "kind": "share_changed",
    "rollout": "r2",
    "arms": [
        {"name": "stable", "version": 3, "percentage": 87.5},
        {"name": "candidate", "version": 4, "percentage": 12.5},
    ],
    "who": "ann",
    "why": "more",
    "since": "2026-09-20T14:00:00.000000Z",
    "until": None,
}
LINES = b'{"id":"run_2"}\n{"id":"run_1"}\n'


async def test_what_was_served_is_told_with_its_percentages(admin: Any, switchback: Any) -> None:
    admin.answer("GET", "/agents/a/versions/at", SERVED)
    told = await switchback("versions", "at", "a", "--label", "prod", "--time", "2026-09-20T14:03Z")
    assert admin.last.query == {"label": "prod", "time": "2026-09-20T14:03Z"}
    assert told.stdout.splitlines() == [
        "a: prod at 2026-09-20T14:03:00.000000Z",
        "87.5% version 3 (stable)",
        "12.5% version 4 (candidate)",
        "release 7 (share_changed, rollout r2) by ann: more",
        "in force from 2026-09-20T14:00:00.000000Z to now",
    ]


async def test_who_took_part_in_a_rollout_is_told(admin: Any, switchback: Any) -> None:
    admin.answer("GET", "/agents/a/versions/at", {**SERVED, "eligible": {"plan": "trial", "tenant": "x\x1b[2J"}})
    told = (await switchback("versions", "at", "a")).stdout.splitlines()
    shown = "x\N{REPLACEMENT CHARACTER}[2J"
    assert told[3] == f"shared only by calls tagged plan=trial, tenant={shown}; all others were served by stable"


async def test_a_deleted_label_serves_nothing(admin: Any, switchback: Any) -> None:
    row = {"release": 5, "kind": "label_deleted", "label": "tmp", "arms": [{"version": 3, "percentage": 100.0}]}
    admin.answer("GET", "/agents/a/releases", {"items": [row], "next": None})
    told = (await switchback("agents", "releases", "a")).stdout
    assert ("nothing" in told, "v3" in told) == (True, False)


async def test_a_version_is_composed_of_components_of_others(admin: Any, switchback: Any) -> None:
    for number in (5, 7, 9):
        parts = {"prompt": {"text": f"p{number}"}, "model": {"name": f"m{number}"}, "tools": {"mode": "keep"}}
        admin.answer("GET", f"/agents/a/versions/{number}", {**parts, "policy": {"max_tool_calls": number}})
    admin.answer("GET", "/agents/a", {"newest_version": 9})
    admin.answer("POST", "/agents/a/versions", {"version": 10}, 201)
    done = await switchback("versions", "create", "a", "--from", "7", "--prompt-of", "9", "--policy-of", "5")
    assert done.exit_code == 0, done.stderr
    assert admin.last.body == {
        "parent": 9,
        "message": "",
        "prompt": {"text": "p9"},
        "model": {"name": "m7"},
        "tools": {"mode": "keep"},
        "policy": {"max_tool_calls": 5},
    }
    await switchback("versions", "create", "a", "--prompt-of", "9", "--temperature", "0")
    assert admin.last.body == {
        "parent": 9,
        "message": "",
        "prompt": {"text": "p9"},
        "model": {"name": "m9", "parameters": {"temperature": 0.0}},
        "tools": {"mode": "keep"},
        "policy": {"max_tool_calls": 9},
    }


async def test_runs_are_exported_to_a_pipe_as_they_are(admin: Any, switchback: Any) -> None:
    admin.answer("GET", "/runs/export", LINES.decode(), headers={"Switchback-Count": "2"})
    done = await switchback("runs", "export", "--agent", "a", "--release", "12", "--not-quarantined")
    assert (done.exit_code, done.stdout, done.stderr) == (0, LINES.decode(), "")
    assert admin.last.query == {"agent": "a", "release": "12", "quarantined": "false", "format": "jsonl"}


async def test_runs_are_exported_to_a_file(admin: Any, switchback: Any, tmp_path: Path) -> None:
    admin.answer("GET", "/runs/export", LINES.decode())
    done = await switchback("runs", "export", "--format", "csv", "--output", "runs.csv")
    assert (done.exit_code, done.stdout) == (0, "wrote 2 lines to runs.csv\n")
    assert (tmp_path / "runs.csv").read_bytes() == LINES
    assert os.listdir(tmp_path) == ["runs.csv"]


async def test_an_export_that_is_refused_makes_no_file(admin: Any, switchback: Any, tmp_path: Path) -> None:
    admin.refuse("GET", "/runs/export", 400, "bad_time", "from must be a time")
    done = await switchback("runs", "export", "--from", "2026-11-02", "--output", "runs.jsonl")
    assert (done.exit_code, done.stderr) == (1, "error: from must be a time [bad_time]\n")
    assert os.listdir(tmp_path) == []


def test_what_is_no_file_is_written_to_and_never_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    # Open for both, so that neither side waits for the other.
    descriptor = os.open(pipe, os.O_RDWR)
    save(Download(iter([LINES]), 2), pipe, Show())
    assert os.read(descriptor, 1000) == LINES
    os.close(descriptor)
    with pytest.raises(CommandFailed, match="cannot be written: Is a directory"):
        save(Download(iter([LINES]), 2), tmp_path, Show())
    assert os.listdir(tmp_path) == ["pipe"]
    assert pipe.is_fifo()


async def test_a_dash_is_standard_output(admin: Any, switchback: Any, tmp_path: Path) -> None:
    admin.answer("GET", "/runs/export", LINES.decode())
    assert (await switchback("runs", "export", "--output", "-")).stdout == LINES.decode()
    assert os.listdir(tmp_path) == []


def broken() -> Download:
    def pieces() -> Any:
        yield LINES
        raise CommandFailed("the server broke the download off: what came is not everything")

    return Download(pieces(), 9)


def test_a_download_that_breaks_off_leaves_its_beginning_under_another_name(tmp_path: Path) -> None:
    output = tmp_path / "runs.jsonl"
    with pytest.raises(CommandFailed, match=r"is not everything; it is in .*runs\.jsonl\.part") as failed:
        save(broken(), output, Show())
    assert failed.value.exit_code == 1
    assert not output.exists()
    assert (tmp_path / "runs.jsonl.part").read_bytes() == LINES


async def test_a_server_that_breaks_the_connection_is_exit_code_1(switchback: Any, tmp_path: Path) -> None:
    async def break_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = await reader.readuntil(b"\r\n\r\n")
        if asked.startswith(b"GET /api/v1 "):  # who is asked before a token is sent
            content = b'{"api": "switchback-admin"}'
            writer.write(
                b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(content), content)
            )
            writer.close()
            return
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n" % (len(LINES), LINES))
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(break_off, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        to_file = await switchback("runs", "export", "--output", "runs.jsonl", SWITCHBACK_ADMIN_URL=url)
        to_pipe = await switchback("runs", "export", SWITCHBACK_ADMIN_URL=url)
    assert (to_file.exit_code, to_pipe.exit_code) == (1, 1)
    assert "what came is not everything" in to_file.stderr
    assert "what came is not everything" in to_pipe.stderr
    assert os.listdir(tmp_path) == ["runs.jsonl.part"]


def test_a_terminal_sees_a_progress_bar_and_nothing_harmful(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    hostile = '{"user":"\N{RIGHT-TO-LEFT OVERRIDE}\x9b31m"}\n'.encode()
    out, err = Terminal(), Terminal()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    monkeypatch.setenv("TERM", "xterm")
    # A character may be cut in two between pieces.
    save(Download(iter([hostile[:10], hostile[10:]]), 1), None, Show())
    assert out.getvalue() == '{"user":"\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}31m"}\n'
    assert err.getvalue() == ""
    save(Download(iter([LINES]), 2), tmp_path / "runs.jsonl", Show())
    assert "2/2" in err.getvalue()
    # The head of a CSV file is a line and no run.
    save(Download(iter([b"id\n", LINES]), 2), tmp_path / "runs.csv", Show())
    assert "3/2" not in err.getvalue()


async def test_runs_are_put_into_quarantine_by_filter_or_by_id(admin: Any, switchback: Any) -> None:
    admin.answer("POST", "/runs/quarantine", {"changed": 12, "quarantined": True})
    done = await switchback("runs", "quarantine", "--agent", "a", "--release", "3", "--from", "2026-11-20T00:00Z")
    assert done.stdout == "12 runs are in quarantine now\n"
    assert admin.last.body == {
        "agent": "a",
        "release": 3,
        "from": "2026-11-20T00:00Z",
        "undo": False,
        "why": "no reason given",
    }
    done = await switchback("runs", "quarantine", "run_1", "run_2", "--undo", "--why", "fine")
    assert done.stdout == "12 runs are in quarantine no more\n"
    assert admin.last.body == {"runs": ["run_1", "run_2"], "undo": True, "why": "fine"}
    admin.answers.clear()
    admin.answer("POST", "/runs/quarantine", {"changed": 1, "quarantined": True})
    assert (await switchback("runs", "quarantine", "run_1")).stdout == "1 run is in quarantine now\n"


@pytest.mark.parametrize(
    ("said", "value"),
    [("0.9", 0.9), ("true", True), ("refunded twice", "refunded twice"), ("NaN", "NaN"), (None, None)],
)
async def test_an_outcome_is_recorded_with_a_value_of_its_kind(
    admin: Any, switchback: Any, said: str | None, value: object
) -> None:
    admin.answer("POST", "/runs/run_1/outcomes", {"name": "score", "run": "run_1"}, 201)
    given = [] if said is None else ["--value", said]
    done = await switchback("outcome", "run_1", "--name", "score", *given, "--severity", "low")
    assert done.stdout == "recorded score of run_1\n"
    assert admin.last.body == {"name": "score", "value": value, "severity": "low", "why": ""}


async def test_the_head_is_one_line_to_keep_elsewhere(admin: Any, switchback: Any) -> None:
    admin.answer("GET", "/audit/head", {"number": 9, "hash": "ab" * 32})
    assert (await switchback("audit", "head")).stdout == f"9:{'ab' * 32}\n"


async def test_the_proof_of_the_server_is_told_and_decides_the_exit_code(admin: Any, switchback: Any) -> None:
    head = {"number": 9, "hash": "ab" * 32}
    proof = {"ok": True, "entries": 9, "first_broken": None, "head": head}
    row = {"table": "versions", "key": {"agent": "a", "number": 3}, "reason": "`message` is not …", "entry": 5}
    admin.answer("GET", "/audit/verify", "\n\n" + orjson.dumps(proof).decode())
    admin.answer("GET", "/audit/verify", {**proof, "ok": False, "first_broken": row})
    good = await switchback("audit", "verify", "--head", f"9:{'ab' * 32}")
    assert (good.exit_code, good.stdout) == (0, f"ok: 9 entries hold, the head is 9:{'ab' * 32}\n")
    assert admin.last.query == {"head": f"9:{'ab' * 32}"}
    bad = await switchback("audit", "verify")
    assert bad.exit_code == 1
    assert bad.stdout == "BROKEN: versions agent a, number 3: `message` is not … (audit entry 5)\n"
    assert (await switchback("audit", "verify", "--head", "9")).exit_code == 2
    assert orjson.loads((await switchback("audit", "verify", "--json")).stdout)["first_broken"] == row


async def test_a_file_is_proved_without_server_and_token(switchback: Any, tmp_path: Path) -> None:
    draft = AuditDraft(who="ann", what="agent.created", subject="agents/a", why="", at_microseconds=1)
    entry = seal(draft, 1, NO_PREVIOUS)
    file = tmp_path / "audit.jsonl"
    file.write_bytes(orjson.dumps(entry.content()) + b"\n")
    nowhere = {"SWITCHBACK_ADMIN_URL": "http://127.0.0.1:9", "SWITCHBACK_TOKEN": None}
    good = await switchback("audit", "verify", "--file", str(file), "--head", f"1:{entry.hash}", **nowhere)
    assert (good.exit_code, good.stdout) == (0, f"ok: 1 entries hold, the head is 1:{entry.hash}\n")
    file.write_bytes(file.read_bytes().replace(b"ann", b"eve"))
    bad = await switchback("audit", "verify", "--file", str(file), **nowhere)
    assert (bad.exit_code, bad.stdout.startswith("BROKEN at entry 1: its hash")) == (1, True)


async def test_the_log_is_exported_to_a_file(admin: Any, switchback: Any, tmp_path: Path) -> None:
    admin.answer("GET", "/audit/export", LINES.decode())
    done = await switchback("audit", "export", "--output", "audit.jsonl", "--json")
    assert orjson.loads(done.stdout) == {"file": "audit.jsonl", "lines": 2}
    assert (tmp_path / "audit.jsonl").read_bytes() == LINES


TOLD = [
    {"run": "run_1", "name": "score", "value": 0.4, "recorded_at": "2026-11-20T12:00:00Z", "recorded_by": "ann", "why": ""},
    {"run": "run_1", "name": "score", "value": 0.9, "recorded_at": "2026-11-20T12:00:01Z", "recorded_by": "ann", "why": ""},
    {"run": "run_1", "name": "incident", "severity": "high", "value": None, "recorded_at": "2026-11-20T12:00:02Z",
     "recorded_by": "bob", "why": "refunded twice"},
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "meant"), [("scor", "score"), ("escalate", "escalated"), ("score", None), ("tickets-closed", None)]
)
async def test_an_outcome_under_a_name_that_is_nearly_one_that_is_read_says_so(
    admin: Any, switchback: Any, name: str, meant: str | None
) -> None:
    admin.answer("POST", "/runs/run_1/outcomes", {"name": name, "run": "run_1"}, 201)
    done = await switchback("outcome", "run_1", "--name", name, "--value", "1")
    assert done.exit_code == 0
    assert done.stderr == ("" if meant is None else f"warning: '{name}' is a name of your own; did you mean {meant}?\n")


async def test_outcomes_are_listed_by_what_they_are_about(admin: Any, switchback: Any) -> None:
    served = {"agent": "a", "version": 8, "label": "prod", "arm": None}
    admin.answer("GET", "/outcomes", {"items": [{**told, **served} for told in TOLD[::-1]], "next": None})
    done = await switchback("outcomes", "list", "--agent", "a", "--version", "8", "--from", "2026-11-20T00:00Z")
    assert admin.last.query == {"agent": "a", "version": "8", "from": "2026-11-20T00:00Z", "limit": "50"}
    first = done.stdout.splitlines()[2]
    for shown in ("run_1", "a@8", "incident", "high", "bob", "refunded twice"):
        assert shown in first
    await switchback("outcomes", "list", "--request-id", "req_1", "--trace-id", "4bf9" * 8)
    assert admin.last.query == {"request_id": "req_1", "trace_id": "4bf9" * 8, "limit": "50"}
    admin.answers.clear()
    admin.answer("GET", "/outcomes", {"items": [], "next": None})
    assert (await switchback("outcomes", "list", "--run", "run_2")).stdout == "no outcomes\n"


async def test_a_list_goes_on_behind_a_page_without_any(admin: Any, switchback: Any) -> None:
    admin.answer("GET", "/outcomes", {"items": [], "next": "further"})
    admin.answer("GET", "/outcomes", {"items": TOLD[:1], "next": None})
    done = await switchback("outcomes", "list", "--json")
    assert [item["value"] for item in orjson.loads(done.stdout)["items"]] == [0.4]
    assert admin.last.query == {"limit": "50", "cursor": "further"}


@pytest.mark.parametrize("verb", [("list",), ("export",)])
async def test_runs_are_asked_for_by_the_ids_of_request_and_trace(
    admin: Any, switchback: Any, verb: tuple[str]
) -> None:
    admin.answer("GET", "/runs", {"items": [], "next": None})
    await switchback("runs", *verb, "--request-id", "req_1", "--trace-id", "4bf9" * 8)
    asked = next(request.query for request in admin.asked if request.path.startswith("/runs"))
    assert (asked["request_id"], asked["trace_id"]) == ("req_1", "4bf9" * 8)


async def test_a_run_is_shown_with_the_newest_word_of_each_outcome(admin: Any, switchback: Any) -> None:
    run = {"id": "run_1", "agent": "a", "version": 8, "status": 200, "outcomes": TOLD}
    admin.answer("GET", "/runs", {"items": [run], "next": None})
    assert "score 0.9, incident high" in (await switchback("runs", "list")).stdout
    admin.answer("GET", "/runs/run_1", run)
    lines = (await switchback("runs", "show", "run_1")).stdout.splitlines()
    assert [line.split()[2:4] for line in lines[-3:]] == [["score", "0.4"], ["score", "0.9"], ["incident", "high"]]
