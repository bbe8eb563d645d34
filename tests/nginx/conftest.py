"""The group of tests that need an nginx: `-m nginx` runs them, `-m "not nginx"` leaves them out."""

import pytest
import uvloop

from tests.nginx.server import binary


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "nginx: needs an installed nginx, and fails without one")


def pytest_asyncio_loop_factories():
    """`switchback serve` runs on uvloop."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture(scope="session", autouse=True)
def nginx_is_installed() -> None:
    """Fails, and does not skip, where it is not."""
    binary()
