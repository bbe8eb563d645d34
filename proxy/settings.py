"""Settings: defaults, then a YAML file, then the environment, into one frozen value; every problem reported at once.

Every key has a default. Unknown keys are errors that name the nearest known one. In the file `${NAME}` and `${NAME:-default}`
stand for environment variables. Any setting can come from the environment: SWITCHBACK_LISTEN, SWITCHBACK_ADMIN__LISTEN,
SWITCHBACK_PROVIDERS__OPENAI__BASE_URL, ... Read by the composition root and the command only; nothing is done here.
"""

import re
import ssl
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, cast, get_args, get_origin
from urllib.parse import urlsplit

import orjson
from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainSerializer,
    PlainValidator,
    SecretStr,
    ValidationError,
)

from proxy.bound_settings import LimitSettings, RetentionSettings, Section, TimeoutSettings
from proxy.core.addresses import Address, ListenAddress, UnixAddress, http_url, listen_addresses, tcp_address
from proxy.core.errors import BadInput
from proxy.core.names import check_agent_name
from proxy.core.nearest import nearest_of
from proxy.core.wrong_values import accepted
from proxy.settings_file import SettingsError, expanded, file_content, read_key_files
from proxy.webhook_settings import Webhooks

PREFIX = "SWITCHBACK_"
#: Environment variables that are not settings: where state lives, and what the command's admin verbs use.
_NOT_SETTINGS = frozenset({"SWITCHBACK_HOME", "SWITCHBACK_TOKEN", "SWITCHBACK_ADMIN_URL", "SWITCHBACK_ADMIN_CA"})
#: Scheme and host in small letters, a port only where it is not the usual one, no path.
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://(?:[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::\d{1,5})?")
_HOST_NAME = re.compile(r"[a-z0-9._-]{1,253}")
#: Segments as they are sent; none of dots, none empty.
_BASE_PATH = re.compile(r"(?:/(?!\.{1,2}(?:/|\Z))[A-Za-z0-9._~:@+,=-]+)*")


def _written(value: ListenAddress | tuple[ListenAddress, ...]) -> str | list[str]:
    return str(value) if isinstance(value, Address | UnixAddress) else [str(one) for one in value]


def _base_url(value: str) -> str:
    parts = http_url(value)
    if parts is None:
        raise ValueError("must be an origin such as https://api.openai.com")
    path = parts.path.rstrip("/")
    if parts.query or parts.fragment or parts.username is not None or not _BASE_PATH.fullmatch(path):
        raise ValueError("must be an origin with or without a plain path, without query or user")
    return f"{parts.scheme}://{parts.netloc}{path}"


def _origins(value: object) -> object:
    """Origins as browsers write them, one or several. Raises ValueError for anything else."""
    given = value.split(",") if isinstance(value, str) else value
    if not isinstance(given, list | tuple):
        raise ValueError("must be a list of origins such as https://app.example, or *")
    origins = [str(origin).strip() for origin in cast("list[object]", given)]
    for origin in origins:
        if origin != "*" and not _ORIGIN.fullmatch(origin):
            raise ValueError(
                f"{origin!r} is no origin: write it as browsers do, https://app.example or http://localhost:5173"
            )
    return origins


def _host_names(value: object) -> object:
    """Names as they stand in a URL, one or several. Raises ValueError for anything else."""
    given = value.split(",") if isinstance(value, str) else value
    if not isinstance(given, list | tuple):
        raise ValueError("must be a list of host names such as switchback or switchback.internal")
    names = [str(name).strip().lower() for name in cast("list[object]", given)]
    for name in names:
        if not _HOST_NAME.fullmatch(name):
            raise ValueError(
                f"{name!r} is no host name: write it as in a URL, without scheme and port, and no wildcard"
            )
    return names


def _agent_name(value: str) -> str:
    try:
        return check_agent_name(value)
    except BadInput as error:
        raise ValueError(error.message) from None


TcpListen = Annotated[Address, PlainValidator(tcp_address), PlainSerializer(str)]
Listen = Annotated[
    ListenAddress | tuple[ListenAddress, ...], PlainValidator(listen_addresses), PlainSerializer(_written)
]


class TlsSettings(Section):
    """What a listener shows who connects over TCP, as PEM files; without a certificate it speaks plain HTTP."""

    #: The certificate, and behind it those between it and a known authority.
    certificate: Path | None = None
    #: The certificate's private key, unencrypted; left out where it is in the file of the certificate.
    key: Path | None = None


class AdminSettings(Section):
    """The listener of admin API, metrics and health."""

    listen: TcpListen = Field(default=Address("127.0.0.1", 8101), description="address to bind: HOST:PORT")
    tls: TlsSettings = TlsSettings()
    #: Names beside its own address that requests may call it by, such as that of a container or a service.
    hosts: Annotated[tuple[str, ...], BeforeValidator(_host_names)] = ()

    @property
    def warning(self) -> str | None:
        """What is unsafe about it; None where nothing is."""
        if self.listen.is_loopback or self.tls.certificate is not None:
            return None
        return (
            f"the admin API listens beyond this machine ({self.listen}) without TLS: whoever is on the way reads tokens and prompts; "
            "set admin.tls.certificate, or admin.listen to 127.0.0.1"
        )


class CorsSettings(Section):
    """Browser apps that may call from pages of other origins."""

    #: `https://app.example`, `http://localhost:5173`; `*`: any. None: no page may.
    origins: Annotated[tuple[str, ...], BeforeValidator(_origins)] = ()


#: Servers that speak one wire, each with ways of its own.
DialectName = Literal[
    "azure",
    "deepseek",
    "fireworks",
    "gemini",
    "groq",
    "mistral",
    "ollama",
    "openai",
    "openrouter",
    "together",
    "vllm",
    "xai",
]


class ProviderSettings(Section):
    """One provider. A set `api_key` replaces the caller's."""

    wire: Literal["openai", "anthropic", "google"]
    base_url: Annotated[str, AfterValidator(_base_url)]
    api_key: SecretStr | None = None
    #: A file that holds the key alone, read at the start.
    api_key_file: str | None = None
    #: What becomes of a path that no provider is known to have: 404, or sent here with whatever key the caller has.
    unknown_paths: Literal["refuse", "pass"] = "refuse"
    #: Whether a call whose only key is another provider's is refused; false for a server that needs none.
    needs_key: bool = True
    #: Whether it takes `stream_options`; where not, the usage of streams is counted and flagged, unless it is told unasked. None: as its
    #: dialect does.
    stream_options: bool | None = None
    #: How the server differs from others that speak its wire; None: as its domain says.
    dialect: DialectName | None = None
    #: Which model each deployment has, where models go by such names: for prices, and for what a version's model becomes.
    deployments: dict[str, str] = Field(default_factory=dict[str, str])
    #: Allow plain http to a host that is not this machine.
    allow_http: bool = False


class PriceSettings(Section):
    """Dollars per million tokens, or thousand searches, for a model the price library does not know, or knows wrongly."""

    input: Annotated[Decimal, Field(ge=0)]
    output: Annotated[Decimal, Field(ge=0)]
    cached: Annotated[Decimal, Field(ge=0)] | None = None
    cache_write: Annotated[Decimal, Field(ge=0)] | None = None
    cache_write_1h: Annotated[Decimal, Field(ge=0)] | None = None
    audio_input: Annotated[Decimal, Field(ge=0)] | None = None
    audio_output: Annotated[Decimal, Field(ge=0)] | None = None
    image_output: Annotated[Decimal, Field(ge=0)] | None = None
    web_search: Annotated[Decimal, Field(ge=0)] | None = None
    file_search: Annotated[Decimal, Field(ge=0)] | None = None
    context_window: Annotated[int, Field(ge=1)] | None = None


def _default_providers() -> dict[str, ProviderSettings]:
    return {
        "openai": ProviderSettings(wire="openai", base_url="https://api.openai.com"),
        "anthropic": ProviderSettings(wire="anthropic", base_url="https://api.anthropic.com"),
        "google": ProviderSettings(wire="google", base_url="https://generativelanguage.googleapis.com"),
    }


class Settings(Section):
    """Everything that can be set. `home` is where state lives ($SWITCHBACK_HOME, default `.switchback`)."""

    home: Path = Path(".switchback")
    listen: Listen = Field(
        default=Address("127.0.0.1", 8100),
        description="address to bind for LLM traffic: HOST:PORT, unix:/PATH, or several",
    )
    tls: TlsSettings = TlsSettings()
    admin: AdminSettings = AdminSettings()
    cors: CorsSettings = CorsSettings()
    store: Annotated[str, Field(pattern=r"^sqlite:///.+", description="database")] = "sqlite:///switchback.db"
    #: Processes that take calls, beside the one that owns the store; 1: one for everything.
    workers: Annotated[int, Field(ge=1, le=64)] = 1
    unassigned: Literal["pass", "reject"] = "pass"
    default_agent: Annotated[str, AfterValidator(_agent_name)] | None = None
    prompt_ids: dict[str, Annotated[str, AfterValidator(_agent_name)]] = Field(default_factory=dict[str, str])
    #: Allow listening beyond this machine although callers need no key of their own.
    allow_remote: bool = False
    limits: LimitSettings = LimitSettings()
    timeouts: TimeoutSettings = TimeoutSettings()
    retention: RetentionSettings = RetentionSettings()
    weekly_drills: bool = False
    webhooks: Webhooks = Field(default_factory=Webhooks)
    providers: dict[str, ProviderSettings] = Field(default_factory=_default_providers)
    #: By `provider/model`; `free` says that a model costs nothing.
    prices: dict[str, PriceSettings | Literal["free"]] = Field(
        default_factory=dict[str, PriceSettings | Literal["free"]]
    )

    @property
    def traffic_addresses(self) -> tuple[ListenAddress, ...]:
        """Where LLM traffic is taken, always as several."""
        return (self.listen,) if isinstance(self.listen, Address | UnixAddress) else self.listen

    @property
    def database_path(self) -> Path:
        """Where the SQLite file is; relative paths are below `home`."""
        return self.home / self.store.removeprefix("sqlite:///")


def load_settings(path: Path | None, environment: Mapping[str, str]) -> Settings:
    """Read file and environment. Raises SettingsError with every problem found."""
    problems: list[str] = []
    content = {} if path is None else file_content(path)
    content = cast("dict[str, Any]", expanded(content, environment, "", problems))
    has_providers = content.get("providers") is not None
    _overlay_environment(content, environment, problems)
    content.setdefault("home", environment.get("SWITCHBACK_HOME") or ".switchback")
    _merge_default_providers(content, are_listed=has_providers)
    read_key_files(content, problems)
    try:
        settings = Settings.model_validate(content)
    except ValidationError as error:
        raise SettingsError(problems + [_sentence(item) for item in error.errors() if not _is_beside(item)]) from None
    problems += _unsafe(settings)
    problems += _tls_problems("tls", settings.tls) + _tls_problems("admin.tls", settings.admin.tls)
    if problems:
        raise SettingsError(problems)
    return settings


def settings_bytes(settings: Settings) -> bytes:
    """Settings as JSON, secrets in clear: only for a process of ours, never for a file, an argument or a log."""
    return orjson.dumps(settings.model_dump(), default=_as_written)


def settings_from_bytes(data: bytes) -> Settings:
    """What `settings_bytes` wrote. Raises pydantic's ValidationError."""
    return Settings.model_validate_json(data)


def _as_written(value: Any) -> str:
    return value.get_secret_value() if isinstance(value, SecretStr) else str(value)


def _overlay_environment(content: dict[str, Any], environment: Mapping[str, str], problems: list[str]) -> None:
    for name in sorted(environment):
        if not name.startswith(PREFIX) or name in _NOT_SETTINGS:
            continue
        keys = name.removeprefix(PREFIX).lower().split("__")
        if keys[0] not in Settings.model_fields:
            problems.append(f"{name}: unknown setting{_nearest(keys[0], list(Settings.model_fields))}")
            continue
        place: Any = content
        for key in keys[:-1]:
            place = cast("dict[str, Any]", place).setdefault(key, {}) if isinstance(place, dict) else None
        if isinstance(place, dict):
            cast("dict[str, Any]", place)[keys[-1]] = environment[name]
        else:
            problems.append(f"{name}: does not fit the settings file, which has no mapping there")


def _merge_default_providers(content: dict[str, Any], *, are_listed: bool) -> None:
    """A known provider may be given in part. A file lists all there are; what the environment says adds to the defaults."""
    providers = content.get("providers")
    if not isinstance(providers, dict):
        return
    for name, default in _default_providers().items():
        if not are_listed:
            cast("dict[str, Any]", providers).setdefault(name, {})
        given = cast("dict[str, Any]", providers).get(name)
        if isinstance(given, dict):
            cast("dict[str, Any]", given).setdefault("wire", default.wire)
            cast("dict[str, Any]", given).setdefault("base_url", default.base_url)


def _unsafe(settings: Settings) -> list[str]:
    problems: list[str] = []
    has_keys = any(provider.api_key is not None for provider in settings.providers.values())
    is_local = all(address.is_loopback for address in settings.traffic_addresses)
    if has_keys and not is_local and not settings.allow_remote:
        why = "listen: beyond this machine anybody could spend the configured provider keys"
        problems.append(f"{why}; listen on 127.0.0.1 or set allow_remote: true")
    for name, provider in settings.providers.items():
        if provider.dialect is not None and provider.wire != "openai":
            problems.append(
                f"providers.{name}.dialect: only servers that speak the openai wire differ so; leave it out"
            )
        parts = urlsplit(provider.base_url)
        is_here = Address(parts.hostname or "", 0).is_loopback
        if parts.scheme == "http" and not is_here and not provider.allow_http:
            why = "keys would cross the network in clear"
            problems.append(f"providers.{name}.base_url: {why}; use https or allow_http: true")
    for key in settings.prices:
        provider_name, separator, _ = key.partition("/")
        if not separator or provider_name not in settings.providers:
            problems.append(f"prices.{key}: must be written PROVIDER/MODEL with a provider of the settings")
    return problems


def _tls_problems(where: str, tls: TlsSettings) -> list[str]:
    """Whether certificate and key can be used; they are only looked at here."""
    if tls.certificate is None:
        return [] if tls.key is None else [f"{where}.key: is of no use without {where}.certificate"]
    problems: list[str] = []
    for name, path in (("certificate", tls.certificate), ("key", tls.key)):
        try:
            if path is not None:
                path.read_bytes()
        except OSError as error:
            problems.append(f"{where}.{name}: {path} cannot be read: {error.strerror}")
    if problems:
        return problems
    try:
        # Without a password of its own OpenSSL would ask for one at the terminal.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(tls.certificate, tls.key, password=_no_password)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            return [f"{where}.key: does not belong to {where}.certificate"]
        return [f"{where}: certificate and key must be PEM files, the key without a password"]
    except _Encrypted:
        return [f"{where}.key: is encrypted; give one without a password"]
    return []


class _Encrypted(Exception):
    """A private key asked for its password."""


def _no_password() -> str:
    raise _Encrypted


def _is_beside(item: Any) -> bool:
    """Whether a problem says only that a mapping is no word, where one of both is taken: what is wrong in the mapping is told."""
    return item["type"] == "literal_error" and isinstance(item["input"], dict)


def _sentence(item: Any) -> str:
    keys, known = _place(item["loc"])
    path = ".".join(keys)
    if item["type"] == "extra_forbidden":
        return f"{path}: unknown setting{_nearest(keys[-1], known)}"
    return f"{path}: {accepted(item['type'], item['msg'], item.get('ctx') or {}, given=item['input'])}"


def _place(location: Sequence[str | int]) -> tuple[list[str], list[str]]:
    """The keys that lead to a problem, as the file has them, and those there are beside the last."""
    inside: Any = Settings
    keys: list[str] = []
    known: list[str] = []
    for part in map(str, location):
        if get_origin(inside) in (Union, UnionType):
            # Which of several kinds it was taken for is no key.
            inside = next((kind for kind in get_args(inside) if getattr(kind, "__name__", "") == part), None)
            continue
        keys.append(part)
        fields = getattr(inside, "model_fields", {})
        known = list(fields)
        if part in fields:
            inside = fields[part].annotation
        else:
            # Of a mapping by name every value is of one kind.
            inside = get_args(inside)[1] if get_origin(inside) is dict else None
    return keys, known


def _nearest(key: str, known: list[str]) -> str:
    return nearest_of(key, known) or f"; there are {', '.join(sorted(known))}"
