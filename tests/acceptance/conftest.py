"""What tests start with: a home to come back to, a provider that outlives servers, one over http or https, three workers on
one port."""

import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from proxy.simulator.app import Simulator
from tests.harness import Deployment, deployed

CERTIFICATES = Path(__file__).parents[1] / "http1" / "certificates"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture(params=["http", "https"])
async def over_either(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Deployment]:
    """A fresh deployment whose provider is reached over http, and one over https, whose authority is trusted."""
    tls = None
    if request.param == "https":
        monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATES / "authority.pem"))
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(CERTIFICATES / "localhost.pem")
    provider = Simulator()
    await provider.start(tls=tls)
    try:
        async with deployed(tmp_path / "home", simulator=provider) as running:
            yield running
    finally:
        await provider.stop()


@pytest.fixture
async def three(tmp_path: Path) -> AsyncIterator[Deployment]:
    """A deployment with three workers and an agent `support` of two versions."""
    async with deployed(tmp_path / "home", workers=3) as running:
        await running.operator.agent("support", "one", "two")
        yield running
