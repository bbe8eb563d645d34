"""The table of hostile requests said to a proxy whose provider is an nginx before the simulator.

The proxy writes every request anew, so nginx must read exactly one request in each: what nginx sends on is what the runs
say, body for body.
"""

from pathlib import Path

import pytest
import pytest_asyncio

from proxy.simulator.app import Simulator
from tests.hostile.account import Account, accounts_of, check_account, in_lanes
from tests.hostile.case import Case
from tests.hostile.raw_cases import CASES
from tests.hostile.stage import QUICK, staged
from tests.nginx.server import nginx

_LANES = 4

pytestmark = [pytest.mark.nginx, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def accounts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Account]:
    async def lane(number: int, home: Path) -> dict[str, Account]:
        simulator = Simulator()
        await simulator.start()
        try:
            async with (
                nginx(home / f"nginx{number}", simulator.url.removeprefix("http://")) as provider,
                staged(home / str(number), provider=provider, timeouts=QUICK) as stage,
            ):
                stage.simulator = simulator
                return await accounts_of(stage, CASES[number::_LANES])
        finally:
            await simulator.stop()

    home = tmp_path_factory.mktemp("behind")
    return await in_lanes([lane(number, home) for number in range(_LANES)])


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_an_nginx_provider_reads_exactly_the_requests_that_are_recorded(
    case: Case, accounts: dict[str, Account]
) -> None:
    check_account(case, accounts[case.name])
