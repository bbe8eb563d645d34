"""Requests met by a version: the bytes that go to the provider, or the refusal."""

from dataclasses import dataclass
from typing import Any

import pytest

from proxy.core.errors import BadInput
from proxy.core.versions.components import parse_bundle
from proxy.wires.wire import Injection, InjectionPlan, Wire


@dataclass(frozen=True)
class Requests:
    """Those of one wire."""

    wire: Wire

    def inject(self, body: bytes, version: dict[str, Any] | None, **plan: Any) -> Injection:
        bundle = None if version is None else parse_bundle(version)
        return self.wire.inject(self.wire.read(body), InjectionPlan(bundle=bundle, **plan))

    def injected(self, body: str, version: dict[str, Any] | None, **plan: Any) -> str:
        return self.inject(body.encode(), version, **plan).body.decode()

    def refusal_of(self, body: str, version: dict[str, Any] | None = None, **plan: Any) -> tuple[str, str | None]:
        with pytest.raises(BadInput) as refusal:
            self.inject(body.encode(), version, **plan)
        return refusal.value.code, refusal.value.param

    def bound_of(self, body: bytes) -> int | None:
        """The input bound of a body that no version changes."""
        return self.wire.input_tokens_bound(self.inject(body, None))
