"""How the command reaches the admin API: addresses, tokens, failures, pages."""

import asyncio
import json
import socket
from pathlib import Path

import pytest

from proxy.cli import lost_answers
from proxy.cli.admin_client import AdminClient, segment
from proxy.cli.failures import CommandFailed

AGENTS = {"items": [{"agent": "support-triage", "newest_version": 7}], "next": None}


async def test_the_token_comes_from_the_environment_and_is_sent_as_a_bearer(switchback, admin):
    admin.answer("GET", "/agents", AGENTS)
    assert (await switchback("agents", "list")).exit_code == 0
    assert admin.last.headers["Authorization"] == "Bearer token-of-the-test"


async def test_a_token_file_wins_over_the_environment(switchback, admin, tmp_path: Path):
    (tmp_path / "other").write_text("from-a-file\n")
    admin.answer("GET", "/agents", AGENTS)
    await switchback("agents", "list", "--token-file", str(tmp_path / "other"))
    assert admin.last.headers["Authorization"] == "Bearer from-a-file"


@pytest.mark.parametrize("home", [None, "elsewhere"])
async def test_without_either_the_token_is_that_of_the_home_directory(switchback, admin, tmp_path: Path, home):
    directory = tmp_path / (home or ".switchback")
    directory.mkdir()
    (directory / "admin-token").write_text("from-home\n")
    admin.answer("GET", "/agents", AGENTS)
    await switchback("agents", "list", SWITCHBACK_TOKEN=None, SWITCHBACK_HOME=home and str(directory))
    assert admin.last.headers["Authorization"] == "Bearer from-home"


async def test_a_missing_token_says_where_it_was_looked_for_and_who_makes_it(switchback):
    result = await switchback("agents", "list", SWITCHBACK_TOKEN=None)
    assert result.exit_code == 1
    assert ".switchback/admin-token" in result.stderr
    assert "switchback serve" in result.stderr


async def test_a_token_that_would_break_the_header_is_refused_here(switchback, admin):
    result = await switchback("agents", "list", SWITCHBACK_TOKEN="a\r\nX-Evil: 1")
    assert (result.exit_code, admin.asked) == (1, [])
    assert "a\r\nX-Evil" not in result.stderr


async def test_no_option_takes_a_token():
    with pytest.raises(TypeError):
        AdminClient("http://127.0.0.1:1")  # pyright: ignore[reportCallIssue] the point of the test


@pytest.mark.parametrize("suffix", ["", "/", "/api/v1", "/api/v1/"])
async def test_the_address_may_be_given_with_or_without_the_api_path(switchback, admin, suffix):
    admin.answer("GET", "/agents", AGENTS)
    assert (await switchback("agents", "list", "--admin-url", admin.url + suffix)).exit_code == 0
    assert admin.last.path == "/agents"


@pytest.mark.parametrize(
    "url", ["ftp://x", "http://", "http://u:p@h", "http://h:99999", "http://h/?a=b", "http://[::1", "not an address"]
)
async def test_an_address_that_is_none_is_wrong_usage(switchback, url):
    result = await switchback("agents", "list", "--admin-url", url)
    assert result.exit_code == 2
    assert "is not an admin address" in result.stderr
    assert "Traceback" not in result.output


async def test_a_server_that_is_not_there_is_told_with_how_to_start_it_and_exit_code_3(switchback):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        result = await switchback("status", "--admin-url", f"http://127.0.0.1:{unused.getsockname()[1]}")
    assert result.exit_code == 3
    assert result.stderr.startswith("error: cannot reach http://127.0.0.1:")
    assert "switchback serve" in result.stderr


@pytest.mark.parametrize("url", ["http://a..b", "http://" + "x" * 70, "http://nowhere.invalid"])
async def test_a_host_that_does_not_exist_is_told_in_words(switchback, url):
    result = await switchback("status", "--admin-url", url)
    assert result.exit_code == 3
    assert len(result.stderr.splitlines()) == 1


async def test_forward_proxies_of_the_environment_are_not_asked(switchback, admin):
    admin.answer("GET", "/agents", AGENTS)
    proxies = dict.fromkeys(("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"), "http://127.0.0.1:1")
    assert (await switchback("agents", "list", **proxies)).exit_code == 0


async def test_a_refusal_is_one_line_with_its_code(switchback, admin):
    admin.refuse("GET", "/agents/nobody", 404, "agent_not_found", "there is no agent 'nobody'")
    result = await switchback("agents", "show", "nobody")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "error: there is no agent 'nobody' [agent_not_found]\n"


async def test_a_conflict_has_an_exit_code_of_its_own(switchback, admin):
    admin.refuse("PUT", "/agents/a/labels/prod", 409, "label_moved", "the label moved since")
    assert (await switchback("label", "a", "prod", "2", "--if-release", "3")).exit_code == 4


async def test_a_wrong_token_is_told_with_the_way_to_name_another(switchback, admin):
    admin.refuse("GET", "/status", 401, "unauthorized", "no or wrong token")
    result = await switchback("status")
    assert (result.exit_code, "--token-file" in result.stderr) == (1, True)


@pytest.mark.parametrize(
    ("code", "option"), [("evaluation_required", "--evaluation ID"), ("nothing_to_roll_back", "--to VERSION")]
)
async def test_what_is_missing_is_told_with_the_option_that_says_it(switchback, admin, code, option):
    admin.refuse("POST", "/agents/a/rollback", 409, code, "name it")
    result = await switchback("rollback", "a")
    assert (result.exit_code, result.stderr) == (4, f"error: name it; here that is {option} [{code}]\n")


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"stragglers": []}, ""),
        (
            {"stragglers": ["worker-1", "worker-3\x1b[2J"]},
            "not confirmed yet by worker-1, worker-3\N{REPLACEMENT CHARACTER}[2J: calls they take may still see what was before\n",
        ),
        (
            {"journalled": True},
            "this is in force and kept in the journal; it enters store and audit log when the store can take it\n",
        ),
        ({"journalled": False, "warning": "in force in this process only"}, "warning: in force in this process only\n"),
    ],
)
@pytest.mark.parametrize(
    ("line", "method", "path"),
    [
        ("rollback a", "POST", "/agents/a/rollback"),
        ("kill --agent a --why bad", "POST", "/switches"),
        ("restore sw_1", "DELETE", "/switches/sw_1"),
        ("restore sw_1 --json", "DELETE", "/switches/sw_1"),
        ("label a prod 2", "PUT", "/agents/a/labels/prod"),
    ],
)
async def test_what_an_answer_says_beside_its_result_is_told_on_standard_error(
    switchback, admin, line, method, path, said, told
):
    admin.answer(method, path, {"id": "sw_1", "version": 2, **said})
    result = await switchback(*line.split())
    assert (result.exit_code, result.stderr) == (0, told)


@pytest.mark.parametrize(
    ("content", "status"),
    [("<html>hello", 200), ("", 404), ([1], 200), ({"error": "model not found"}, 404), ("[" * 99999, 200)],
)
async def test_something_else_at_that_address_is_recognised(switchback, admin, content, status):
    admin.answer("GET", "/status", content, status)
    result = await switchback("status")
    assert result.exit_code == 1
    assert "does not answer like the admin API" in result.stderr


@pytest.mark.parametrize(
    ("status", "content"),
    [
        (200, "{}"),
        (200, '{"api": "another"}'),
        (200, '["api"]'),
        (200, "<html>"),
        (200, ""),
        (404, '{"error": {"message": "no such path"}}'),
        (401, '{"code": "unauthorized", "detail": "a token please"}'),
        (302, ""),
    ],
)
@pytest.mark.parametrize(
    "line",
    [
        ("status",),
        ("versions", "create", "a", "--prompt", "CANARY"),
        ("runs", "export"),
        ("kill", "--agent", "a", "--why", "CANARY"),
    ],
)
async def test_a_server_that_does_not_say_it_is_the_admin_api_learns_nothing(switchback, line, status, content):
    got = bytearray()

    async def another(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        got.extend(await reader.readuntil(b"\r\n\r\n"))
        head = (
            f"HTTP/1.1 {status} X\r\nLocation: /api/v1\r\nConnection: close\r\nContent-Length: {len(content)}\r\n\r\n"
        )
        writer.write(head.encode() + content.encode())
        writer.write_eof()
        got.extend(await reader.read())
        writer.close()

    async with await asyncio.start_server(another, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        result = await switchback(*line, "--admin-url", url)
    assert result.exit_code == 1
    assert "does not answer like the admin API" in result.stderr
    assert got.startswith(b"GET /api/v1 ")
    for secret in (b"token-of-the-test", b"CANARY", b"uthorization"):
        assert secret not in got


async def test_a_redirect_is_not_followed_so_that_the_token_stays_here(switchback, admin):
    admin.answer("GET", "/status", "", 302, {"Location": f"{admin.url}/api/v1/elsewhere"})
    assert (await switchback("status")).exit_code == 1
    assert [asked.path for asked in admin.asked] == ["/status"]


async def say_what_it_is(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    """Read a request; True where it was the question that comes before all others, which is answered then."""
    head = await reader.readuntil(b"\r\n\r\n")
    asked = head.startswith(b"GET /api/v1 ")
    if asked:
        content = b'{"api": "switchback-admin"}'
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(content), content))
    return asked


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server is asked once what became of a change."""
    monkeypatch.setattr(lost_answers, "_PATIENCE_SECONDS", 0.0)


async def test_a_server_that_does_not_answer_leaves_a_change_unknown_and_says_so(at_once):
    writers: list[asyncio.StreamWriter] = []

    async def keep_silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        await say_what_it_is(reader, writer)

    async with await asyncio.start_server(keep_silent, "127.0.0.1", 0) as silent:
        client = AdminClient(f"http://127.0.0.1:{silent.sockets[0].getsockname()[1]}", "t", timeout_seconds=0.1)
        with pytest.raises(CommandFailed) as read:
            await asyncio.to_thread(client.get, "/agents")
        with pytest.raises(CommandFailed) as written:
            await asyncio.to_thread(client.post, "/switches", {})
        for writer in writers:
            writer.close()
            await writer.wait_closed()
    assert (read.value.exit_code, written.value.exit_code) == (3, 6)
    assert "not known" in written.value.message
    assert "not known" not in read.value.message


@pytest.mark.parametrize("begun", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{"], ids=["nothing", "half"])
async def test_a_connection_that_breaks_off_leaves_a_change_unknown_too(at_once, begun: bytes):
    async def break_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not await say_what_it_is(reader, writer):
            writer.write(begun)
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(break_off, "127.0.0.1", 0) as server:
        client = AdminClient(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", "t")
        with pytest.raises(CommandFailed) as read:
            await asyncio.to_thread(client.get, "/agents")
        with pytest.raises(CommandFailed) as written:
            await asyncio.to_thread(client.delete, "/agents/a/labels/b", "why")
    assert (read.value.exit_code, written.value.exit_code) == (3, 6)
    assert read.value.message.endswith("broke the connection off")
    assert "whether the change was made is not known" in written.value.message


async def test_plain_http_where_tls_is_spoken_and_the_other_way_round_are_told_apart(switchback, admin):
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        plain = await switchback("status", "--admin-url", url)
    assert plain.exit_code == 3
    assert "broke the connection off; if it speaks https, say https://" in plain.stderr
    secure = await switchback("status", "--admin-url", admin.url.replace("http://", "https://"))
    assert secure.exit_code == 3
    assert "does not answer in TLS" in secure.stderr
    assert "say http://" in secure.stderr


async def test_lists_are_read_over_all_their_pages(switchback, admin):
    admin.answer("GET", "/agents", {"items": [{"agent": "a"}, {"agent": "b"}], "next": "b"})
    admin.answer("GET", "/agents", {"items": [{"agent": "c"}], "next": None})
    result = await switchback("agents", "list", "--json")
    assert [item["agent"] for item in json.loads(result.stdout)["items"]] == ["a", "b", "c"]
    assert [asked.query.get("cursor") for asked in admin.asked] == [None, "b"]


async def test_a_list_stops_at_the_limit_and_says_that_there_is_more(switchback, admin):
    admin.answer("GET", "/agents", {"items": [{"agent": "a"}, {"agent": "b"}], "next": "b"})
    result = await switchback("agents", "list", "--limit", "2")
    assert (len(admin.asked), admin.last.query["limit"]) == (1, "2")
    assert "--limit" in result.stderr


def test_names_cannot_leave_their_segment_of_the_path():
    assert segment("a/../b?c#d e") == "a%2F..%2Fb%3Fc%23d%20e"
    assert (segment(".."), segment("."), segment("")) == ("%2E%2E", "%2E", "")


async def test_with_json_a_refusal_is_an_object_on_standard_error(switchback, admin):
    admin.refuse("PUT", "/agents/a/labels/prod", 409, "label_moved", "the label moved since")
    result = await switchback("label", "a", "prod", "2", "--json")
    assert (result.exit_code, result.stdout) == (4, "")
    assert json.loads(result.stderr) == {"code": "label_moved", "message": "the label moved since", "status": 409}


async def test_with_json_what_fails_without_an_answer_has_no_status(switchback, tmp_path):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        gone = await switchback("audit", "verify", "--json", "--admin-url", url)
        told = await switchback("status", "--json", "--admin-url", url)
    for result in (gone, told):
        failure = json.loads(result.stderr)
        assert (result.exit_code, failure["code"], failure["status"]) == (3, "unreachable", None)
        assert failure["message"].startswith("cannot reach http://127.0.0.1:")
    missing = await switchback("status", "--json", "--token-file", str(tmp_path / "nope"))
    assert (missing.exit_code, json.loads(missing.stderr)["code"]) == (1, "failed")


async def test_with_json_all_problems_of_a_file_are_in_one_object(switchback, tmp_path):
    (tmp_path / "agent.yaml").write_text("agnet: a\nmodle: {}\n")
    result = await switchback("sync", str(tmp_path), "--json")
    failure = json.loads(result.stderr)
    assert (result.exit_code, failure["code"]) == (2, "usage")
    assert "agnet" in failure["message"]
    assert "modle" in failure["message"]


@pytest.mark.parametrize(("param", "option"), [("to", "--to VERSION"), ("undoes", "--undoes RELEASE")])
async def test_with_the_store_away_what_would_help_is_told_as_an_option(switchback, admin, param, option):
    problem = {"status": 503, "code": "store_unavailable", "detail": "the store is away", "param": param}
    admin.answer("POST", "/agents/a/rollback", problem, 503)
    result = await switchback("rollback", "a")
    assert result.stderr == f"error: the store is away; here that is {option} [store_unavailable]\n"
