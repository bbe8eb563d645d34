"""The group of tests that need an nginx: `-m nginx` runs them, `-m "not nginx"` leaves them out."""

import pytest
import uvloop


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "nginx: needs an installed nginx, and fails without one")


def pytest_asyncio_loop_factories():
    """`switchback serve` runs on uvloop."""
    return {"uvloop": uvloop.new_event_loop}
