"""A command line that cannot be used is answered with what can: an example of a value, the option or setting that was meant."""

import json

import pytest
from typer.testing import CliRunner

from proxy.cli.app import app


def said(line: str) -> str:
    """The last line of what the command says of a line that is wrong."""
    result = CliRunner().invoke(
        app, line.split(), env={"SWITCHBACK_TOKEN": "t", "SWITCHBACK_ADMIN_URL": "http://127.0.0.1:1"}
    )
    assert result.exit_code == 2, result.output
    assert "Input should" not in result.stderr
    return result.stderr.strip().rsplit("\n", 1)[-1].removeprefix("Error: ")


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("label a prod v1", "must be a whole number, 1 or more, such as 3, not 'v1'; did you mean 1?"),
        ("label a prod 0", "must be a whole number, 1 or more, such as 3, not '0'"),
        ("label a prod #12", "such as 3, not '#12'; did you mean 12?"),
        ("label a prod 1.5", "must be a whole number, 1 or more, such as 3, not '1.5'"),
        ("runs list --limit 0", "'--limit': must be a whole number from 1 to 1000000, such as 3, not '0'"),
        ("runs list --version prod", "'--version': must be a whole number, 1 or more, such as 3, not 'prod'"),
        ("rollout start a --candidate 2 --percentage 150", "must be a number from 0 to 100, such as 10, not '150'"),
        ("rollout start a --candidate 2 --percentage ten", "must be a number from 0 to 100, such as 10, not 'ten'"),
        ("simulate --status 200", "must be a whole number from 300 to 599, such as 503, not '200'"),
        ("simulate --error-rate 5", "must be a number from 0 to 1, such as 0.5, not '5'"),
        ("agents update a --unapplied reject", "'reject' is not one of 'refuse', 'pass'"),
        ("caps set --limit five", "--limit must be a number, such as 50 or 12.50, not 'five'"),
    ],
)
def test_a_value_that_cannot_be_used_is_answered_with_one_that_can(line: str, sentence: str) -> None:
    assert sentence in said(line)


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("serve --workers 3", "there is the setting workers: SWITCHBACK_WORKERS=…, or in the file of --config"),
        ("serve --port 9000", "the setting listen: SWITCHBACK_LISTEN=…"),
        ("serve --host=0.0.0.0", "the setting listen: SWITCHBACK_LISTEN=…"),
        ("serve --admin-port 9001", "the setting admin.listen: SWITCHBACK_ADMIN__LISTEN=…"),
        ("serve --cert x.pem", "the setting tls.certificate: SWITCHBACK_TLS__CERTIFICATE=…"),
        ("serve --api-key x", "the settings providers.NAME.api_key, providers.NAME.api_key_file"),
        ("serve --log-level debug", "what is no option is a setting: SWITCHBACK_…"),
        ("serve --cfg x", "did you mean --config?"),
        ("simulate --port 8200", "did you mean --listen?"),
        ("agents list --host x", "did you mean --admin-url?"),
        ("agents list --token x", "did you mean --token-file?"),
        ("runs list --since 1h", "did you mean --from?"),
        ("runs list --until 1h", "did you mean --to?"),
        ("agents list --config x", "it is an option of switchback serve"),
        ("--json agents list", "it stands behind the command"),
    ],
)
def test_an_option_that_is_none_is_answered_with_what_was_meant(line: str, meant: str) -> None:
    option = next(word for word in line.split() if word.startswith("--")).partition("=")[0]
    assert said(line).startswith(f"No such option: {option}; ")
    assert meant in said(line)


@pytest.mark.parametrize("line", ["versions list a --label x", "serve -p 9000", "status --frobnicate"])
def test_nothing_is_guessed_where_nothing_was_meant(line: str) -> None:
    option = next(word for word in line.split() if word.startswith("-"))
    assert said(line) == f"No such option: {option}"


def test_programs_are_told_the_same() -> None:
    result = CliRunner().invoke(app, ["serve", "--workers", "3", "--json"])
    assert "SWITCHBACK_WORKERS" in json.loads(result.stderr)["message"]


@pytest.mark.parametrize(
    "line",
    [
        ["agents", "show", "\udcfc"],
        ["rollback", "a", "--why", "gr\udcfc\udcdfe"],
        ["runs", "list", "--user", "\udcfc"],
        ["runs", "quarantine", "run_1", "\udcfc"],
        ["label", "a", "\udcfc", "1"],
        ["versions", "create", "a", "--variable", "x=\udcfc"],
    ],
)
async def test_bytes_that_are_no_text_are_said_to_be_none_before_anything_is_asked(switchback, admin, line):
    result = await switchback(*line)
    assert result.exit_code == 2
    assert "is no text in UTF-8" in result.stderr
    assert admin.asked == []
