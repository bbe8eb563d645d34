"""Every row of `raw_cases.py` said directly to the proxy: its defined answer, no hang, no smuggled call, all in the books.

The rows are said once for the whole module, in a few deployments at the same time; each test looks at its own row.
"""

from pathlib import Path

import pytest
import pytest_asyncio

from tests.hostile.account import Account, accounts_of, check_account, in_lanes
from tests.hostile.case import Case
from tests.hostile.raw_cases import CASES, DUPLICATES
from tests.hostile.stage import QUICK, staged

_LANES = 4

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def accounts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Account]:
    async def lane(number: int, home: Path) -> dict[str, Account]:
        async with staged(home / str(number), timeouts=QUICK) as stage:
            return await accounts_of(stage, CASES[number::_LANES])

    home = tmp_path_factory.mktemp("raw")
    return await in_lanes([lane(number, home) for number in range(_LANES)])


async def test_the_table_is_large_and_its_names_are_unique() -> None:
    assert len(CASES) >= 200
    assert set() == DUPLICATES


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_a_raw_request_has_its_defined_answer(case: Case, accounts: dict[str, Account]) -> None:
    check_account(case, accounts[case.name])
