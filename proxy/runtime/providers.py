"""The configured providers: where they are, which family of wires they speak, whose key goes to them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from proxy.core.errors import BadInput
from proxy.wires.wire import Headers, WireFamily


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """One provider. `base_url` is an origin without `/v1`. A set `api_key` replaces the caller's credentials."""

    name: str
    family: WireFamily
    base_url: str
    api_key: str | None = None
    #: The credential fields that replace the caller's; None: the caller's own are sent.
    own_credentials: Headers | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "own_credentials", _credentials(self.family, self.api_key))


class Providers:
    """Providers by name, and the default one of each family: the one a caller's own key was sent for."""

    def __init__(self, providers: Sequence[Provider]) -> None:
        self._by_name: Mapping[str, Provider] = {provider.name: provider for provider in providers}
        self._defaults: dict[str, Provider] = {}
        for provider in providers:
            self._defaults.setdefault(provider.family, provider)

    def default(self, family: WireFamily) -> Provider:
        """The first configured provider of a family. Raises BadInput(`provider_not_configured`)."""
        provider = self._defaults.get(family)
        if provider is None:
            raise BadInput("provider_not_configured", f"no provider that speaks {family!r} is in the settings")
        return provider

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


def _credentials(family: WireFamily, api_key: str | None) -> Headers | None:
    if api_key is None:
        return None
    key = api_key.encode()
    return [(b"x-api-key", key)] if family == "anthropic" else [(b"authorization", b"Bearer " + key)]
