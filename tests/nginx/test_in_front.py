"""The table of hostile requests said to an nginx that stands before the proxy.

nginx refuses some rows itself and repairs others, so the answers are its own matter. What must hold is that it and the
proxy agree on where every request ends: never more calls than nginx sent on, never another body than was said.
"""

from pathlib import Path

import pytest
import pytest_asyncio

from tests.hostile.account import Account, accounts_of, check_books, in_lanes
from tests.hostile.case import Case
from tests.hostile.raw_cases import CASES
from tests.hostile.stage import QUICK, staged
from tests.nginx.server import nginx

_LANES = 4

pytestmark = [pytest.mark.nginx, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def accounts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Account]:
    async def lane(number: int, home: Path) -> dict[str, Account]:
        async with staged(home / str(number), timeouts=QUICK) as stage:
            behind = "{}:{}".format(*stage.address)
            async with nginx(home / f"nginx{number}", behind) as front:
                return await accounts_of(stage, CASES[number::_LANES], front)

    home = tmp_path_factory.mktemp("front")
    return await in_lanes([lane(number, home) for number in range(_LANES)])


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_nginx_and_the_proxy_agree_on_every_request(case: Case, accounts: dict[str, Account]) -> None:
    check_books(case, accounts[case.name])
