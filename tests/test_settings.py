"""Settings: every problem at once, with its path and the nearest known key; nothing half read."""

import subprocess
from pathlib import Path

import pytest

from proxy.core.addresses import UnixAddress
from proxy.settings import Address, Settings, SettingsError, load_settings, settings_bytes, settings_from_bytes

ROOT = Path(__file__).parent.parent


def problems(tmp_path: Path, text: str | bytes, **environment: str) -> list[str]:
    path = tmp_path / "settings.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(SettingsError) as caught:
        load_settings(path, environment)
    return [problem.replace(str(path), "FILE") for problem in caught.value.problems]


def load(tmp_path: Path, text: str, **environment: str) -> Settings:
    path = tmp_path / "settings.yaml"
    path.write_text(text)
    return load_settings(path, environment)


def test_without_a_file_everything_has_its_default() -> None:
    settings = load_settings(None, {})
    assert (settings.listen, settings.admin.listen) == (Address("127.0.0.1", 8100), Address("127.0.0.1", 8101))
    assert settings.database_path == Path(".switchback/switchback.db")
    assert settings.providers["openai"].base_url == "https://api.openai.com"
    assert settings.providers["anthropic"].api_key is None


def test_the_example_file_loads_and_takes_keys_from_the_environment() -> None:
    settings = load_settings(
        ROOT / "config" / "switchback.yaml", {"OPENAI_API_KEY": "sk-1", "SWITCHBACK_HOME": "/var/x"}
    )
    key = settings.providers["openai"].api_key
    assert key is not None
    assert key.get_secret_value() == "sk-1"
    assert settings.providers["anthropic"].api_key is None
    assert settings.home == Path("/var/x")
    assert "sk-1" not in repr(settings)


def test_any_setting_can_come_from_the_environment_and_wins_over_the_file(tmp_path: Path) -> None:
    settings = load(
        tmp_path,
        "listen: 127.0.0.1:1\nproviders: {openai: {api_key: from-file}}",
        SWITCHBACK_LISTEN="127.0.0.1:2",
        SWITCHBACK_ADMIN__LISTEN="[::1]:3",
        SWITCHBACK_PROVIDERS__OPENAI__BASE_URL="http://127.0.0.1:9/",
        SWITCHBACK_LIMITS__MAX_OUTPUT_TOKENS="77",
    )
    assert settings.listen.port == 2
    assert settings.admin.listen == Address("::1", 3)
    assert settings.providers["openai"].base_url == "http://127.0.0.1:9"
    assert settings.limits.max_output_tokens == 77


def test_every_problem_is_reported_at_once_with_its_path(tmp_path: Path) -> None:
    text = "listn: x\nadmin: {listen: nonsense}\nlimits: {max_output_token: 5, body_bytes: -1}\nunassigned: maybe"
    found = "\n".join(problems(tmp_path, text, SWITCHBACK_STOER="x"))
    assert "listn: unknown setting; did you mean listen?" in found
    assert "admin.listen: must be HOST:PORT" in found
    assert "limits.max_output_token: unknown setting; did you mean max_output_tokens?" in found
    assert "limits.body_bytes:" in found
    assert "unassigned:" in found
    assert "SWITCHBACK_STOER: unknown setting; did you mean store?" in found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: [", "not valid YAML"),
        ("listen: 127.0.0.1:1\nlisten: 127.0.0.1:2", "occurs twice"),
        ("a: &x [1]\nb: *x", "aliases"),
        ("- 1", "must be a mapping"),
        ("listen: !!python/object:os.system x", "not valid YAML"),
        ("\tlisten: x", "not valid YAML"),
        (b"\xff\xfe", "not UTF-8"),
        (b"listen: caf\xe9", "is not UTF-8 (line 1)"),
        ("listen: 127.0.0.1:1\n".encode("utf-16"), "is not UTF-8 but UTF-16"),
        (b"home: a\nstore: b\0", "holds a NUL byte (line 2)"),
        (b"home: a\nstore: \x1b[1m", "the character U+001B is not allowed (line 2)"),
        ("home: '" + chr(0xD7FF) + '\'\nstore: "\\ud800"', "no valid text (line 2)"),
        ("workers: 1\n? [a]\n: b", "a key must be a text (line 2)"),
        ("? {a: 1}\n: b", "a key must be a text (line 1)"),
        ("home: a\nstore: 2026-13-45", "no valid timestamp (line 2); put texts in quotes"),
        ("workers: " + "9" * 5_000, "no valid int (line 1)"),
        ("workers: !!int ''", "no valid int (line 1)"),
        ("workers: !!float abc", "no valid float (line 1)"),
        ("workers: !!bool perhaps", "no valid bool (line 1)"),
        ("workers: !!timestamp abc", "no valid timestamp (line 1)"),
        ("a: 1\n---\nb: 1", "expected a single document in the stream, but found another document (line 2)"),
        ("x: " + "y" * 2_000_000, "larger than"),
        ("[" * 5000, "not valid YAML"),
        ("providers: {openai: {api_key: '${NOT_SET}'}}", "NOT_SET is not set"),
        ("providers: {x: {wire: openai, base_url: 'https://h/v1/../admin'}}", "without query or user"),
        ("providers: {x: {wire: openai, base_url: 'https://h//v1'}}", "with or without a plain path"),
        ("providers: {x: {wire: openai, base_url: 'https://h/v1?x=1'}}", "without query or user"),
        ("providers: {x: {wire: openai, base_url: 'file:///etc/passwd'}}", "must be an origin"),
        ("providers: {x: {wire: openai, base_url: 'https://a b'}}", "must be an origin"),
        ("providers: {x: {wire: openai, base_url: 'https://ü.example'}}", "must be an origin"),
        ("listen: 'a b:1'", "must be HOST:PORT"),
        ("admin: {listen: 'ü:1'}", "must be HOST:PORT"),
        ("providers: {x: {wire: openai, base_url: 'https://u:p@h'}}", "without query or user"),
        ("providers: {x: {wire: openai, base_url: 'http://example.test'}}", "allow_http"),
        ("providers: {x: {wire: anthropic, base_url: 'https://example.test', dialect: groq}}", "providers.x.dialect"),
        ("providers: {x: {wire: openai, base_url: 'https://example.test', dialect: grok}}", "providers.x.dialect"),
        ("providers: {x: {wire: gemini, base_url: 'https://h'}}", "providers.x.wire"),
        ("listen: 0.0.0.0:1\nproviders: {openai: {api_key: k}}", "allow_remote"),
        ("prices: {nonsense: free}", "PROVIDER/MODEL"),
        ("default_agent: 'No Agent'", "default_agent"),
        ("prompt_ids: {pmpt_1: 'No Agent'}", "prompt_ids.pmpt_1"),
        ("store: mysql://x", "store"),
        ("listen: 8100", "listen: must be HOST:PORT"),
        ("listen: []", "at least one address"),
        ("listen: [127.0.0.1:1, '127.0.0.1:1']", "names an address twice"),
        ("listen: 'unix:llm.sock'", "must be absolute"),
        ("listen: unix:/run/", "must be absolute"),
        ("listen: unix:/" + "x" * 103, "at most 103 bytes"),
        ("admin: {listen: unix:/run/admin.sock}", "admin.listen: must be HOST:PORT"),
        ("listen: [unix:/run/llm.sock, 0.0.0.0:1]\nproviders: {openai: {api_key: k}}", "allow_remote"),
        (
            "providers: {own: {wire: openai, base_uri: x}}",
            "providers.own.base_uri: unknown setting; did you mean base_url?",
        ),
        ("prices: {openai/x: {inputs: 1, output: 2}}", "prices.openai/x.inputs: unknown setting; did you mean input?"),
        ("prices: {openai/x: fre}", "prices.openai/x: must be free"),
        ("webhooks: {ops: {uri: x}}", "webhooks.ops.uri: unknown setting; did you mean url?"),
        ("webhooks: {ops: {url: 'https://hooks example/x', form: slack}}", "webhooks.ops.url: must be a URL"),
        ("webhooks: {ops: {url: 'https://hööks.example/x', form: slack}}", "webhooks.ops.url: must be a URL"),
        ("webhooks: {ops: {url: 'https://hooks!/x', form: slack}}", "webhooks.ops.url: must be a URL"),
        ("webhooks: {ops: {url: 'https://hooks.example:0/x', form: slack}}", "webhooks.ops.url: must be a URL"),
        ("tls: {certificat: x}", "tls.certificat: unknown setting; did you mean certificate?"),
        ("admin: {tls: {key: /run/key.pem}}", "admin.tls.key: is of no use without admin.tls.certificate"),
        ("admin: {hosts: ['https://switchback']}", "admin.hosts: 'https://switchback' is no host name"),
        ("tls: {key: /run/key.pem}", "tls.key: is of no use without tls.certificate"),
        (
            "tls: {certificate: /nonexistent/c.pem, key: /nonexistent/k.pem}",
            "tls.key: /nonexistent/k.pem cannot be read",
        ),
        ("timeouts: {slow_reader_seconds: 0}", "timeouts.slow_reader_seconds"),
    ],
)
def test_a_bad_file_is_refused_with_its_reason(tmp_path: Path, text: str | bytes, expected: str) -> None:
    assert expected in "\n".join(problems(tmp_path, text))


def test_a_file_that_is_not_there_says_so() -> None:
    with pytest.raises(SettingsError, match="cannot be read"):
        load_settings(Path("/nonexistent/settings.yaml"), {})


def test_remote_listening_with_keys_is_possible_when_said(tmp_path: Path) -> None:
    text = "listen: 0.0.0.0:1\nallow_remote: true\nproviders: {openai: {api_key: k}}"
    assert load(tmp_path, text).listen.host == "0.0.0.0"


def test_unix_sockets_and_several_addresses_are_read_however_they_are_written(tmp_path: Path) -> None:
    both = (Address("127.0.0.1", 1), UnixAddress("/run/llm.sock"))
    assert load(tmp_path, "listen: unix:/run/llm.sock").traffic_addresses == both[1:]
    assert load(tmp_path, "listen: [127.0.0.1:1, unix:/run/llm.sock]").traffic_addresses == both
    assert load(tmp_path, "", SWITCHBACK_LISTEN="127.0.0.1:1, unix:/run/llm.sock").traffic_addresses == both
    assert load(tmp_path, "listen: [127.0.0.1:0, 127.0.0.1:0]").listen == (Address("127.0.0.1", 0),) * 2
    # Only this machine reaches a unix socket.
    assert load(tmp_path, "listen: unix:/run/llm.sock\nproviders: {openai: {api_key: k}}")


def openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


def test_certificate_and_key_are_tried_together(tmp_path: Path) -> None:
    certificate, key, other, locked = (tmp_path / name for name in ("c.pem", "k.pem", "other.pem", "locked.pem"))
    new_key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    openssl("req", "-x509", *new_key, "-subj", "/CN=a", "-keyout", key, "-out", certificate)
    openssl("ecparam", "-genkey", "-name", "prime256v1", "-noout", "-out", other)
    openssl("ec", "-in", key, "-aes256", "-passout", "pass:secret", "-out", locked)

    def said(**tls: Path) -> list[str]:
        text = ", ".join(f"{name}: {path}" for name, path in tls.items())
        return problems(tmp_path, f"tls: {{{text}}}")

    settings = load(tmp_path, "", SWITCHBACK_TLS__CERTIFICATE=str(certificate), SWITCHBACK_TLS__KEY=str(key))
    assert (settings.tls.certificate, settings.tls.key) == (certificate, key)
    assert settings_from_bytes(settings_bytes(settings)) == settings
    assert said(certificate=certificate, key=other) == ["tls.key: does not belong to tls.certificate"]
    assert said(certificate=certificate, key=locked) == ["tls.key: is encrypted; give one without a password"]
    assert said(certificate=certificate) == ["tls: certificate and key must be PEM files, the key without a password"]
    assert said(certificate=key, key=key) == ["tls: certificate and key must be PEM files, the key without a password"]
    assert said(certificate=tmp_path, key=key) == [f"tls.certificate: {tmp_path} cannot be read: Is a directory"]


def test_a_worker_gets_the_very_same_settings_secrets_included(tmp_path: Path) -> None:
    text = """
listen: "[::1]:0"
workers: 3
default_agent: support
prompt_ids: {pmpt_1: support}
limits: {body_bytes: 4096}
providers: {openai: {api_key: sk-1}, other: {wire: anthropic, base_url: "https://x.example"}}
prices: {openai/m: {input: 0.1, output: "2.50"}, openai/f: free}
"""
    settings = load(tmp_path, text)
    again = settings_from_bytes(settings_bytes(settings))
    assert again == settings
    key = again.providers["openai"].api_key
    assert key is not None
    assert key.get_secret_value() == "sk-1"


def test_there_is_at_least_one_worker(tmp_path: Path) -> None:
    assert load(tmp_path, "", SWITCHBACK_WORKERS="4").workers == 4
    (problem,) = problems(tmp_path, "workers: 0")
    assert problem.startswith("workers: ")


def test_a_provider_set_by_the_environment_leaves_the_other_defaults(tmp_path: Path) -> None:
    settings = load_settings(None, {"SWITCHBACK_PROVIDERS__OPENAI__BASE_URL": "https://openrouter.ai/api/v1/"})
    assert settings.providers["openai"].base_url == "https://openrouter.ai/api/v1"
    assert settings.providers["anthropic"].base_url == "https://api.anthropic.com"
    file = tmp_path / "s.yaml"
    file.write_text("providers: {mine: {wire: openai, base_url: 'https://mine.example'}}")
    assert list(load_settings(file, {}).providers) == ["mine"]


def test_a_key_may_stand_in_a_file(tmp_path: Path) -> None:
    secret = tmp_path / "key"
    secret.write_text("sk-from-a-file\n")
    environment = {"SWITCHBACK_PROVIDERS__OPENAI__API_KEY_FILE": str(secret)}
    key = load_settings(None, environment).providers["openai"].api_key
    assert key is not None
    assert key.get_secret_value() == "sk-from-a-file"
    for content, expected in (("", "must hold one key"), ("a\nb", "must hold one key")):
        secret.write_text(content)
        with pytest.raises(SettingsError) as caught:
            load_settings(None, environment)
        assert expected in str(caught.value)
    with pytest.raises(SettingsError) as caught:
        load_settings(None, {**environment, "SWITCHBACK_PROVIDERS__OPENAI__API_KEY": "sk-x"})
    assert "not both" in str(caught.value)
    secret.unlink()
    with pytest.raises(SettingsError) as caught:
        load_settings(None, environment)
    assert "cannot be read" in str(caught.value)


@pytest.mark.parametrize(
    "written", ["https://a.example,http://localhost:5173", " https://a.example , http://localhost:5173"]
)
def test_origins_come_from_the_environment_as_from_a_list(written: str) -> None:
    settings = load_settings(None, {"SWITCHBACK_CORS__ORIGINS": written})
    assert settings.cors.origins == ("https://a.example", "http://localhost:5173")
    assert settings_from_bytes(settings_bytes(settings)) == settings


@pytest.mark.parametrize(
    "origin", ["app.example", "https://app.example/", "https://App.example", "https://*.example", "null", ""]
)
def test_what_no_browser_sends_as_an_origin_is_refused(origin: str) -> None:
    with pytest.raises(SettingsError, match=r"cors\.origins"):
        load_settings(None, {"SWITCHBACK_CORS__ORIGINS": origin})


def test_what_is_wrong_in_a_price_is_told_once_and_by_its_own_keys(tmp_path: Path) -> None:
    text = "prices: {openai/x: {inputs: 1, input: 3, output: 2}}"
    assert problems(tmp_path, text) == ["prices.openai/x.inputs: unknown setting; did you mean input?"]
