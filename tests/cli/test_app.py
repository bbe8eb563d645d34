"""The command as a whole: help, start, ways out."""

import json
import os
import shlex
import subprocess
import sys

import pytest
import typer
import typer.main
from typer.testing import CliRunner

from proxy import __version__
from proxy.cli.app import app
from proxy.cli.failures import EXIT_CODES
from proxy.core.compiled import IS_COMPILED


def _commands(command, path=()):
    """Every command below `command` with its path, groups left out."""
    children = getattr(command, "commands", None)
    if children is None:
        return [(path, command)]
    return [found for name, child in children.items() for found in _commands(child, (*path, name))]


COMMANDS = _commands(typer.main.get_command(app))

#: Work on this host alone, with no admin API to ask and so no token: they run a server, or look at files that no server has.
OFFLINE = {("serve",), ("demo",), ("simulate",), ("help",), ("store", "check"), ("store", "restore")}


def _help_of(path):
    command = dict(COMMANDS)[path]
    return command.get_help(typer.Context(command, info_name="switchback " + " ".join(path)))


def test_the_verbs_of_the_design_are_there():
    assert {" ".join(path) for path, _ in COMMANDS} == {
        "serve", "demo", "simulate", "help", "label", "rollback", "kill", "restore", "status",
        "agents list", "agents create", "agents show", "agents update", "agents archive", "agents unarchive",
        "agents releases",
        "versions list", "versions show", "versions create",
        "rollout start", "rollout list", "rollout show", "rollout set-percentage", "rollout promote", "rollout abort",
        "plans set", "plans list", "plans show", "plans delete",
        "rollout pause", "rollout resume", "rollout simulate", "drill",
        "caps list", "caps set", "caps change", "caps end", "runs list", "runs show", "audit list", "audit head",
        "sync", "diff", "agents import", "agents export", "versions at", "versions check", "runs export", "runs quarantine", "outcome",
        "outcomes list", "outcomes import", "report versions", "report label", "report rollout", "versions compare",
        "audit verify", "audit export",
        "tokens create", "tokens list", "tokens revoke",
        "webhooks list", "webhooks deliveries", "webhooks resend",
        "proposals create", "proposals list", "proposals show", "proposals approve", "proposals reject",
        "protection list", "protection set", "protection end",
        "store backup", "store compact", "store check", "store restore",
    }  # fmt: skip


@pytest.mark.parametrize("path", [path for path, _ in COMMANDS], ids=" ".join)
def test_every_help_says_what_the_command_does_and_shows_an_example_of_it(path):
    text = _help_of(path)
    assert "Example:" in text
    assert f"switchback {' '.join(path)}" in text.partition("Example:")[2]


def _examples():
    """Each line of each help page, with the path of the command that shows it."""
    for path, _ in COMMANDS:
        lines = (line.strip() for line in _help_of(path).partition("Example:")[2].splitlines())
        yield from ((path, line) for line in lines if line)


@pytest.mark.parametrize(("path", "line"), list(_examples()))
def test_every_example_is_a_command_line_that_the_command_takes(path, line):
    """Names of agents and files in it are inventions; verbs, options and their values are not."""
    words = shlex.split(line.partition(" > ")[0])
    verb = ["switchback", *path]
    assert words[: len(verb)] == verb
    with dict(COMMANDS)[path].make_context("example", words[len(verb) :]) as context:
        assert context.params


@pytest.mark.parametrize("path", [path for path, _ in COMMANDS], ids=" ".join)
def test_every_help_calls_an_argument_by_its_name_alone(path):
    text = _help_of(path)
    usage = text.partition("\n")[0]
    assert not any(part in usage for part in ("[[", "]]", "{", "<"))
    arguments = text.partition("Arguments:")[2].partition("Options:")[0].splitlines()
    names = [line.split()[0] for line in arguments if line[:2] == "  " and line[2:3].strip()]
    assert [name for name in names if not name.isupper()] == []
    assert [line for line in arguments if "<" in line] == []


@pytest.mark.parametrize("path", [path for path, _ in COMMANDS], ids=" ".join)
def test_every_help_says_of_each_option_what_it_takes(path):
    options = [line for line in _help_of(path).splitlines() if line.lstrip().startswith("-")]
    assert [line for line in options if "<" in line.strip().split("  ")[0]] == []


@pytest.mark.parametrize("path", [path for path, _ in COMMANDS if path not in OFFLINE], ids=" ".join)
def test_every_admin_verb_has_json_and_no_option_for_a_token_itself(path):
    text = _help_of(path)
    assert "--json" in text
    assert "--token-file" in text
    assert "--token " not in text


@pytest.mark.parametrize("path", sorted(OFFLINE), ids=" ".join)
def test_what_asks_no_admin_api_takes_neither_its_address_nor_a_token(path):
    text = _help_of(path)
    assert "--admin-url" not in text
    assert "--token" not in text


@pytest.mark.parametrize("path", [path for path in sorted(OFFLINE) if path[0] == "store"], ids=" ".join)
def test_what_reads_files_that_no_server_has_tells_programs_too(path):
    assert "--json" in _help_of(path)


def test_a_page_tells_all_exit_codes():
    told = CliRunner().invoke(app, ["help", "exit-codes"]).stdout.splitlines()
    assert [line.split(maxsplit=1) for line in told] == [[str(code), means] for code, means in EXIT_CODES.items()]


def test_help_of_words_is_that_of_the_command_they_name():
    of_words, of_command = (
        CliRunner().invoke(app, words, prog_name="switchback").stdout
        for words in (["help", "rollout", "start"], ["rollout", "start", "--help"])
    )
    assert of_words == of_command
    assert "exit-codes" in CliRunner().invoke(app, ["help", "--help"]).stdout
    wrong = CliRunner().invoke(app, ["help", "rollout", "strt"])
    assert (wrong.exit_code, "there is no command 'rollout strt'" in wrong.stderr) == (2, True)
    for words, meant in ((["rollout", "strat"], "start"), (["rolout"], "rollout"), (["exit-code"], "exit-codes")):
        slipped = CliRunner().invoke(app, ["help", *words])
        assert (slipped.exit_code, f"did you mean {meant}?" in slipped.stderr) == (2, True)


def test_the_version_is_told():
    form = " (compiled)" if IS_COMPILED else ""
    assert CliRunner().invoke(app, ["--version"]).stdout == f"switchback {__version__}{form}\n"


@pytest.mark.parametrize(
    ("line", "spared"),
    [
        ("--help", {"pydantic"}),
        # Typer reads the options of a single command with pydantic.
        ("agents list --help", set()),
        ("serve --help", set()),
        ("demo --help", set()),
        ("status", set()),
    ],
)
def test_help_and_admin_verbs_start_without_the_heavy_libraries(line, spared):
    script = (
        "import sys; from proxy.cli.app import app\n"
        "try: app()\n"
        "except SystemExit: pass\n"
        "sys.stderr.write('\\n' + ' '.join(sys.modules))"
    )
    environment = {"SWITCHBACK_TOKEN": "t", "SWITCHBACK_ADMIN_URL": "http://127.0.0.1:1"}
    done = _run([sys.executable, "-c", script, *line.split()], environment)
    loaded = set(done.stderr.splitlines()[-1].split())
    assert "typer" in loaded
    assert loaded & ({"aiohttp", "genai_prices", "uvloop", "yaml", "orjson", "proxy.server"} | spared) == set()


def test_the_start_of_a_server_waits_for_no_other_verb():
    script = (
        "import sys; sys.argv[1:] = ['serve', '--check']; from proxy.cli.start import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "sys.stderr.write(' '.join(sys.modules))"
    )
    done = _run([sys.executable, "-c", script], {})
    assert done.stdout == "ok: the settings can be used\n"
    loaded = set(done.stderr.split())
    assert "proxy.server" in loaded
    assert loaded & {"rich", "proxy.cli.app", "proxy.cli.rollouts"} == set()


@pytest.mark.parametrize(
    "script",
    [
        "import sys; from proxy.cli.app import main; sys.argv[1:] = ['--help']; main()",
        "import sys; from proxy.cli import app, running; running.typer.main.get_command = lambda _: lambda prog_name: sys.stdout.write('a table'); app.main()",
    ],
)
def test_a_reader_that_has_seen_enough_is_met_without_a_word(script):
    unread, written = os.pipe()
    os.close(unread)
    try:
        done = subprocess.run(
            [sys.executable, "-c", script], stdout=written, stderr=subprocess.PIPE, timeout=60, check=False, env={}
        )
    finally:
        os.close(written)
    assert done.stderr == b""


@pytest.mark.parametrize("buffering", ["", "1"])
@pytest.mark.parametrize("words", [["--help"], ["label", "--help"]])
def test_an_output_that_cannot_be_written_is_told_in_one_line(buffering, words):
    script = f"import sys; from proxy.cli.app import main; sys.argv[1:] = {words!r}; main()"
    environment = {"PYTHONUNBUFFERED": buffering}
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-c", script],
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=60,
            check=False,
            env=environment,
        )
    told = b"error: standard output cannot be written: No space left on device\n"
    assert (done.returncode, done.stderr) == (1, told)


def _run(command, environment):
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60, check=False)


@pytest.mark.parametrize(
    "path",
    [path for path, command in COMMANDS if any("--json" in parameter.opts for parameter in command.params)],
    ids=" ".join,
)
def test_with_json_every_verb_fails_in_json(path):
    result = CliRunner().invoke(app, [*path, "--json", "--no-such-option"])
    assert (result.exit_code, result.stdout) == (2, "")
    told = json.loads(result.stderr)
    assert (told["code"], told["status"]) == ("usage", None)
    assert "--no-such-option" in told["message"]


def test_without_json_wrong_usage_is_told_in_words():
    result = CliRunner().invoke(app, ["label", "--", "--json"])
    assert result.exit_code == 2
    assert "Usage: " in result.stderr
