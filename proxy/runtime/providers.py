"""The configured providers: where they are, which family of wires they speak, whose key goes to them."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from proxy.core.calls.identity import CREDENTIAL_HEADERS
from proxy.core.errors import BadInput
from proxy.wires.deployments import KEY_HEADER, base_path_of, target_below
from proxy.wires.dialects import Dialect, dialect_of
from proxy.wires.families import FAMILIES, Family, joined
from proxy.wires.key_owners import foreign_keys, key_headers
from proxy.wires.wire import Headers, WireFamily


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """One provider. `base_url` may have a path, with or without `/v1`. A set `api_key` replaces the caller's credentials."""

    name: str
    family: WireFamily
    base_url: str
    api_key: str | None = None
    #: Whether paths that no family knows are sent there, and whatever key the caller has with them.
    takes_unknown_paths: bool = False
    #: Whether a call whose only key is another provider's is refused; False: it is sent without one.
    needs_key: bool = True
    #: Whether it takes `stream_options`; False: the usage of streams is counted instead, where it is not told unasked. None: as its
    #: dialect does.
    takes_stream_options: bool | None = None
    #: The dialect it speaks; None: that of its domain.
    named_dialect: str | None = None
    dialect: Dialect = field(init=False, repr=False, compare=False)
    #: Whether requests may have to look otherwise there.
    is_peculiar: bool = field(init=False, repr=False, compare=False)
    #: Models by the names of their deployments.
    deployments: Mapping[str, str] = field(default_factory=dict[str, str], hash=False)
    #: Scheme, host and port, and the path behind them.
    origin: str = field(init=False, repr=False, compare=False)
    base_path: str = field(init=False, repr=False, compare=False)
    #: The credential fields that replace the caller's; None: the caller's own are sent.
    own_credentials: Headers | None = field(init=False, repr=False, compare=False)
    #: The caller's fields that may be sent there, and what of their values is another provider's key, or none.
    key_headers: frozenset[bytes] = field(init=False, repr=False, compare=False)
    foreign_keys: re.Pattern[bytes] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        family = FAMILIES[self.family]
        scheme, _, rest = self.base_url.rstrip("/").partition("://")
        authority, slash, path = rest.partition("/")
        own = None if self.api_key is None else _credentials(family, self.api_key)
        callers = key_headers(self.family, self.base_url)
        takes_any = self.takes_unknown_paths
        dialect = dialect_of(self.named_dialect, self.base_url)
        if self.takes_stream_options is not None:
            dialect = replace(dialect, takes_stream_options=self.takes_stream_options)
        if dialect.has_deployments:
            slash, path = "", base_path_of(slash + path)
            callers |= {KEY_HEADER}
            own = None if self.api_key is None else [(KEY_HEADER, self.api_key.encode())]
        for name, value in (
            ("dialect", dialect),
            ("is_peculiar", dialect.changes_requests or dialect.has_deployments),
            ("origin", f"{scheme}://{authority}"),
            ("base_path", slash + path),
            ("own_credentials", own),
            ("key_headers", CREDENTIAL_HEADERS if takes_any else callers),
            ("foreign_keys", foreign_keys(None if takes_any else self.family, self.base_url)),
        ):
            object.__setattr__(self, name, value)

    def target(self, target: bytes) -> bytes:
        """What is asked for there, for the target of a route."""
        if self.dialect.has_deployments:
            return target_below(self.base_path, target)
        if not self.base_path:
            return target
        path, mark, query = target.partition(b"?")
        return joined(self.base_path, path.decode("ascii")).encode() + mark + query


class Providers:
    """Providers by name, and the default one of each family: the one a caller's own key was sent for."""

    def __init__(self, providers: Sequence[Provider]) -> None:
        self._by_name: Mapping[str, Provider] = {provider.name: provider for provider in providers}
        self._defaults: dict[str, Provider] = {}
        for provider in providers:
            self._defaults.setdefault(provider.family, provider)

    def __iter__(self) -> Iterator[Provider]:
        return iter(self._by_name.values())

    @property
    def with_deployments(self) -> Provider | None:
        """The first whose models go by the names of their deployments; None: there is none."""
        return next((provider for provider in self._by_name.values() if provider.dialect.has_deployments), None)

    @property
    def names(self) -> Sequence[str]:
        """Of all, in the order of the settings."""
        return tuple(self._by_name)

    @property
    def defaults(self) -> Sequence[Provider]:
        """The default one of each family."""
        return tuple(self._defaults.values())

    def named(self, name: str) -> Provider | None:
        """The provider of that name, if there is one."""
        return self._by_name.get(name)

    def default(self, family: WireFamily) -> Provider:
        """The first configured provider of a family. Raises BadInput(`provider_not_configured`)."""
        provider = self._defaults.get(family)
        if provider is None:
            raise BadInput("provider_not_configured", f"no provider that speaks {family!r} is in the settings")
        return provider

    def takes_unknown(self, family: WireFamily) -> bool:
        """Whether the default provider of a family takes paths that no family knows."""
        provider = self._defaults.get(family)
        return provider is not None and provider.takes_unknown_paths

    def choose(self, name: str | None, family: WireFamily) -> Provider:
        """The provider a version names, else the family's default.

        A caller's key never reaches another origin than its own provider's: any other provider needs a key of its own.
        Raises BadInput: `provider_not_configured`, `wire_mismatch`, `provider_key_missing`.
        """
        default = self._defaults.get(family)
        if name is None or (default is not None and default.name == name):
            return self.default(family)
        provider = self._by_name.get(name)
        if provider is None:
            raise BadInput(
                "provider_not_configured", f"the version names the provider {name!r}; add it to the settings"
            )
        if provider.family != family:
            raise BadInput(
                "wire_mismatch",
                f"the version's provider {name!r} speaks {provider.family!r}, but the call came on the {family!r} wire",
            )
        if provider.api_key is None:
            raise BadInput(
                "provider_key_missing",
                f"the provider {name!r} needs an api_key in the settings: the caller's key was sent for another one",
            )
        return provider


def _credentials(family: Family, api_key: str) -> Headers:
    header, before = family.own_key
    return [(header, before + api_key.encode())]
